"""The signal to stop, for threads."""

from dataclasses import replace
from typing import Protocol

from exporter.scaleengine.clock import Clock


class Stop(Protocol):
    """The signal to stop: ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds or until it is time to stop; return whether it is."""


class StoppedError(Exception):
    """It is time to stop: what was under way is given up, and says nothing of ScaleEngine."""


def stoppable(clock: Clock, stop: Stop) -> Clock:
    """Return a clock whose ``sleep`` blocks its thread, and raises StoppedError at the stop.

    It is for a program that does one thing after the other.
    """

    async def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    return replace(clock, sleep=sleep)
