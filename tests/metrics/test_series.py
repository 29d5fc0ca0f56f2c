"""When a series is there and when it is gone: after failures, with age, and with its user."""

import time
from collections.abc import Callable, Iterator
from datetime import date

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics.account_metrics import AllAccounts
from exporter.metrics.families import SnapshotCollector, SnapshotRedactor
from exporter.metrics.self_metrics import WallTime
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    Snapshot,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.redaction import SecretRedactor
from tests.support.clocks import FakeClock

Polled = Callable[[Target, Snapshot | Reason], None]
Series = Callable[[str], dict[str, float]]

USAGE = DiskUsageTarget("main", interval=60, stale_after=180)
FILES = FilesTarget("main", 60, 180, "sestore4/jb", "video", folder_depth=1)
TODAY = date(2014, 11, 11)


@pytest.fixture
def store() -> Store:
    """Return a store of one account's disk usage and one path."""
    return Store([USAGE, FILES])


@pytest.fixture
def polled(store: Store, clock: Clock) -> Polled:
    """Return a function that lets a poll end now: with a snapshot, or with a reason why not."""

    def end(target: Target, learned: Snapshot | Reason) -> None:
        reason = learned if isinstance(learned, Reason) else None
        good = None if isinstance(learned, Reason) else LastGood(learned, clock.monotonic())
        store.record(target, PollResult(clock.monotonic(), 1.5, 7, reason), good)

    return end


@pytest.fixture
def series(store: Store, clock: Clock) -> Series:
    """Return a function that scrapes the values of a metric by the label of its series."""
    registry = CollectorRegistry()
    known = SnapshotCollector(store, clock, WallTime(clock), SnapshotRedactor(SecretRedactor()))
    registry.register(AllAccounts(known, lambda: ["main"]))

    def scrape(metric: str) -> dict[str, float]:
        key = {"scaleengine_folder_files": "folder", "scaleengine_files": "path"}
        label = key.get(metric, "cpu_user" if "disk_usage" in metric else "collector")
        return {
            sample.labels[label]: sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == metric
        }

    return scrape


def usage(**bytes_total: int) -> DiskUsageSnapshot:
    """Return the disk usage of today."""
    return DiskUsageSnapshot(
        tuple(UserUsage(user, TODAY, size) for user, size in bytes_total.items())
    )


def counts(**files: int) -> FileCounts:
    """Return the counts of a path with these folders."""
    folders = tuple(FolderCount(folder, number) for folder, number in files.items())
    return FileCounts(sum(files.values()), len(files), folders)


@pytest.mark.parametrize(
    "metric",
    [
        "scaleengine_disk_usage_bytes",
        "scaleengine_disk_usage_day_timestamp_seconds",
        "scaleengine_files",
        "scaleengine_folder_files",
        "scaleengine_poll_success",
        "scaleengine_poll_duration_seconds",
        "scaleengine_poll_requests",
        "scaleengine_poll_last_success_timestamp_seconds",
    ],
)
def test_numbers_are_absent_before_the_first_poll(series: Series, metric: str) -> None:
    """What is not known yet is absent: a 0 would be wrong, and alerts would use it."""
    assert series(metric) == {}


def test_the_interval_is_there_from_the_start(series: Series) -> None:
    """The interval is known before any poll, so that alerts can measure with it."""
    assert series("scaleengine_poll_interval_seconds") == {"disk_usage": 60, "files": 60}


@pytest.fixture
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine's local time be that of New York."""
    with monkeypatch.context() as here:
        here.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
def test_the_day_is_midnight_in_utc(polled: Polled, series: Series) -> None:
    """The day of the bytes is its first second, wherever the exporter runs."""
    polled(USAGE, usage(web=5))
    assert series("scaleengine_disk_usage_day_timestamp_seconds") == {"web": 1415664000}


def test_a_good_poll_shows_its_duration_and_requests(
    polled: Polled, series: Series, clock: Clock
) -> None:
    """A good poll shows its duration, its requests and when it ended."""
    polled(FILES, counts(a=1))
    assert series("scaleengine_poll_success") == {"files": 1}
    assert series("scaleengine_poll_duration_seconds") == {"files": 1.5}
    assert series("scaleengine_poll_requests") == {"files": 7}
    assert series("scaleengine_poll_last_success_timestamp_seconds") == {"files": clock.now()}


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_poll_leaves_the_numbers(
    polled: Polled, series: Series, fake_clock: FakeClock, clock: Clock, reason: Reason
) -> None:
    """For any failure, the numbers of the last good poll stay, and its time with them."""
    polled(USAGE, usage(web=5))
    good_at = clock.now()
    fake_clock.advance(60)
    polled(USAGE, reason)

    assert series("scaleengine_disk_usage_bytes") == {"web": 5}
    assert series("scaleengine_poll_success") == {"disk_usage": 0}
    assert series("scaleengine_poll_last_success_timestamp_seconds") == {"disk_usage": good_at}


@pytest.mark.parametrize(
    ("metric", "target", "snapshot", "there"),
    [
        ("scaleengine_disk_usage_bytes", USAGE, usage(web=5), {"web": 5}),
        (
            "scaleengine_disk_usage_day_timestamp_seconds",
            USAGE,
            usage(web=5),
            {"web": 1415664000},
        ),
        ("scaleengine_files", FILES, counts(a=3), {"sestore4/jb": 3}),
        ("scaleengine_folder_files", FILES, counts(a=3), {"a": 3}),
    ],
)
def test_stale_numbers_are_absent(
    polled: Polled,
    series: Series,
    fake_clock: FakeClock,
    metric: str,
    target: Target,
    snapshot: Snapshot,
    there: dict[str, float],
) -> None:
    """A number is there for ``stale_after``, to the second, whether polls fail or hang."""
    polled(target, snapshot)
    fake_clock.advance(60)
    polled(target, Reason.SERVER)
    fake_clock.advance(120)
    assert series(metric) == there
    fake_clock.advance(1)
    assert series(metric) == {}


def test_metrics_of_the_poll_do_not_go_stale(
    polled: Polled, series: Series, fake_clock: FakeClock, clock: Clock
) -> None:
    """How old the last good poll is can be seen for as long as there is none."""
    polled(FILES, counts(a=3))
    good_at = clock.now()
    fake_clock.advance(10**6)
    assert series("scaleengine_poll_last_success_timestamp_seconds") == {"files": good_at}
    assert series("scaleengine_poll_success") == {"files": 1}


def test_stale_numbers_return_with_a_good_poll(
    polled: Polled, series: Series, fake_clock: FakeClock
) -> None:
    """The next good poll brings the series back."""
    polled(FILES, counts(a=3))
    fake_clock.advance(1000)
    polled(FILES, counts(a=4))
    assert series("scaleengine_files") == {"sestore4/jb": 4}


def test_the_series_of_a_removed_user_goes_with_the_next_good_poll(
    polled: Polled, series: Series
) -> None:
    """The series of a CPU user goes with the next good poll that lacks the user, not before."""
    polled(USAGE, usage(web=5, live=6))
    polled(USAGE, Reason.NETWORK)
    assert series("scaleengine_disk_usage_bytes") == {"web": 5, "live": 6}
    polled(USAGE, usage(web=7))
    assert series("scaleengine_disk_usage_bytes") == {"web": 7}
    assert series("scaleengine_disk_usage_day_timestamp_seconds") == {"web": 1415664000}


def test_the_series_of_a_removed_folder_goes_with_the_next_good_poll(
    polled: Polled, series: Series
) -> None:
    """The series of a folder goes with the next good poll that lacks the folder, not before."""
    polled(FILES, counts(a=1, b=2))
    polled(FILES, Reason.INCOMPLETE)
    assert series("scaleengine_folder_files") == {"a": 1, "b": 2}
    polled(FILES, counts(b=2, c=0))
    assert series("scaleengine_folder_files") == {"b": 2, "c": 0}


def test_without_folder_depth_there_are_no_series_of_folders(
    polled: Polled, series: Series
) -> None:
    """Without ``folder_depth`` there are no series of folders, only those of the path."""
    polled(FILES, FileCounts(3, 2))
    assert series("scaleengine_folder_files") == {}
    assert series("scaleengine_files") == {"sestore4/jb": 3}


def test_an_empty_path_has_0_files(polled: Polled, series: Series) -> None:
    """An empty path has 0 files, which is a number; no users are no series."""
    polled(FILES, FileCounts(0, 0))
    polled(USAGE, usage())
    assert series("scaleengine_files") == {"sestore4/jb": 0}
    assert series("scaleengine_disk_usage_bytes") == {}
    assert series("scaleengine_poll_success") == {"files": 1, "disk_usage": 1}
