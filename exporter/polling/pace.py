"""Keep the calls of one account apart, so that ScaleEngine is not asked too often."""

import threading
from collections.abc import Callable
from typing import Final

from exporter.scaleengine.clock import Clock

_PIECE: Final = 5.0
"""Seconds after which a call that waits obeys a limit that was raised meanwhile."""


class Pace:
    """Lets calls begin at most ``per_second`` times a second, evenly, in the order of asking.

    None means no limit.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._gap = _gap(per_second)
        self._clock = clock
        self._next = clock.elapsed()
        self._lock = threading.Lock()

    def change(self, per_second: float | None) -> None:
        """Keep further calls apart by another limit; the next one waits no longer than that."""
        with self._lock:
            self._gap = _gap(per_second)
            self._next = min(self._next, self._clock.elapsed() + self._gap)

    def take_turn(self, wait: Callable[[float], object]) -> None:
        """Return when the next call may begin.

        ``wait`` pauses for a number of seconds, and returns whether it is time to stop.
        """
        with self._lock:
            now = self._clock.elapsed()
            turn = max(self._next, now)
            gap = self._gap
            self._next = turn + gap
        left = turn - now
        while left > 0 and not wait(min(left, _PIECE)):
            left -= _PIECE
            if self._gap < gap:
                gap = self._gap
                left = min(left, gap)


def _gap(per_second: float | None) -> float:
    return 0.0 if per_second is None else 1 / per_second
