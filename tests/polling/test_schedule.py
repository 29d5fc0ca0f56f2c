"""When a target is polled next, and waiting for it."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.schedule import backoff, next_due, pause, wait_until
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import (
    AnswerTimeoutError,
    ApiError,
    AuthError,
    ClockError,
    IncompleteError,
    LimitReachedError,
    NetworkError,
    ProtocolError,
    RateLimitedError,
    ScaleEngineError,
    ServerError,
    SignatureError,
)

HOUR = 3600.0

PASSING = [
    ClockError,
    RateLimitedError,
    ServerError,
    AnswerTimeoutError,
    NetworkError,
    ProtocolError,
    IncompleteError,
]
PERMANENT = [AuthError, SignatureError, ApiError, LimitReachedError]
failures_of = st.sampled_from(PASSING + PERMANENT)


def failure(kind: type[ScaleEngineError], retry_after: float | None = None) -> ScaleEngineError:
    return kind("files.list", "a cause", "a next step", retry_after)


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


@pytest.mark.parametrize(
    ("interval", "waits"),
    [
        (900.0, [30, 60, 120, 240, 480, 900, 900]),
        (60.0, [30, 60, 60]),
        (10.0, [10, 10, 10]),
    ],
)
@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_tried_again_sooner(
    kind: type[ScaleEngineError], interval: float, waits: list[float]
) -> None:
    """The waits after failures are 30 s, doubling, and never longer than the interval."""
    found = [pause(failure(kind), number, interval) for number, _ in enumerate(waits, start=1)]
    assert found == waits


@pytest.mark.parametrize("kind", PERMANENT)
@pytest.mark.parametrize("failures", [1, 2, 100])
def test_what_does_not_pass_waits_for_the_interval(
    kind: type[ScaleEngineError], failures: int
) -> None:
    """Bad credentials are never hammered: the next poll comes at the interval, from the first."""
    assert pause(failure(kind), failures, 900.0) == 900.0


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(None, 30), (0.0, 30), (29.0, 30), (120.0, 120), (3600.0, HOUR), (1e12, HOUR)],
)
def test_scaleengine_may_ask_for_a_longer_wait(asked: float | None, wait: float) -> None:
    """A longer wait than ours is kept, also beyond the interval, but no longer than an hour."""
    assert pause(failure(RateLimitedError, asked), 1, 60.0) == wait


@given(failures_of, st.integers(1, 10**6), st.floats(1, 1e6), st.floats(0, 1e300) | st.none())
def test_a_pause_is_bounded(
    kind: type[ScaleEngineError], failures: int, interval: float, asked: float | None
) -> None:
    """However many failures there were, the pause is no shorter than 30 s or the interval."""
    found = pause(failure(kind, asked), failures, interval)
    assert min(30.0, interval) <= found <= max(interval, HOUR)


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
