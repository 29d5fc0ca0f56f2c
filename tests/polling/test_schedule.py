"""When a target is polled next, and waiting for it."""

import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.recovery import backoff, next_due, sleep_until
from exporter.scaleengine.clock import Clock

HOUR = 3600.0


class MonotonicClock:
    """A clock that moves with each wait, by what the wait takes."""

    def __init__(self, takes: float | None = None) -> None:
        self.monotonic = 1000.0
        self.waits: list[float] = []
        self._takes = takes

    @property
    def clock(self) -> Clock:
        """Return a clock whose wall-clock time must not be read: it can jump."""
        return Clock(
            now=lambda: pytest.fail("a schedule runs in monotonic time"),
            monotonic=lambda: self.monotonic,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.monotonic += seconds if self._takes is None else self._takes

    def wait_until(self, due: float) -> None:
        asyncio.run(sleep_until(due, self.clock))


@given(st.floats(0, 1e6), st.floats(1, 1e5), st.floats(0, 1e7))
def test_the_next_poll_is_within_an_interval(due: float, interval: float, late: float) -> None:
    """The next poll is always ahead, and by no more than an interval."""
    now = due + late
    assert now <= next_due(due, interval, now) <= now + interval * 1.000001


def test_the_backoff_never_shrinks_or_overflows() -> None:
    """The backoff never shrinks and never overflows, however often it failed."""
    waits = [backoff(failures, math.inf) for failures in range(1, 5000)]
    assert all(sooner <= later < math.inf for sooner, later in itertools.pairwise(waits))


def test_a_wait_is_one_sleep() -> None:
    """A wait is waited in one piece: a thousand targets at rest wake no task."""
    time = MonotonicClock()
    time.wait_until(time.monotonic + HOUR)
    assert time.waits == [HOUR]


@pytest.mark.parametrize("due", [1000.0, 0.0])
def test_a_due_poll_is_not_waited_for(due: float) -> None:
    """A moment that has come, or has gone by, ends the wait before it begins."""
    time = MonotonicClock()
    time.wait_until(due)
    assert time.waits == []


def test_an_early_wakeup_sleeps_again() -> None:
    """A wait that returns too soon is taken up again until the moment has come."""
    time = MonotonicClock(takes=10.0)
    due = time.monotonic + 25.0
    time.wait_until(due)
    assert (time.waits, time.monotonic) == ([25.0, 15.0, 5.0], due + 5.0)
