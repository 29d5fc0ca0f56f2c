"""Keep the calls of one account apart, so that ScaleEngine is not asked too often."""

import threading
from collections.abc import Callable

from exporter.scaleengine.clock import Clock


class Pace:
    """Lets calls begin at most ``per_second`` times a second, evenly, in the order of asking.

    None means no limit.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._gap = 0.0 if per_second is None else 1 / per_second
        self._clock = clock
        self._next = clock.elapsed()
        self._lock = threading.Lock()

    def take_turn(self, wait: Callable[[float], object]) -> None:
        """Return when the next call may begin; ``wait`` pauses for a number of seconds."""
        with self._lock:
            now = self._clock.elapsed()
            turn = max(self._next, now)
            self._next = turn + self._gap
        if turn > now:
            wait(turn - now)
