"""Timestamps of requests, by ScaleEngine's clock as its responses show it."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.signing import FieldValue

_DAY: Final = 86_400.0
_WEEK: Final = 7 * 86_400.0
_MIDDLE: Final = 0.5
"""Of a second: a Date header is cut to whole ones."""
_REMEMBERED: Final = 10_000


class ServerTime:
    """The time of day for the requests of one account.

    It is our clock's until ScaleEngine has refused that; from then on it is ScaleEngine's, as the
    newest response gave it. ScaleEngine's is not taken before, and no longer when it was refused as
    well: a proxy may have written the header. From one response to the next it goes on with the
    monotonic clock: the wall clock may be set in the meantime.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # ScaleEngine's time minus the monotonic clock, in seconds.
        self._offset: float | None = None
        self._is_trusted = False
        self._lock = threading.Lock()

    @property
    def skew(self) -> float | None:
        """Return our clock minus ScaleEngine's, in seconds, to about a second; None if unknown."""
        offset = self._offset
        return None if offset is None else self._compute_skew(offset)

    @property
    def is_trusted(self) -> bool:
        """Return whether requests carry ScaleEngine's time."""
        return self._is_trusted

    def now(self) -> float:
        """Return the unix time that requests carry, in seconds."""
        with self._lock:
            if self._is_trusted and self._offset is not None:
                return self._clock.monotonic() + self._offset
        return self._clock.now()

    def latest(self) -> float:
        """Return the later of the time for requests and ScaleEngine's, in unix seconds.

        ScaleEngine's counts for a week more at most, until it is trusted: a Date header alone may
        say any year, and would let days of the future pass as the newest.
        """
        now, offset = self.now(), self._offset
        if offset is None:
            return now
        return max(now, min(self._clock.monotonic() + offset, now + _WEEK))

    def earliest(self) -> float:
        """Return the earlier of our clock's time and ScaleEngine's, in unix seconds.

        Until ScaleEngine's is trusted, it is at most a day earlier than ours: a proxy may have
        written the Date header.
        """
        now, offset, trusted = self._clock.now(), self._offset, self._is_trusted
        if offset is None:
            return now
        there = self._clock.monotonic() + offset
        return min(now, there if trusted else max(there, now - _DAY))

    def monotonic(self) -> float:
        """Return the monotonic time, in seconds."""
        return self._clock.monotonic()

    def update(self, date: float, received: float | None = None) -> float:
        """Record the time of a response; return the clock skew that it shows, in seconds.

        ``received`` is the monotonic time when the response arrived; None is now.
        """
        offset = date + _MIDDLE - (self._clock.monotonic() if received is None else received)
        with self._lock:
            self._offset = offset
        return self._compute_skew(offset)

    def use_server_time(self) -> None:
        """Use ScaleEngine's time from now on."""
        with self._lock:
            self._is_trusted = True

    def use_local_time(self) -> None:
        """Use the local clock from now on."""
        with self._lock:
            self._is_trusted = False

    def _compute_skew(self, offset: float) -> float:
        return self._clock.now() - (self._clock.monotonic() + offset)


class TimestampAllocator:
    """Returns each request a timestamp that no equal request has had.

    It remembers the newest ten thousand requests, of all accounts. ``wait`` waits for a number of
    seconds, and returns whether it is time to stop.
    """

    def __init__(self, wait: Callable[[float], bool]) -> None:
        self._wait = wait
        self._order: deque[int] = deque()
        self._given: set[int] = set()
        self._lock = threading.Lock()

    def allocate(self, fields: Mapping[str, FieldValue], now: Callable[[], float]) -> int:
        """Return the unix time for a request of these fields, in seconds.

        If an equal request has this second already, wait for the next. ``now`` returns the time.
        """
        request = repr(dict(fields))
        while True:
            moment = now()
            if self._is_new(hash((request, int(moment)))):
                return int(moment)
            if self._wait(int(moment) + 1 - moment):
                return int(moment)

    def _is_new(self, stamped: int) -> bool:
        """Remember a request with its timestamp; return whether it is new."""
        with self._lock:
            if stamped in self._given:
                return False
            self._given.add(stamped)
            self._order.append(stamped)
            if len(self._order) > _REMEMBERED:
                self._given.discard(self._order.popleft())
            return True
