"""Metric families from what is known of the targets.

They are made from the store each time, so that the series of a user, a path or a folder that
is gone are gone with it. Samples carry no timestamps: Prometheus would not notice when they end.
ScaleEngine chooses the names of users and folders: secrets in them are redacted.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final, TypeAlias

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.account_metrics import find_changed
from exporter.metrics.descriptions import (
    DISK_QUOTA,
    DISK_USAGE,
    DISK_USAGE_DAY,
    EVERY_OTHER,
    Quotas,
    find_quota,
)
from exporter.metrics.self_metrics import WallTime
from exporter.polling.demand import compute_demand_ratio, measure_overdue
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, FolderCount, Snapshot
from exporter.polling.store import TARGETS, Store, TargetState
from exporter.polling.targets import Target
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor

log: Final = structlog.get_logger(__name__)

Usages: TypeAlias = Iterable[tuple[Target, DiskUsageSnapshot]]
Counts: TypeAlias = Iterable[tuple[Target, FileCounts]]

_USER = ("account", "cpu_user")
_TREE = ("account", "path", "file_type")
_FOLDER = ("account", "path", "folder", "file_type")
_POLL = ("account", "collector", "path", "file_type")

_BETWEEN: Final = "\0"
_ADVICE: Final = "find out who has named it so, and replace the credentials"


class SnapshotCollector:
    """Makes families of what the store holds, and what of it still counts, at each call."""

    source: Final = TARGETS

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wall_time: WallTime,
        redactor: "SnapshotRedactor",
        requests_per_second: float | None = None,
    ) -> None:
        self._requests_per_second = requests_per_second
        self._redactor = redactor
        self._store = store
        self._clock = clock
        self._wall_time = wall_time

    def set_rate_limit(self, requests_per_second: float | None, accounts: Iterable[str]) -> None:
        """Compare the demand of the accounts with another rate limit from now on."""
        if requests_per_second != self._requests_per_second:
            self._requests_per_second = requests_per_second
            self._store.changes.add(self.source, accounts)

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the families of disk usage, files and polls."""
        monotonic = self._clock.monotonic()
        known, snapshots = list[TargetState](), list[tuple[Target, Snapshot | None]]()
        for account in accounts:
            its = self._store.account(account)
            known += its
            snapshots += self._redactor.read(account, its, monotonic)
        yield from build_disk_usage_families(
            [(target, held) for target, held in snapshots if isinstance(held, DiskUsageSnapshot)]
        )
        yield from build_file_families(
            [(target, held) for target, held in snapshots if isinstance(held, FileCounts)]
        )
        yield from build_poll_families(known, self._wall_time.unix)
        yield _build_demand_family(known, self._requests_per_second)
        yield _build_strategy_family(known)


def build_disk_usage_families(usages: Usages) -> Iterator[Metric]:
    """Return the bytes of each CPU user, their day, and how many users have no number."""
    disk_usage = GaugeMetricFamily(*DISK_USAGE, labels=_USER)
    day = GaugeMetricFamily(*DISK_USAGE_DAY, labels=_USER)
    rejected_users = GaugeMetricFamily(
        "scaleengine_disk_usage_rejected_users",
        "CPU users without scaleengine_disk_usage_bytes because rows were rejected (disk.usage), "
        "as of the last poll.",
        labels=("account",),
    )
    for target, usage in usages:
        rejected_users.add_metric((target.account,), len(usage.rejected_users))
        for user in usage.users:
            labels = (target.account, user.cpu_user)
            disk_usage.add_metric(labels, user.bytes)
            day.add_metric(labels, _get_midnight(user.day))
    yield disk_usage
    yield day
    yield rejected_users


def build_file_families(counts: Counts) -> Iterator[Metric]:
    """Return the files and folders below each path, and the files of each of its folders."""
    files = GaugeMetricFamily(
        "scaleengine_files",
        "Files below the path, at any depth (files.list, counted), as of the last poll. "
        "What moves during a poll may be missed or counted twice.",
        labels=_TREE,
    )
    folders = GaugeMetricFamily(
        "scaleengine_folders",
        "Folders below the path, at any depth (files.list, counted), as of the last poll. "
        "What moves during a poll may be missed or counted twice.",
        labels=_TREE,
    )
    folder_files = GaugeMetricFamily(
        "scaleengine_folder_files",
        "Files of each folder below the path and of all below it, cut at folder_depth levels; "
        "'.' are the files directly in the path, '_other' the smallest folders beyond max_folders "
        "(files.list, counted), as of the last poll.",
        labels=_FOLDER,
    )
    for target, count in counts:
        tree = (target.account, target.path, target.file_type)
        files.add_metric(tree, count.files)
        folders.add_metric(tree, count.folders)
        for part in count.by_folder or ():
            labels = (target.account, target.path, part.folder, target.file_type)
            folder_files.add_metric(labels, part.files)
    yield files
    yield folders
    yield folder_files


def build_poll_families(
    known: Collection[TargetState], unix: Callable[[float], float]
) -> Iterator[Metric]:
    """Return how the last poll of each target went; what has not happened yet is absent.

    ``unix`` converts monotonic time.
    """
    success = GaugeMetricFamily(
        "scaleengine_poll_success", "1 if the last finished poll succeeded, else 0.", labels=_POLL
    )
    duration = GaugeMetricFamily(
        "scaleengine_poll_duration_seconds", "Duration of the last finished poll.", labels=_POLL
    )
    requests = GaugeMetricFamily(
        "scaleengine_poll_requests", "API requests of the last finished poll.", labels=_POLL
    )
    last_success = GaugeMetricFamily(
        "scaleengine_poll_last_success_timestamp_seconds",
        "When the last successful poll finished, in unix time.",
        labels=_POLL,
    )
    interval = GaugeMetricFamily(
        "scaleengine_poll_interval_seconds",
        "Configured time from one poll to the next.",
        labels=_POLL,
    )
    failure = GaugeMetricFamily(
        "scaleengine_poll_failure_info",
        "1 while the last finished poll has failed for the reason; absent after a good one.",
        labels=(*_POLL, "reason"),
    )
    overdue = GaugeMetricFamily(
        "scaleengine_poll_overdue_seconds",
        "How long after the next poll was due the last finished one ended; 0 where it ended in "
        "time.",
        labels=_POLL,
    )
    next_poll = GaugeMetricFamily(
        "scaleengine_poll_next_timestamp_seconds",
        "When the next poll is due, in unix time; in the past while it is under way.",
        labels=_POLL,
    )
    for state in known:
        target, last, good = state.target, state.last, state.good
        labels = (target.account, target.collector, target.path, target.file_type)
        interval.add_metric(labels, target.interval)
        if last is not None:
            success.add_metric(labels, int(last.reason is None))
            duration.add_metric(labels, last.seconds)
            requests.add_metric(labels, last.requests)
            overdue.add_metric(labels, measure_overdue(target, last))
            if last.reason is not None:
                failure.add_metric((*labels, str(last.reason)), 1)
        if state.next_due is not None:
            next_poll.add_metric(labels, unix(state.next_due))
        if good is not None:
            last_success.add_metric(labels, unix(good.finished))
    yield from (success, failure, duration, requests, overdue, last_success, next_poll, interval)


def _build_demand_family(known: Iterable[TargetState], requests_per_second: float | None) -> Metric:
    """Return the demand of each account, as a share of the rate limit."""
    family = GaugeMetricFamily(
        "scaleengine_account_request_demand_ratio",
        "API requests that polls like the last good ones need, as a share of "
        "api.requests_per_second; absent before a good poll of each target.",
        labels=("account",),
    )
    by_account: dict[str, list[TargetState]] = {}
    for state in known:
        by_account.setdefault(state.target.account, []).append(state)
    for account, its in by_account.items():
        ratio = compute_demand_ratio(its, requests_per_second)
        if ratio is not None:
            family.add_metric((account,), ratio)
    return family


def _build_strategy_family(known: Iterable[TargetState]) -> Metric:
    """Return what the walks of each account had found out when the last of its polls ended."""
    family = GaugeMetricFamily(
        "scaleengine_walk_strategy_info",
        "1 for how the account's file trees are read: parent_entries, parent_folders or "
        "parent_files where a request for a folder can continue at a sub-folder, by what its "
        "offset counts; children where it cannot; absent before the first try.",
        labels=("account", "strategy"),
    )
    strategies: dict[str, tuple[float, str]] = {}
    for state in known:
        last, account = state.last, state.target.account
        if last is not None and last.walk_strategy is not None:
            ended = (last.finished, last.walk_strategy)
            strategies[account] = max(ended, strategies.get(account, ended))
    for account, (_, strategy) in strategies.items():
        family.add_metric((account, strategy), 1)
    return family


def _get_midnight(day: date) -> float:
    return datetime.combine(day, time.min, UTC).timestamp()


class QuotaCollector:
    """Collects the quota of each CPU user that has a disk usage or its own quota."""

    source: Final = TARGETS

    def __init__(
        self, quotas: Quotas, store: Store, clock: Clock, redactor: "SnapshotRedactor"
    ) -> None:
        self._quotas: Quotas = {}
        self._redactor = redactor
        self._store = store
        self._clock = clock
        self.set_quotas(quotas)

    def set_quotas(self, quotas: Quotas) -> None:
        """Replace the quotas."""
        before, self._quotas = self._quotas, quotas
        self._store.changes.add(self.source, find_changed(before, quotas))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of quotas."""
        family = GaugeMetricFamily(*DISK_QUOTA, labels=("account", "cpu_user"))
        quotas = self._quotas
        for account in accounts:
            by_user = quotas.get(account)
            if not by_user:
                continue
            own = [user for user in by_user if user != EVERY_OTHER]
            for user in dict.fromkeys([*own, *self._list_users(account)]):
                quota = find_quota(by_user, user)
                if quota is not None:
                    family.add_metric((account, user), quota)
        yield family

    def _list_users(self, account: str) -> Iterator[str]:
        """Return the CPU users of an account whose disk usage is shown now."""
        known = self._store.account(account)
        for _, snapshot in self._redactor.read(account, known, self._clock.monotonic()):
            if isinstance(snapshot, DiskUsageSnapshot):
                yield from (user.cpu_user for user in snapshot.users)


@dataclass(frozen=True, slots=True)
class _Redacted:
    """A snapshot as it was, and without secrets; ``secrets`` is how many were known."""

    original: Snapshot
    secrets: int
    snapshot: Snapshot


class SnapshotRedactor:
    """Redacts the names in snapshots, each snapshot once; for one thread at a time."""

    def __init__(self, secrets: SecretRedactor) -> None:
        self._secrets = secrets
        self._searched = secrets.learned
        self._accounts: dict[str, dict[Target, _Redacted]] = {}

    def set_accounts(self, accounts: Container[str]) -> None:
        """Keep nothing of other accounts than these."""
        for account in [name for name in self._accounts if name not in accounts]:
            del self._accounts[account]

    def read(
        self, account: str, known: Iterable[TargetState], monotonic: float
    ) -> Sequence[tuple[Target, Snapshot | None]]:
        """Return each target with its snapshot, while that counts, without secrets in its names.

        ``known`` is what is known of the targets of the account. Folders whose names are the same
        then are one. Users whose names are the same then are left out: which of their numbers is
        right is not known. ``monotonic`` is the monotonic time.
        """
        before = self._accounts.get(account, {})
        after = self._accounts[account] = {}
        found = []
        for state in known:
            target, snapshot = state.target, state.snapshot(monotonic)
            if snapshot is not None:
                redacted = after[target] = self._redact(target, snapshot, before.get(target))
                snapshot = redacted.snapshot
            found.append((target, snapshot))
        return found

    def accounts_to_redact(self) -> list[str]:
        """Return the accounts whose names hold a secret, if any was learned since the last call."""
        learned = self._secrets.learned
        if learned == self._searched:
            return []
        found = [
            account
            for account, by_target in self._accounts.items()
            if any(
                self._secrets.are_in(_BETWEEN.join(_list_names(redacted.original)))
                for redacted in by_target.values()
            )
        ]
        self._searched = learned
        return found

    def _redact(self, target: Target, snapshot: Snapshot, before: _Redacted | None) -> _Redacted:
        secrets = self._secrets.learned
        if before and before.original is snapshot and before.secrets == secrets:
            return before
        if not self._secrets.are_in(_BETWEEN.join(_list_names(snapshot))):
            return _Redacted(snapshot, secrets, snapshot)
        if before is None or before.snapshot is before.original:
            log.warning("secret redacted in a name", target=str(target), advice=_ADVICE)
        if isinstance(snapshot, DiskUsageSnapshot):
            return _Redacted(snapshot, secrets, self._redact_usage(snapshot))
        return _Redacted(snapshot, secrets, self._redact_counts(snapshot))

    def _redact_usage(self, usage: DiskUsageSnapshot) -> DiskUsageSnapshot:
        redact = self._secrets.redact
        users = [replace(user, cpu_user=redact(user.cpu_user)) for user in usage.users]
        times = Counter(user.cpu_user for user in users)
        return replace(usage, users=tuple(user for user in users if times[user.cpu_user] == 1))

    def _redact_counts(self, counts: FileCounts) -> FileCounts:
        files: Counter[str] = Counter()
        for part in counts.by_folder or ():
            files[self._secrets.redact(part.folder)] += part.files
        return replace(counts, by_folder=tuple(FolderCount(*item) for item in files.items()))


def _list_names(snapshot: Snapshot) -> Iterable[str]:
    if isinstance(snapshot, DiskUsageSnapshot):
        return (user.cpu_user for user in snapshot.users)
    return (part.folder for part in snapshot.by_folder or ())
