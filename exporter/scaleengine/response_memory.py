"""Bound the memory that all responses of the process take together, while they arrive and are read.

Together about 200 MB: bodies that arrive, one large response that is parsed, and small ones that
are parsed meanwhile. Parsing holds the interpreter's lock: one at a time is as fast as many.
While a response waits for memory, the deadline of its request is paused; the wait has a limit
of its own.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from exporter.process.memory import release_free_memory
from exporter.scaleengine.message_body import BODY_LIMIT

MAX_PARSED: Final = 140_000_000
"""Bytes that the values of one response may take, its text aside."""

_SLACK: Final = 14 * 1024 * 1024
ARRIVING: Final = BODY_LIMIT + _SLACK
"""Bytes that the bodies which arrive, or wait to be parsed, may have together."""

_UNCOUNTED: Final = 64 * 1024
"""A body of up to this size is not counted: the page of a listing has some ten kilobytes."""
_RELEASED: Final = 1024 * 1024
_STEP: Final = 256 * 1024
_LOOK: Final = 0.1
_SMALL: Final = 64 * 1024
_PARSED_PER_BYTE: Final = 80
"""What the values of a small response take at most for each byte of its body."""
_SMALL_PARSED: Final = 10_000_000


class MemoryWaitError(Exception):
    """A response has waited for the memory of others as long as it may, or was cancelled."""


@dataclass(eq=False, slots=True)
class Arrival:
    """The memory of one response, from its first byte until its content was read.

    It waits for that of others ``max_wait`` seconds in all, and not after ``is_cancelled``.
    """

    memory: "ResponseMemoryBudget"
    max_wait: float
    is_cancelled: Callable[[], bool]
    waited: float = 0.0

    def try_to_admit(self, size: int) -> bool:
        """Take memory for ``size`` bytes of the body in all, if there is; return whether."""
        return self.memory.try_to_hold(self, size)

    def admit(self, size: int) -> None:
        """Wait until there is memory for ``size`` bytes of the body in all.

        Raises MemoryWaitError.
        """
        self.memory.hold(self, size)

    def parsing(self, size: int) -> AbstractContextManager[None]:
        """Wait for the turn to parse a body of this size, and to read its content.

        The turn lasts until the end of the ``with``. Raises MemoryWaitError.
        """
        return self.memory.parsing(self, size)


class ResponseMemoryBudget:
    """What the responses in progress may take, to be used by all threads of a process.

    One body of ``max_body`` bytes may arrive, and ``slack`` bytes of others; ``small_parsed`` is
    for the values of small ones. Whether a wait is over is looked at every ``look`` seconds, and
    ``monotonic`` measures it.
    """

    def __init__(
        self,
        max_body: int = BODY_LIMIT,
        slack: int = _SLACK,
        small_parsed: int = _SMALL_PARSED,
        look: float = _LOOK,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_body = max_body
        self._capacity = max_body + slack
        self._small_parsed = small_parsed
        self._look = look
        self._monotonic = monotonic
        self._held: dict[Arrival, int] = {}
        self._free_small = small_parsed
        self._large: list[Arrival] = []
        """Those with a large body to parse, first come, first served: the first one is parsed."""
        self._changed = threading.Condition()

    @contextmanager
    def arrival(
        self, max_wait: float = math.inf, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Arrival]:
        """Give memory to one body; that of a large one goes back to the system afterwards."""
        arrival = Arrival(self, max_wait, is_cancelled)
        try:
            yield arrival
        finally:
            with self._changed:
                held = self._held.pop(arrival, 0)
                if held:
                    self._changed.notify_all()
            if held > _RELEASED:
                release_free_memory()

    def hold(self, arrival: Arrival, total: int) -> None:
        """Wait until a body may have ``total`` bytes; raises MemoryWaitError."""
        with self._changed:
            self._wait(arrival, lambda: self._hold(arrival, total))

    def try_to_hold(self, arrival: Arrival, total: int) -> bool:
        """Give a body ``total`` bytes, if they are free; return whether they are."""
        with self._changed:
            return self._hold(arrival, total)

    def _hold(self, arrival: Arrival, total: int) -> bool:
        wanted = min(self._max_body, -(-total // _STEP) * _STEP)
        if total <= _UNCOUNTED or self._held.get(arrival, 0) >= wanted:
            return True
        if not self._may_hold(arrival, wanted):
            return False
        self._held[arrival] = wanted
        return True

    def _may_hold(self, arrival: Arrival, size: int) -> bool:
        """Return whether the largest body can still be received whole afterwards.

        Otherwise two bodies might wait for each other (the banker's algorithm).
        """
        held = {**self._held, arrival: size}
        free = self._capacity - sum(held.values())
        return free >= 0 and free + max(held.values()) >= self._max_body

    @contextmanager
    def parsing(self, arrival: Arrival, size: int) -> Iterator[None]:
        """Wait for the turn to parse a body of this size; raises MemoryWaitError."""
        with self._turn_of_large(arrival) if size > _SMALL else self._turn_of_small(arrival, size):
            yield

    @contextmanager
    def _turn_of_large(self, arrival: Arrival) -> Iterator[None]:
        try:
            with self._changed:
                self._large.append(arrival)
                self._wait(arrival, lambda: self._large[0] is arrival)
            yield
        finally:
            with self._changed:
                self._large.remove(arrival)
                self._changed.notify_all()

    @contextmanager
    def _turn_of_small(self, arrival: Arrival, size: int) -> Iterator[None]:
        needed = min(size * _PARSED_PER_BYTE, self._small_parsed)
        with self._changed:
            self._wait(arrival, lambda: self._free_small >= needed)
            self._free_small -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free_small += needed
                self._changed.notify_all()

    def _wait(self, arrival: Arrival, may_go_on: Callable[[], bool]) -> None:
        began, waited = self._monotonic(), arrival.waited
        while not may_go_on():
            arrival.waited = waited + self._monotonic() - began
            if arrival.is_cancelled() or arrival.waited >= arrival.max_wait:
                raise MemoryWaitError
            self._changed.wait(self._look)  # what cancels a request does not notify


RESPONSE_MEMORY: Final = ResponseMemoryBudget()
"""That of this process, for the clients of all accounts."""
