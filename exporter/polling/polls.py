"""One poll of one target: from the requests to a snapshot, or to an error."""

from collections.abc import Callable
from typing import TypeAlias

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.session import PollSession
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, Snapshot
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, build_log_fields
from exporter.polling.usage import poll_disk_usage
from exporter.polling.walk import walk
from exporter.polling.walk_strategy import WalkStrategy
from exporter.scaleengine.errors import LimitReachedError
from exporter.scaleengine.file_listing import COMMAND, Listing

OnListing: TypeAlias = Callable[[Listing, FolderCounts], None]


def _ignore(_: Listing, __: FolderCounts) -> None:
    """Leave a response to the walk."""


async def poll(target: Target, session: PollSession, on_listing: OnListing = _ignore) -> Snapshot:
    """Learn all about the target; raises ScaleEngineError where that cannot be.

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
