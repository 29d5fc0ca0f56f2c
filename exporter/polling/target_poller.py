"""Poll one target on its schedule: requests become a snapshot, or an error that is recorded."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.recovery import compute_next_poll_delay, next_due, sleep_until
from exporter.polling.request_log import describe_request
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, Snapshot
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import (
    DiskUsageTarget,
    FilesTarget,
    Target,
    build_log_fields,
    name_some,
)
from exporter.polling.usage import describe_rejected, poll_disk_usage
from exporter.polling.walk import walk
from exporter.polling.walk_strategy import WalkStrategy
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock, Seconds
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import (
    LimitReachedError,
    ResourceLimitError,
    ScaleEngineError,
    build_defect_error,
)
from exporter.scaleengine.file_listing import COMMAND, Listing

log: Final = structlog.get_logger(__name__)

OnListing: TypeAlias = Callable[[Listing, FolderCounts], None]

_NO_ROWS: Final[Mapping[RowFault, int]] = MappingProxyType({})


class TargetPoller:
    """Polls one target again and again, never twice at once.

    An error ends the poll, not the poller. ``finished`` is called for every poll.
    """

    def __init__(
        self,
        target: Target,
        account: PolledAccount,
        store: Store,
        clock: Clock,
        rng: random.Random,
        finished: Callable[[Target, PollResult], None],
    ) -> None:
        self.account = account
        """Whose requests the next poll makes: another may be put here at any time."""
        self._target = target
        self._store = store
        self._clock = clock
        self._rng = rng
        self._finished = finished
        self._failures = 0
        self._has_succeeded = False
        self._failing: tuple[float, int] | None = None  # since when, and failed polls
        # Tuples: an empty set takes 216 bytes, and most of these are empty.
        self._cpu_users: tuple[str, ...] | None = None
        self._warned: tuple[str, ...] = ()
        self._rejected: tuple[tuple[RowFault, str | None], ...] = ()

    @property
    def _log(self) -> FilteringBoundLogger:
        """Return a logger that names the target; each that is kept takes 500 bytes."""
        bound: FilteringBoundLogger = log.bind(**build_log_fields(self._target))
        return bound

    async def run(self, first_wait: float) -> None:
        """Poll after ``first_wait`` seconds, then on schedule, until cancelled.

        That is at the target's interval; after a failure, when it may have passed.
        """
        due = self._clock.monotonic() + first_wait
        interval = self._target.interval
        try:
            while True:
                self._schedule(due)
                await sleep_until(due, self._clock)
                failure = await self.poll()
                now = self._clock.monotonic()
                if failure is None:
                    self._failures = 0
                    due = next_due(due, interval, now)
                else:
                    self._failures += 1
                    due = now + compute_next_poll_delay(failure, self._failures, interval)
        finally:
            self.account.failures.reset(self._target)

    def _schedule(self, due: float) -> None:
        try:
            self._store.schedule(self._target, due)
        except Exception:  # noqa: BLE001 - nothing may end the task
            self._log.exception("schedule not shown; please report it")

    async def poll(self) -> ScaleEngineError | None:
        """Poll once, and record the snapshot or the failure in the store.

        Return why it failed, if it did. A poll that is cancelled records nothing: it says nothing
        of ScaleEngine, and its target may belong to another account by now.
        """
        began = self._clock.monotonic()
        try:
            session = PollSession(self.account, self._target, self._rng)
            outcome = await self._poll(session)
            return self._record(outcome, session, began)
        except Exception:  # noqa: BLE001 - nothing may end the task
            self._log.exception("poll crashed; please report it")
            return build_defect_error(self._target.collector)

    async def _poll(self, session: PollSession) -> Snapshot | ScaleEngineError:
        try:
            return await poll_target(self._target, session)
        except ScaleEngineError as error:
            return _detach(error)
        except Exception as error:  # noqa: BLE001 - no response, however odd, may end the task
            limit = find_resource_limit(error)
            if limit is not None:
                return ResourceLimitError(self._target.collector, limit.cause, limit.advice)
            self._log.exception("poll crashed; please report it")
            return build_defect_error(self._target.collector)

    def _record(
        self, outcome: Snapshot | ScaleEngineError, session: PollSession, began: float
    ) -> ScaleEngineError | None:
        failure = outcome if isinstance(outcome, ScaleEngineError) else None
        ended = self._clock.monotonic()
        result = PollResult(
            ended,
            ended - began,
            session.requests,
            rejected_rows=session.rejected_rows or _NO_ROWS,
            trace=session.log.trace(),
            walk_strategy=self.account.walk_memory.strategy,
        )
        if failure is not None:
            result = replace(
                result, reason=failure.reason, cause=failure.cause, advice=failure.advice
            )
        good = None
        if not isinstance(outcome, ScaleEngineError):
            good = LastGood(outcome, ended, session.requests)
        # Recorded, then counted: who reads the counters first finds no poll that is not there.
        if self._store.record(self._target, result, good):
            self._finished(self._target, result)
            self._log_outcome(outcome, result)
        return failure

    def _log_outcome(self, outcome: Snapshot | ScaleEngineError, result: PollResult) -> None:
        facts = {"duration": Seconds(result.seconds), "requests": result.requests}
        if isinstance(outcome, ScaleEngineError):
            self._log_failure(outcome, result, facts)
            return
        self.account.failures.reset(self._target)
        self._log_success(outcome, result, facts)
        missing = find_missing_users(self._target, outcome)
        for cpu_user in sorted(missing.difference(self._warned)):
            self._log.warning(
                "configured CPU user has no disk usage",
                cpu_user=cpu_user,
                advice="check cpu_users",
            )
        self._warned = tuple(missing)
        self._warn_of_rejected_rows(outcome)

    def _log_failure(
        self, error: ScaleEngineError, result: PollResult, facts: Mapping[str, object]
    ) -> None:
        since, failures = self._failing or (result.finished, 0)
        self._failing = since, failures + 1
        warning = self.account.failures.record_failure(self._target, error, result.finished)
        fields = {
            **facts,
            "reason": str(error.reason),
            **describe_request(error),
            "cause": error.cause,
            "advice": error.advice,
        }
        if warning is None:
            self._log.debug("poll", result="failed", **fields)
        elif warning.failures == 1:
            self._log.warning("poll", result="failed", **fields)
        else:
            counts = {"failures": warning.failures, "targets": warning.targets}
            self._log.warning("poll", result="failed", **fields, **counts)

    def _log_success(
        self, snapshot: Snapshot, result: PollResult, facts: Mapping[str, object]
    ) -> None:
        """Log a good poll: on the level info where it is the first, or ends failures."""
        is_first, self._has_succeeded = not self._has_succeeded, True
        fields = {**facts, **_build_size_fields(snapshot)}
        if self._failing is not None:
            (since, failures), self._failing = self._failing, None
            after = Seconds(result.finished - since)
            self._log.info("poll recovered", result="ok", after=after, failures=failures, **fields)
        else:
            (self._log.info if is_first else self._log.debug)("poll", result="ok", **fields)
        if isinstance(snapshot, DiskUsageSnapshot):
            self._log_cpu_users(tuple(user.cpu_user for user in snapshot.users))

    def _log_cpu_users(self, cpu_users: tuple[str, ...]) -> None:
        """Log which CPU users have come and gone since the last good poll, by a few names."""
        before, self._cpu_users = self._cpu_users, cpu_users
        if before is not None and before != cpu_users:
            self._log.info(
                "CPU users changed",
                cpu_users=len(cpu_users),
                added=name_some(set(cpu_users).difference(before)),
                removed=name_some(set(before).difference(cpu_users)),
            )

    def _warn_of_rejected_rows(self, snapshot: Snapshot) -> None:
        """Log the rejected rows of a disk usage: each fault once, and again when a user is lost."""
        rejected = snapshot.rejected if isinstance(snapshot, DiskUsageSnapshot) else ()
        causes: set[tuple[RowFault, str | None]] = set()
        for rows in rejected:
            of_fault = {(rows.fault, None), *((rows.fault, user) for user in rows.cpu_users)}
            if not of_fault.issubset(self._rejected):
                self._log.warning("disk usage rows rejected", **describe_rejected(rows))
            causes |= of_fault
        self._rejected = tuple(causes)


def _detach(error: ScaleEngineError) -> ScaleEngineError:
    """Return the error without a tie to where it came from.

    It is kept until the next poll, and would keep the whole response that it is about.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _build_size_fields(snapshot: Snapshot) -> dict[str, int]:
    if isinstance(snapshot, FileCounts):
        return {"files": snapshot.files, "folders": snapshot.folders}
    extent = {"cpu_users": len(snapshot.users)}
    if snapshot.rejected:
        extent["rejected_rows"] = sum(rows.count for rows in snapshot.rejected)
        extent["rejected_users"] = len(snapshot.rejected_users)
    return extent


def _ignore(_: Listing, __: FolderCounts) -> None:
    """Leave a response to the walk."""


async def poll_target(
    target: Target, session: PollSession, on_listing: OnListing = _ignore
) -> Snapshot:
    """Return a snapshot of the target; raises ScaleEngineError where the poll fails.

    ``on_listing`` is called for each response of a walk, before it is counted, with the counts of
    the walk. The first is that of the target's path from its start.
    """
    if isinstance(target, FilesTarget):
        return await _poll_files(target, session, on_listing)
    return await poll_disk_usage(target, session)


def find_missing_users(target: Target, snapshot: Snapshot) -> frozenset[str]:
    """Return the requested CPU users without any row."""
    if isinstance(target, DiskUsageTarget) and isinstance(snapshot, DiskUsageSnapshot):
        found = {usage.cpu_user for usage in snapshot.users}
        return frozenset(target.cpu_users) - found - snapshot.rejected_users
    return frozenset()


async def _poll_files(
    target: FilesTarget, session: PollSession, on_listing: OnListing
) -> FileCounts:
    counts = FolderCounts(target.folder_depth)
    limits = session.account.limits

    async def request(path: str, offset: int) -> Listing:
        listing = await session.list_files(path, target.file_type, offset)
        on_listing(listing, counts)
        return listing

    strategy = WalkStrategy(
        limits.max_concurrency, limits.gap, session.account.walk_memory, build_log_fields(target)
    )
    await walk(target.path, request, limits, counts, strategy)
    found = counts.result(target.max_folders)
    longest = max((len(count.folder) for count in found.by_folder or ()), default=0)
    if longest > limits.snapshot.label_length:
        raise LimitReachedError(
            COMMAND,
            f"the path of a folder below {target.path!r} has {longest} characters, and a label "
            f"may have {limits.snapshot.label_length}",
            "raise limits.label_length, or lower folder_depth",
        )
    return found
