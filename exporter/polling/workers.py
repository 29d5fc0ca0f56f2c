"""Threads for what blocks: requests, with the parsing of their responses."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")

DEFAULT_MAX_WORKERS: Final = 32

_MAX_TIMEOUTS: Final = 3
"""Timeouts in a row from which on accounts are equal: they hang."""


class Workers(Protocol):
    """Where blocking work is done, for the coroutines of one event loop."""

    def slot(self, timeouts: int = 0) -> AbstractAsyncContextManager[None]:
        """Wait for a worker, and hold it for the ``async with``.

        ``timeouts`` is how many requests of the same account in a row have timed out last.
        """

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise what it raises."""


class InlineWorkers:
    """Does all work in the calling thread: for a program that does one thing after the other."""

    @asynccontextmanager
    async def slot(self, timeouts: int = 0) -> AsyncIterator[None]:
        """Hold a worker, of which there are enough."""
        del timeouts
        yield

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work now."""
        return work()


class WorkerPool:
    """At most ``max_workers`` threads, started when they are needed.

    Slots are given in the order of asking. Work that is slow, after timeouts, takes at most half of
    them: while many accounts get no response, the others are still polled. Every second slot for
    slow work goes to the fewest timeouts: an account that has timed out once does not wait behind
    those that always hang. The others go to the longest wait, so that all have their turn.

    Slots of an event loop that has ended, and may have crashed, are free in the next one.

    The threads are daemons: one that hangs in the resolver does not keep the process from ending,
    as a thread of ``concurrent.futures`` would.
    """

    def __init__(self, max_workers: int = DEFAULT_MAX_WORKERS, name: str = "request") -> None:
        self._max_workers = max_workers
        self._name = name
        self._number = 0
        self._reset()
        self._idle: list[_Worker] = []
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the first thread, so that requests are possible even if no other can be started.

        Raises RuntimeError where none can be started.
        """
        self._idle.append(_Worker(self._name))

    @property
    def taken(self) -> int:
        """Return how many slots are held."""
        return self._quick_taken + self._slow_taken

    def resize(self, max_workers: int) -> None:
        """Hold at most this many workers from now on; work in progress ends as it is."""
        self._max_workers = max_workers
        self._dismiss_idle(max_workers)
        self._wake_next()

    def close(self) -> None:
        """End all threads, each when its work has ended."""
        self._is_closed = True
        self._dismiss_idle(0)

    @asynccontextmanager
    async def slot(self, timeouts: int = 0) -> AsyncIterator[None]:
        """Wait for a worker, and hold it for the ``async with``."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._reset()
        self._number += 1
        waiter = _Waiter(self._number, min(timeouts, _MAX_TIMEOUTS), loop.create_future())
        self._waiting[waiter.timeouts][waiter.number] = waiter
        self._wake_next()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._waiting[waiter.timeouts].pop(waiter.number, None)
            else:
                self._release(loop, waiter)
            raise
        try:
            yield
        finally:
            self._release(loop, waiter)

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread; return what it returns, or raise what it raises.

        A thread cannot be interrupted, so a coroutine that is cancelled waits for its end.
        Raises RuntimeError where no thread can be started.
        """
        worker = self._idle.pop() if self._idle else _Worker(self._name)
        job = _Job(work, asyncio.get_running_loop())
        worker.submit(job.run)
        try:
            try:
                await job.wait()
            except asyncio.CancelledError:
                job.abandon()
                await job.wait()  # until it is cancelled again: the loop ends
                raise
        finally:
            self._put_back(worker, is_busy=not job.has_ended)
        return job.result()

    def _wake_next(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        while (waiter := self._find_next()) is not None:
            del self._waiting[waiter.timeouts][waiter.number]
            if waiter.granted.cancelled():
                continue
            if waiter.timeouts:
                self._slow_taken += 1
                self._slow_grants += 1
            else:
                self._quick_taken += 1
            waiter.granted.set_result(None)

    def _find_next(self) -> "_Waiter | None":
        """Return what has its turn, None where nothing may have a worker now."""
        if self.taken >= self._max_workers:
            return None
        quick, *slow = (next(iter(waiting.values()), None) for waiting in self._waiting)
        candidates = [] if quick is None else [quick]
        heads = [waiter for waiter in slow if waiter is not None]
        if heads and self._slow_taken < max(1, self._max_workers // 2):
            oldest = min(heads, key=lambda waiter: waiter.number)
            candidates.append(oldest if self._slow_grants % 2 else heads[0])
        return min(candidates, key=lambda waiter: waiter.number, default=None)

    def _release(self, loop: asyncio.AbstractEventLoop, waiter: "_Waiter") -> None:
        if loop is not self._loop:
            return
        if waiter.timeouts:
            self._slow_taken -= 1
        else:
            self._quick_taken -= 1
        self._wake_next()

    def _reset(self) -> None:
        """Let no slot be held or waited for."""
        self._quick_taken = self._slow_taken = self._slow_grants = 0
        self._waiting: list[dict[int, _Waiter]] = [{} for _ in range(_MAX_TIMEOUTS + 1)]

    def _put_back(self, worker: "_Worker", *, is_busy: bool) -> None:
        if is_busy:
            worker.dismiss()
        else:
            self._idle.append(worker)
            self._dismiss_idle(0 if self._is_closed else self._max_workers)

    def _dismiss_idle(self, kept: int) -> None:
        while len(self._idle) > kept:
            self._idle.pop().dismiss()


@dataclass(frozen=True, slots=True)
class _Waiter:
    number: int
    timeouts: int
    granted: "asyncio.Future[None]" = field(compare=False)


class _Job(Generic[T]):
    """A piece of work that a thread does for a coroutine of the loop."""

    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.has_ended = False
        self._work = work
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._is_abandoned = False

    def run(self) -> None:
        """Do the work, in the calling thread."""
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error
        if self._is_abandoned:
            self.abandon()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end)

    def abandon(self) -> None:
        """Keep neither result nor error: no task waits for them, and an error refers to itself."""
        self._is_abandoned = True
        self._results.clear()
        self._error = None

    async def wait(self) -> None:
        """Wait until the work has ended."""
        if not self.has_ended:
            self._waiter = self._loop.create_future()
            await self._waiter

    def result(self) -> T:
        """Return what the work returned, or raise what it raised; to be called once."""
        error, self._error = self._error, None
        if error is None:
            return self._results.pop()
        try:
            raise error
        finally:
            del error  # it would refer to itself

    def _end(self) -> None:
        self.has_ended = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Worker:
    """A thread that does one piece of work after the other."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Do a job, which raises nothing."""
        self._jobs.put(job)

    def dismiss(self) -> None:
        """End the thread when its work is done."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # and with it the response, which may be large
