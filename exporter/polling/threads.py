"""How threads and tasks are stopped, and restarted after a crash."""

import asyncio
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, Protocol, TypeVar

import structlog

from exporter.polling.recovery import backoff
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock, since_boot

T = TypeVar("T")


class Stop(Protocol):
    """The signal to stop: ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the stop; return whether it is set."""


class StopRequestedError(Exception):
    """The process is stopping: the work in progress is abandoned, and has no result."""


def build_stoppable_clock(clock: Clock, stop: Stop) -> Clock:
    """Return a clock whose ``sleep`` blocks its thread, and raises StopRequestedError at the stop.

    It is for a program that does one thing after the other.
    """

    async def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise StopRequestedError

    return replace(clock, sleep=sleep)


async def cancel_all(tasks: "Collection[asyncio.Task[T]]", max_wait: float | None = None) -> None:
    """Cancel tasks and wait until they have ended, at most ``max_wait`` seconds.

    Their errors are dropped.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=max_wait)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


log: Final = structlog.get_logger(__name__)

_MAX_WAIT: Final = 3600.0


class SupervisedThread:
    """A thread that runs a function until it returns, and restarts it after a crash.

    It restarts 30 s after the first crash, and twice as long after each further one, up to an hour;
    after an hour of work it is 30 s again. ``monotonic`` returns the seconds of monotonic time.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        stop: Stop,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        self.name = name
        self._stop = stop
        self._monotonic = monotonic
        self._broken = False
        self._thread = threading.Thread(name=name, target=self._run, args=(work,), daemon=True)

    @property
    def is_down(self) -> bool:
        """Return whether the thread does not work: before its start, after a crash or its end."""
        return self._broken or not self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; raises RuntimeError where that cannot be."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most ``timeout`` seconds; return whether it has come."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, work: Callable[[], object]) -> None:
        crashes = 0
        while not self._stop.is_set():
            began = self._monotonic()
            try:
                work()
            except BaseException as error:
                crashes = 1 if self._monotonic() - began >= _MAX_WAIT else crashes + 1
                self._broken = True
                wait = backoff(crashes, _MAX_WAIT)
                facts = {"thread": self.name, "wait": f"{wait:.0f}s"}
                limit = find_resource_limit(error)
                if limit is None:
                    log.exception("thread crashed, restarting; please report it", **facts)
                else:
                    log.warning("thread out of resources, restarting", **facts, **limit._asdict())
                self._stop.wait(wait)
                self._broken = False
            else:
                return
