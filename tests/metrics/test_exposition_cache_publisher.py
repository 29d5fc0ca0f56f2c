"""When something new is published: within a second, whatever it is, and whatever goes wrong."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from prometheus_client import Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.reload_delta import compute_delta
from exporter.polling.snapshots import DiskUsage, FileCounts, FolderCount, Snapshot, UserUsage
from exporter.polling.stopping import Stop
from exporter.polling.store import Good, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.verdicts import Verdict
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason

USAGE = DiskUsageTarget("main", interval=60, stale_after=180)
FILES = FilesTarget("main", 60, 180, "sestore4/jb", "video", folder_depth=1)
BYTES = DiskUsage((UserUsage("web", date(2014, 11, 11), 5),))
UNSHOWABLE = FileCounts(1, 1, (FolderCount("\ud800", 1),))
"""A count that no UTF-8 can hold: the store should never get one."""

LetPass = Callable[[float], None]
Polled = Callable[[Target, Snapshot | Reason], None]


class Turns:
    """A stop signal for which each wait is a turn of the test, and the last turn is the stop."""

    def __init__(self, turns: Callable[[], Iterator[None]]) -> None:
        self._turns = turns()
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return next(self._turns, self) is self


class Asked(Collector):
    """Has no families, counts how often it is asked for them, can fail and can take its time."""

    def __init__(self) -> None:
        self.times = 0
        self.failing = self.slow = False
        self.under_way, self.may_end = threading.Event(), threading.Event()

    def collect(self) -> Iterator[Metric]:
        self.times += 1
        if self.failing:
            raise OSError("the process cannot be looked at")
        if self.slow:
            self.under_way.set()
            assert self.may_end.wait(5.0)
        yield from ()


@pytest.fixture
def store() -> Store:
    """Give a store of one account's disk usage and one path."""
    return Store([USAGE, FILES])


@pytest.fixture
def metrics(store: Store, clock: Clock) -> Metrics:
    """Give the metrics of the store."""
    return build_metrics(store, {"main": 158}, clock)


@pytest.fixture
def publisher(store: Store, metrics: Metrics, clock: Clock) -> Callable[[Stop], Publisher]:
    """Give a function that makes a publisher with a stop signal."""
    return lambda stop: Publisher(metrics, store, clock, stop)


@pytest.fixture
def polled(store: Store, clock: Clock) -> Polled:
    """Give a function that lets a poll end now: with a snapshot, or with a reason why not."""

    def end(target: Target, learned: Snapshot | Reason) -> None:
        reason = learned if isinstance(learned, Reason) else None
        good = None if isinstance(learned, Reason) else Good(learned, clock.elapsed())
        store.record(target, PollResult(clock.elapsed(), 1.5, 7, reason), good)

    return end


def shown(publisher: Publisher, name: str) -> list[str]:
    """Return the values of a metric that a scrape gets now."""
    text = b"".join(publisher.current().text([name]).parts).decode()
    return [line.rpartition(" ")[2] for line in text.splitlines() if not line.startswith("#")]


def test_something_is_there_before_it_is_started(
    publisher: Callable[[Stop], Publisher],
) -> None:
    """The first scrape finds what is known before any poll, and every counter at 0."""
    first = publisher(threading.Event())
    assert shown(first, "scaleengine_account_info") == ["1.0"]
    assert shown(first, "scaleengine_poll_interval_seconds") == ["60.0", "60.0"]
    assert shown(first, "scaleengine_polls_total") == ["0.0", "0.0"]
    assert shown(first, "scaleengine_disk_usage_bytes") == []


def test_it_looks_every_second(publisher: Callable[[Stop], Publisher]) -> None:
    """Between two looks lies a second, and the stop ends it at once."""

    def turns() -> Iterator[None]:
        yield
        yield

    stop = Turns(turns)
    publisher(stop).run()
    assert stop.waits == [1.0, 1.0, 1.0]


def test_a_poll_shows_at_the_next_look(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, polled: Polled
) -> None:
    """What a poll has learned, or that it failed, is published with the next look, not before."""

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        metrics.polls.count(USAGE, PollResult(0.0, 1.5, 7))
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        assert shown(running, "scaleengine_poll_success") == ["1.0"]
        assert shown(running, "scaleengine_polls_total") == ["1.0", "0.0"]
        polled(USAGE, Reason.SERVER)
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        assert shown(running, "scaleengine_poll_success") == ["0.0"]

    running = publisher(Turns(turns))
    running.run()


def test_a_stale_snapshot_goes_though_no_poll_ends(
    publisher: Callable[[Stop], Publisher], polled: Polled, let_pass: LetPass
) -> None:
    """The series of a snapshot go at the first look after ``stale_after``, while polls hang."""

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        yield
        let_pass(180)
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        let_pass(1)
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        assert shown(running, "scaleengine_poll_success") == ["1.0"]

    running = publisher(Turns(turns))
    running.run()


def test_up_shows_while_a_poll_goes_on(
    publisher: Callable[[Stop], Publisher], metrics: Metrics
) -> None:
    """Whether an account is up follows its last request by a second, not by a poll."""
    known = Credentials("key", "secret")

    def turns() -> Iterator[None]:
        for accepted, value in ((True, "1.0"), (None, "0.0")):
            metrics.record_verdict(Verdict(FILES, known, 0.0, accepted))
            yield
            assert shown(running, "scaleengine_up") == [value]

    running = publisher(Turns(turns))
    running.run()


def test_only_what_has_changed_is_made_anew(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, polled: Polled, let_pass: LetPass
) -> None:
    """Requests leave the bulk as it is, unlooked at; time alone leaves all but the tail."""
    asked = Asked()
    metrics.bulk.register(asked)

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        yield
        first, times = running.current(), asked.times
        let_pass(1)
        yield
        second = running.current()
        assert (second.bulk, second.counters) == (first.bulk, first.counters)
        metrics.heed_exchange(Exchange("main", "files.list", 0.1, None, accepted=True))
        yield
        third = running.current()
        assert third.bulk is first.bulk
        assert third.counters is not first.counters
        assert asked.times == times
        polled(FILES, FileCounts(1, 0))
        yield
        assert running.current().bulk is not first.bulk

    running = publisher(Turns(turns))
    running.run()


def test_unfinished_is_what_has_not_been_published(
    publisher: Callable[[Stop], Publisher], polled: Polled, store: Store
) -> None:
    """Who waits for every target's first poll finds its series as soon as the wait is over."""

    def turns() -> Iterator[None]:
        assert running.unfinished() == (USAGE, FILES)
        polled(FILES, FileCounts(1, 0))
        assert running.unfinished() == (USAGE, FILES)
        yield
        assert running.unfinished() == (USAGE,)
        polled(USAGE, Reason.NETWORK)
        yield
        assert running.unfinished() == ()
        store.apply(compute_delta([], [USAGE, FILES, replace(FILES, path="sestore4/new")]))
        yield
        assert running.unfinished() == ()  # what a reload adds makes nobody wait

    running = publisher(Turns(turns))
    running.run()


def test_a_failure_ends_nothing(publisher: Callable[[Stop], Publisher], polled: Polled) -> None:
    """What cannot be rendered leaves the last numbers, and is told once, until all is well."""

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        yield
        for _ in range(2):
            polled(FILES, UNSHOWABLE)
            yield
            yield
            assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
            assert shown(running, "scaleengine_files") == []
        polled(FILES, FileCounts(3, 1))
        yield
        assert shown(running, "scaleengine_files") == ["3.0"]
        polled(FILES, UNSHOWABLE)
        yield

    running = publisher(Turns(turns))
    with capture_logs() as logs:
        running.run()
    assert [(entry["log_level"], entry["exc_info"]) for entry in logs] == [("error", True)] * 2
    assert "report it" in logs[0]["event"]


def test_the_tail_is_that_of_the_last_look(
    publisher: Callable[[Stop], Publisher], metrics: Metrics
) -> None:
    """What tells of the process is as old as the last look: scrapes do not ask for it, looks do."""
    asked = Asked()
    metrics.tail.register(asked)
    gauge = Gauge("open_files", "Open files.", registry=metrics.tail)
    gauge.set(1)

    def turns() -> Iterator[None]:
        for number in (2, 3):
            times = asked.times
            gauge.set(number)
            for _ in range(3):
                assert shown(running, "open_files") == [f"{number - 1}.0"]
                running.current().text()
                running.current().gzip()
                running.current().gzip(["open_files"])
            assert asked.times == times
            yield
            assert asked.times == times + 1
            assert shown(running, "open_files") == [f"{number}.0"]

    running = publisher(Turns(turns))
    running.run()


def test_a_failure_of_the_tail_leaves_all_as_it_was(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, polled: Polled
) -> None:
    """If how the process is cannot be told, the last exposition stays whole: no layer is ahead."""
    asked = Asked()
    metrics.tail.register(asked)

    def turns() -> Iterator[None]:
        before = running.current()
        polled(USAGE, BYTES)
        metrics.polls.count(USAGE, PollResult(0.0, 1.5, 7))
        asked.failing = True
        for _ in range(2):
            yield
            assert running.current() is before
            assert running.unfinished() == (USAGE, FILES)
        asked.failing = False
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        assert shown(running, "scaleengine_polls_total") == ["1.0", "0.0"]

    running = publisher(Turns(turns))
    with capture_logs() as logs:
        running.run()
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_a_scrape_does_not_wait_for_a_publication(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, polled: Polled
) -> None:
    """While something is being published, a scrape gets what was published before."""
    asked = Asked()
    metrics.bulk.register(asked)

    def turns() -> Iterator[None]:
        yield

    running = publisher(Turns(turns))
    before = running.current()
    polled(USAGE, BYTES)
    asked.slow = True
    running.start()
    assert asked.under_way.wait(5.0)
    assert running.current() is before
    assert shown(running, "scaleengine_disk_usage_bytes") == []
    assert not running.join(0.0)
    asked.may_end.set()
    assert running.join(5.0)
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]


def test_the_thread_ends_when_told_to(publisher: Callable[[Stop], Publisher]) -> None:
    """A publisher lives from its start to its stop."""
    stop = threading.Event()
    running = publisher(stop)
    assert running.dead() == ("publish",)
    running.start()
    assert running.dead() == ()
    stop.set()
    assert running.join(5.0)
    assert running.dead() == ("publish",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_noticed(publisher: Callable[[Stop], Publisher]) -> None:
    """A thread that ended by itself is named, for the health page to tell."""

    def turns() -> Iterator[None]:
        yield
        raise RuntimeError("a defect")

    running = publisher(Turns(turns))
    running.start()
    assert running.join(5.0)
    assert running.dead() == ("publish",)


def test_a_publication_that_is_asked_for(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """Whoever asks for a publication finds what has changed at once, without a look."""
    stop = threading.Event()
    running = publisher(stop)
    polled(USAGE, BYTES)
    assert running.publish()
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]


def test_a_publication_that_fails_is_told(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """Whoever asks for a publication is told that it failed, and the log has why, once."""
    running = publisher(threading.Event())
    polled(FILES, UNSHOWABLE)
    with capture_logs() as logs:
        assert not running.publish()
        assert not running.publish()
    assert [entry["log_level"] for entry in logs] == ["error"]
    polled(FILES, FileCounts(3, 1))
    assert running.publish()


def test_no_publication_sees_half_of_a_change(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """While somebody changes several things, the thread that looks each second waits."""
    looked = threading.Event()

    def turns() -> Iterator[None]:
        looked.set()
        yield

    running = publisher(Turns(turns))
    with running.paused():
        running.start()
        assert looked.wait(5.0)
        polled(USAGE, BYTES)
        assert not running.join(0.05)
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        polled(FILES, FileCounts(3, 1))
    assert running.join(5.0)
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
    assert shown(running, "scaleengine_files") == ["3.0"]


def test_free_memory_is_released_now_and_then(
    publisher: Callable[[Stop], Publisher], let_pass: LetPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is at the start and every ten seconds, and not at each look."""
    looks = 0
    released: list[int] = []
    monkeypatch.setattr(
        "exporter.metrics.publisher.release_free_memory", lambda: released.append(looks)
    )

    def seconds() -> Iterator[None]:
        nonlocal looks
        for looks in range(1, 26):  # noqa: B007 - it is what the release above notes
            let_pass(1)
            yield

    publisher(Turns(seconds)).run()
    assert released == [1, 11, 21]
