"""The row "Now": what one wants to know at a glance."""

from typing import Final

from grafana_foundation_sdk.builders import stat

from monitoring.dashboard import promql
from monitoring.dashboard.panels import BAD, FULL_SOON, GOOD, NO_THRESHOLD, Line, coloured, tile

LATE: Final = 2
"""After how many intervals a target is late; the alert has the same."""
ALERTS: Final = (
    'ALERTS{alertname=~"ScaleEngine.*",alertstate="firing",'
    + promql.ACCOUNT.replace('"$account"', '"$account|"')
    + "}"
)
"""The alerts that fire for the chosen accounts, and those that are of no account."""

_NONE_IS_GOOD: Final = ((None, GOOD), (1, BAD))


def tiles() -> list[stat.Panel]:
    """Return the tiles of the row, from left to right."""
    up = f"max by (account) (scaleengine_up{{{promql.ACCOUNT}}})"
    accepted = f"max by (account, collector) (scaleengine_credentials_accepted{{{promql.ACCOUNT}}})"
    denied = f"count by (account) ({accepted} == 0 and on (account) {accepted} == 1)"
    return [
        tile(
            "Stored, at least",
            "Bytes on disk of the chosen accounts on the newest day that ScaleEngine gives: of "
            "each, those of the CPU user with an empty name, or the sum of the others where that "
            "is more. ScaleEngine does not document whether the first hold the second; if not, "
            "both are stored. The choice of CPU users changes nothing here.",
            [Line(f"sum({promql.total_by_account()})")],
            width=3,
            unit="decbytes",
            steps=NO_THRESHOLD,
        ),
        tile(
            "Stored, in a week",
            "How much the bytes on disk have grown in seven days, without accounts that are new "
            "since. There is no number until Prometheus has a week of them.",
            [Line(promql.change_of_total("7d"))],
            width=3,
            unit="decbytes",
            steps=NO_THRESHOLD,
        ),
        tile(
            "Files",
            "Files below the chosen paths, by file type. A path up to three levels inside another "
            "chosen one is left out, for its files are counted there. Types are not summed: "
            "valid and includeinvalid hold the others.",
            [Line(f"sum by (file_type) ({promql.files_counted_once()})", "{{file_type}}")],
            width=4,
            unit="short",
            steps=NO_THRESHOLD,
        ),
        tile(
            "Accounts",
            "Accounts that ScaleEngine responds to and whose credentials it accepts, and those "
            "where it does not. Denied are those whose key is refused for one API command and "
            "accepted for the other.",
            [
                Line(f"sum({up})", "up"),
                Line(f"count({up} == 0) or count({up}) * 0", "down"),
                Line(f"count({denied}) or count({up}) * 0", "denied"),
            ],
            width=4,
            unit="short",
            steps=NO_THRESHOLD,
        )
        .override_by_name("down", coloured(_NONE_IS_GOOD))
        .override_by_name("denied", coloured(_NONE_IS_GOOD)),
        tile(
            "Oldest numbers",
            "Time since the last good poll of the target that has waited longest. Targets that "
            "never had one are counted as late, separately.",
            [Line(f"max({promql.target_age()})")],
            width=3,
            unit="s",
            steps=NO_THRESHOLD,
        ),
        tile(
            "Late targets",
            "Targets without a good poll for two of their intervals, or without any so far. Their "
            "series go after stale_after, three intervals unless set.",
            [Line(promql.late_targets(LATE))],
            width=2,
            unit="short",
            steps=_NONE_IS_GOOD,
        ),
        tile(
            "First quota full",
            "Days until the first CPU user has filled the quota, at the mean growth of the last "
            "seven days; 0 if one has. No forecast without a quota, a week of numbers and growth.",
            [Line(f"min({promql.days_until_full()})")],
            width=3,
            unit="d",
            steps=FULL_SOON,
        ).no_value("no forecast"),
        tile(
            "Alerts",
            "ScaleEngine alerts that fire for the chosen accounts, or for the exporter as a whole. "
            "0 too where the rules are not loaded.",
            [Line(f"count({ALERTS}) or vector(0)")],
            width=2,
            unit="short",
            steps=_NONE_IS_GOOD,
        ),
    ]
