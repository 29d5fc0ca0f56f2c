"""The dashboard: it is current, Grafana knows its keys, Prometheus its expressions."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, ProcessCollector

from monitoring.dashboard import growth, health, now, panels
from monitoring.dashboard.__main__ import FILE
from monitoring.dashboard.board import ALERT_WORDS, as_json
from monitoring.dashboard.queries import (
    PanelQuery,
    annotation_expressions,
    fill_in,
    panel_queries,
    variable_queries,
)

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
ROWS = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = panel_queries(DASHBOARD)
EXPRESSIONS = (
    {f"{query.panel} {query.ref}": query.expression for query in QUERIES}
    | {f"annotation {name}": asked for name, asked in annotation_expressions(DASHBOARD).items()}
    | {f"variable {asked.variable}": asked.selector for asked in variable_queries(DASHBOARD)}
)
GRID_WIDTH = 24
VALUES = {"one": "1", "two": "2"}
CLOSED_SETS = {"reason", "command", "le", "command, le"}


def every(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def exposed() -> dict[str, set[str]]:
    """Return the labels of each metric: those documented, and what describes the process."""
    table = (ROOT / "docs" / "metrics.md").read_text()
    labels = {
        name: set(re.findall(r"`(\w+)`", written))
        for name, written in re.findall(r"^\| `(\w+)` \| \w+ \|([^|]*)\|", table, re.MULTILINE)
    }
    histogram = "scaleengine_api_request_duration_seconds"
    labels[f"{histogram}_bucket"] = labels.pop(histogram) | {"le"}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for family in registry.collect():
        labels |= {sample.name: set() for sample in family.samples}
    alert = {"alertname", "alertstate", "severity", "account"}
    return labels | {"ALERTS": alert}


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Return every choice of series in an expression."""
    found: list[promql_parser.VectorSelector] = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.MatrixSelector):
            found.append(part.vector_selector)
        elif isinstance(part, promql_parser.VectorSelector):
            found.append(part)

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def test_the_dashboard_is_current() -> None:
    """The file is what the script makes of it, byte for byte: `make dashboard` writes it."""
    assert FILE.read_text(encoding="utf-8") == as_json()


def test_grafana_knows_every_key() -> None:
    """Read by Grafana's SDK and written again nothing is lost, but what only Prometheus reads."""
    register_default_plugins()
    given = json.loads(FILE.read_text(encoding="utf-8"))

    again = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))

    for annotation in given["annotations"]["list"]:
        for key in ALERT_WORDS:
            del annotation[key]
    assert again == given


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_ask_for_what_is_there(name: str) -> None:
    """Every expression parses, and names metrics and labels that the exporter has."""
    known = exposed()
    asked = list(selectors(EXPRESSIONS[name]))
    assert asked
    for selector in asked:
        assert selector.name in known
        chosen = {matcher.name for matcher in selector.matchers.matchers}
        assert chosen <= known[selector.name]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel} {query.ref}")
def test_panels_are_readable_with_fifty_accounts(query: PanelQuery) -> None:
    """A graph draws the largest few, or one line for each of a closed set; a tile shows one."""
    by = re.match(r"\(?(?:histogram_quantile\([\d.]+, )?sum by \(([^)]*)\)", query.expression)
    closed = by is not None and by[1] in CLOSED_SETS
    kind = next(panel["type"] for panel in PANELS if panel["title"] == query.panel)
    if kind == "stat":
        assert re.match(r"sum|count|min|max", query.expression)
    elif kind != "table":
        assert "topk(10, " in query.expression or closed


def test_every_panel_has_a_number() -> None:
    """Panels and rows have a number of their own, so that links and alerts find them."""
    numbers = Counter(panel["id"] for panel in DASHBOARD["panels"])
    assert set(numbers.values()) == {1}
    assert 0 not in numbers


def test_every_panel_has_a_title() -> None:
    """No two panels are called the same."""
    titles = Counter(panel["title"] for panel in DASHBOARD["panels"] if panel["type"] != "row")
    assert set(titles.values()) == {1}


def test_panels_do_not_overlap() -> None:
    """The places in the grid do not overlap, and none is outside it."""
    places = {panel["id"]: panel["gridPos"] for panel in DASHBOARD["panels"]}
    for place in places.values():
        assert place["x"] + place["w"] <= GRID_WIDTH
    for (panel, a), (other, b) in combinations(places.items(), 2):
        is_next = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert is_next or above, (panel, other)


def test_panels_fill_the_width() -> None:
    """Panels that begin at one height fill the width together."""
    widths = Counter[int]()
    for panel in DASHBOARD["panels"]:
        widths[panel["gridPos"]["y"]] += panel["gridPos"]["w"]
    assert set(widths.values()) == {GRID_WIDTH}


@pytest.mark.parametrize("panel", PANELS, ids=every)
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A description in sentences, a unit, and the datasource that is chosen above."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("panel", PANELS, ids=every)
def test_disk_usage_is_shown_as_quotas_are_written(panel: dict[str, Any]) -> None:
    """A quota of 2TB reads 2 TB, not 1.82 TiB: what is stored is in powers of 1000."""
    units = {panel["fieldConfig"]["defaults"]["unit"]} | {
        override["value"]
        for rule in panel["fieldConfig"]["overrides"]
        for override in rule["properties"]
        if override["id"] == "unit"
    }
    of_disks = any("scaleengine_disk_" in target["expr"] for target in panel["targets"])
    assert not of_disks or "bytes" not in units


@pytest.mark.parametrize("panel", PANELS, ids=every)
def test_every_line_has_a_legend(panel: dict[str, Any]) -> None:
    """Lines of a graph, and several numbers in a tile, say what they are."""
    targets = panel["targets"]
    several = panel["type"] == "timeseries" or (panel["type"] == "stat" and len(targets) > 1)
    assert not several or all(target["legendFormat"] for target in targets)


def test_every_column_of_a_table_has_its_unit() -> None:
    """What a table's columns are called after joining is what its units and colours refer to."""
    for panel in PANELS:
        if panel["type"] == "table":
            _, arranged = panel["transformations"]
            hidden = arranged["options"]["excludeByName"]
            named = arranged["options"]["renameByName"]
            headings = {
                heading
                for field, heading in named.items()
                if field.startswith("Value") and field not in hidden
            }
            styled = {rule["matcher"]["options"] for rule in panel["fieldConfig"]["overrides"]}
            assert headings <= styled
            assert panel["options"]["sortBy"][0]["displayName"] in headings


def test_the_variables_are_datasource_accounts_users_paths_and_file_types() -> None:
    """The datasource, accounts, users, paths and file types, all at first, and how many lines."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "account", "cpu_user", "path", "file_type", "top"]
    for name in ("account", "cpu_user", "path", "file_type"):
        assert variables[name]["multi"]
        assert variables[name]["current"]["value"] == ["$__all"]


def test_rows_go_from_overview_to_detail() -> None:
    """First the overview, then the details for a failure."""
    titles = [row["title"] for row in ROWS]
    assert titles == ["Now", "Growth", "Files", "Folders", "Health of the polls and the API"]


def test_thresholds_are_those_of_the_alerts() -> None:
    """A number turns red on the dashboard where its alert fires."""
    groups = yaml.safe_load((ROOT / "monitoring/alerts.yml").read_text())["groups"]
    rules = {rule["record"]: rule["expr"] for rule in groups[0]["rules"]}
    full_soon = panels.FULL_SOON[-1][0]
    assert rules["scaleengine:threshold:quota_near_ratio"] == f"vector({growth.QUOTA_NEAR})"
    assert rules["scaleengine:threshold:clock_skew_seconds"] == f"vector({health.SKEW_LARGE})"
    assert rules["scaleengine:threshold:poll_failing_intervals"] == f"vector({now.LATE})"
    assert rules["scaleengine:threshold:disk_full_seconds"] == f"vector({full_soon} * 86400)"


def test_alerts_are_drawn() -> None:
    """Every alert of ours that fires is drawn, if it is of a chosen account or of none."""
    chosen = annotation_expressions(DASHBOARD, {"account": "(main|other)"})
    assert chosen == {
        "Alerts": 'ALERTS{alertname=~"ScaleEngine.*",alertstate="firing",account=~"(main|other)|"}'
    }


def test_variables_are_filled_in() -> None:
    """As Grafana does it; a group of a regular expression is left alone."""
    filled = fill_in('a{b=~"$one|${two}"} or label_replace(c, "d", "$1", "e", "(.+)")', VALUES)
    assert filled == 'a{b=~"1|2"} or label_replace(c, "d", "$1", "e", "(.+)")'


def test_an_unknown_variable_is_an_error() -> None:
    """An expression that asks for a variable that is not there is a mistake."""
    with pytest.raises(KeyError, match="three"):
        fill_in("$three", VALUES)
