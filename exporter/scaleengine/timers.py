"""Call functions later, all in one thread: ``threading.Timer`` takes a thread for each."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

log: Final = structlog.get_logger(__name__)


@dataclass(order=True, slots=True)
class Timer:
    """A function and the moment to call it, in seconds of ``time.monotonic``."""

    moment: float
    number: int
    call: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Cancel the call; one that has begun is not interrupted."""
        self.call = None


class TimerThread:
    """Calls functions at their moments, in one thread, which the first timer starts.

    The functions must not block.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._timers: list[Timer] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread if it does not run; raises RuntimeError if that fails."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="timers", daemon=True)
                thread.start()
                self._thread = thread

    def add(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call a function in ``seconds``; raises RuntimeError if no thread can be started."""
        timer = Timer(time.monotonic() + seconds, next(self._numbers), call)
        self.start()
        with self._changed:
            heapq.heappush(self._timers, timer)
            if self._timers[0] is timer:
                self._changed.notify()
        return timer

    def _run(self) -> None:
        while True:
            call = self._wait_for_next()
            try:
                call()
            except Exception:
                log.exception("timer crashed; please report it")
            del call

    def _wait_for_next(self) -> Callable[[], object]:
        """Wait for the next timer that is not cancelled, and return its function.

        Most are cancelled early; these are dropped together and do not wake the thread.
        """
        with self._changed:
            while True:
                while self._timers and self._timers[0].call is None:
                    heapq.heappop(self._timers)
                left = self._timers[0].moment - time.monotonic() if self._timers else None
                if left is None or left > 0:
                    self._changed.wait(left)
                elif (call := heapq.heappop(self._timers).call) is not None:
                    return call


TIMERS: Final = TimerThread()
"""The timers of this process."""
