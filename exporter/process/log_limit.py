"""Keep what comes again and again from filling the log: it is logged once in a period."""

import math
from collections.abc import Callable, Collection, Hashable
from typing import Final

_MINUTE: Final = 60.0
MAX_EVENTS: Final = 1000
"""Different events in a minute where their names may hold what an unknown client has sent."""


class LogLimit:
    """Knows when each event was logged last; ``clock`` returns seconds that only grow.

    An event is due once in ``period`` seconds, and at most ``max_events`` different ones are; None
    means no such limit, for events whose names are the operator's own.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        max_events: int | None = MAX_EVENTS,
        period: float = _MINUTE,
    ) -> None:
        self._clock = clock
        self._max_events = math.inf if max_events is None else max_events
        self._period = period
        self._logged: dict[Hashable, float] = {}
        self._pruned = -math.inf

    def is_due(self, event: Hashable) -> bool:
        """Return whether an event may be logged above the level debug; it counts as logged then.

        It may be when it was not for the period, and not too many different events were.
        """
        now = self._clock()
        if now - self._pruned >= self._period:
            self._logged = {
                event: logged
                for event, logged in self._logged.items()
                if now - logged < self._period
            }
            self._pruned = now
        logged = self._logged.get(event)
        if logged is None and len(self._logged) >= self._max_events:
            return False
        if logged is not None and now - logged < self._period:
            return False
        self._logged[event] = now
        return True

    def retain(self, events: Collection[Hashable]) -> None:
        """Drop all other events: they are due when they come again."""
        self._logged = {event: at for event, at in self._logged.items() if event in events}
