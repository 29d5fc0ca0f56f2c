"""The disk usage of an account: which number of each CPU user is published, and which is not.

The number of a user is that of its newest day. It is published where no rejected row can be of a
newer one; else the user is left out, since an older number would be shown as the newest.

- A rejected row with a readable user concerns that user alone, and only where its day is newer than
  the user's newest readable one, or cannot be read.
- A rejected row without a readable user may be any user's that has no row of its day or a newer
  one. Where its day cannot be read either, it counts as of the newest day of the response: so users
  that have this day keep their number.
- A row of a day in the future is ignored.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final

from exporter.polling.session import PollSession
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    RejectedRows,
    SnapshotLimits,
    UserUsage,
    pack_days,
)
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.threads import cancel_all
from exporter.scaleengine.disk_usage import (
    COMMAND,
    RejectedRow,
    RowFault,
    UsageReport,
    UsageRow,
    quote_user,
    split_users,
)
from exporter.scaleengine.errors import LimitReachedError, ProtocolError
from exporter.scaleengine.message_body import BODY_LIMIT

REJECTED_ADVICE: Final = "ask ScaleEngine's support; if the rows look right, report it"
_MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class NewestUsage:
    """The newest day of each CPU user in one response.

    ``newest`` has the row to publish, by user, and ``days`` the days before it, packed. ``hidden``
    has the users that are left out, each with the rejected row that is the cause. ``has_rows`` says
    whether any row can be read.
    """

    newest: Mapping[str, UsageRow]
    days: Mapping[str, bytes]
    hidden: Mapping[str, RejectedRow]
    rejected: Mapping[RejectedRow, int]
    has_rows: bool


async def poll_disk_usage(
    target: DiskUsageTarget, session: PollSession, max_response_bytes: int = BODY_LIMIT
) -> DiskUsageSnapshot:
    """Request the target's CPU users, in as many requests as its responses need.

    All requests are for the same thirty days: those of the first one that succeeds. Raises
    ScaleEngineError when any of them fails.
    """
    first, *others = split_users(target.cpu_users, max_response_bytes)
    starttime, found = await session.disk_usage(
        first, lambda report: (report.starttime, find_newest_usage(report, first))
    )
    usage = merge_usage([found, *await _request_at_once(session, others, starttime)])
    check_limits([user.cpu_user for user in usage.users], session.account.limits.snapshot)
    return usage


def find_newest_usage(report: UsageReport, cpu_users: Collection[str]) -> NewestUsage:
    """Return the newest row of each requested user (all if none was named)."""
    requested = frozenset(cpu_users)
    newest: dict[str, UsageRow] = {}
    for row in report.rows:
        known = newest.get(row.cpu_user)
        if known is None or row.day > known.day:
            newest[row.cpu_user] = row
    latest_day = _find_latest_day([*newest.values(), *report.rejected])
    if requested:
        newest = {user: row for user, row in newest.items() if user in requested}
    hidden = _find_hidden_by_any(report.rejected, newest, requested, latest_day)
    hidden |= _find_hidden_by_own(report.rejected, newest, requested)
    published = {user: row for user, row in newest.items() if user not in hidden}
    days = pack_days(report.rows, published)
    return NewestUsage(published, days, hidden, report.rejected, bool(report.rows))


def merge_usage(parts: Sequence[NewestUsage]) -> DiskUsageSnapshot:
    """Return the snapshot of all responses of a poll.

    Raises ProtocolError where there are rows and none can be read, and where rows of unknown users
    leave no user with a number: then the last good numbers say more.
    """
    newest = {user: row for part in parts for user, row in part.newest.items()}
    days = {user: packed for part in parts for user, packed in part.days.items()}
    hidden = {user: row for part in parts for user, row in part.hidden.items()}
    rejected: Counter[RejectedRow] = Counter()
    for part in parts:
        rejected.update(part.rejected)
    groups = tuple(group_rejected(rejected, hidden))
    if rejected and not any(part.has_rows for part in parts):
        raise build_no_row_error(rejected.total(), groups)
    if not newest and any(row.cpu_user is None for row in hidden.values()):
        raise _build_unusable_error("rows without a readable user may be of any user", groups)
    users = (
        UserUsage(user, row.day, row.bytes_total, days[user])
        for user, row in sorted(newest.items())
    )
    return DiskUsageSnapshot(tuple(users), groups)


def group_rejected(
    rejected: Mapping[RejectedRow, int], hidden: Mapping[str, RejectedRow]
) -> Iterator[RejectedRows]:
    """Return the rejected rows by fault; the examples begin with those that hide a user.

    ``hidden`` has the users without a number, each with the rejected row that is the cause.
    """
    for fault in RowFault:
        alike = {row: count for row, count in rejected.items() if row.fault is fault}
        if alike:
            users = sorted(user for user, row in hidden.items() if row.fault is fault)
            examples = dict.fromkeys([*(hidden[user] for user in users), *alike])
            shown = tuple(islice(examples, _MAX_EXAMPLES))
            yield RejectedRows(fault, sum(alike.values()), shown, tuple(users))


def build_no_row_error(count: int, groups: Sequence[RejectedRows]) -> ProtocolError:
    """Return the error for a response with rows, of which none can be read."""
    fault = "its only row cannot" if count == 1 else f"none of the {count} rows can"
    return _build_unusable_error(f"{fault} be read", groups)


def describe_rejected(rows: RejectedRows) -> dict[str, str | int]:
    """Return what a log line says of rejected rows, by field; each of bounded length."""
    fields: dict[str, str | int] = {
        "reason": str(rows.fault),
        "rows": rows.count,
        "examples": "; ".join(map(str, rows.examples)),
    }
    if rows.cpu_users:
        fields["without_number"] = name_users(rows.cpu_users)
    return fields | {"advice": REJECTED_ADVICE}


def name_users(cpu_users: Sequence[str]) -> str:
    """Return the names of a few CPU users, and the number of the others."""
    shown = ", ".join(map(quote_user, cpu_users[:_MAX_EXAMPLES]))
    others = len(cpu_users) - _MAX_EXAMPLES
    return shown if others <= 0 else f"{shown} and {others} more"


def check_limits(cpu_users: Collection[str], limits: SnapshotLimits) -> None:
    """Raise LimitReachedError where there are too many CPU users, or one with too long a name."""
    if len(cpu_users) > limits.users:
        raise LimitReachedError(
            COMMAND,
            f"the account has {len(cpu_users)} CPU users, and {limits.users} are allowed",
            "raise limits.users_per_account, or name the users that matter in disk_usage.cpu_users",
        )
    longest = max(map(len, cpu_users), default=0)
    if longest > limits.label_length:
        raise LimitReachedError(
            COMMAND,
            f"the name of a CPU user has {longest} characters, and a label may have "
            f"{limits.label_length}",
            "raise limits.label_length, or name the users that matter in disk_usage.cpu_users",
        )


async def _request_at_once(
    session: PollSession, batches: Sequence[tuple[str, ...]], starttime: int
) -> list[NewestUsage]:
    """Request the batches, as many at once as the account may; the first failure ends them all."""

    async def request(batch: tuple[str, ...]) -> NewestUsage:
        return await session.disk_usage(
            batch, lambda report: find_newest_usage(report, batch), starttime
        )

    requests = [asyncio.create_task(request(batch)) for batch in batches]
    try:
        return [await request for request in asyncio.as_completed(requests)]
    finally:
        await cancel_all(requests)


def _find_hidden_by_own(
    rejected: Iterable[RejectedRow], newest: Mapping[str, UsageRow], requested: frozenset[str]
) -> dict[str, RejectedRow]:
    """Return the users whose newest number is unknown because of rows of their own."""
    hidden: dict[str, RejectedRow] = {}
    for row in rejected:
        user = row.cpu_user
        if user is None or (requested and user not in requested):
            continue
        known = newest.get(user)
        is_newer = known is None or row.day is None or row.day > known.day
        if known is None or (is_newer and _may_be_newest(row)):
            hidden[user] = row
    return hidden


def _find_hidden_by_any(
    rejected: Iterable[RejectedRow],
    newest: Mapping[str, UsageRow],
    requested: frozenset[str],
    latest_day: date,
) -> dict[str, RejectedRow]:
    """Return the users of which a row without a readable user may be the newest."""
    nameless = [row for row in rejected if row.cpu_user is None and _may_be_newest(row)]
    if not nameless:
        return {}
    latest = max(nameless, key=lambda row: row.day or latest_day)
    behind = {user for user, row in newest.items() if row.day < (latest.day or latest_day)}
    return dict.fromkeys(behind | (requested - newest.keys()), latest)


def _may_be_newest(row: RejectedRow) -> bool:
    return row.fault is not RowFault.FUTURE_DAY


def _find_latest_day(rows: Iterable[UsageRow | RejectedRow]) -> date:
    """Return the newest day that a row names, those in the future aside."""
    days = (
        row.day
        for row in rows
        if row.day is not None and (isinstance(row, UsageRow) or _may_be_newest(row))
    )
    return max(days, default=date.min)


def _build_unusable_error(cause: str, groups: Sequence[RejectedRows]) -> ProtocolError:
    examples = [str(row) for rows in groups for row in rows.examples]
    return ProtocolError(
        COMMAND,
        f"{cause} ({'; '.join(examples[:_MAX_EXAMPLES])})",
        REJECTED_ADVICE,
    )
