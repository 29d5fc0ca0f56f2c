"""When something new is published: within a second, and after any failure."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from prometheus_client import Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from exporter.metrics.account_metrics import NO_ACCOUNT, AccountCollector
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.credentials import CredentialVerdict
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    Snapshot,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, compute_delta
from exporter.polling.threads import Stop
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.redaction import SecretRedactor
from tests.support.clocks import FakeClock
from tests.support.published import published

USAGE = DiskUsageTarget("main", interval=60, stale_after=180)
FILES = FilesTarget("main", 60, 180, "sestore4/jb", "video", folder_depth=1)
TARGETS: list[Target] = [USAGE, FILES]
OTHER = FilesTarget("other", 60, 180, "sestore4/jb", "video")
BYTES = DiskUsageSnapshot((UserUsage("web", date(2014, 11, 11), 5),))
UNSHOWABLE = FileCounts(1, 1, (FolderCount("\ud800", 1),))
"""A count that no UTF-8 can hold: the store should never get one."""

Polled = Callable[[Target, Snapshot | Reason], None]


class ScriptedStop:
    """A stop signal for which each wait is a turn of the test, and the last turn is the stop."""

    def __init__(self, turns: Callable[[], Iterator[None]]) -> None:
        self._turns = turns()
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return next(self._turns, self) is self


class CountingCollector(Collector):
    """Has no families, counts how often it is asked for them, can fail and can take its time."""

    source = "asked"

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
            assert self.may_end.wait(60.0)
        yield from ()

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Be asked, for these accounts."""
        if set(accounts) - {NO_ACCOUNT}:
            yield from self.collect()


class RecordingCollector:
    """Notes what of a collector is collected: the source and the account, and which together."""

    def __init__(self, collector: AccountCollector, asked: list[tuple[str, str]]) -> None:
        self._collector = collector
        self._asked = asked
        self.together: list[set[str]] = []
        self.source = collector.source

    def collect_accounts(self, accounts: Iterable[str]) -> Iterable[Metric]:
        wanted = list(accounts)
        self._asked += [(self.source, account) for account in wanted]
        self.together.append(set(wanted))
        return self._collector.collect_accounts(wanted)


@pytest.fixture
def store() -> Store:
    """Return a store of one account's disk usage and one path."""
    return Store([USAGE, FILES])


@pytest.fixture
def metrics(store: Store, clock: Clock) -> Metrics:
    """Return the metrics of the store."""
    return build_metrics(store, {"main": 158}, clock)


@pytest.fixture
def publisher(store: Store, metrics: Metrics, clock: Clock) -> Callable[[Stop], Publisher]:
    """Return a function that makes a publisher with a stop signal."""
    return lambda stop: Publisher(metrics, store, clock, stop)


@pytest.fixture
def polled(store: Store, clock: Clock) -> Polled:
    """Return a function that lets a poll end now: with a snapshot, or with a reason why not."""

    def end(target: Target, learned: Snapshot | Reason) -> None:
        reason = learned if isinstance(learned, Reason) else None
        good = None if isinstance(learned, Reason) else LastGood(learned, clock.monotonic())
        store.record(target, PollResult(clock.monotonic(), 1.5, 7, reason), good)

    return end


def shown(publisher: Publisher, name: str) -> list[str]:
    """Return the values of a metric that a scrape gets now."""
    text = b"".join(published(publisher).text([name]).parts).decode()
    return [line.rpartition(" ")[2] for line in text.splitlines() if not line.startswith("#")]


def test_there_is_an_exposition_before_the_start(
    publisher: Callable[[Stop], Publisher],
) -> None:
    """The first scrape finds what is known before any poll, and every counter at 0."""
    first = publisher(threading.Event())
    assert shown(first, "scaleengine_account_info") == ["1.0"]
    assert shown(first, "scaleengine_poll_interval_seconds") == ["60.0", "60.0"]
    assert shown(first, "scaleengine_polls_total") == ["0.0", "0.0"]
    assert shown(first, "scaleengine_disk_usage_bytes") == []


def test_nothing_is_rendered_before_the_start(
    publisher: Callable[[Stop], Publisher], metrics: Metrics
) -> None:
    """What is there to be published does not delay who makes a publisher."""
    asked = CountingCollector()
    made = publisher(threading.Event())
    metrics.process.register(asked)
    assert made.latest() is None
    assert made.list_pending_targets() == (USAGE, FILES)
    assert asked.times == 1  # the registry asked, for names
    assert made.publish()
    assert made.latest() is not None


def test_the_publisher_looks_every_second(publisher: Callable[[Stop], Publisher]) -> None:
    """Between two looks lies a second, and the stop ends it at once."""

    def turns() -> Iterator[None]:
        yield
        yield

    stop = ScriptedStop(turns)
    publisher(stop).run()
    assert stop.waits == [1.0, 1.0, 1.0]


def test_long_publications_are_followed_by_long_pauses(
    publisher: Callable[[Stop], Publisher], fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause is twice as long as the publication before it: 1 s at least, and 5 s at most."""
    seconds = iter([0.4, 0.75, 2.0, 60.0])
    accounts = Metrics.accounts

    def take_long(metrics: Metrics) -> tuple[str, ...]:
        fake_clock.advance(next(seconds))
        return accounts(metrics)

    def turns() -> Iterator[None]:
        yield from [None] * 3

    monkeypatch.setattr(Metrics, "accounts", take_long)
    stop = ScriptedStop(turns)
    publisher(stop).run()
    assert stop.waits == pytest.approx([1.0, 1.5, 4.0, 5.0])


def test_a_poll_is_published_at_the_next_look(
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

    running = publisher(ScriptedStop(turns))
    running.run()


def test_a_stale_snapshot_is_removed_while_polls_hang(
    publisher: Callable[[Stop], Publisher], polled: Polled, fake_clock: FakeClock
) -> None:
    """The series of a snapshot go at the first look after ``stale_after``, while polls hang."""

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        yield
        fake_clock.advance(180)
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        fake_clock.advance(1)
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        assert shown(running, "scaleengine_poll_success") == ["1.0"]

    running = publisher(ScriptedStop(turns))
    running.run()


def test_up_is_published_during_a_poll(
    publisher: Callable[[Stop], Publisher], metrics: Metrics
) -> None:
    """Whether an account is up follows its last request by a second, not by a poll."""
    known = Credentials("key", "secret")

    def turns() -> Iterator[None]:
        for accepted, value in ((True, "1.0"), (None, "0.0")):
            metrics.record_verdict(CredentialVerdict(FILES, known, 0.0, accepted))
            yield
            assert shown(running, "scaleengine_up") == [value]

    running = publisher(ScriptedStop(turns))
    running.run()


def test_large_accounts_are_collected_one_after_the_other(clock: Clock) -> None:
    """The samples of several at once take too much memory; small ones are collected together."""
    users = tuple(UserUsage(f"user{number:04}", date(2014, 11, 11), 5) for number in range(3000))
    names = ("large", "larger", "little", "small")
    store = Store([DiskUsageTarget(name, 60, 180) for name in names])
    for target in store.current():
        usage = DiskUsageSnapshot(users if target.account.startswith("large") else users[:1])
        store.record(target, PollResult(0.0, 1.5, 7), LastGood(usage, clock.monotonic()))
    metrics = build_metrics(store, dict.fromkeys(names, 158), clock)
    watched = tuple(RecordingCollector(collector, []) for collector in metrics.collectors)
    publisher = Publisher(replace(metrics, collectors=watched), store, clock, threading.Event())

    assert len(shown(publisher, "scaleengine_disk_usage_bytes")) == 6002
    assert shown(publisher, "scaleengine_account_info") == ["1.0"] * 4
    for collector in watched:
        assert not any({"large", "larger"} <= together for together in collector.together)
    targets = next(collector for collector in watched if collector.source == "targets")
    assert len([*filter(None, targets.together)]) == 2


def test_only_changed_accounts_are_collected(
    metrics: Metrics, clock: Clock, polled: Polled, store: Store, fake_clock: FakeClock
) -> None:
    """A poll or a request leaves other accounts alone, unlooked at; time alone leaves all."""
    delta = compute_delta(TARGETS, [*TARGETS, OTHER])
    metrics.apply(delta, {"main": 158, "other": 7})
    store.apply(delta)
    asked: list[tuple[str, str]] = []
    watched = tuple(RecordingCollector(collector, asked) for collector in metrics.collectors)

    def turns() -> Iterator[None]:
        assert {account for _, account in asked} == {"main", "other", NO_ACCOUNT}
        asked.clear()
        fake_clock.advance(1)
        yield
        assert asked == []
        polled(USAGE, BYTES)
        yield
        assert asked == [("targets", "main")] * 2
        asked.clear()
        first = published(running).accounts
        metrics.record_exchange(Exchange("other", "files.list", 0.1, None, accepted=True))
        metrics.record_poll(OTHER, PollResult(0.0, 1.5, 7))
        yield
        assert sorted(asked) == [
            ("scaleengine_api_request_duration_seconds", NO_ACCOUNT),
            ("scaleengine_api_requests", "other"),
            ("scaleengine_polls", "other"),
        ]
        changed = {
            name
            for name, family in published(running).accounts.families.items()
            if family is not first.families[name]
        }
        assert changed == {source for source, _ in asked}
        asked.clear()
        yield
        assert asked == []
        assert published(running).accounts.families["scaleengine_polls"].sample_names

    running = Publisher(replace(metrics, collectors=watched), store, clock, ScriptedStop(turns))
    running.run()


def test_a_new_poll_extends_the_life_of_a_snapshot(
    publisher: Callable[[Stop], Publisher], polled: Polled, fake_clock: FakeClock
) -> None:
    """The age that counts is that of the last good poll, of each target of an account."""

    def turns() -> Iterator[None]:
        for learned in (BYTES, BYTES, Reason.NETWORK):
            polled(USAGE, learned)
            if not isinstance(learned, Reason):
                polled(FILES, FileCounts(1, 0))
            for _ in range(8):
                fake_clock.advance(10)
                yield
                assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        polled(FILES, FileCounts(2, 0))
        for _ in range(3):
            fake_clock.advance(10)
            yield
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        assert shown(running, "scaleengine_files") == ["2.0"]
        polled(USAGE, BYTES)
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        fake_clock.advance(1000)
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        assert shown(running, "scaleengine_files") == []

    running = publisher(ScriptedStop(turns))
    running.run()


def test_a_secret_in_a_published_name_is_redacted_at_the_next_look(
    store: Store, clock: Clock, polled: Polled
) -> None:
    """A secret that is learned later is redacted at the next look, though no poll has ended."""
    secrets = SecretRedactor()
    metrics = build_metrics(store, {"main": 158}, clock, secrets=secrets)

    def turns() -> Iterator[None]:
        polled(USAGE, DiskUsageSnapshot((UserUsage("the later secret", date(2014, 11, 11), 5),)))
        yield
        assert b"the later secret" in b"".join(published(running).text().parts)
        secrets.register("the later secret")
        yield
        assert b"the later secret" not in b"".join(published(running).text().parts)
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]

    running = Publisher(metrics, store, clock, ScriptedStop(turns))
    running.run()


def test_unpublished_targets_are_pending(
    publisher: Callable[[Stop], Publisher], polled: Polled, store: Store
) -> None:
    """Who waits for every target's first poll finds its series as soon as the wait is over."""

    def turns() -> Iterator[None]:
        assert running.list_pending_targets() == (USAGE, FILES)
        polled(FILES, FileCounts(1, 0))
        assert running.list_pending_targets() == (USAGE, FILES)
        yield
        assert running.list_pending_targets() == (USAGE,)
        polled(USAGE, Reason.NETWORK)
        yield
        assert running.list_pending_targets() == ()
        store.apply(compute_delta([], [USAGE, FILES, replace(FILES, path="sestore4/new")]))
        yield
        assert running.list_pending_targets() == ()  # what a reload adds is not waited for

    running = publisher(ScriptedStop(turns))
    running.run()


def test_a_failure_leaves_the_last_exposition(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """What cannot be rendered leaves the last numbers, and is logged once, until all is well."""

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

    running = publisher(ScriptedStop(turns))
    with capture_logs() as logs:
        running.run()
    assert [(entry["log_level"], entry["exc_info"]) for entry in logs] == [("error", True)] * 2
    assert "report it" in logs[0]["event"]


def test_a_failure_loses_no_change(
    store: Store, clock: Clock, metrics: Metrics, polled: Polled, fake_clock: FakeClock
) -> None:
    """What changes while publications fail is published once they succeed, without a new poll."""
    asked = CountingCollector()
    asked.failing = True

    def turns() -> Iterator[None]:
        polled(USAGE, BYTES)
        yield
        polled(FILES, FileCounts(3, 1))
        yield
        asked.failing = False
        yield
        assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
        assert shown(running, "scaleengine_files") == ["3.0"]
        asked.failing = True
        fake_clock.advance(181)
        metrics.changes.add(asked.source, ["main"])
        yield
        assert shown(running, "scaleengine_files") == ["3.0"]
        asked.failing = False
        yield
        assert shown(running, "scaleengine_files") == []

    failing = replace(metrics, collectors=(*metrics.collectors, asked))
    running = Publisher(failing, store, clock, ScriptedStop(turns))
    with capture_logs() as logs:
        running.run()
    assert [entry["log_level"] for entry in logs] == ["error"] * 2


def test_the_process_layer_is_rendered_once_a_second_for_scrapes(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, fake_clock: FakeClock
) -> None:
    """Metrics of the process are at most a second old, and not rendered without scrapes."""
    asked = CountingCollector()
    metrics.process.register(asked)
    gauge = Gauge("open_files", "Open files.", registry=metrics.process)

    def turns() -> Iterator[None]:
        for number in range(1, 4):
            times = asked.times
            gauge.set(number)
            fake_clock.advance(1)
            yield
            assert asked.times == times
            for _ in range(3):
                assert shown(running, "open_files") == [f"{number}.0"]
                published(running).text()
                published(running).gzip()
                gauge.set(100)
                fake_clock.advance(0.1)
            assert asked.times == times + 1
        gauge.set(9)
        assert running.publish()
        assert shown(running, "open_files") == ["9.0"]

    running = publisher(ScriptedStop(turns))
    running.run()


def test_a_failure_of_the_process_layer_leaves_the_rest(
    publisher: Callable[[Stop], Publisher], metrics: Metrics, polled: Polled, fake_clock: FakeClock
) -> None:
    """Metrics of the process that cannot be read are absent and logged; all else is served."""
    asked = CountingCollector()
    metrics.process.register(asked)

    def turns() -> Iterator[None]:
        assert shown(running, "python_info") == ["1.0"]
        asked.failing = True
        for _ in range(2):
            polled(USAGE, BYTES)
            fake_clock.advance(1)
            yield
            assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
            assert shown(running, "python_info") == []
        asked.failing = False
        fake_clock.advance(1)
        yield
        assert shown(running, "python_info") == ["1.0"]

    running = publisher(ScriptedStop(turns))
    with capture_logs() as logs:
        running.run()
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_a_scrape_does_not_wait_for_a_publication(
    store: Store, clock: Clock, metrics: Metrics, polled: Polled
) -> None:
    """While something is being published, a scrape gets what was published before."""
    asked = CountingCollector()

    def turns() -> Iterator[None]:
        yield

    watched = replace(metrics, collectors=(*metrics.collectors, asked))
    running = Publisher(watched, store, clock, ScriptedStop(turns))
    before = published(running)
    polled(USAGE, BYTES)
    metrics.changes.add(asked.source, ["main"])
    asked.slow = True
    running.start()
    assert asked.under_way.wait(60.0)
    assert published(running) is before
    assert shown(running, "scaleengine_disk_usage_bytes") == []
    assert not running.join(0.0)
    asked.may_end.set()
    assert running.join(60.0)
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]


def test_stop_ends_the_thread(publisher: Callable[[Stop], Publisher]) -> None:
    """The thread of a publisher runs from its start to its stop."""
    stop = threading.Event()
    running = publisher(stop)
    assert running.list_dead_threads() == ("publish",)
    running.start()
    assert running.list_dead_threads() == ()
    stop.set()
    assert running.join(60.0)
    assert running.list_dead_threads() == ("publish",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_ended_thread_is_listed(publisher: Callable[[Stop], Publisher]) -> None:
    """A thread that ended is listed, for the health page."""

    def turns() -> Iterator[None]:
        yield
        raise RuntimeError("a defect")

    running = publisher(ScriptedStop(turns))
    running.start()
    assert running.join(60.0)
    assert running.list_dead_threads() == ("publish",)


def test_a_requested_publication_is_made_at_once(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """A requested publication has what has changed at once, without a look."""
    stop = threading.Event()
    running = publisher(stop)
    polled(USAGE, BYTES)
    assert running.publish()
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]


def test_a_requested_publication_that_fails_raises(
    publisher: Callable[[Stop], Publisher], polled: Polled
) -> None:
    """A requested publication that fails raises, and the log has the cause, once."""
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
    """While several things are changed, the thread that looks each second waits."""

    def turns() -> Iterator[None]:
        yield

    running = publisher(ScriptedStop(turns))
    published(running)
    with running.paused():
        running.start()
        polled(USAGE, BYTES)
        assert not running.join(0.05)
        assert shown(running, "scaleengine_disk_usage_bytes") == []
        polled(FILES, FileCounts(3, 1))
    assert running.join(60.0)
    assert shown(running, "scaleengine_disk_usage_bytes") == ["5.0"]
    assert shown(running, "scaleengine_files") == ["3.0"]


def test_free_memory_is_released_every_ten_seconds(
    publisher: Callable[[Stop], Publisher], fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is at the start and every ten seconds, and not at each look."""
    looks = 0
    released: list[int] = []
    monkeypatch.setattr(
        "exporter.metrics.publisher.FreeMemoryRelease", lambda: lambda: released.append(looks)
    )

    def seconds() -> Iterator[None]:
        nonlocal looks
        for looks in range(1, 26):  # noqa: B007 - it is what the release above notes
            fake_clock.advance(1)
            yield

    publisher(ScriptedStop(seconds)).run()
    assert released == [1, 11, 21]
