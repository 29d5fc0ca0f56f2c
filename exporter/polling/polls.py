"""One poll of one target: from the calls to a snapshot, or to an error."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from exporter.polling.account import Calls
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.snapshots import DiskUsage, FileCounts, Snapshot, UserUsage
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.walk import walk
from exporter.scaleengine.disk_usage import UsageRow
from exporter.scaleengine.file_listing import Listing


def poll(target: Target, calls: Calls) -> Snapshot:
    """Learn all about the target; raises ScaleEngineError where that cannot be."""
    if isinstance(target, FilesTarget):
        return _poll_files(target, calls)
    return _poll_disk_usage(target, calls)


def unanswered(target: Target, snapshot: Snapshot) -> frozenset[str]:
    """Return the CPU users that were asked for and are not in the snapshot."""
    if isinstance(target, DiskUsageTarget) and isinstance(snapshot, DiskUsage):
        return frozenset(target.cpu_users) - {usage.cpu_user for usage in snapshot.users}
    return frozenset()


def _poll_files(target: FilesTarget, calls: Calls) -> FileCounts:
    counts = FolderCounts(target.folder_depth)
    limits = calls.account.limits
    with ThreadPoolExecutor(limits.at_once, f"call {target}") as callers:

        def ask(path: str, offset: int) -> "Future[Listing]":
            return callers.submit(calls.list_files, path, target.file_type, offset)

        try:
            walk(target.path, ask, limits, counts)
        finally:
            calls.give_up()
    return counts.result(target.max_folders)


def _poll_disk_usage(target: DiskUsageTarget, calls: Calls) -> DiskUsage:
    rows = calls.disk_usage(target.cpu_users)
    asked = frozenset(target.cpu_users)
    return DiskUsage(_newest(row for row in rows if not asked or row.cpu_user in asked))


def _newest(rows: Iterable[UsageRow]) -> tuple[UserUsage, ...]:
    """Return the newest day of each user, by name; rows come in any order and days can lack."""
    newest: dict[str, UsageRow] = {}
    for row in rows:
        if row.cpu_user not in newest or row.day > newest[row.cpu_user].day:
            newest[row.cpu_user] = row
    return tuple(
        UserUsage(row.cpu_user, row.day, row.occupied) for _, row in sorted(newest.items())
    )
