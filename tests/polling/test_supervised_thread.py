"""A thread that crashes is restarted, and counts as ended meanwhile."""

import threading
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from exporter.polling.threads import SupervisedThread
from tests.support.waiting import TIMEOUT


class FakeStop:
    """A stop whose waits take no time; it comes at the wait of this number."""

    def __init__(self, comes_at: int = 1000, seen: Callable[[], object] = lambda: None) -> None:
        self.waits: list[float] = []
        self._comes_at = comes_at
        self._seen = seen

    def is_set(self) -> bool:
        return len(self.waits) >= self._comes_at

    def wait(self, timeout: float) -> bool:
        self._seen()
        self.waits.append(timeout)
        return self.is_set()


def run_thread(outcomes: Iterator[BaseException | None], stop: FakeStop) -> SupervisedThread:
    """Run a thread whose work ends by one outcome after the other; return when it has ended."""

    def work() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    thread = SupervisedThread("poll main", work, stop)
    thread.start()
    assert thread.join(TIMEOUT)
    return thread


@pytest.mark.parametrize(
    "defect",
    [ValueError("a defect"), SystemExit(1), KeyboardInterrupt()],
    ids=lambda defect: type(defect).__name__,
)
def test_work_restarts_after_a_crash(defect: BaseException) -> None:
    """For any error, the work restarts after 30 s, and one line has the traceback."""
    stop = FakeStop()
    with capture_logs() as lines:
        run_thread(iter([defect, None]), stop)
    assert stop.waits == [30.0]
    assert [(line["log_level"], line["exc_info"]) for line in lines] == [("error", True)]
    assert (lines[0]["thread"], lines[0]["wait"]) == ("poll main", "30s")
    assert lines[0]["event"] == "thread crashed, restarting; please report it"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=repr)
def test_work_restarts_after_a_lack_of_resources(error: BaseException) -> None:
    """Where a limit ends the work, one line names the limit and the next step; no defect is."""
    stop = FakeStop()
    with capture_logs() as lines:
        run_thread(iter([error, None]), stop)
    assert stop.waits == [30.0]
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("thread out of resources, restarting", "warning")
    assert (line["thread"], line["wait"]) == ("poll main", "30s")
    assert str(line["cause"]).startswith("this process ")
    assert "exc_info" not in line


def test_each_crash_doubles_the_wait() -> None:
    """Work that crashes again is restarted later each time, up to an hour."""
    stop = FakeStop()
    with capture_logs() as lines:
        run_thread(iter([*[ValueError("a defect")] * 9, None]), stop)
    assert stop.waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert len(lines) == 9


def test_an_hour_of_work_resets_the_wait() -> None:
    """After an hour without a crash the wait is the first one again; a shorter time counts not."""
    stop, now = FakeStop(), 0.0
    seconds = iter([0.0, 3599.0, 0.0, 3600.0, 0.0])

    def work() -> None:
        nonlocal now
        for worked in seconds:
            now += worked
            raise ValueError("a defect")

    thread = SupervisedThread("poll main", work, stop, lambda: now)
    with capture_logs():
        thread.start()
        assert thread.join(TIMEOUT)
    assert stop.waits == [30, 60, 120, 30, 60]


def test_the_thread_counts_as_ended_until_its_restart() -> None:
    """From the crash until the restart it is among the ended threads; then it is not."""
    seen: list[bool] = []
    begun: list[bool] = []
    stop = FakeStop(seen=lambda: seen.append(thread.is_down))

    def work() -> None:
        begun.append(thread.is_down)
        if len(begun) < 3:
            raise ValueError("a defect")

    thread = SupervisedThread("poll main", work, stop)
    assert thread.is_down, "a thread that was not started does no work"
    with capture_logs():
        thread.start()
        assert thread.join(TIMEOUT)
    assert (begun, seen) == ([False] * 3, [True] * 2)
    assert thread.is_down, "a thread whose work is done does no work"


def test_stop_ends_a_wait_for_the_restart() -> None:
    """At a stop while it waits, the thread ends; the work is not restarted."""
    stop = FakeStop(comes_at=2)
    with capture_logs():
        run_thread(iter([ValueError("a defect")] * 2), stop)
    assert len(stop.waits) == 2


def test_a_stop_before_the_start_does_no_work() -> None:
    """At a stop before the start, the thread does no work."""
    begun: list[str] = []
    thread = SupervisedThread("poll main", lambda: begun.append("work"), FakeStop(comes_at=0))
    thread.start()
    assert thread.join(TIMEOUT)
    assert begun == []


def test_join_returns_whether_the_thread_has_ended() -> None:
    """Waiting for the end says whether it has come; one that goes on does not count as ended."""
    stop = threading.Event()
    thread = SupervisedThread("poll main", stop.wait, stop)
    thread.start()
    assert not thread.join(0.0)
    assert not thread.is_down
    stop.set()
    assert thread.join(TIMEOUT)
