"""What is published is what prometheus_client would render at that moment, for any changes."""

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from exporter.metrics.exposition import Body, Exposition
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
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
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason
from tests.support.published import published

USAGE = DiskUsageTarget("main", interval=60, stale_after=180)
QUOTAS = {"main": {"*": 9}, "new": {"web": 7}}
ACCOUNTS = ["main", 'büro "2"', "new", "4", "5"]
ACCOUNTS_PER_BLOCK = 2
TARGETS: list[Target] = [
    FilesTarget("main", 60, 180, "sestore4/jb", "video", folder_depth=1),
    FilesTarget('büro "2"', 30, 90, "sestore7/a\\b", "audio"),
]


@dataclass(frozen=True, slots=True)
class Ended:
    """A poll ended: with a snapshot, or with a reason why not."""

    target: Target
    seconds: float
    learned: Snapshot | Reason


@dataclass(frozen=True, slots=True)
class Passed:
    """Time passed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was set."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Other accounts, in this order, are polled from now on; replaced ones are others."""

    accounts: tuple[str, ...]
    replaced: tuple[str, ...]


Change: TypeAlias = Ended | Passed | ClockSet | Reloaded | Exchange | CredentialVerdict

_VALUE = re.compile(r"(?<=[a-z}]) [0-9.e+-]+$", re.MULTILINE)

label = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
number = st.integers(0, 2**60)
seconds = st.floats(0, 1e6)
reason = st.sampled_from(Reason)
users = st.builds(UserUsage, label, st.dates(date(2000, 1, 1)), number)
folders = st.builds(FolderCount, label, number)
usages = st.lists(users, max_size=4).map(tuple).map(DiskUsageSnapshot)
counts = st.builds(FileCounts, number, number, st.none() | st.lists(folders, max_size=4).map(tuple))
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Ended, st.just(USAGE), seconds, usages | reason),
    st.builds(Ended, st.sampled_from(TARGETS), seconds, counts | reason),
    st.builds(Passed, st.sampled_from([0.5, 1.0, 89.0, 90.0, 180.0, 180.5, 1e6])),
    st.builds(ClockSet, st.sampled_from([-1e6, 0.5, 3600.0])),
    st.builds(
        Reloaded,
        st.lists(st.sampled_from(ACCOUNTS), unique=True).map(tuple),
        st.lists(st.sampled_from(ACCOUNTS)).map(tuple),
    ),
    st.builds(
        CredentialVerdict,
        st.sampled_from([USAGE, *TARGETS]),
        st.just(Credentials("key", "secret")),
        st.just(0.0),
        st.sampled_from([None, True, False]),
    ),
    st.builds(
        Exchange,
        st.sampled_from(["main", 'büro "2"']),
        st.sampled_from(["disk.usage", "files.list"]),
        seconds,
        st.none() | reason,
        st.booleans(),
        st.none() | st.sampled_from([0.5, 3600.0]),
    ),
)
names = st.none() | st.sets(
    st.sampled_from(
        [
            "scaleengine_account_info",
            "scaleengine_up",
            "scaleengine_disk_usage_bytes",
            "scaleengine_files",
            "scaleengine_folder_files",
            "scaleengine_poll_last_success_timestamp_seconds",
            "scaleengine_polls",
            "scaleengine_polls_total",
            "scaleengine_api_request_failures_total",
            "scaleengine_api_request_duration_seconds",
            "scaleengine_api_request_duration_seconds_bucket",
            "scaleengine_api_request_duration_seconds_sum",
            "scaleengine_api_request_duration_seconds_count",
            "scaleengine_exporter_build_info",
            "process_cpu_seconds_total",
            "python_gc_collections_total",
            "python_info",
            "target_info",
            "nobody",
        ]
    )
)


class World:
    """A store and its metrics, a clock that moves when a test says so, and a publisher.

    It is the publisher's stop signal too: each of its waits is a turn, in which things change.
    """

    def __init__(self, script: Iterable[Iterable[Change]], asked: Collection[str] | None) -> None:
        self.script, self.asked = script, asked
        self.passed = self.set_by = 0.0
        self.held: list[tuple[Exposition, list[str]]] = []
        self.clock = Clock(lambda: 1.4e9 + self.passed + self.set_by, lambda: 5000.0 + self.passed)
        self.store = Store([USAGE, *TARGETS])
        accounts = {"main": 158, 'büro "2"': 7}
        self.metrics = build_metrics(self.store, accounts, self.clock, QUOTAS)
        self.publisher = Publisher(self.metrics, self.store, self.clock, self)
        self.turns = self.live()

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        """Let a second pass in the world; return whether it has come to its end."""
        over = next(self.turns, self) is self
        self.passed += timeout
        return over

    def live(self) -> Iterator[None]:
        """Change, and look at what was published, turn by turn."""
        self.check()
        for changes in self.script:
            for change in changes:
                self.make(change)
            yield
            self.check()
        for earlier, said in self.held:
            assert families(joined(earlier.text(self.asked))) == said

    def make(self, change: Change) -> None:
        """Let a change happen, as the pollers let it."""
        if isinstance(change, Passed):
            self.passed += change.seconds
        elif isinstance(change, ClockSet):
            self.set_by += change.seconds
        elif isinstance(change, Exchange):
            self.metrics.record_exchange(change)
        elif isinstance(change, CredentialVerdict):
            self.metrics.record_verdict(change)
        elif isinstance(change, Reloaded):
            self.reload(change)
        else:
            monotonic, learned = self.clock.monotonic(), change.learned
            reason = learned if isinstance(learned, Reason) else None
            good = None if isinstance(learned, Reason) else LastGood(learned, monotonic)
            result = PollResult(monotonic, change.seconds, 3, reason)
            if self.store.record(change.target, result, good):
                self.metrics.polls.count(change.target, result)

    def reload(self, change: Reloaded) -> None:
        """Let a reload happen, as the service lets it."""
        new = (FilesTarget(account, 60, 180, "sestore1/x", "audio") for account in change.accounts)
        targets = [
            target for target in (USAGE, *TARGETS, *new) if target.account in change.accounts
        ]
        targets.sort(key=lambda target: change.accounts.index(target.account))
        numbers = {account: len(account) for account in change.accounts}
        quotas = {account: QUOTAS[account] for account in change.accounts if account in QUOTAS}
        with self.publisher.paused():
            delta = compute_delta(self.store.current(), targets, replaced_accounts=change.replaced)
            self.metrics.apply(delta, numbers, quotas)
            self.store.apply(delta)

    def check(self) -> None:
        """Compare what was published with what the library says now."""
        exposition = published(self.publisher)
        text = families(joined(exposition.text(self.asked)))
        assert families(unpacked(exposition.gzip(self.asked))) == text
        rendered = self.render(self.metrics.registry)
        assert sorted(text) == sorted(rendered)
        # With names, the library's order is that of a set.
        assert text == rendered or self.asked is not None
        self.held.append((exposition, text))

    def render(self, registry: CollectorRegistry) -> list[str]:
        """Return the families that prometheus_client renders of a registry now."""
        if self.asked is None:
            return families(generate_latest(registry))
        return families(generate_latest(registry.restricted_registry(self.asked)))


def joined(body: Body) -> bytes:
    """Return what a client reads."""
    return b"".join(body.parts)


def unpacked(body: Body) -> bytes:
    """Return what a client reads that knows of no second gzip member."""
    member = zlib.decompressobj(31)
    text = member.decompress(joined(body))
    assert (member.eof, member.unused_data) == (True, b"")
    return text


def families(text: bytes) -> list[str]:
    """Return the text of each family, without the values that change by themselves."""
    found = text.decode().split("# HELP ")[1:]
    moving = ("process_", "python_gc_")
    return [_VALUE.sub("", line) if line.startswith(moving) else line for line in found]


@settings(max_examples=40)  # each renders the whole exposition a dozen times
@given(st.lists(st.lists(changes, max_size=4), max_size=5), names)
@example([[Ended(USAGE, 1.0, DiskUsageSnapshot(()))], [Passed(180.0)], [Passed(1.0)]], None)
@example(
    [
        [Ended(USAGE, 1.0, DiskUsageSnapshot((UserUsage("web", date(2014, 11, 11), 5),)))],
        [Reloaded(tuple(reversed(ACCOUNTS)), ())],
        [Reloaded(("new", "main"), ("main",))],
        [Reloaded(("main", "new"), ())],
    ],
    None,
)
def test_text_and_gzip_are_those_of_prometheus_client(
    script: list[list[Change]], asked: set[str] | None
) -> None:
    """After each look, text and gzip are the library's own, with names or not.

    What was published before stays as it was.
    """
    world = World(script, asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.metrics.family_text.ACCOUNTS_PER_BLOCK", ACCOUNTS_PER_BLOCK)
        world.publisher.run()
    assert len(world.held) == len(script) + 1
