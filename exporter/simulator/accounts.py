"""The accounts that a simulator serves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from exporter.simulator.php import Json
from exporter.simulator.storage import Folder

Usage: TypeAlias = Callable[[date], Mapping[str, int]]
"""The bytes of each CPU user on a day (UTC); a user can lack the day."""


def no_usage(_: date) -> Mapping[str, int]:
    """Give no user any bytes."""
    return {}


def steady_usage(bytes_by_user: Mapping[str, int]) -> Usage:
    """Return a usage that is the same every day: bytes by CPU user."""
    return lambda _: bytes_by_user


def usage_by_day(days: Mapping[date, Mapping[str, int]]) -> Usage:
    """Return a usage of just these days: bytes by CPU user, by day."""
    return lambda day: days.get(day, {})


def _unchanged(_: float) -> None:
    """Leave the account as it is."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account: found by its CDN number and API key, asked for its usage and its files.

    ``storage`` holds the top folders, ``sestore4`` and the like. ``refresh`` is called with the
    simulator's time (unix seconds) before each answer, so that an account can change as time goes.
    ``odd_rows`` are written as they are behind the rows of every disk usage, whatever is asked for.
    """

    cdn: int
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    usage: Usage = no_usage
    storage: Folder = field(default_factory=Folder, repr=False)
    refresh: Callable[[float], None] = _unchanged
    odd_rows: Sequence[Json] = ()
