"""The calls of an account are kept apart, evenly and in the order of asking."""

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.pace import Pace
from exporter.scaleengine.clock import Clock


class Time:
    """A clock that moves when it is waited on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.waits.append(seconds)
        self.now += seconds

    def pace(self, per_second: float | None) -> Pace:
        """Return a pace by this clock."""
        return Pace(per_second, Clock(elapsed=lambda: self.now))


@pytest.mark.parametrize(
    ("per_second", "begins"),
    [(1.0, [0, 1, 2, 3]), (4.0, [0, 0.25, 0.5, 0.75]), (0.5, [0, 2, 4, 6]), (None, [0, 0, 0, 0])],
)
def test_calls_begin_evenly(per_second: float | None, begins: list[float]) -> None:
    """The first call begins at once, each further one a gap later; None keeps nothing apart."""
    time = Time()
    pace = time.pace(per_second)
    found = []
    for _ in begins:
        pace.take_turn(time.wait)
        found.append(time.now)

    assert found == begins


def test_no_limit_never_waits() -> None:
    """Without a limit nobody is asked to wait, not even for no time."""
    time = Time()
    pace = time.pace(None)
    for _ in range(100):
        pace.take_turn(time.wait)

    assert time.waits == []


def test_idle_time_is_not_saved_up() -> None:
    """After a pause calls are kept apart as before: what was not used is gone."""
    time = Time()
    pace = time.pace(2.0)
    pace.take_turn(time.wait)
    time.now = 60.0
    pace.take_turn(time.wait)
    assert time.now == 60.0
    pace.take_turn(time.wait)
    pace.take_turn(time.wait)

    assert time.now == 61.0
    assert time.waits == [0.5, 0.5]


def test_a_call_that_comes_late_enough_does_not_wait() -> None:
    """Whoever asks a gap after the last one begins at once."""
    time = Time()
    pace = time.pace(2.0)
    pace.take_turn(time.wait)
    time.now = 0.5
    pace.take_turn(time.wait)

    assert time.waits == []


def test_waits_do_not_hold_each_other_up() -> None:
    """Those who ask at one time are told their turns at once: nobody waits for a wait to end."""
    waits: list[float] = []
    pace = Pace(10.0, Clock(elapsed=lambda: 0.0))
    for _ in range(4):
        pace.take_turn(waits.append)

    assert waits == pytest.approx([0.1, 0.2, 0.3])


def test_order_of_asking(in_threads: Callable[..., None]) -> None:
    """Threads that ask at once get turns of their own, none twice and none left out."""
    waits: list[float] = []
    pace = Pace(8.0, Clock(elapsed=lambda: 0.0))
    in_threads(20, lambda: pace.take_turn(waits.append))

    assert sorted(waits) == [number / 8 for number in range(1, 20)]


@pytest.mark.parametrize(
    ("before", "after", "begins"),
    [
        (0.01, 1.0, [0, 1, 2]),
        (0.01, None, [0, 0, 0]),
        (1.0, 0.1, [0, 1, 11]),
        (None, 0.5, [0, 0, 2]),
        (0.5, 0.5, [0, 2, 4]),
    ],
)
def test_another_limit(before: float | None, after: float | None, begins: list[float]) -> None:
    """A new limit is obeyed from the next call on, which waits no longer than that asks for."""
    time = Time()
    pace = time.pace(before)
    found = []
    for _ in begins:
        pace.take_turn(time.wait)
        found.append(time.now)
        pace.change(after)

    assert found == begins


def test_another_limit_during_a_wait() -> None:
    """A call that waits by a slow pace goes on soon after a quicker one was set."""
    time = Time()
    pace = time.pace(0.001)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        if time.now == 20.0:
            pace.change(2.0)

    pace.take_turn(wait)
    pace.take_turn(wait)

    assert time.now == 20.5


def test_the_end_of_a_long_wait() -> None:
    """A wait ends at once when it is time to stop."""
    time = Time()
    pace = time.pace(0.001)
    pace.take_turn(time.wait)
    pace.take_turn(lambda _: True)

    assert time.waits == []


@pytest.fixture
def in_threads() -> Callable[..., None]:
    """Return a function that does something in so many threads at once."""

    def run(count: int, work: Callable[[], None]) -> None:
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


@given(
    st.floats(0.01, 1000),
    st.lists(st.floats(0, 10), max_size=30),
)
def test_never_faster_than_the_limit(per_second: float, pauses: list[float]) -> None:
    """Whenever calls are asked for, no two begin closer than the gap, and none waits longer."""
    time = Time()
    pace = time.pace(per_second)
    gap = 1 / per_second
    begins = []
    for pause in pauses:
        time.now += pause
        pace.take_turn(time.wait)
        begins.append(time.now)

    tolerance = 1e-9
    assert all(later - sooner >= gap - tolerance for sooner, later in pairwise(begins))
    assert all(wait <= gap + tolerance for wait in time.waits)
