"""Full polls of targets, with the code of the service, and what each poll cost."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from exporter.check.results import (
    CheckResult,
    Fact,
    Outcome,
    RequestRange,
    build_disk_usage_result,
    build_target_subject,
    estimate_target_poll,
    format_count,
)
from exporter.polling.demand import HOUR
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.loop_thread import MonotonicLoop
from exporter.polling.request_log import FolderCost, PollTrace
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, Snapshot
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.threads import cancel_all
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import split_users
from exporter.scaleengine.file_listing import Listing
from exporter.scaleengine.message_body import BODY_LIMIT

ShowProgress: TypeAlias = Callable[[int, int | None, str], None]
"""Shows how many requests were made, of how many if that is known, and what they have found."""

_SHOW_SECONDS: Final = 0.2
_NAMED_FOLDERS: Final = 5


@dataclass(frozen=True, slots=True)
class FullPoll:
    """What a poll has found, and what it cost: requests, seconds, bytes and folders."""

    snapshot: Snapshot
    requests: int
    seconds: float
    trace: PollTrace


class FullPoller:
    """Polls targets one after the other, in an event loop that runs as long as a poll does.

    ``workers`` make the requests. ``show`` is called several times a second.
    """

    def __init__(self, max_workers: int, clock: Clock, show: ShowProgress) -> None:
        self.workers = WorkerPool(max_workers)
        self._clock = clock
        self._show = show
        self._rng = random.Random()  # noqa: S311 - it spreads retries, it keeps no secret
        self._runner = asyncio.Runner(loop_factory=MonotonicLoop)

    def poll(self, account: PolledAccount, target: Target) -> FullPoll:
        """Poll a target of an account; raises ScaleEngineError."""
        return self._runner.run(self._poll(account, target))

    def close(self) -> None:
        """End the loop and the threads."""
        self._runner.close()
        self.workers.close()

    async def _poll(self, account: PolledAccount, target: Target) -> FullPoll:
        session = PollSession(account, target, self._rng)
        progress = _PollProgress(target)
        began = self._clock.monotonic()
        showing = asyncio.create_task(self._keep_showing(session, progress, began))
        try:
            snapshot = await poll_target(target, session, progress.record)
        finally:
            await cancel_all([showing])
        seconds = self._clock.monotonic() - began
        return FullPoll(snapshot, session.requests, seconds, session.log.trace())

    async def _keep_showing(
        self, session: PollSession, progress: "_PollProgress", began: float
    ) -> None:
        while True:
            rate = session.requests / max(self._clock.monotonic() - began, _SHOW_SECONDS)
            found = f"{progress.describe()}{rate:.1f} requests/s"
            self._show(session.requests, progress.expected_requests, found)
            await asyncio.sleep(_SHOW_SECONDS)


class _PollProgress:
    """What the responses of a poll in progress have shown of its target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._counts: FolderCounts | None = None
        self.expected_requests: int | None = None
        if isinstance(target, DiskUsageTarget):
            self.expected_requests = len(split_users(target.cpu_users, BODY_LIMIT))

    def record(self, listing: Listing, counts: FolderCounts) -> None:
        """Record a response of the walk; the first gives an estimate of their number."""
        if self._counts is None and isinstance(self._target, FilesTarget):
            self.expected_requests = estimate_target_poll(self._target, listing).requests
        self._counts = counts

    def describe(self) -> str:
        """Return the files and folders that were counted so far."""
        counts = self._counts
        return f"{counts.files:,} files, {counts.folders:,} folders, " if counts else ""


def build_full_poll_result(
    target: Target, full_poll: FullPoll, requests_allowed: int
) -> CheckResult:
    """Build the result of a full poll; a warning if it takes longer than its interval."""
    result = _describe_snapshot(target, full_poll.snapshot)
    rate = full_poll.requests / full_poll.seconds if full_poll.seconds else 0.0
    detail = (
        f"{result.detail}; {format_count(full_poll.requests, 'request')} in "
        f"{full_poll.seconds:.1f} s ({rate:.1f} a second), {full_poll.trace.size:,} bytes"
    )
    costliest = full_poll.trace.folders
    if isinstance(target, FilesTarget) and full_poll.requests > 1:
        detail += f"; {_name_costliest(costliest)}"
    facts: dict[str, Fact] = {
        **result.facts,
        "requests": full_poll.requests,
        "requests_allowed": requests_allowed,
        "requests_per_hour": round(full_poll.requests * HOUR / target.interval, 3),
        "seconds": round(full_poll.seconds, 3),
        "response_bytes": full_poll.trace.size,
        "costliest_folders": tuple(map(_build_folder_facts, costliest)),
    }
    result = replace(
        result,
        detail=detail,
        facts=facts,
        requests=RequestRange(full_poll.requests, full_poll.requests),
    )
    if full_poll.seconds <= target.interval:
        return result
    advice = "set a longer interval, a higher api.requests_per_second, or smaller paths"
    return replace(
        result,
        outcome=Outcome.WARN,
        detail=f"{detail}; that is longer than its interval of {target.interval:g} s",
        advice="; ".join(filter(None, (result.advice, advice))),
    )


def _describe_snapshot(target: Target, snapshot: Snapshot) -> CheckResult:
    match target, snapshot:
        case DiskUsageTarget(), DiskUsageSnapshot():
            return build_disk_usage_result(target, snapshot)
        case _, FileCounts(files=files, folders=folders):
            detail = f"{format_count(files, 'file')} and {format_count(folders, 'folder')}"
            counts = {"files": files, "folders": folders}
            return CheckResult(build_target_subject(target), Outcome.OK, detail, facts=counts)
        case _:
            raise TypeError(f"{snapshot!r} is no snapshot of {target}")


def _build_folder_facts(cost: FolderCost) -> Mapping[str, str | int | float | None]:
    return {"path": cost.path, "requests": cost.requests, "seconds": round(cost.seconds, 3)}


def _name_costliest(costs: Sequence[FolderCost]) -> str:
    """Name the folders that took more than one request, the costliest first."""
    named = [f"{cost.path} ({cost.requests})" for cost in costs if cost.requests > 1]
    if not named:
        return "no folder took more than one request"
    others = " and others" if len(named) > _NAMED_FOLDERS else ""
    return f"most requests for {', '.join(named[:_NAMED_FOLDERS])}{others}"
