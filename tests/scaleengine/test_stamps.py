"""Every request has a time of its own: ScaleEngine refuses a signed text that it has seen."""

import threading
import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.signing import FieldValue
from exporter.scaleengine.timestamps import TimestampAllocator
from tests.support.clocks import FakeClock

START = 1_700_000_000.25
REMEMBERED = 10_000


class Allocator:
    """Allocates timestamps on a clock that moves when it waits, or when the test says so."""

    def __init__(self) -> None:
        self.clock = FakeClock(now=START)
        self._timestamps = TimestampAllocator(self.clock.wait)

    def allocate(self, path: str) -> int:
        """Return the timestamp of a request for a path."""
        return self._timestamps.allocate(listing(path), lambda: self.clock.now)


def listing(path: str) -> Mapping[str, FieldValue]:
    return {"command": "files.list", "path": path}


def test_different_requests_share_a_second() -> None:
    """Requests that differ are stamped with the time that it is, and do not wait."""
    allocator = Allocator()
    assert {allocator.allocate(path) for path in "abc"} == {1_700_000_000}
    assert allocator.clock.waits == []


def test_the_same_request_waits_for_the_next_second() -> None:
    """A request that was stamped in this second waits for the next, each time."""
    allocator = Allocator()
    stamped = [allocator.allocate("a") for _ in range(3)]
    assert stamped == [1_700_000_000, 1_700_000_001, 1_700_000_002]
    assert allocator.clock.waits == [0.75, 1.0]


def test_a_stop_ends_the_wait_for_a_timestamp() -> None:
    """When it is time to stop, nothing waits: the request will not be made anyway."""
    timestamps = TimestampAllocator(lambda _: True)
    stamped = [timestamps.allocate(listing("a"), lambda: START) for _ in range(2)]
    assert stamped == [1_700_000_000] * 2


def test_after_a_clock_set_back_requests_wait_for_a_free_second() -> None:
    """A second that comes again has its requests already: they wait for the first that is free."""
    allocator = Allocator()
    stamped = [allocator.allocate("a")]
    allocator.clock.now -= 1
    stamped += [allocator.allocate("a"), allocator.allocate("b"), allocator.allocate("a")]

    assert stamped == [1_700_000_000, 1_699_999_999, 1_699_999_999, 1_700_000_001]
    assert allocator.clock.waits == [0.75, 1.0]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(-3, 3)), max_size=30))
def test_no_request_gets_a_timestamp_twice(requests: list[tuple[str, float]]) -> None:
    """Wherever the clock goes, no request gets a stamp twice, and each gets the time that it is."""
    allocator = Allocator()
    stamped = set()
    for path, passing in requests:
        allocate = allocator.allocate(path)
        assert allocate == int(allocator.clock.now)
        stamped.add((path, allocate))
        allocator.clock.now += passing
    assert len(stamped) == len(requests)


@pytest.mark.parametrize(("others", "waits"), [(REMEMBERED - 1, [0.75]), (REMEMBERED, [])])
def test_ten_thousand_requests_are_remembered(others: int, waits: list[float]) -> None:
    """Ten thousand requests are remembered; before that, the oldest is forgotten."""
    allocator = Allocator()
    allocator.allocate("a")
    for other in range(others):
        allocator.allocate(f"b{other}")
    allocator.allocate("a")

    assert allocator.clock.waits == waits


def test_memory_stays_flat() -> None:
    """Once as many requests are remembered as may be, further ones take no more memory."""
    allocator = Allocator()

    def allocate(how_many: int) -> None:
        for number in range(how_many):
            allocator.allocate(f"{number}")
        allocator.clock.now += 1

    allocate(REMEMBERED)
    allocate(REMEMBERED)
    tracemalloc.start()
    try:
        allocate(REMEMBERED)  # what was remembered before was not traced
        before, _ = tracemalloc.get_traced_memory()
        allocate(REMEMBERED)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 50_000


def test_threads_get_different_stamps() -> None:
    """Two threads that ask for the same at the same moment do not get the same stamp."""
    seconds = iter(range(1_700_000_000, 1_700_100_000))
    lock = threading.Lock()

    def now() -> float:
        with lock:
            return next(seconds) / 10

    timestamps = TimestampAllocator(lambda _: False)
    stamped: list[int] = []

    def ask() -> None:
        stamped.extend(timestamps.allocate(listing("a"), now) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(stamped)) == len(stamped) == 200
