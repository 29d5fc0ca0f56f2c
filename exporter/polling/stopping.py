"""How work is stopped: a signal for threads, and the end of tasks."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Protocol, TypeVar

from exporter.scaleengine.clock import Clock

T = TypeVar("T")


class Stop(Protocol):
    """The signal to stop: ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds or until it is time to stop; return whether it is."""


class StopRequestedError(Exception):
    """The process is stopping: the work in progress is abandoned, and has no result."""


def stoppable(clock: Clock, stop: Stop) -> Clock:
    """Return a clock whose ``sleep`` blocks its thread, and raises StopRequestedError at the stop.

    It is for a program that does one thing after the other.
    """

    async def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise StopRequestedError

    return replace(clock, sleep=sleep)


async def cancel_all(tasks: "Collection[asyncio.Task[T]]", max_wait: float | None = None) -> None:
    """Cancel tasks and wait until they have ended, at most ``max_wait`` seconds.

    Their errors are dropped: nobody asks for them any more.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=max_wait)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
