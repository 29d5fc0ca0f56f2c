"""Threads for what blocks: requests, with the parsing of their responses."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

DEFAULT_MAX_WORKERS: Final = 32


class Workers(Protocol):
    """Where blocking work is done, for the coroutines of one event loop."""

    def slot(self, *, is_slow: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a worker, and hold it for the ``async with``."""

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise what it raises."""


class InlineWorkers:
    """Does all work where it is asked for: for a program that does one thing after the other."""

    @asynccontextmanager
    async def slot(self, *, is_slow: bool = False) -> AsyncIterator[None]:
        """Hold a worker, of which there are enough."""
        del is_slow
        yield

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work now."""
        return work()


class WorkerPool:
    """At most ``max_workers`` threads, started when they are needed.

    Slots are given in the order of asking. Those for work that may hang (``is_slow``) take at most
    half of them: while many accounts get no response, the others are still polled. Those of an
    event loop that has ended, and may have crashed, are free in the next one.

    The threads are daemons: one that hangs in the resolver does not keep the process from ending,
    as a thread of ``concurrent.futures`` would.
    """

    def __init__(self, max_workers: int = DEFAULT_MAX_WORKERS, name: str = "request") -> None:
        self._max_workers = max_workers
        self._name = name
        self._number = 0
        self._taken: dict[bool, int] = {False: 0, True: 0}
        self._waiting: dict[bool, deque[_Waiter]] = {False: deque(), True: deque()}
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
        return sum(self._taken.values())

    def resize(self, max_workers: int) -> None:
        """Hold at most this many workers from now on; work in progress ends as it is."""
        self._max_workers = max_workers
        self._dismiss_idle(max_workers)
        self._grant()

    def close(self) -> None:
        """End all threads, each when its work has ended."""
        self._is_closed = True
        self._dismiss_idle(0)

    @asynccontextmanager
    async def slot(self, *, is_slow: bool = False) -> AsyncIterator[None]:
        """Wait for a worker, and hold it for the ``async with``."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._taken = {False: 0, True: 0}
            self._waiting = {False: deque(), True: deque()}
        self._number += 1
        waiter = _Waiter(self._number, loop.create_future())
        self._waiting[is_slow].append(waiter)
        self._grant()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if not waiter.granted.cancelled():
                self._release(loop, is_slow=is_slow)
            raise
        try:
            yield
        finally:
            self._release(loop, is_slow=is_slow)

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread; return what it returns, or raise what it raises.

        A thread cannot be interrupted, so a coroutine that is cancelled waits for its end.
        Raises RuntimeError where no thread can be started.
        """
        worker = self._idle.pop() if self._idle else _Worker(self._name)
        done = asyncio.wrap_future(worker.submit(work))
        done.add_done_callback(lambda _: self._put_back(worker, is_busy=done.cancelled()))
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            try:
                await asyncio.wait([done])
                done.exception()  # marked as retrieved
            except asyncio.CancelledError:  # again: the loop ends
                done.cancel()
            raise

    def _grant(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        while (is_slow := self._find_next()) is not None:
            self._taken[is_slow] += 1
            self._waiting[is_slow].popleft().granted.set_result(None)

    def _find_next(self) -> bool | None:
        """Return of which kind the next work is, None where there is none or no worker."""
        for waiting in self._waiting.values():
            while waiting and waiting[0].granted.cancelled():
                waiting.popleft()
        if self.taken >= self._max_workers:
            return None
        may_be_slow = self._taken[True] < max(1, self._max_workers // 2)
        kinds = [
            is_slow
            for is_slow, waiting in self._waiting.items()
            if waiting and (may_be_slow or not is_slow)
        ]
        return min(kinds, key=lambda is_slow: self._waiting[is_slow][0].number, default=None)

    def _release(self, loop: asyncio.AbstractEventLoop, *, is_slow: bool) -> None:
        if loop is not self._loop:
            return
        self._taken[is_slow] -= 1
        self._grant()

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
    granted: "asyncio.Future[None]" = field(compare=False)


class _Worker:
    """A thread that does one piece of work after the other."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Return the future result of the work."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def do() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(do)
        return future

    def dismiss(self) -> None:
        """End the thread when its work is done."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # and with it the response, which may be large
