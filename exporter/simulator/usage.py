"""disk.usage: the rows of thirty days."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from exporter.simulator.accounts import Usage
from exporter.simulator.php import Json, whole_number
from exporter.simulator.readings import Order, Readings

DAYS = 30
"""How many days one call gives (the API page on disk.usage)."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """The bytes of one CPU user on one day (UTC)."""

    day: date
    cpu_user: str
    bytes_total: int


def first_day(starttime: Json) -> date | None:
    """Return the day at which the thirty days start, or None when the field says none.

    It is a unix time, as number or as text, or a date such as ``2023-09-01`` or ``2023-09``.
    """
    seconds = whole_number(starttime)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC).date()
        if isinstance(starttime, str):
            month_only = re.fullmatch(r"\d{4}-\d{2}", starttime)
            return date.fromisoformat(f"{starttime}-01" if month_only else starttime)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def thirty_days(
    usage: Usage,
    cpu_users: Sequence[str],
    first: date,
    *,
    today: date,
    readings: Readings,
    random: Random,
) -> list[Row]:
    """Return the rows of thirty days from the first on; no CPU users asked for means all."""
    until_today = (today - first).days + (1 if readings.with_today else 0)
    chosen = frozenset(cpu_users)
    days = [first + number * _DAY for number in range(min(DAYS, until_today))]
    if readings.with_tomorrow and until_today <= DAYS:
        days.append(today + _DAY)
    rows = [
        Row(day, cpu_user, bytes_total)
        for day in days
        for cpu_user, bytes_total in sorted(usage(day).items())
        if not chosen or cpu_user in chosen
    ]
    if readings.row_order is Order.REVERSED:
        rows.reverse()
    elif readings.row_order is Order.SHUFFLED:
        random.shuffle(rows)
    return rows
