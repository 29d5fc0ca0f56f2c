"""Reloads run one at a time in a thread of their own, and requests for them never pile up."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from exporter.reload import ReloadFunction, ReloadThread
from exporter.scaleengine.clock import Clock
from tests.support.waiting import TIMEOUT


class RecordingStop(threading.Event):
    """A stop event of a thread that waits for nothing else; ``waited`` are the seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the seconds."""
        self.waited.append(timeout or 0.0)
        return self.is_set()


class SlowReload:
    """A reload that lasts until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.over_http: list[bool] = []

    @property
    def times(self) -> int:
        return len(self.over_http)

    def __call__(self, *, over_http: bool) -> Sequence[str]:
        self.over_http.append(over_http)
        self.begun.release()
        assert self.may_end.acquire(timeout=TIMEOUT)
        return [f"problem of reload {self.times}"]


@pytest.fixture
def stop() -> RecordingStop:
    """Return the stop event of the thread."""
    return RecordingStop()


@pytest.fixture
def start(stop: RecordingStop) -> Iterator[Callable[[ReloadFunction], ReloadThread]]:
    """Return a function that starts a thread for a reload; it has to end with the test."""
    started: list[ReloadThread] = []

    def begin(reload: ReloadFunction) -> ReloadThread:
        reloads = ReloadThread(reload, stop, Clock())
        reloads.start()
        started.append(reloads)
        return reloads

    yield begin
    stop.set()
    assert all(thread.join(TIMEOUT) for thread in started)


Begin = Callable[[ReloadFunction], ReloadThread]


@pytest.mark.parametrize(("requests", "reloads"), [(0, 1), (1, 2), (1000, 2)])
def test_requests_during_a_reload_share_the_next_one(
    start: Begin, requests: int, reloads: int
) -> None:
    """However many requests come while a reload is under way, they share one more."""
    reload = SlowReload()
    thread = start(reload)
    first = thread.request()
    assert reload.begun.acquire(timeout=TIMEOUT)
    later = [thread.request() for _ in range(requests)]
    reload.may_end.release()
    assert first.result(TIMEOUT) == ["problem of reload 1"]
    reload.may_end.release()
    for outcome in later:
        assert outcome.result(TIMEOUT) == ["problem of reload 2"]
    assert reload.times == reloads


def test_requests_by_signal_and_over_http_share_a_reload(start: Begin) -> None:
    """They share a reload, which is one over HTTP only when no signal asked for it."""
    reload = SlowReload()
    thread = start(reload)
    thread.request(over_http=True)
    assert reload.begun.acquire(timeout=TIMEOUT)
    by_http, by_signal = thread.request(over_http=True), thread.request()
    assert thread.request(over_http=True) is by_http is by_signal
    reload.may_end.release()
    assert reload.begun.acquire(timeout=TIMEOUT)
    thread.request(over_http=True)
    reload.may_end.release(2)
    assert reload.begun.acquire(timeout=TIMEOUT)
    assert reload.over_http == [True, False, True]


@pytest.mark.parametrize(("seconds", "pause"), [(0.0, 0.0), (0.5, 2.0), (2.5, 10.0), (20.0, 10.0)])
def test_a_pause_follows_each_reload(seconds: float, pause: float) -> None:
    """Requests without end take a fifth of a processor, and wait ten seconds at most."""
    stop = RecordingStop()

    def reload(*, over_http: bool) -> Sequence[str]:  # noqa: ARG001 - the protocol's
        stop.set()
        reloads.join(0.0)
        return ()

    reloads = ReloadThread(reload, stop, Clock(monotonic=iter((7.0, 7.0 + seconds)).__next__))
    reloads.request()
    reloads.run()
    assert stop.waited == [pause]


def test_a_cancelled_request_takes_the_outcome_from_no_other(start: Begin) -> None:
    """A request that is given up takes the outcome from no other."""
    reload = SlowReload()
    thread = start(reload)
    outcome = thread.request()
    assert not outcome.cancel()
    reload.may_end.release()
    assert outcome.result(TIMEOUT) == ["problem of reload 1"]


def test_waiting_requests_are_not_served_after_the_stop(start: Begin, stop: RecordingStop) -> None:
    """Requests that wait when it is time to stop are not served any more."""
    reload = SlowReload()
    thread = start(reload)
    thread.request()
    assert reload.begun.acquire(timeout=TIMEOUT)
    waiting = thread.request()
    stop.set()
    reload.may_end.release()
    assert thread.join(TIMEOUT)
    assert reload.times == 1
    assert not waiting.done()


def test_a_reload_that_hangs_does_not_delay_the_stop(start: Begin, stop: RecordingStop) -> None:
    """A thread that hangs is not waited for longer than asked."""
    reload = SlowReload()
    thread = start(reload)
    thread.request()
    assert reload.begun.acquire(timeout=TIMEOUT)
    stop.set()
    assert not thread.join(0.0)
    reload.may_end.release()


def test_a_defect_reaches_the_requester_and_ends_the_thread() -> None:
    """A defect reaches who asked, and the thread is known not to run."""

    def fail(*, over_http: bool) -> Sequence[str]:  # noqa: ARG001 - the protocol's
        raise ValueError("a defect")

    stop = threading.Event()
    thread = ReloadThread(fail, stop, Clock())
    thread.start()
    with pytest.raises(ValueError, match="a defect"):
        thread.request().result(TIMEOUT)
    deadline = threading.Event()
    while not thread.list_dead_threads():
        deadline.wait(0.001)
    assert thread.list_dead_threads() == ("reload",)
    stop.set()
    assert thread.join(TIMEOUT)
