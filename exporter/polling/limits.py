"""The limits of the requests of one account: their rate, and how many are in flight."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from exporter.polling.recovery import is_hanging
from exporter.polling.targets import Target
from exporter.polling.workers import Workers
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason

_MAX_SLEEP: Final = 5.0
"""Seconds after which a waiting request notices a limit that was raised."""
_PUNCTUAL: Final = 0.05
"""Seconds that a request may be late without putting off the ones after it."""


class RateLimiter:
    """Lets requests begin at most ``per_second`` times a second, evenly; None means no limit.

    One request waits at a time: it calls ``wait``, then ``begin`` when it is sent.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._gap = _compute_gap(per_second)
        self._clock = clock
        self._next = clock.monotonic()
        self._turn = self._next

    def change(self, per_second: float | None) -> None:
        """Set another limit; the next request waits no longer than it requires."""
        self._gap = _compute_gap(per_second)
        self._next = min(self._next, self._clock.monotonic() + self._gap)

    def delay(self) -> float:
        """Return the seconds until the next request may begin."""
        return max(0.0, self._next - self._clock.monotonic())

    async def wait(self) -> None:
        """Wait until the next request may begin."""
        self._turn = max(self._next, self._clock.monotonic())
        while (left := self.delay()) > 0:
            await self._clock.sleep(min(left, _MAX_SLEEP))

    def begin(self) -> None:
        """Record that a request begins now."""
        now = self._clock.monotonic()
        is_punctual = 0.0 <= now - self._turn < _PUNCTUAL
        self._next = (self._turn if is_punctual else now) + self._gap


def _compute_gap(per_second: float | None) -> float:
    return 0.0 if per_second is None else 1 / per_second


class FairLimiter:
    """Lets ``max_concurrency`` requests of an account be in flight at most, its targets in turn.

    A free slot is given to the target that has waited longest, not to the oldest request: a walk
    of a large tree does not hold back the disk usage. ``rate`` keeps the requests apart, and each
    takes a slot of ``workers``. An account that ScaleEngine has asked to wait is paused.

    All methods are called in one event loop, or while none runs. Slots that were taken in a loop
    that has ended, and may have crashed, are free in the next one.
    """

    def __init__(
        self, max_concurrency: int, rate: RateLimiter, clock: Clock, workers: Workers
    ) -> None:
        self.rate = rate
        self._max_concurrency = max_concurrency
        self._clock = clock
        self._workers = workers
        self._in_flight = 0
        self._is_starting = False
        self._timeouts = 0
        self._timed_out_at = float("-inf")
        self._waiting: dict[Target, deque[asyncio.Future[None]]] = {}
        self._paused_until = clock.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether no request is in flight and none waits."""
        return not self._in_flight and not self._waiting

    @asynccontextmanager
    async def slot(self, target: Target) -> AsyncIterator[None]:
        """Wait for a slot for the target, and hold it for the ``async with``."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._in_flight, self._is_starting, self._waiting = loop, 0, False, {}
        await self._wait_for_slot(target)
        # Until it has begun no other request of the account starts: they start in the order of
        # their turns, and only one of each account waits for a worker.
        has_begun = False
        try:
            await self.rate.wait()
            async with self._workers.slot(self._timeouts):
                self.rate.begin()
                has_begun = True
                self._end_start(loop)
                yield
        finally:
            if not has_begun:
                self._end_start(loop)
            self._leave(loop)

    def change(self, max_concurrency: int, per_second: float | None) -> None:
        """Set other limits; requests in flight count, and a pause continues."""
        self.rate.change(per_second)
        self._max_concurrency = max_concurrency
        self._wake_next()

    def pause(self, seconds: float) -> None:
        """Record that ScaleEngine asks the account to wait for ``seconds``."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def pause_left(self) -> float:
        """Return the seconds for which the account is paused."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def record_end(self, reason: Reason | None, seconds: float) -> None:
        """Record how a request ended, after ``seconds``: the next ones may hang, too.

        Requests that were in flight at the same time count as one timeout.
        """
        now = self._clock.monotonic()
        if not is_hanging(reason, seconds):
            self._timeouts = 0
        elif now - seconds >= self._timed_out_at:
            self._timeouts += 1
            self._timed_out_at = now

    async def _wait_for_slot(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.setdefault(target, deque()).append(granted)
        self._wake_next()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._leave_queue(target, granted)
            else:  # the turn came at the same moment
                self._is_starting = False
                self._leave(loop)
            raise

    def _leave_queue(self, target: Target, granted: "asyncio.Future[None]") -> None:
        requests = self._waiting.get(target, deque())
        if granted in requests:
            requests.remove(granted)
        if not requests:
            self._waiting.pop(target, None)

    def _end_start(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._is_starting = False
            self._wake_next()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._in_flight -= 1
            self._wake_next()

    def _wake_next(self) -> None:
        """Give a free slot to the target at the head, which then goes behind the others."""
        if self._loop is None or self._loop.is_closed():
            return
        if self._is_starting or self._in_flight >= self._max_concurrency:
            return
        while self._waiting:
            target = next(iter(self._waiting))
            requests = self._waiting.pop(target)
            granted = requests.popleft()
            if requests:
                self._waiting[target] = requests
            if not granted.cancelled():
                self._is_starting = True
                self._in_flight += 1
                granted.set_result(None)
                return
