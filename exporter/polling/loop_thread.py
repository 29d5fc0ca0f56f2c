"""The thread of the event loop that polls."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar

from exporter.polling.poller import Poller
from exporter.polling.threads import SupervisedThread, cancel_all
from exporter.scaleengine.clock import since_boot

T = TypeVar("T")

MAX_SLEEP: Final = 30.0
"""Seconds after which the loop looks at its clock again."""

_CLOSE_SECONDS: Final = 0.5
_MAX_CANCELLATIONS: Final = 3


class MonotonicLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers count the time that the machine sleeps.

    What the loop itself waits for the next timer does not count it: it must wake now and then.
    """

    def time(self) -> float:
        """Return the seconds since the machine was started."""
        return since_boot()


class PollingThread:
    """Runs a poller in an event loop in a thread of its own, until ``stop``.

    A defect that ends the loop is logged; the loop is started again after a while, with all
    targets, and ``list_dead_threads`` names the thread meanwhile.
    """

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._stop = threading.Event()
        self._thread = SupervisedThread("polling", self._run, self._stop)
        self._lock = threading.RLock()
        self._calls: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Begin to poll; raises RuntimeError where no thread can be started."""
        self._thread.start()

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the names of what should poll and does not."""
        return (self._thread.name,) if self._thread.is_down else self._poller.list_dead_threads()

    def call(self, work: Callable[[], T]) -> T:
        """Call a function in the loop's thread, between the steps of polls; return its result.

        Where no loop runs, it is called in this thread. Raises what it raises.
        """
        future: Future[T] = Future()

        def settle() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised in the calling thread
                future.set_exception(error)

        with self._lock:
            self._calls.append(settle)
            if self._loop is None:
                self._make_calls()
            else:
                with suppress(RuntimeError):  # closed just now: its thread makes the calls
                    self._loop.call_soon_threadsafe(self._make_calls)
        return future.result()

    def stop(self, timeout: float) -> bool:
        """End all polls, even while requests hang; wait ``timeout`` seconds for it at most.

        Return whether all have ended.
        """
        with self._lock:
            self._stop.set()
            if self._loop is not None:
                with suppress(RuntimeError):  # closed just now
                    self._loop.call_soon_threadsafe(self._stopped.set)
        return self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=MonotonicLoop) as runner:
                runner.run(self._poll())
        finally:
            self._leave_loop()  # where a loop is broken, asyncio does not end its coroutines

    async def _poll(self) -> None:
        with self._lock:
            self._stopped = asyncio.Event()
            self._loop = loop = asyncio.get_running_loop()
            self._poller.start()
        try:
            while not (self._stop.is_set() or self._stopped.is_set()):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), MAX_SLEEP)
            await self._poller.close(_CLOSE_SECONDS)
        finally:
            if not loop.is_closed():  # else this is the garbage of a loop that broke
                await _abandon_all()
                self._leave_loop()

    def _leave_loop(self) -> None:
        with self._lock:
            self._loop = None
            self._poller.forget_loop()
            self._make_calls()

    def _make_calls(self) -> None:
        with self._lock:
            while self._calls:
                self._calls.popleft()()


async def _abandon_all() -> None:
    """End all other tasks, also those that wait for a thread that hangs.

    Such a task leaves its thread behind when it is cancelled a second time. Where the loop has
    crashed, asyncio has just cancelled it, and a cancellation that follows at once is the same one.
    """
    for _ in range(_MAX_CANCELLATIONS):
        await cancel_all(asyncio.all_tasks() - {asyncio.current_task()}, _CLOSE_SECONDS)
