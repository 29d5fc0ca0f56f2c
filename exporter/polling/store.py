"""What is known now: for each target its last good snapshot and how its last poll went."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from exporter.polling.request_log import PollTrace
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, Snapshot
from exporter.polling.targets import ReloadDelta, Target, remove_times
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import Reason

TARGETS: Final = "targets"
"""The source of changes under which a store adds accounts."""


class ChangedTargets:
    """Collects the names of accounts whose numbers have changed, until they are taken.

    Each consumer has a name. A producer adds the account after the change. A consumer that takes
    the changes reads those numbers afterwards: it finds at least the change that was added. Any
    thread may call any method.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, set[str]] = {}

    def add(self, source: str, accounts: Iterable[str]) -> None:
        """Add accounts whose numbers in ``source`` have changed."""
        with self._lock:
            self._accounts.setdefault(source, set()).update(accounts)

    def take(self) -> Mapping[str, frozenset[str]]:
        """Return the accounts by source that were added since the last call."""
        with self._lock:
            taken, self._accounts = self._accounts, {}
        return {source: frozenset(accounts) for source, accounts in taken.items() if accounts}


@dataclass(frozen=True, slots=True)
class PollResult:
    """How a poll ended: ``finished`` in monotonic time, ``seconds`` and ``requests`` it took.

    ``reason`` is None after a good poll, and ``cause`` and ``advice``, which are for an operator,
    are empty then. ``rejected_rows`` are those of its disk usage, by fault. ``trace`` has its last
    requests. ``walk_strategy`` is what walks of the account have found out by then, if anything.
    """

    finished: float
    seconds: float
    requests: int
    reason: Reason | None = None
    rejected_rows: Mapping[RowFault, int] = field(default_factory=dict)
    cause: str = ""
    advice: str = ""
    trace: PollTrace = field(default_factory=PollTrace, compare=False, repr=False)
    walk_strategy: str | None = None


@dataclass(frozen=True, slots=True)
class LastGood:
    """A good snapshot: ``finished`` is when its poll ended, in seconds of monotonic time.

    Unix time is made of that when it is published: a wall clock may be set in the meantime.
    ``requests`` are those that its poll took; None where that is not known.
    """

    snapshot: Snapshot
    finished: float
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is known of one target; None for what has not happened yet.

    ``failing_since`` is when the first of the failed polls since the last good one ended, in
    seconds of monotonic time. ``next_due`` is when the next poll begins, or when the one in
    progress was to begin, in the same.
    """

    target: Target
    last: PollResult | None = None
    good: LastGood | None = None
    failing_since: float | None = None
    next_due: float | None = None

    def snapshot(self, monotonic: float) -> Snapshot | None:
        """Return the last good snapshot while it counts, in seconds of monotonic time."""
        if self.good is None or monotonic - self.good.finished > self.target.stale_after:
            return None
        return self.good.snapshot

    def count_names(self) -> int:
        """Return how many CPU users or folders the last good snapshot has."""
        match self.good:
            case LastGood(DiskUsageSnapshot(users)):
                return len(users)
            case LastGood(FileCounts(by_folder=folders)):
                return len(folders or ())
        return 0


class Store:
    """Holds what is known of every target, by account; written by polls, read by publications.

    ``changes`` gets each account of which something has changed, under ``TARGETS``.
    """

    def __init__(self, targets: Iterable[Target]) -> None:
        self.changes = ChangedTargets()
        self._lock = threading.Lock()
        self._accounts = _group_by_account(TargetState(target) for target in targets)

    def current(self) -> Mapping[Target, TargetState]:
        """Return what is known now of all targets; it never changes."""
        with self._lock:
            return MappingProxyType(
                {
                    target: known
                    for account in self._accounts.values()
                    for target, known in account.items()
                }
            )

    def account(self, name: str) -> tuple[TargetState, ...]:
        """Return what is known now of the targets of one account, none where it has none."""
        with self._lock:
            return tuple(self._accounts.get(name, {}).values())

    def list_pending_targets(self) -> tuple[Target, ...]:
        """Return the targets that have not finished a poll yet."""
        return tuple(target for target, known in self.current().items() if known.last is None)

    def record(self, target: Target, result: PollResult, good: LastGood | None) -> bool:
        """Record the end of a poll: a failed one (no ``good``) leaves the snapshot untouched.

        Return whether it was recorded: not so where the target is not polled any more.
        """
        with self._lock:
            account = self._accounts.get(target.account, {})
            known = account.get(target)
            if known is None:
                return False
            account[target] = _apply_result(known, result, good)
            self.changes.add(TARGETS, (target.account,))
            return True

    def schedule(self, target: Target, due: float) -> None:
        """Record when the next poll of a target begins, in seconds of monotonic time."""
        with self._lock:
            account = self._accounts.get(target.account, {})
            known = account.get(target)
            if known is not None:
                account[target] = replace(known, next_due=due)
                self.changes.add(TARGETS, (target.account,))

    def apply(self, delta: ReloadDelta) -> None:
        """Hold the targets of a reload from now on; what is known of the others goes at once.

        What is known of a target stays, also when it is polled at another interval now; but for
        those of replaced accounts.
        """
        with self._lock:
            before = self._accounts
            kept = {
                remove_times(target): known
                for account, known_targets in before.items()
                for target, known in known_targets.items()
                if account not in delta.replaced_accounts
            }
            self._accounts = _group_by_account(
                replace(kept.get(remove_times(target), TargetState(target)), target=target)
                for target in delta.targets
            )
            names = before.keys() | self._accounts.keys()
            changed = [name for name in names if before.get(name) != self._accounts.get(name)]
            self.changes.add(TARGETS, changed)


def _apply_result(known: TargetState, result: PollResult, good: LastGood | None) -> TargetState:
    if good is not None:
        return TargetState(known.target, result, good, next_due=known.next_due)
    since = result.finished if known.failing_since is None else known.failing_since
    return replace(known, last=result, failing_since=since)


def _group_by_account(known: Iterable[TargetState]) -> dict[str, dict[Target, TargetState]]:
    accounts: dict[str, dict[Target, TargetState]] = {}
    for state in known:
        target = state.target
        accounts.setdefault(target.account, {})[target] = state
    return accounts
