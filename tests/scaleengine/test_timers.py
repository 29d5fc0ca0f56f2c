"""Functions are called at their moments, all in one thread."""

import threading
import time

import pytest
from structlog.testing import capture_logs

from exporter.scaleengine.timers import TimerThread
from tests.support.waiting import TIMEOUT


def test_the_nearest_deadline_comes_first() -> None:
    """The nearest is first, also where it was added last; one that is cancelled does not come."""
    deadlines, called, done = TimerThread(), list[str](), threading.Event()
    is_busy, all_added = threading.Event(), threading.Event()

    def keep_busy() -> None:
        is_busy.set()
        all_added.wait(TIMEOUT)

    deadlines.add(0.0, keep_busy)
    assert is_busy.wait(TIMEOUT)
    # All are due, by hours that are far apart, when the thread looks for the next.
    deadlines.add(-3600.0, done.set)
    deadlines.add(-7200.0, lambda: called.append("later"))
    deadlines.add(-10_800.0, lambda: called.append("cancelled")).cancel()
    deadlines.add(-14_400.0, lambda: called.append("sooner"))
    all_added.set()
    assert done.wait(TIMEOUT)
    assert called == ["sooner", "later"]


def test_a_defect_ends_no_other_deadline() -> None:
    """What a function raises is logged, and the next ones come all the same."""
    deadlines, done = TimerThread(), threading.Event()

    def fail() -> None:
        raise RuntimeError("a defect")

    with capture_logs() as lines:
        deadlines.add(0.0, fail)
        deadlines.add(0.0, done.set)
        assert done.wait(TIMEOUT)
    assert [line["log_level"] for line in lines] == ["error"]


def test_all_deadlines_share_a_thread() -> None:
    """All are called in one thread."""
    deadlines, seen, done = TimerThread(), set[int](), threading.Event()
    for _ in range(50):
        deadlines.add(0.0, lambda: seen.add(threading.get_ident()))
    deadlines.add(0.01, done.set)
    assert done.wait(TIMEOUT)
    assert len(seen) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_ended_thread_is_restarted() -> None:
    """After any end of the thread, later deadlines come."""
    deadlines, done = TimerThread(), threading.Event()

    def end() -> None:
        raise SystemExit

    deadlines.add(0.0, end)
    limit = time.monotonic() + TIMEOUT
    while not done.is_set() and time.monotonic() < limit:
        deadlines.add(0.0, done.set)
        done.wait(0.05)
    assert done.is_set()
