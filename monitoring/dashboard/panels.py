"""The kinds of panel that the dashboard has most of, in its own style: tile, graph, listing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common as shapes
from grafana_foundation_sdk.builders import dashboard as parts
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, WARNING, BAD, NEUTRAL = "green", "orange", "red", "text"
NO_THRESHOLD: Final = ((None, NEUTRAL),)
FULL_SOON: Final = ((None, BAD), (7, WARNING), (14, GOOD))
"""Days until a quota is full; the alert fires below the last."""
TALL: Final = 9
"""The height of graphs and listings, in Grafana's grid units."""

_QUOTA_STYLE: Final = (
    dashboard.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
    dashboard.DynamicConfigValue("custom.lineWidth", 1),
    dashboard.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": BAD}),
)
_LABEL_HEADINGS: Final = {"cpu_user": "CPU user", "pythonversion": "Python"}
_ONLY_VALUE: Final = "Value"
"""What Grafana calls the numbers where one query alone has any, as the first at the start."""

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; None is the beginning."""


@dataclass(frozen=True, slots=True)
class Line:
    """An expression that a tile or a graph shows, and what its legend says."""

    expression: str
    legend: str = ""
    quota: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers in a listing: its heading, unit and colours; ``missing`` is no number."""

    heading: str
    expression: str
    unit: str = "short"
    steps: Steps = NO_THRESHOLD
    missing: str = ""
    words: tuple[str, str] | None = None
    """What 0 and 1 are called."""
    hidden: bool = False
    """Only the labels of its series are shown."""


def thresholds(steps: Steps) -> parts.ThresholdsConfig:
    """Return the colours from given values on."""
    return (
        parts.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value, colour) for value, colour in steps])
    )


def coloured(steps: Steps) -> list[dashboard.DynamicConfigValue]:
    """Return what an override needs to colour a number by its size."""
    return [dashboard.DynamicConfigValue("thresholds", thresholds(steps).build())]


def query(number: int, expression: str) -> prometheus.Dataquery:
    """Return the query of a panel that is its first (0), second (1) and so on."""
    return prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(expression)


def tile(
    title: str, description: str, lines: Sequence[Line], *, width: int, unit: str, steps: Steps
) -> stat.Panel:
    """Return a tile: the newest number of each line, coloured by its size."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(4)
        .unit(unit)
        .no_value("no data")
        .thresholds(thresholds(steps))
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(
            common.BigValueTextMode.VALUE_AND_NAME
            if any(line.legend for line in lines)
            else common.BigValueTextMode.VALUE
        )
        .reduce_options(shapes.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for number, line in enumerate(lines):
        panel.with_target(query(number, line.expression).instant().legend_format(line.legend))
    return panel


def graph(
    title: str, description: str, lines: Sequence[Line], *, width: int, unit: str
) -> timeseries.Panel:
    """Return a graph over time, with a legend as a table whose largest is first."""
    legend = (
        shapes.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "min", "max"])
        .sort_by("Last *")
        .sort_desc(sort_desc=True)
    )
    tooltip = (
        shapes.VizTooltipOptions()
        .mode(common.TooltipDisplayMode.MULTI)
        .sort(common.SortOrder.DESCENDING)
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(TALL)
        .unit(unit)
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .line_width(2)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend)
        .tooltip(tooltip)
    )
    for number, line in enumerate(lines):
        drawn = query(number, line.expression).range().legend_format(line.legend)
        panel.with_target(drawn)
        if line.quota:
            panel.override_by_query(chr(ord("A") + number), list(_QUOTA_STYLE))
    return panel


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw a graph as bars on top of each other, for what is counted in each step."""
    return (
        panel.draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .stacking(shapes.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    )


def listing(
    title: str,
    description: str,
    labels: Sequence[str],
    columns: Sequence[Column],
    *,
    sort: str,
    width: int = 24,
) -> table.Panel:
    """Return a table: a row for each set of labels, a column for each expression.

    ``sort`` is the heading whose largest number comes first.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(TALL)
        .unit("short")
        .filterable(filterable=True)
        .thresholds(thresholds(NO_THRESHOLD))
        .footer(
            shapes.TableFooterOptions().show(show=False).enable_pagination(enable_pagination=True)
        )
        .sort_by([shapes.TableSortByFieldState().display_name(sort).desc(desc=True)])
    )
    for number, column in enumerate(columns):
        asked = query(number, column.expression).instant()
        panel.with_target(asked.format(PromQueryFormat.TABLE))
        panel.override_by_name(column.heading, _style(column))
    for transformation in _arranged(labels, columns):
        panel.with_transformation(transformation)
    return panel


def _style(column: Column) -> list[dashboard.DynamicConfigValue]:
    properties: list[tuple[str, object]] = [("unit", column.unit)]
    if column.missing:
        properties.append(("noValue", column.missing))
    if column.steps is not NO_THRESHOLD:
        properties.append(("custom.cellOptions", {"type": "color-text"}))
    if column.words:
        words = {
            str(value): dashboard.ValueMappingResult(text=word, index=value)
            for value, word in enumerate(column.words)
        }
        properties.append(("mappings", [dashboard.ValueMap(words)]))
    written = [dashboard.DynamicConfigValue(name, value) for name, value in properties]
    return written if column.steps is NO_THRESHOLD else written + coloured(column.steps)


def _arranged(
    labels: Sequence[str], columns: Sequence[Column]
) -> list[dashboard.DataTransformerConfig]:
    """Join the queries' tables by their labels, then order, name and hide the columns."""
    fields = [f"Value #{chr(ord('A') + number)}" for number in range(len(columns))]
    headings = {
        label: _LABEL_HEADINGS.get(label, label.replace("_", " ").capitalize()) for label in labels
    }
    headings |= {field: column.heading for field, column in zip(fields, columns, strict=True)}
    headings[_ONLY_VALUE] = columns[0].heading
    hidden = [field for field, column in zip(fields, columns, strict=True) if column.hidden]
    order = (*labels, _ONLY_VALUE, *fields)
    arrangement = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {name: place for place, name in enumerate(order)},
        "renameByName": headings,
    }
    return [
        dashboard.DataTransformerConfig(id_val="merge", options={}),
        dashboard.DataTransformerConfig(id_val="organize", options=arrangement),
    ]
