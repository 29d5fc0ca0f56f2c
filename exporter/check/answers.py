"""What a good answer tells about a target."""

from collections.abc import Sequence
from typing import Final

from exporter.check.findings import Fact, Finding, Outcome, polled
from exporter.check.first_answer import first_answer
from exporter.polling.open_folder import OpenFolder
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.disk_usage import UsageRow
from exporter.scaleengine.file_listing import Listing

_NAMED: Final = 5


def used(target: DiskUsageTarget, rows: Sequence[UsageRow]) -> Finding:
    """Return what the rows of a disk usage tell of the CPU users that are polled."""
    asked = frozenset(target.cpu_users)
    polled_rows = [row for row in rows if not asked or row.cpu_user in asked]
    users = sorted({row.cpu_user for row in polled_rows})
    missing = sorted(asked.difference(users))
    newest = max((row.day for row in polled_rows), default=None)
    facts: dict[str, Fact] = {
        "cpu_users": users,
        "missing_cpu_users": missing,
        "newest_day": newest.isoformat() if newest else None,
    }
    found = f"{count(users, 'CPU user')} ({_named(users)}), newest day {newest}"
    if newest is None:
        found = "no CPU user in the last thirty days"
    if missing:
        detail = f"{found}; ScaleEngine has nothing of {_named(missing)}"
        return Finding(polled(target), Outcome.WARN, detail, "check cpu_users", facts=facts)
    if newest is None:
        advice = f"check cdn of account {target.account!r}, or set disk_usage.enabled to false"
        return Finding(polled(target), Outcome.WARN, found, advice, facts=facts)
    return Finding(polled(target), Outcome.OK, found, facts=facts)


def listed(target: FilesTarget, listing: Listing, requests_allowed: int) -> Finding:
    """Return what the first answer for a path tells, seen beside what a poll is allowed.

    Raises IncompleteError for an answer with which a poll would fail, too.
    """
    OpenFolder(target.path).see_answer(listing.root, full=listing.full)
    seen = first_answer(listing)
    facts = {
        "files_in_first_answer": seen.files,
        "folders_in_first_answer": seen.folders,
        "requests_estimated": seen.requests,
        "requests_allowed": requests_allowed,
    }
    found = f"found, {count(seen.files, 'file')} and {count(seen.folders, 'folder')}"
    if seen.requests == 1:
        detail = f"{found}; a full poll takes this one request"
        return Finding(polled(target), Outcome.OK, detail, facts=facts)
    detail = (
        f"{found} in the first answer; a full poll takes about {seen.requests} requests (estimate)"
    )
    if seen.requests <= requests_allowed:
        return Finding(polled(target), Outcome.OK, detail, facts=facts)
    return Finding(
        polled(target),
        Outcome.WARN,
        f"{detail}, more than api.max_requests_per_poll ({requests_allowed}) allows",
        "raise api.max_requests_per_poll, or configure smaller paths",
        facts=facts,
    )


def count(things: int | Sequence[object], name: str) -> str:
    """Return a number with the name of what is counted: ``1 file``, ``2 files``."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
