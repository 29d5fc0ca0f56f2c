"""The requests of an account are kept apart, evenly and in the order of asking."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.limits import RateLimiter
from tests.support.clocks import FakeClock


class Requests:
    """Requests that one after the other wait for a limiter; ``begins`` has when each began."""

    def __init__(self, per_second: float | None) -> None:
        self.time = FakeClock(0.0)
        self.limiter = RateLimiter(per_second, self.time.clock)
        self.begins: list[float] = []

    def send(self, late: float = 0.0) -> None:
        """Wait for the limiter, then for ``late`` seconds, and begin."""
        asyncio.run(self.limiter.wait())
        self.time.monotonic += late
        self.limiter.begin()
        self.begins.append(self.time.monotonic)


@pytest.mark.parametrize(
    ("per_second", "begins"),
    [(1.0, [0, 1, 2, 3]), (4.0, [0, 0.25, 0.5, 0.75]), (0.5, [0, 2, 4, 6]), (None, [0, 0, 0, 0])],
)
def test_requests_begin_evenly(per_second: float | None, begins: list[float]) -> None:
    """The first request begins at once, each further one a gap later; None keeps nothing apart."""
    requests = Requests(per_second)
    for _ in begins:
        requests.send()

    assert requests.begins == begins


def test_no_limit_never_waits() -> None:
    """Without a limit no request waits, not even for no time."""
    requests = Requests(None)
    for _ in range(100):
        requests.send()

    assert requests.time.waits == []


def test_idle_time_is_not_saved_up() -> None:
    """After a pause requests are kept apart as before: what was not used is gone."""
    requests = Requests(2.0)
    requests.send()
    requests.time.monotonic = 60.0
    for _ in range(3):
        requests.send()

    assert requests.begins == [0.0, 60.0, 60.5, 61.0]
    assert requests.time.waits == [0.5, 0.5]


def test_a_late_start_delays_the_next_request() -> None:
    """One that begins long after its time puts the next off; a moment makes no difference."""
    requests = Requests(1.0)
    for late in (0.0, 0.01, 30.0, 0.0):
        requests.send(late)

    assert requests.begins == pytest.approx([0.0, 1.01, 32.0, 33.0])


def test_a_request_after_the_gap_does_not_wait() -> None:
    """One that comes a gap after the last one begins at once."""
    requests = Requests(2.0)
    requests.send()
    requests.time.monotonic = 0.5
    requests.send()

    assert requests.time.waits == []


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
def test_a_new_limit_holds_from_the_next_request(
    before: float | None, after: float | None, begins: list[float]
) -> None:
    """A new limit holds from the next request on, which waits no longer than the limit requires."""
    requests = Requests(before)
    for _ in begins:
        requests.send()
        requests.limiter.change(after)

    assert requests.begins == begins


def test_a_quicker_limit_shortens_a_wait() -> None:
    """A request that waits by a slow limit begins soon after a quicker one was set."""

    class Changing(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.monotonic == 20.0:
                limiter.change(2.0)

    time = Changing(0.0)
    limiter = RateLimiter(0.001, time.clock)
    for _ in range(2):
        asyncio.run(limiter.wait())
        limiter.begin()

    assert time.monotonic == 20.5


@given(st.floats(0.01, 1000), st.lists(st.floats(0, 10), max_size=30))
def test_requests_are_never_closer_than_the_gap(per_second: float, pauses: list[float]) -> None:
    """Whenever requests come, no two begin closer than the gap, and none waits longer."""
    requests = Requests(per_second)
    gap = 1 / per_second
    for pause in pauses:
        requests.time.monotonic += pause
        requests.send()

    tolerance = 1e-9
    begins = requests.begins
    assert all(later - sooner >= gap - tolerance for sooner, later in pairwise(begins))
    assert all(wait <= gap + tolerance for wait in requests.time.waits)
