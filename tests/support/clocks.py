"""Clocks that wait for nothing, and random numbers that are known."""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from exporter.scaleengine.clock import Clock, since_boot

NOW: Final = 1_415_700_000.0
"""2014-11-11 10:00 UTC."""


@dataclass
class FakeClock:
    """Moves only by what a test adds and by waits.

    ``now`` is the time of day, ``monotonic`` the time by which waits and ages are measured, both in
    seconds. ``waits`` has what was waited for. Called, it returns the monotonic time.
    """

    monotonic: float = 1000.0
    now: float = NOW
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.monotonic

    @property
    def clock(self) -> Clock:
        """Return the clock for the code under test."""
        return Clock(now=lambda: self.now, monotonic=self, sleep=self.sleep)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.monotonic += seconds

    def wait(self, seconds: float) -> bool:
        """Let time pass as a stop signal does that is not set; return that it is not."""
        self.waits.append(seconds)
        self.advance(seconds)
        return False

    async def sleep(self, seconds: float) -> None:
        """Let time pass as a coroutine waits, and let others run."""
        self.wait(seconds)
        await asyncio.sleep(0)


class LeapingClock:
    """Leaps over what coroutines and threads wait for; otherwise it runs as real time does.

    As a stop signal it is never set. ``leapt`` is in seconds; ``waits`` has what was waited for.
    """

    def __init__(self) -> None:
        self.leapt = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    @property
    def clock(self) -> Clock:
        """Return the clock for the code under test."""
        return Clock(
            now=lambda: time.time() + self.leapt,
            monotonic=lambda: since_boot() + self.leapt,
            sleep=self.sleep,
        )

    def is_set(self) -> bool:
        """Return that it is not time to stop."""
        return False

    def wait(self, timeout: float) -> bool:
        """Leap over some seconds; return that it is not time to stop."""
        with self._lock:
            self.leapt += timeout
            self.waits.append(timeout)
        return False

    async def sleep(self, seconds: float) -> None:
        """Leap over some seconds, and let others run."""
        self.wait(seconds)
        await asyncio.sleep(0)


class FixedRandom(random.Random):
    """Always gives the same share of a range, 0 to 1; ``ranges`` has those that were asked for."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__(0)
        self.ranges: list[tuple[float, float]] = []
        self._share = share

    def uniform(self, a: float, b: float) -> float:
        """Return the share of the range."""
        self.ranges.append((a, b))
        return a + self._share * (b - a)
