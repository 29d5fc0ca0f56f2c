"""Whose call is next: the calls of one account take turns."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from exporter.polling.pace import Pace
from exporter.polling.stopping import Stop, StoppedError
from exporter.polling.targets import Target
from exporter.scaleengine.clock import Clock

_LOOK_SECONDS: Final = 0.5
"""How often somebody who waits looks whether it is time to stop."""


class Turns:
    """Lets so many calls of an account be under way at once, and each target have its turn.

    A free place goes to the target that has waited for its turn longest, not to the call that was
    asked for first: a walk of a large tree does not hold back the disk usage. ``pace`` keeps the
    calls apart. While ScaleEngine wants to be left alone, there are no turns.
    """

    def __init__(self, at_once: int, pace: Pace, clock: Clock) -> None:
        self._at_once = at_once
        self._under_way = 0
        self._pace = pace
        self._pacing = False
        self._clock = clock
        self._waiting: dict[Target, deque[threading.Event]] = {}
        self._held_until = clock.elapsed()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, target: Target, stop: Stop) -> Iterator[None]:
        """Wait for a turn of the target's, and hold it for the ``with``.

        Raises StoppedError when it is time to stop before the turn has come.
        """
        self._take_place(target, stop)
        try:
            self._keep_pace(stop)
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._grant()

    def change(self, at_once: int, per_second: float | None) -> None:
        """Let another number of calls be under way, at another pace.

        Calls that are under way are counted, and ScaleEngine is left alone as long as before.
        """
        self._pace.change(per_second)
        with self._lock:
            self._at_once = at_once
            self._grant()

    def hold(self, seconds: float) -> None:
        """Take note that ScaleEngine wants to be left alone for so many seconds."""
        until = self._clock.elapsed() + seconds
        with self._lock:
            self._held_until = max(self._held_until, until)

    def held(self) -> float:
        """Return for how many seconds more ScaleEngine wants to be left alone."""
        return max(0.0, self._held_until - self._clock.elapsed())

    def _take_place(self, target: Target, stop: Stop) -> None:
        granted = threading.Event()
        with self._lock:
            self._waiting.setdefault(target, deque()).append(granted)
            self._grant()
        while not granted.wait(_LOOK_SECONDS):
            if stop.is_set() and self._leave_queue(target, granted):
                raise StoppedError

    def _leave_queue(self, target: Target, granted: threading.Event) -> bool:
        """Wait no longer; return False where the turn has come meanwhile."""
        with self._lock:
            if granted.is_set():
                return False
            self._waiting[target].remove(granted)
            if not self._waiting[target]:
                del self._waiting[target]
            return True

    def _keep_pace(self, stop: Stop) -> None:
        """Wait until the next call may begin; nobody else gets a place meanwhile.

        So the order of the places is that of the calls, however slow the pace.
        """
        try:
            if not stop.is_set():
                self._pace.take_turn(stop.wait)
        finally:
            with self._lock:
                self._pacing = False
                self._grant()

    def _grant(self) -> None:
        """Give a free place to the target at the head, which then goes behind the others."""
        if self._pacing or self._under_way >= self._at_once or not self._waiting:
            return
        self._pacing = True
        self._under_way += 1
        target = next(iter(self._waiting))
        calls = self._waiting.pop(target)
        calls.popleft().set()
        if calls:
            self._waiting[target] = calls
