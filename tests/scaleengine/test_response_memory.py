"""The memory of all responses together is bounded, and none waits endlessly."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count

import pytest

from exporter.scaleengine.response_memory import Arrival, MemoryWaitError, ResponseMemoryBudget

MIB = 2**20


@pytest.fixture
def memory() -> ResponseMemoryBudget:
    """Return memory for one body of 8 MiB and 2 MiB of others."""
    return ResponseMemoryBudget(max_body=8 * MIB, slack=2 * MIB, small_parsed=1_000_000, look=0.001)


def is_admitted(arrival: Arrival, size: int) -> bool:
    """Return whether a body may have this number of bytes now, without waiting."""
    return arrival.try_to_admit(size)


def memory_of_seconds() -> ResponseMemoryBudget:
    """Return memory for one body of 8 MiB alone, in which each look takes a second."""
    seconds = count()
    return ResponseMemoryBudget(
        8 * MIB, 0, 1000, look=0.001, monotonic=lambda: float(next(seconds))
    )


def test_bodies_in_transfer_share_a_budget(memory: ResponseMemoryBudget) -> None:
    """A second large body has to wait until the first was read; small ones pass."""
    with ExitStack() as responses:
        with memory.arrival() as first:
            second, third = (responses.enter_context(memory.arrival()) for _ in range(2))
            assert is_admitted(first, 8 * MIB)
            assert is_admitted(second, 2 * MIB)
            assert not is_admitted(second, 3 * MIB)
            assert not is_admitted(third, MIB)
            assert is_admitted(third, 64 * 1024)
        assert is_admitted(second, 8 * MIB)


def test_bodies_do_not_wait_for_each_other(memory: ResponseMemoryBudget) -> None:
    """However bodies grow in turn, one of them can always be received whole."""
    with ExitStack() as responses:
        waiting = [responses.enter_context(memory.arrival()) for _ in range(5)]
        sizes = dict.fromkeys(waiting, 0)
        for _ in range(40):
            for arrival in waiting:
                if is_admitted(arrival, sizes[arrival] + MIB // 4):
                    sizes[arrival] += MIB // 4
        assert max(sizes.values()) == 10 * MIB  # that is, it was never stopped
        assert sum(min(size, 8 * MIB) for size in sizes.values()) <= 10 * MIB


def test_a_body_waits_for_memory(memory: ResponseMemoryBudget) -> None:
    """A body that waits goes on as soon as another was read."""
    admitted = threading.Event()

    def receive() -> None:
        with memory.arrival() as second:
            second.admit(8 * MIB)
            admitted.set()

    with memory.arrival() as first:
        first.admit(8 * MIB)
        thread = threading.Thread(target=receive)
        thread.start()
        assert not admitted.is_set()
    thread.join(30)
    assert admitted.is_set()


@pytest.mark.parametrize(("size", "most"), [(MIB, 1), (6_000, 2), (60_000, 1), (100, 8)])
def test_large_responses_are_parsed_one_at_a_time(
    memory: ResponseMemoryBudget, size: int, most: int
) -> None:
    """One large response at a time, and as many small ones as their values have room for."""
    entered, leave = threading.Semaphore(0), threading.Event()

    def parse() -> None:
        with memory.arrival() as arrival, arrival.parsing(size):
            entered.release()
            assert leave.wait(30)

    threads = [threading.Thread(target=parse) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert all(entered.acquire(timeout=30) for _ in range(most))
    assert not entered.acquire(blocking=False)
    leave.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_small_responses_pass_a_large_one(memory: ResponseMemoryBudget) -> None:
    """The page of a listing does not wait for the disk usage of another account."""
    with (
        memory.arrival() as large,
        memory.arrival() as small,
        large.parsing(MIB),
        small.parsing(100),
    ):
        pass


@contextmanager
def arriving(arrival: Arrival) -> Iterator[None]:
    """Wait for the memory of a body of 8 MiB, which the arrival keeps."""
    arrival.admit(8 * MIB)
    yield


WAITS: list[Callable[[Arrival], AbstractContextManager[None]]] = [
    arriving,
    lambda arrival: arrival.parsing(MIB),
    lambda arrival: arrival.parsing(1000),
]


@pytest.mark.parametrize("wait", WAITS, ids=["arriving", "large", "small"])
def test_a_wait_for_memory_ends_at_the_deadline(
    wait: Callable[[Arrival], AbstractContextManager[None]],
) -> None:
    """A response waits as long as it may in all, then fails; the next one gets its turn."""
    memory = memory_of_seconds()
    with memory.arrival() as second, memory.arrival(max_wait=30) as third:
        with memory.arrival() as first, wait(first):
            with pytest.raises(MemoryWaitError), wait(third):
                pass
            assert third.waited == 30
        with wait(second):
            pass


@pytest.mark.parametrize("wait", WAITS, ids=["arriving", "large", "small"])
def test_a_stop_ends_a_wait_for_memory(
    wait: Callable[[Arrival], AbstractContextManager[None]],
) -> None:
    """A stop ends the wait at the next look."""
    looks = iter([False, False, True])
    memory = memory_of_seconds()
    with (
        memory.arrival() as first,
        wait(first),
        memory.arrival(is_cancelled=lambda: next(looks)) as second,
        pytest.raises(MemoryWaitError),
        wait(second),
    ):
        pass
    assert next(looks, None) is None


def test_large_responses_are_parsed_in_order_of_arrival() -> None:
    """None waits until its time is over because others that came later are parsed before it."""
    waiting = {str(number): threading.Event() for number in range(5)}
    parsed: list[str] = []

    def tell_the_time() -> float:
        waiting.get(threading.current_thread().name, threading.Event()).set()
        return 0.0

    memory = ResponseMemoryBudget(look=0.001, monotonic=tell_the_time)

    def parse() -> None:
        with memory.arrival() as arrival, arrival.parsing(MIB):
            parsed.append(threading.current_thread().name)

    threads = [threading.Thread(target=parse, name=name) for name in waiting]
    with memory.arrival() as first, first.parsing(MIB):
        for thread in threads:
            thread.start()
            assert waiting[thread.name].wait(30)
    for thread in threads:
        thread.join(30)
    assert parsed == list(waiting)


@pytest.mark.parametrize(("size", "releases"), [(64 * 1024, 0), (MIB, 0), (4 * MIB, 1)])
def test_memory_of_a_large_body_goes_back(
    memory: ResponseMemoryBudget, monkeypatch: pytest.MonkeyPatch, size: int, releases: int
) -> None:
    """What a large body took is given back to the system, not only to the process."""
    released: list[None] = []
    monkeypatch.setattr(
        "exporter.scaleengine.response_memory.release_free_memory", lambda: released.append(None)
    )
    with memory.arrival() as arrival:
        assert is_admitted(arrival, size)
        assert released == []
    assert len(released) == releases
