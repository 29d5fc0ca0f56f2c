"""The dashboard as a whole: what can be chosen, the rows, the alerts drawn on every graph."""

import json
from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import dashboard as parts
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboard import files, growth, health, now
from monitoring.dashboard.panels import BAD, DATASOURCE
from monitoring.dashboard.promql import ACCOUNT

ALERT_WORDS: Final = {
    "titleFormat": "{{alertname}}",
    "textFormat": "{{account}} {{cpu_user}} {{path}}",
    "tagKeys": "severity",
    "step": "60s",
}
"""What Grafana's Prometheus datasource reads of an annotation and the SDK does not know."""

_EVERYTHING: Final = ".*"


def as_json() -> str:
    """Return the dashboard as Grafana imports it, the same text every time."""
    document = json.loads(json.dumps(_dashboard(), cls=JSONEncoder))
    document["annotations"]["list"][0].update(ALERT_WORDS)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _dashboard() -> models.Dashboard:
    board = (
        parts.Dashboard("ScaleEngine")
        .uid("scaleengine")
        .description("What ScaleEngine accounts store, how it grows, and how well it is known.")
        .tags(["scaleengine", "prometheus"])
        .timezone("utc")
        .time("now-30d", "now")
        .refresh("5m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .annotation(_alerts())
        .variables(list(_variables()))
    )
    for title, panels in (
        ("Now", now.tiles()),
        ("Growth", growth.panels()),
        ("Files", files.of_paths()),
        ("Folders", files.of_folders()),
        ("Health of the polls and the API", health.panels()),
    ):
        board.with_row(parts.Row(title))
        for panel in panels:
            board.with_panel(panel)
    return _numbered(board.build())


def _numbered(board: models.Dashboard) -> models.Dashboard:
    for number, panel in enumerate(board.panels or (), start=1):
        panel.id_val = number
    return board


def _alerts() -> parts.AnnotationQuery:
    """Draw when ScaleEngine alerts fired."""
    return (
        parts.AnnotationQuery()
        .name("Alerts")
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color(BAD)
        .expr(now.ALERTS)
    )


def _variables() -> Iterator[Builder[models.VariableModel]]:
    yield (
        parts.DatasourceVariable("datasource")
        .label("Prometheus")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
    )
    yield _chosen("account", "Account", "scaleengine_account_info, account")
    users = f"scaleengine_disk_usage_bytes{{{ACCOUNT}}}, cpu_user"
    yield _chosen("cpu_user", "CPU user", users)
    targets = f'scaleengine_poll_interval_seconds{{{ACCOUNT},collector="files"}}'
    yield _chosen("path", "Path", f"{targets}, path")
    yield _chosen("file_type", "File type", f"{targets}, file_type")
    yield (
        parts.CustomVariable("top")
        .label("Lines")
        .description("How many lines a graph has at most: the largest.")
        .values("5,10,20,50")
        .current(models.VariableOption(selected=True, text="10", value="10"))
    )


def _chosen(name: str, label: str, values: str) -> parts.QueryVariable:
    """Return a variable of which some values, or all, can be chosen."""
    return (
        parts.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(f"label_values({values})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(_EVERYTHING)
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
