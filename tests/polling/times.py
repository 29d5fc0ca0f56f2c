"""Time for tests: it leaps over every wait, so that none takes any."""

import asyncio
import random
import threading
import time

from exporter.polling.polls import poll
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import Snapshot
from exporter.polling.targets import Target
from exporter.scaleengine.clock import Clock


class LeapingTime:
    """Leaps over what coroutines and threads wait for; else it goes on as real time does."""

    def __init__(self) -> None:
        self.leapt = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    @property
    def clock(self) -> Clock:
        """Return the clock of this time."""
        return Clock(
            now=lambda: time.time() + self.leapt,
            monotonic=lambda: time.monotonic() + self.leapt,
            sleep=self.sleep,
        )

    def wait(self, seconds: float) -> bool:
        """Leap over some seconds; return that it is not time to stop."""
        with self._lock:
            self.leapt += seconds
            self.waits.append(seconds)
        return False

    async def sleep(self, seconds: float) -> None:
        """Leap over some seconds, and let others go on."""
        self.wait(seconds)
        await asyncio.sleep(0)


class StandingTime:
    """Stands still, but for what is waited for and what is added to ``monotonic``."""

    def __init__(self, monotonic: float = 0.0) -> None:
        self.monotonic = monotonic
        self.waits: list[float] = []

    @property
    def clock(self) -> Clock:
        """Return the clock of this time."""
        return Clock(monotonic=lambda: self.monotonic, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Let some seconds pass at once."""
        self.waits.append(seconds)
        self.monotonic += seconds
        await asyncio.sleep(0)


def make_session(account: PolledAccount, target: Target) -> PollSession:
    """Return the requests of a poll."""
    return PollSession(account, target, random.Random(0))


def run_poll(session: PollSession, target: Target) -> Snapshot:
    """Poll once; raises ScaleEngineError."""
    return asyncio.run(poll(target, session))
