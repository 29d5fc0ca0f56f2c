"""The accounts that a simulator serves."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from exporter.simulator.php import PhpValue, whole_number
from exporter.simulator.storage import Folder

Usage: TypeAlias = Callable[[date], Mapping[str, int]]
"""The bytes of each CPU user on a day (UTC); a user can lack the day."""
DAYS = 30
"""How many days one response has (the API page on disk.usage)."""

_DAY = timedelta(days=1)


def no_usage(_: date) -> Mapping[str, int]:
    """Return no user any bytes."""
    return {}


def steady_usage(bytes_by_user: Mapping[str, int]) -> Usage:
    """Return a usage that is the same every day: bytes by CPU user."""
    return lambda _: bytes_by_user


def usage_from_days(days: Mapping[date, Mapping[str, int]]) -> Usage:
    """Return a usage of just these days: bytes by CPU user, by day."""
    return lambda day: days.get(day, {})


def _leave_unchanged(_: float) -> None:
    """Leave the account as it is."""


@dataclass(frozen=True, slots=True)
class SimulatedAccount:
    """One account: found by its CDN number and API key, with its usage and its files.

    ``storage`` holds the top folders, ``sestore4`` and the like. ``refresh`` is called with the
    simulator's time (unix seconds) before each response, so that an account can change as time
    goes. ``odd_rows`` are written as they are behind the rows of every disk usage, for any
    request.
    """

    cdn: int
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    usage: Usage = no_usage
    storage: Folder = field(default_factory=Folder, repr=False)
    refresh: Callable[[float], None] = _leave_unchanged
    odd_rows: Sequence[PhpValue] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The bytes of one CPU user on one day (UTC)."""

    day: date
    cpu_user: str
    bytes_total: int


def first_day(starttime: PhpValue) -> date | None:
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


def list_thirty_days(first: date, today: date) -> list[date]:
    """Return the thirty days from the first on, up to today."""
    return [first + number * _DAY for number in range(min(DAYS, (today - first).days + 1))]


def list_rows(usage: Usage, cpu_users: Sequence[str], days: Sequence[date]) -> list[Row]:
    """Return the rows of days, by day and CPU user; no CPU users means all."""
    chosen = frozenset(cpu_users)
    return [
        Row(day, cpu_user, bytes_total)
        for day in days
        for cpu_user, bytes_total in sorted(usage(day).items())
        if not chosen or cpu_user in chosen
    ]
