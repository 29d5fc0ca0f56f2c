"""Keep strangers from filling the log: what they cause is logged once a minute."""

import math
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 60.0
MAX_EVENTS: Final = 1000
"""Different events in a minute where their names may hold what a stranger has sent."""


class LogLimit:
    """Knows when each event was logged last; ``clock`` returns seconds that only grow.

    At most ``max_events`` different events are due in a minute; None stands for no such limit, for
    events whose names are the operator's own.
    """

    def __init__(self, clock: Callable[[], float], max_events: int | None = MAX_EVENTS) -> None:
        self._clock = clock
        self._max_events = math.inf if max_events is None else max_events
        self._logged: dict[str, float] = {}
        self._pruned = -math.inf

    def is_due(self, event: str) -> bool:
        """Return whether an event may be logged above the level debug; it counts as logged then.

        It may be when it was not for a minute, and not too many different events were.
        """
        now = self._clock()
        if now - self._pruned >= _SECONDS:
            self._logged = {
                event: logged for event, logged in self._logged.items() if now - logged < _SECONDS
            }
            self._pruned = now
        logged = self._logged.get(event)
        if logged is None and len(self._logged) >= self._max_events:
            return False
        if logged is not None and now - logged < _SECONDS:
            return False
        self._logged[event] = now
        return True
