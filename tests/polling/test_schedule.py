"""When a target is polled next, and waiting for it."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.schedule import backoff, next_due, wait_until
from exporter.scaleengine.clock import Clock

HOUR = 3600.0


class Time:
    """A clock that moves when somebody waits, by what a wait takes; and a stop after so many."""

    def __init__(self, takes: float | None = None, stops_after: int = 1000) -> None:
        self.elapsed = 1000.0
        self.waits: list[float] = []
        self._takes = takes
        self._stops_after = stops_after

    @property
    def clock(self) -> Clock:
        """Return a clock whose time of day nobody may ask for: it can jump."""
        return Clock(now=lambda: pytest.fail("a schedule runs on the even clock"), elapsed=self.now)

    def now(self) -> float:
        return self.elapsed

    def is_set(self) -> bool:
        return len(self.waits) >= self._stops_after

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.elapsed += timeout if self._takes is None else self._takes
        return self.is_set()


@given(st.floats(0, 1e6), st.floats(1, 1e5), st.floats(0, 1e7))
def test_the_next_poll_is_ahead(due: float, interval: float, late: float) -> None:
    """The next poll is always ahead, and by no more than an interval."""
    now = due + late
    assert now <= next_due(due, interval, now) <= now + interval * 1.000001


def test_waits_grow_without_end() -> None:
    """The backoff never shrinks and never overflows, however often it failed."""
    waits = [backoff(failures, math.inf) for failures in range(1, 5000)]
    assert all(sooner <= later < math.inf for sooner, later in itertools.pairwise(waits))


def test_a_wait_ends_when_it_is_due() -> None:
    """A long wait is waited in pieces of 30 s at most, and ends at the moment it is due."""
    time = Time()
    assert not wait_until(time.elapsed + 100.0, time.clock, time)
    assert time.waits == [30.0, 30.0, 30.0, 10.0]


@pytest.mark.parametrize("due", [1000.0, 0.0])
def test_what_is_due_is_not_waited_for(due: float) -> None:
    """A moment that has come, or has gone by, ends the wait before it begins."""
    time = Time()
    assert not wait_until(due, time.clock, time)
    assert time.waits == []


def test_after_a_sleep_of_the_machine_a_poll_is_due_at_once() -> None:
    """A clock that leaps during a wait, as when the machine sleeps, ends the wait."""
    time = Time(takes=8 * HOUR)
    assert not wait_until(time.elapsed + HOUR, time.clock, time)
    assert time.waits == [30.0]


def test_a_wait_that_ends_early_goes_on() -> None:
    """A wait that returns too soon is taken up again until the moment has come."""
    time = Time(takes=10.0)
    due = time.elapsed + 25.0
    assert not wait_until(due, time.clock, time)
    assert (time.waits, time.elapsed) == ([25.0, 15.0, 5.0], due + 5.0)


def test_stop_ends_a_wait() -> None:
    """Told to stop, nobody waits on; and nobody polls who was told so before."""
    time = Time(stops_after=2)
    assert wait_until(time.elapsed + HOUR, time.clock, time)
    assert len(time.waits) == 2
    assert wait_until(0.0, time.clock, time)
