"""Every request has a time of its own: ScaleEngine refuses a signed text that it has seen."""

import threading
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.signing import Value
from exporter.scaleengine.stamps import Stamps

START = 1_700_000_000.25


class Time:
    """A clock that moves when somebody waits, or when the test says so."""

    def __init__(self) -> None:
        self.now = START
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False

    def stamps(self) -> Stamps:
        return Stamps(Clock(now=lambda: self.now), self.wait)


def listing(path: str) -> Mapping[str, Value]:
    return {"command": "files.list", "path": path}


def test_different_requests_share_a_second() -> None:
    """Requests that differ are stamped with the time that it is, and do not wait."""
    time = Time()
    stamps = time.stamps()
    assert {stamps.stamp(listing(path)) for path in "abc"} == {1_700_000_000}
    assert time.waits == []


def test_the_same_request_waits_for_the_next_second() -> None:
    """A request that was stamped in this second waits for the next, each time."""
    time = Time()
    stamps = time.stamps()
    stamped = [stamps.stamp(listing("a")) for _ in range(3)]
    assert stamped == [1_700_000_000, 1_700_000_001, 1_700_000_002]
    assert time.waits == [0.75, 1.0]


def test_the_end_is_not_waited_for() -> None:
    """When it is time to stop, nothing waits: the call will not be made anyway."""
    stamps = Stamps(Clock(now=lambda: START), lambda _: True)
    assert [stamps.stamp(listing("a")) for _ in range(2)] == [1_700_000_000] * 2


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=30),
)
def test_no_text_twice(requests: list[tuple[str, float]]) -> None:
    """Whatever is asked for and when, no request gets the same stamp twice."""
    time = Time()
    stamps = time.stamps()
    stamped = set()
    for path, passing in requests:
        stamped.add((path, stamps.stamp(listing(path))))
        time.now += passing
    assert len(stamped) == len(requests)


def test_threads_get_different_stamps() -> None:
    """Two threads that ask for the same at the same moment do not get the same stamp."""
    seconds = iter(range(1_700_000_000, 1_700_100_000))
    lock = threading.Lock()

    def now() -> float:
        with lock:
            return next(seconds) / 10

    stamps = Stamps(Clock(now=now), lambda _: False)
    stamped: list[int] = []

    def ask() -> None:
        stamped.extend(stamps.stamp(listing("a")) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(stamped)) == len(stamped) == 200
