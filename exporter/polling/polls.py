"""One poll of one target: from the calls to a snapshot, or to an error."""

from concurrent.futures import Future, ThreadPoolExecutor

from exporter.polling.account import Calls
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.snapshots import DiskUsage, FileCounts, Snapshot
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.usage import poll_disk_usage
from exporter.polling.walk import walk
from exporter.scaleengine.errors import LimitReachedError
from exporter.scaleengine.file_listing import COMMAND, Listing


def poll(target: Target, calls: Calls) -> Snapshot:
    """Learn all about the target; raises ScaleEngineError where that cannot be."""
    if isinstance(target, FilesTarget):
        return _poll_files(target, calls)
    return poll_disk_usage(target, calls)


def unanswered(target: Target, snapshot: Snapshot) -> frozenset[str]:
    """Return the CPU users that were asked for and of which ScaleEngine has no row at all."""
    if isinstance(target, DiskUsageTarget) and isinstance(snapshot, DiskUsage):
        found = {usage.cpu_user for usage in snapshot.users}
        return frozenset(target.cpu_users) - found - snapshot.rejected_users
    return frozenset()


def _poll_files(target: FilesTarget, calls: Calls) -> FileCounts:
    counts = FolderCounts(target.folder_depth)
    limits = calls.account.limits
    with ThreadPoolExecutor(limits.at_once, f"call {target}") as callers:

        def request(path: str, offset: int) -> "Future[Listing]":
            return callers.submit(calls.list_files, path, target.file_type, offset)

        try:
            walk(target.path, request, limits, counts)
        finally:
            calls.give_up()
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
