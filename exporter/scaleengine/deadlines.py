"""Call functions at moments to come, all in one thread: a timer each would be a thread each."""

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
class Deadline:
    """A moment, in seconds of ``time.monotonic``, and what is called then."""

    moment: float
    number: int
    call: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Call nothing; what is being called now ends as it is."""
        self.call = None


class DeadlineThread:
    """Calls functions at their moments, in a thread that is started for the first one.

    The functions must not block.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._deadlines: list[Deadline] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if it does not run; raises RuntimeError where that cannot be."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread

    def add(self, seconds: float, call: Callable[[], object]) -> Deadline:
        """Call a function in ``seconds``; raises RuntimeError where no thread can be started."""
        deadline = Deadline(time.monotonic() + seconds, next(self._numbers), call)
        self.start()
        with self._changed:
            heapq.heappush(self._deadlines, deadline)
            if self._deadlines[0] is deadline:
                self._changed.notify()
        return deadline

    def _run(self) -> None:
        while True:
            call = self._next()
            try:
                call()
            except Exception:
                log.exception("a defect of this exporter at a deadline; please report it")
            del call

    def _next(self) -> Callable[[], object]:
        """Wait for the next deadline that is not cancelled, and return what it calls.

        Most are cancelled long before: they are left out together, so that they wake nobody.
        """
        with self._changed:
            while True:
                while self._deadlines and self._deadlines[0].call is None:
                    heapq.heappop(self._deadlines)
                left = self._deadlines[0].moment - time.monotonic() if self._deadlines else None
                if left is None or left > 0:
                    self._changed.wait(left)
                elif (call := heapq.heappop(self._deadlines).call) is not None:
                    return call


DEADLINES: Final = DeadlineThread()
"""That of this process."""
