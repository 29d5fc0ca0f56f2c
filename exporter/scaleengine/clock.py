"""Two clocks: the wall clock and the monotonic clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self


def since_boot() -> float:
    """Return the seconds since the machine was started, those that it slept through included.

    Where there is no such clock, as outside of Linux, the time asleep is missing.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks, both in seconds, and how a coroutine waits.

    ``now`` is the time of day (since 1970, UTC), which requests and timestamps carry and which may
    jump. ``monotonic`` runs evenly from an unknown start, also while the machine sleeps; every wait
    and age is measured with it. ``sleep`` waits for a number of seconds by the clock of the event
    loop.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = since_boot
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Seconds(float):
    """A duration for the log: ``1.234s`` in logfmt, a number of seconds in JSON."""

    __slots__ = ()

    def __new__(cls, seconds: float) -> Self:
        """Return the duration, rounded to milliseconds."""
        return super().__new__(cls, round(seconds, 3))

    def __str__(self) -> str:
        """Return the number with its unit."""
        return f"{float(self):.3f}".rstrip("0").rstrip(".") + "s"
