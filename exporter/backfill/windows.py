"""Which days a backfill requests: thirty at a time, from the newest back. Days are UTC days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

WINDOW_DAYS: Final = 30
"""Days that one request gives, its first day included (API page of disk.usage)."""
EARLIEST_DAY: Final = date(2000, 1, 1)
"""No request is for earlier days: that limits a run where every window has rows."""
DAY_SECONDS: Final = 86_400

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Window:
    """Thirty days, both ends included."""

    first: date

    @property
    def last(self) -> date:
        """Return the last of the thirty days."""
        return self.first + timedelta(days=WINDOW_DAYS - 1)

    def contains(self, day: date) -> bool:
        """Return whether a day is one of the thirty."""
        return self.first <= day <= self.last

    @property
    def starttime(self) -> int:
        """Return 00:00 UTC of the first day, as unix time in seconds."""
        return midnight(self.first)


def list_windows_before(end: float, first_day: date | None) -> Iterator[Window]:
    """Return windows that adjoin, the newest first, which cover all days before a moment.

    ``end`` is the moment in unix seconds. The last window holds ``first_day``, or the earliest day
    that is ever requested.
    """
    oldest = first_day or EARLIEST_DAY
    window = Window(find_last_day_before(end) - timedelta(days=WINDOW_DAYS - 1))
    while window.last >= oldest:
        yield window
        window = Window(window.first - timedelta(days=WINDOW_DAYS))


def find_last_day_before(end: float) -> date:
    """Return the day of the last second before a moment in unix seconds."""
    return date.fromordinal(_EPOCH_ORDINAL + (-int(-end // 1) - 1) // DAY_SECONDS)


def midnight(day: date) -> int:
    """Return 00:00 UTC of a day, as unix time in seconds."""
    return (day.toordinal() - _EPOCH_ORDINAL) * DAY_SECONDS


def start_of_day(moment: float) -> int:
    """Return 00:00 UTC of the day of a moment; both are unix time in seconds."""
    return int(moment // DAY_SECONDS) * DAY_SECONDS
