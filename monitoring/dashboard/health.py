"""The row "Health": the polls, the API behind them, and the exporters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.builders import common as shapes
from grafana_foundation_sdk.builders import heatmap
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboard import promql
from monitoring.dashboard.panels import (
    BAD,
    DATASOURCE,
    GOOD,
    TALL,
    WARNING,
    Column,
    Line,
    bars,
    graph,
    listing,
    query,
    thresholds,
)
from monitoring.dashboard.promql import Gauge, increase, now, target

_STATUS_PAGE: Final = DynamicConfigValue(
    "links",
    [{"title": "Status page", "url": "http://${__value.raw}/", "targetBlank": True}],
)
"""What an instance leads to; https where the exporter serves TLS has to be written here."""
_TARGET: Final = "{{account}} {{collector}} {{path}} {{file_type}}"
_COUNTED_EACH: Final = "15m"
"""The shortest step of what is counted: polls are that far apart, unless set otherwise."""
SKEW_LARGE: Final = 30
"""Seconds of clock skew, either way, that are drawn as too many; the alert has the same."""
HIGH_DEMAND: Final = 0.9
"""The share of the rate limit that is drawn as too much; the alert has the same."""
_BUCKETS: Final = "scaleengine_api_request_duration_seconds_bucket"
_DEMAND: Final = Gauge("scaleengine_account_request_demand_ratio", "account", promql.ACCOUNT, "1d")
_FAILURE: Final = replace(
    target("scaleengine_poll_failure_info"), labels="account, collector, path, file_type, reason"
)
_SKEW: Final = Gauge("scaleengine_api_clock_skew_seconds", "account", promql.ACCOUNT, "1d")


def panels() -> Sequence[Builder[Panel]]:
    """Return the panels of the row, in reading order."""
    return (_targets(), *_failures(), *_latency(), *_cost(), _exporters())


def _targets() -> Builder[Panel]:
    return listing(
        "Targets",
        "Every target of the chosen accounts: whether its last poll succeeded, how old its "
        "numbers are, and what the last poll took. A path is empty for disk usage. The reason is "
        "that of the last poll, if it failed; the exporter's status page has the cause.",
        ("account", "collector", "path", "file_type", "reason"),
        (
            Column("Interval", now(target("scaleengine_poll_interval_seconds")), "s"),
            Column(
                "Last poll",
                now(target("scaleengine_poll_success")),
                steps=((None, BAD), (1, GOOD)),
                missing="not yet",
                words=("failed", "good"),
            ),
            Column("Failure", now(_FAILURE), hidden=True),
            Column("Age", promql.target_age(), "s", missing="never good"),
            Column(
                "Age in intervals",
                promql.intervals_since_success(),
                steps=((None, GOOD), (2, WARNING), (3, BAD)),
                missing="never good",
            ),
            Column("Requests", now(target("scaleengine_poll_requests"))),
            Column("Duration", now(target("scaleengine_poll_duration_seconds")), "s"),
            Column(
                "Next poll",
                f"{now(target('scaleengine_poll_next_timestamp_seconds'))} * 1000",
                "dateTimeFromNow",
            ),
        ),
        sort="Age in intervals",
    )


def _failures() -> Sequence[Builder[Panel]]:
    failed = increase("scaleengine_api_request_failures_total", "account")
    asked = increase("scaleengine_api_requests_total", "account")
    worst = (
        "sum by (account) (increase("
        f"scaleengine_api_request_failures_total{{{promql.ACCOUNT}}}[1d] @ end()))"
    )
    return (
        bars(
            graph(
                "Failed polls by reason",
                "Polls that failed in each step, after all attempts. What each reason asks for "
                "is in the exporter's docs/operations.md, under 'Reasons'.",
                [Line(increase("scaleengine_poll_failures_total", "reason"), "{{reason}}")],
                width=8,
                unit="short",
            )
            .interval(_COUNTED_EACH)
            .decimals(0)
        ),
        bars(
            graph(
                "Failed API requests by reason",
                "Requests that failed in each step; each attempt counts, so a poll can be good "
                "in spite of some.",
                [Line(increase("scaleengine_api_request_failures_total", "reason"), "{{reason}}")],
                width=8,
                unit="short",
            )
            .interval(_COUNTED_EACH)
            .decimals(0)
        ),
        graph(
            "Share of API requests that fail",
            "For the accounts with most failures in the last day of the time shown.",
            [Line(f"{failed}\n/ ({asked} > 0)\nand topk($top, {worst})", "{{account}}")],
            width=8,
            unit="percentunit",
        )
        .interval(_COUNTED_EACH)
        .min(0)
        .max(1),
    )


def _latency() -> Sequence[Builder[Panel]]:
    by_bucket = f"sum by (le) (increase({_BUCKETS}[$__rate_interval]))"
    by_command = f"sum by (command, le) (rate({_BUCKETS}[$__rate_interval]))"
    return (
        heatmap.Panel()
        .title("Duration of API requests")
        .description(
            "How many requests took how long in each step: the darker, the more. The histogram "
            "is of all accounts together, not only the chosen ones."
        )
        .datasource(DATASOURCE)
        .span(12)
        .height(TALL)
        .unit("s")
        .interval(_COUNTED_EACH)
        .calculate(calculate=False)
        .color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
        )
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .cell_values(heatmap.CellValues().unit("short"))
        .cell_gap(1)
        .scale_distribution(shapes.ScaleDistributionConfig().type(common.ScaleDistribution.LINEAR))
        .show_legend()
        .with_target(
            query(0, by_bucket).range().format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
        ),
        graph(
            "Duration of API requests by command",
            "The duration that half, and 95 of 100, of the requests stay below, estimated from "
            "the histogram's buckets. Of all accounts together, not only the chosen ones.",
            [
                Line(f"histogram_quantile({share}, {by_command})", f"{name} {{{{command}}}}")
                for share, name in ((0.5, "half"), (0.95, "95 of 100"))
            ],
            width=12,
            unit="s",
        ).interval(_COUNTED_EACH),
    )


def _cost() -> Sequence[Builder[Panel]]:
    requests = increase("scaleengine_api_requests_total", "command")
    return (
        graph(
            "Requests per poll",
            "API requests of the last poll, for the targets that take most. Above "
            "max_requests_per_poll a poll fails as incomplete.",
            [Line(promql.largest(target("scaleengine_poll_requests")), _TARGET)],
            width=12,
            unit="short",
        ),
        graph(
            "Duration of polls",
            "Of the last poll, for the targets that take longest. One that takes longer than its "
            "interval is never on time.",
            [Line(promql.largest(target("scaleengine_poll_duration_seconds")), _TARGET)],
            width=12,
            unit="s",
        ),
        graph(
            "Share of the rate limit that polls need",
            "Requests that polls like the last good ones need, as a share of "
            "api.requests_per_second, for the accounts that need most. Above nine tenths polls "
            "may be late.",
            [Line(promql.largest(_DEMAND), "{{account}}")],
            width=12,
            unit="percentunit",
        )
        .min(0)
        .thresholds(thresholds(((None, GOOD), (HIGH_DEMAND, BAD))))
        .thresholds_style(
            shapes.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        ),
        graph(
            "How far polls outlast their interval",
            "Of the last poll, for the targets where that is most; 0 is in time.",
            [Line(promql.largest(target("scaleengine_poll_overdue_seconds")), _TARGET)],
            width=12,
            unit="s",
        ).min(0),
        bars(
            graph(
                "API requests by command",
                "Requests in each step, every attempt, of the chosen accounts.",
                [Line(requests, "{{command}}")],
                width=12,
                unit="short",
            )
            .interval(_COUNTED_EACH)
            .decimals(0)
        ),
        graph(
            "Clock skew",
            "Our clock less ScaleEngine's, for the accounts where they differ most. ScaleEngine "
            "refuses requests whose time is too far off (reason 'clock').",
            [Line(promql.farthest_from_zero(_SKEW), "{{account}}")],
            width=12,
            unit="s",
        )
        .thresholds(thresholds(((None, BAD), (-SKEW_LARGE, GOOD), (SKEW_LARGE, BAD))))
        .thresholds_style(
            shapes.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        ),
    )


def _exporters() -> Builder[Panel]:
    reload = "scaleengine_exporter_{}_last_reload_successful"
    read = ((None, BAD), (1, GOOD))
    words = ("failed", "good")
    return listing(
        "Exporters",
        "Every exporter that Prometheus scrapes, also those not chosen. A configuration that "
        "could not be read leaves the one before in force; the log says why.",
        ("job", "instance", "version", "revision", "pythonversion"),
        (
            Column(
                "Build",
                "max by (job, instance, version, revision, pythonversion) "
                "(scaleengine_exporter_build_info)",
                hidden=True,
            ),
            Column("Running for", f"time() - {_ours('process_start_time_seconds')}", "s"),
            Column("Memory", _ours("process_resident_memory_bytes"), "bytes"),
            Column("CPU", _ours("rate(process_cpu_seconds_total[5m])"), "percentunit"),
            Column("Open files", _ours("process_open_fds")),
            Column("Configuration", _ours(reload.format("config")), steps=read, words=words),
            Column(
                "Web configuration",
                _ours(reload.format("web_config")),
                steps=read,
                missing="none",
                words=words,
            ),
        ),
        sort="Memory",
    ).override_by_name("Instance", [_STATUS_PAGE])


def _ours(expression: str) -> str:
    """Return what is measured of the exporters' processes, and of no others."""
    ours = f"{expression} and on (job, instance) scaleengine_exporter_build_info"
    return f"max by (job, instance) ({ours})"
