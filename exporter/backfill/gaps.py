"""What is missing in the rows of an account: it is reported, not filled."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Final, TypeAlias

from exporter.backfill.rows import RowStore
from exporter.polling.usage import name_users

Report: TypeAlias = tuple[str, Mapping[str, object]]
"""An event for the log, and its fields."""

_ONE_DAY: Final = timedelta(days=1)
_MAX_SHOWN: Final = 10


def report_gaps(
    store: RowStore, account: str, cpu_users: Sequence[str], first_day: date | None, last_day: date
) -> Iterator[Report]:
    """Return what is missing up to the last day, from the first day on (None: the oldest row)."""
    first_row = next(store.read_days(account, first_day or date.min, last_day), None)
    if first_row is None:
        advice = "check the account's cpu_users, --from and --to"
        yield "no data", {"account": account, "last": str(last_day), "advice": advice}
        return
    first = first_day or first_row
    gaps = list(find_gaps(store.read_days(account, first, last_day), first, last_day))
    if gaps:
        days = sum((end - start).days + 1 for start, end in gaps)
        yield (
            "days without data",
            {"account": account, "days": days, "missing": _describe(gaps)},
        )
    found, partial = set(), []
    for span in store.read_spans(account, first, last_day):
        if span.cpu_user in cpu_users:
            found.add(span.cpu_user)
        if span.missing:
            partial.append(span.cpu_user)
    if partial:
        yield (
            "CPU users lack days between their first and last",
            {"account": account, "users": len(partial), "examples": name_users(partial)},
        )
    absent = sorted(set(cpu_users) - found)
    if absent:
        yield (
            "no data of CPU users",
            {"account": account, "cpu_users": name_users(absent), "advice": "check cpu_users"},
        )


def find_gaps(days: Iterable[date], first: date, last: date) -> Iterator[tuple[date, date]]:
    """Return the first and last day of each gap between days, which are in order."""
    expected = first
    for day in days:
        if day > expected:
            yield expected, day - _ONE_DAY
        expected = day + _ONE_DAY
    if expected <= last:
        yield expected, last


def _describe(gaps: Sequence[tuple[date, date]]) -> str:
    shown = ", ".join(
        str(first) if first == last else f"{first} to {last}"
        for first, last in islice(gaps, _MAX_SHOWN)
    )
    others = len(gaps) - _MAX_SHOWN
    return shown if others <= 0 else f"{shown} and {others} more"
