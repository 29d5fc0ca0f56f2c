"""The row "Growth": disk usage by CPU user and account, quotas, and where it leads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from monitoring.dashboard import promql
from monitoring.dashboard.panels import (
    BAD,
    FULL_SOON,
    GOOD,
    WARNING,
    Column,
    Line,
    graph,
    listing,
)
from monitoring.dashboard.promql import QUOTA, USAGE, USAGE_DAY, change, name_empty_user, now

AHEAD: Final = 30
"""How many days the forecast looks ahead."""
QUOTA_NEAR: Final = 0.85
"""From which share of the quota on a user is coloured; the alert has the same."""

_USER: Final = "{{account}} {{cpu_user}}"
_LARGEST: Final = f"topk($top, {promql.of_users(promql.at_end)})"
_LARGEST_ACCOUNTS: Final = f"topk($top, {promql.total_by_account(promql.at_end)})"
_CHANGED: Final = (
    f"topk($top, abs({promql.of_users(lambda gauge: promql.change_at_end(gauge, '1d'))}))"
)
_QUOTAS: Final = Line(
    name_empty_user(f"{now(QUOTA)}\nand {_LARGEST}"), f"quota {_USER}", quota=True
)


def panels() -> Sequence[Builder[Panel]]:
    """Return the panels of the row, in reading order."""
    return (
        graph(
            "Disk usage by CPU user",
            "The largest users at the end of the time shown, with their quotas dashed. It moves "
            "once a day; the newest day may still grow. '(empty name)' is drawn for accounts "
            "without other users; ScaleEngine does not document what it means.",
            [Line(name_empty_user(f"{now(USAGE)}\nand {_LARGEST}"), _USER), _QUOTAS],
            width=12,
            unit="decbytes",
        ),
        graph(
            f"Forecast: disk usage {AHEAD} days later",
            f"Where each of the largest users is {AHEAD} days after the time shown, if it goes on "
            "as in the seven days before. A line above its dashed quota is over it by then. "
            "Empty until Prometheus has a week of numbers.",
            [
                Line(name_empty_user(f"{promql.usage_in(AHEAD)}\nand {_LARGEST}"), _USER),
                _QUOTAS,
            ],
            width=12,
            unit="decbytes",
        ),
        graph(
            "Disk usage by account",
            "What the largest accounts at the end of the time shown have at least: the bytes of "
            "the CPU user with an empty name, or the sum of the others where that is more. "
            "Dashed: the quota of the empty name.",
            [
                Line(f"({promql.total_by_account()})\nand {_LARGEST_ACCOUNTS}", "{{account}}"),
                Line(
                    f"{promql.empty_user(QUOTA, now)}\nand {_LARGEST_ACCOUNTS}",
                    "quota {{account}}",
                    quota=True,
                ),
            ],
            width=12,
            unit="decbytes",
        ),
        graph(
            "Change in a day by CPU user",
            "Disk usage less that of a day before, for the users that changed most at the end "
            "of the time shown.",
            [Line(name_empty_user(f"{change(USAGE, '1d')}\nand {_CHANGED}"), _USER)],
            width=12,
            unit="decbytes",
        ),
        _users(),
    )


def _users() -> Builder[Panel]:
    used = f"{now(USAGE)} / {now(QUOTA)}"
    columns = (
        Column("Stored", now(USAGE), "decbytes"),
        Column("In a day", change(USAGE, "1d"), "decbytes", missing="no data yet"),
        Column("In a week", change(USAGE, "7d"), "decbytes", missing="no data yet"),
        Column("Quota", now(QUOTA), "decbytes", missing="none"),
        Column(
            "Used",
            used,
            "percentunit",
            steps=((None, GOOD), (QUOTA_NEAR, WARNING), (1, BAD)),
        ),
        Column(
            "Full in",
            promql.days_until_full(),
            "d",
            steps=FULL_SOON,
        ),
        Column("Newest day", f"{now(USAGE_DAY)} * 1000", "time:YYYY-MM-DD"),
    )
    return listing(
        "CPU users",
        "Every chosen CPU user: bytes on disk and their change, the quota, and the days until it "
        "is full at the mean growth of the last seven. 'Full in' is empty without a quota or "
        "without growth. Days begin at 00:00 UTC. ScaleEngine does not document what a "
        "CPU user with an empty name means.",
        ("account", "cpu_user"),
        [replace(column, expression=name_empty_user(column.expression)) for column in columns],
        sort="Stored",
    )
