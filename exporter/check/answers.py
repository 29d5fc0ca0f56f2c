"""What a good answer tells about a target."""

from collections.abc import Sequence

from exporter.check.findings import Fact, Finding, Outcome, RequestRange, polled
from exporter.check.first_answer import FirstAnswer, first_answer
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.polls import unanswered
from exporter.polling.server_traits import ServerTraits
from exporter.polling.snapshots import DiskUsageSnapshot, RejectedRows
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.polling.usage import REJECTED_ADVICE, name_users
from exporter.scaleengine.file_listing import Listing


def used(target: DiskUsageTarget, usage: DiskUsageSnapshot) -> Finding:
    """Return what a poll of the disk usage would publish, and which rows it would reject."""
    users = [user.cpu_user for user in usage.users]
    rejected_users = sorted(usage.rejected_users)
    missing = sorted(unanswered(target, usage))
    newest = max((user.day for user in usage.users), default=None)
    facts: dict[str, Fact] = {
        "cpu_users": users,
        "missing_cpu_users": missing,
        "rejected_cpu_users": rejected_users,
        "rejected_rows": sum(rows.count for rows in usage.rejected),
        "newest_day": newest.isoformat() if newest else None,
    }
    found = [f"{count(users, 'CPU user')} ({name_users(users)}), newest day {newest}"]
    if newest is None:
        found = [f"no CPU user {'with a number' if usage.rejected else 'in the last thirty days'}"]
    advice = []
    if usage.rejected:
        found += map(_rejected, usage.rejected)
        advice.append(REJECTED_ADVICE)
    if missing:
        found.append(f"ScaleEngine has nothing of {name_users(missing)}")
        advice.append("check cpu_users")
    if newest is None and not advice:
        advice.append(
            f"check cdn of account {target.account!r}, or set disk_usage.enabled to false"
        )
    outcome = Outcome.WARN if advice else Outcome.OK
    next_step = "; ".join(advice) or None
    return Finding(polled(target), outcome, "; ".join(found), next_step, facts=facts)


def _rejected(rows: RejectedRows) -> str:
    examples = ", ".join(f"({row})" for row in rows.examples)
    said = f"{count(rows.count, 'row')} rejected as {rows.fault}: {examples}"
    if not rows.cpu_users:
        return said
    return f"{said}, so there is no number of {name_users(rows.cpu_users)}"


def listed(target: FilesTarget, listing: Listing, requests_allowed: int) -> Finding:
    """Return what the first response for a path tells, compared with what a poll is allowed.

    Raises IncompleteError for a response with which a poll would fail, too.
    """
    seen = find_first_answer(target, listing)
    facts = {
        "files_in_first_answer": seen.files,
        "folders_in_first_answer": seen.folders,
        "requests_estimated": seen.requests,
        "requests_allowed": requests_allowed,
    }
    found = f"found, {count(seen.files, 'file')} and {count(seen.folders, 'folder')}"
    if seen.requests == 1:
        detail = f"{found}; a full poll takes this one request"
        cost = RequestRange(1, 1)
        return Finding(polled(target), Outcome.OK, detail, facts=facts, requests=cost)
    detail = (
        f"{found} in the first answer; a full poll takes about {seen.requests} requests (estimate)"
    )
    cost = RequestRange(2, None)
    if seen.requests <= requests_allowed:
        return Finding(polled(target), Outcome.OK, detail, facts=facts, requests=cost)
    return Finding(
        polled(target),
        Outcome.WARN,
        f"{detail}, more than api.max_requests_per_poll ({requests_allowed}) allows",
        "raise api.max_requests_per_poll, or configure smaller paths",
        facts=facts,
        requests=cost,
    )


def find_first_answer(target: FilesTarget, listing: Listing) -> FirstAnswer:
    """Return what the first response for a path tells; raises IncompleteError as a poll does."""
    folder, traits = FolderProgress(target.path), ServerTraits()
    traits.observe(listing, 0)
    if folder.accept(listing, traits):
        folder.decide(listing, listing.entries, traits)
    return first_answer(listing, is_end=folder.is_complete)


def count(things: int | Sequence[object], name: str) -> str:
    """Return a number with the name of what is counted: ``1 file``, ``2 files``."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
