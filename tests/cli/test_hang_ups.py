"""SIGHUP reloads in a thread of its own, and never piles up."""

import threading
from collections.abc import Callable

import pytest

from exporter.reload import HangUps

PATIENCE = 5.0


class SlowReload:
    """A reload that lasts until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=PATIENCE)


@pytest.fixture
def run() -> Callable[[HangUps], threading.Thread]:
    """Give a function that lets hang-ups be heeded in a thread."""

    def begin(hang_ups: HangUps) -> threading.Thread:
        thread = threading.Thread(target=hang_ups.run, daemon=True)
        thread.start()
        return thread

    return begin


@pytest.mark.parametrize(("signals", "reloads"), [(0, 1), (1, 2), (1000, 2)])
def test_signals_during_a_reload(
    run: Callable[[HangUps], threading.Thread], signals: int, reloads: int
) -> None:
    """However many signals come while a reload is under way, they call for one more."""
    reload, stop = SlowReload(), threading.Event()
    hang_ups = HangUps(reload, stop)
    hang_ups.heed()
    thread = run(hang_ups)
    assert reload.begun.acquire(timeout=PATIENCE)
    for _ in range(signals):
        hang_ups.heed()
    for _ in range(reloads - 1):
        reload.may_end.release()
        assert reload.begun.acquire(timeout=PATIENCE)

    stop.set()
    reload.may_end.release()
    hang_ups.join(0.0)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert reload.times == reloads


def test_the_end_with_signals_waiting(run: Callable[[HangUps], threading.Thread]) -> None:
    """Signals that were not heeded yet when it is time to stop are heeded no more."""
    reload, stop = SlowReload(), threading.Event()
    hang_ups = HangUps(reload, stop)
    hang_ups.heed()
    thread = run(hang_ups)
    assert reload.begun.acquire(timeout=PATIENCE)
    hang_ups.heed()
    stop.set()
    reload.may_end.release()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert reload.times == 1
