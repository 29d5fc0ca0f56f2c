"""The record of the calls that a simulator got."""

import threading
from collections import deque
from dataclasses import dataclass

KEPT = 100_000
"""How many calls are kept: the newest."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request as the simulator understood it; what it lacked is None.

    ``time`` is the simulator's clock. ``has_key`` says whether it carried the key of an account;
    ``code`` is the failure that was answered, "" for one without a code; ``fault`` what was broken
    on purpose, ``status`` the HTTP status meant for it.
    """

    time: float
    route: str
    command: str = ""
    cdn: int | None = None
    timestamp: int | None = None
    path: str | None = None
    file_type: str | None = None
    offset: int | None = None
    cpu: str | tuple[str, ...] | None = None
    starttime: str | int | None = None
    has_key: bool = False
    code: str | None = None
    fault: str | None = None
    status: int = 200


class CallLog:
    """Calls in the order in which they were answered; threads may wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._total = 0

    def add(self, call: Call) -> None:
        """Record a call."""
        with self._changed:
            self._calls.append(call)
            self._total += 1
            self._changed.notify_all()

    @property
    def newest(self) -> tuple[Call, ...]:
        """The newest calls, oldest first."""
        with self._changed:
            return tuple(self._calls)

    @property
    def total(self) -> int:
        """How many calls there were in all."""
        with self._changed:
            return self._total

    def wait_for(self, total: int, timeout: float) -> bool:
        """Wait until there were so many calls in all; False after the timeout in seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._total >= total, timeout)
