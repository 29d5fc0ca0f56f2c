"""The metrics observer of the fault matrix sees every number that was not true."""

import threading
from collections.abc import Callable
from datetime import date

import pytest

from bench.faults.metrics_observer import MetricsObserver, WatchedStore
from bench.faults.truth import Holdings
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    Snapshot,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from tests.support.published import published

USAGE = DiskUsageTarget("main", 60.0, 180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video", folder_depth=1)
NOW = 1_790_000_000.0


@pytest.fixture
def holdings() -> Holdings:
    """Return an account with two files at first; at 100 s a third one comes."""
    held = Holdings([USAGE, FILES])

    def begin(held: Holdings) -> None:
        held.bytes_by_user = {"web": 1024}
        held.storage.add("sestore4/jb/a.mp4")
        held.storage.add("sestore4/jb/below/b.mp4")

    held.change(lambda: 0.0, begin)
    held.change(lambda: 100.0, lambda held: held.storage.add("sestore4/jb/below/c.mp4"))
    return held


@pytest.fixture
def seen(holdings: Holdings) -> Callable[[Target, Snapshot, float], list[str]]:
    """Return what publishes the snapshot of a poll of 10 s, by its end, and tells what is wrong."""

    def publish(target: Target, snapshot: Snapshot, ended: float) -> list[str]:
        clock = Clock(lambda: NOW + ended, lambda: ended)
        store = WatchedStore([USAGE, FILES])
        good = LastGood(snapshot, ended)
        assert store.record(target, PollResult(ended, 10.0, 1), good)
        metrics = build_metrics(store, {"main": 158}, clock)
        observer = MetricsObserver(store, holdings.truths, metrics.wall_time)
        observer.look(published(Publisher(metrics, store, clock, threading.Event())))
        assert observer.publications == 1
        assert bool(observer.wrong_count) == bool(observer.wrong)
        return observer.wrong

    return publish


def counts(files: int, **folders: int) -> FileCounts:
    by_folder = {".": 1, **folders}
    return FileCounts(files, 1, tuple(FolderCount(*count) for count in by_folder.items()))


@pytest.mark.parametrize(
    ("ended", "snapshot"),
    [
        (50.0, counts(2, below=1)),
        (105.0, counts(2, below=1)),
        (105.0, counts(3, below=2)),
        (150.0, counts(3, below=2)),
    ],
    ids=["before a change", "seen before it", "seen after it", "after it"],
)
def test_numbers_that_were_true_during_their_poll_are_right(
    seen: Callable[[Target, Snapshot, float], list[str]], ended: float, snapshot: FileCounts
) -> None:
    """A number may be that of any moment between the beginning and the end of its poll."""
    assert seen(FILES, snapshot, ended) == []


@pytest.mark.parametrize(
    ("ended", "snapshot", "wrong"),
    [
        (50.0, counts(3, below=2), "3 was never true"),
        (150.0, counts(2, below=1), "2 was never true"),
        (150.0, counts(4, below=3), "4 was never true"),
        (150.0, counts(3, below=1), "the files of the folders are not the files in all"),
        (150.0, counts(3, other=2), "a series is missing or too much"),
        (150.0, FileCounts(3, 1), "a series is missing or too much"),
    ],
    ids=["too early", "too late", "too many", "in part", "another folder", "no folders"],
)
def test_numbers_that_were_not_true_during_their_poll_are_wrong(
    seen: Callable[[Target, Snapshot, float], list[str]],
    ended: float,
    snapshot: FileCounts,
    wrong: str,
) -> None:
    """A number that was not true during its poll is found, and a sum that does not add up."""
    assert [sentence for sentence in seen(FILES, snapshot, ended) if wrong in sentence] != []


@pytest.mark.parametrize(
    ("users", "wrong"),
    [({"web": 1024}, 0), ({"web": 1025}, 1), ({"web": 1024, "mail": 1}, 2)],
)
def test_bytes_are_compared_with_those_during_their_poll(
    seen: Callable[[Target, Snapshot, float], list[str]], users: dict[str, int], wrong: int
) -> None:
    """So is it with the bytes of CPU users."""
    day = date(2026, 9, 21)
    usage = DiskUsageSnapshot(tuple(UserUsage(user, day, size) for user, size in users.items()))

    assert len(seen(USAGE, usage, 50.0)) == wrong


def test_a_change_is_true_from_when_no_response_shows_the_state_before_it() -> None:
    """A response that is made while a change waits is of the state before: so is its moment."""
    held, now, is_waiting = Holdings([USAGE]), [10.0], threading.Event()

    class Lock:
        def __enter__(self) -> None:
            is_waiting.set()
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    lock, held.lock = held.lock, Lock()  # type: ignore[assignment]

    def change(held: Holdings) -> None:
        held.bytes_by_user = {"web": 1}

    with lock:
        changing = threading.Thread(target=held.change, args=(lambda: now[0], change))
        changing.start()
        assert is_waiting.wait(60)
        now[0] = 20.0
    changing.join(60)

    truth = held.truths[USAGE]
    assert truth.between(10.0, 19.0) == []
    assert truth.between(20.0, 20.0) == [held.numbers(USAGE)]


def test_numbers_without_a_poll_are_wrong(holdings: Holdings) -> None:
    """Numbers of an unknown poll are wrong."""
    clock = Clock(lambda: NOW, lambda: 50.0)
    store = WatchedStore([FILES])
    store.record(FILES, PollResult(50.0, 1.0, 1), LastGood(counts(2, below=1), 50.0))
    store.windows[FILES].clear()
    metrics = build_metrics(store, {"main": 158}, clock)
    observer = MetricsObserver(store, {FILES: holdings.truths[FILES]}, metrics.wall_time)
    observer.look(published(Publisher(metrics, store, clock, threading.Event())))

    assert observer.wrong == [f"{FILES}: numbers of no poll that is known to have been good"]
