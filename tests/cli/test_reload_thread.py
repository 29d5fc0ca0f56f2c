"""Reloads run one at a time in a thread of their own, and requests for them never pile up."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from exporter.reload import ReloadThread

PATIENCE = 60.0


class SlowReload:
    """A reload that lasts until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.times = 0

    def __call__(self) -> Sequence[str]:
        self.times += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=PATIENCE)
        return [f"problem of reload {self.times}"]


@pytest.fixture
def stop() -> threading.Event:
    """Give what tells the thread to stop."""
    return threading.Event()


@pytest.fixture
def start(stop: threading.Event) -> Iterator[Callable[[Callable[[], Sequence[str]]], ReloadThread]]:
    """Give a function that starts a thread for a reload; it has to end with the test."""
    started: list[ReloadThread] = []

    def begin(reload: Callable[[], Sequence[str]]) -> ReloadThread:
        reloads = ReloadThread(reload, stop)
        reloads.start()
        started.append(reloads)
        return reloads

    yield begin
    stop.set()
    assert all(each.join(PATIENCE) for each in started)


Begin = Callable[[Callable[[], Sequence[str]]], ReloadThread]


@pytest.mark.parametrize(("requests", "reloads"), [(0, 1), (1, 2), (1000, 2)])
def test_requests_during_a_reload(start: Begin, requests: int, reloads: int) -> None:
    """However many requests come while a reload is under way, they share one more."""
    reload = SlowReload()
    thread = start(reload)
    first = thread.request()
    assert reload.begun.acquire(timeout=PATIENCE)
    later = [thread.request() for _ in range(requests)]
    reload.may_end.release()
    assert first.result(PATIENCE) == ["problem of reload 1"]
    reload.may_end.release()
    for outcome in later:
        assert outcome.result(PATIENCE) == ["problem of reload 2"]
    assert reload.times == reloads


def test_a_request_that_is_given_up(start: Begin) -> None:
    """Who waits no longer takes the outcome from nobody else."""
    reload = SlowReload()
    thread = start(reload)
    outcome = thread.request()
    assert not outcome.cancel()
    reload.may_end.release()
    assert outcome.result(PATIENCE) == ["problem of reload 1"]


def test_the_end_with_requests_waiting(start: Begin, stop: threading.Event) -> None:
    """Requests that wait when it is time to stop are not served any more."""
    reload = SlowReload()
    thread = start(reload)
    thread.request()
    assert reload.begun.acquire(timeout=PATIENCE)
    waiting = thread.request()
    stop.set()
    reload.may_end.release()
    assert thread.join(PATIENCE)
    assert reload.times == 1
    assert not waiting.done()


def test_a_reload_that_hangs_at_the_end(start: Begin, stop: threading.Event) -> None:
    """A thread that hangs is not waited for longer than asked."""
    reload = SlowReload()
    thread = start(reload)
    thread.request()
    assert reload.begun.acquire(timeout=PATIENCE)
    stop.set()
    assert not thread.join(0.0)
    reload.may_end.release()


def test_a_defect(start: Begin) -> None:
    """A defect reaches who asked, and the thread is known not to run."""

    def fail() -> Sequence[str]:
        raise ValueError("a defect")

    thread = start(fail)
    with pytest.raises(ValueError, match="a defect"):
        thread.request().result(PATIENCE)
    deadline = threading.Event()
    while not thread.dead():
        deadline.wait(0.001)
    assert thread.dead() == ("reload",)
