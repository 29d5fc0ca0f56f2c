"""Collect the rows of accounts: thirty days at a time, the newest first, until there are no more.

One request is made at a time, since a response of many users takes the memory of several of few.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from exporter.backfill.rows import RowStore
from exporter.backfill.windows import EARLIEST_DAY, Window, list_windows_before
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.threads import Stop, StopRequestedError
from exporter.polling.usage import (
    build_no_row_error,
    check_limits,
    describe_rejected,
    group_rejected,
)
from exporter.process.memory import release_free_memory
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.disk_usage import (
    COMMAND,
    RejectedRow,
    UsageReport,
    UsageRow,
    split_users,
)
from exporter.scaleengine.errors import ProtocolError, ResourceLimitError, ScaleEngineError
from exporter.scaleengine.message_body import BODY_LIMIT


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """How far an account was collected.

    ``oldest`` is the oldest complete window. ``error`` is why older ones are missing, if they are;
    ``stopped`` says that it was time to stop.
    """

    account: str
    oldest: Window | None
    requests: int
    error: ScaleEngineError | None = None
    stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Return whether everything was collected."""
        return self.error is None and not self.stopped


@dataclass(slots=True)
class _Reading:
    """What the responses of a window hold besides the rows that are kept."""

    rejected: Counter[RejectedRow] = field(default_factory=Counter)
    """Rows of the window that cannot be read, and those without a readable day."""
    readable: int = 0
    """Readable rows of the window, of any user."""
    other_days: int = 0
    """Rows of other days."""


class Collector:
    """Collects accounts into a store; what is in it already is not requested again.

    ``advance`` is called for each complete window, with the account's name and the number of rows.
    ``warn`` logs a warning: an event and its fields.
    """

    def __init__(
        self,
        store: RowStore,
        stop: Stop,
        rng: random.Random,
        advance: Callable[[str, Window, int], None],
        warn: Callable[[str, Mapping[str, object]], None],
        max_response_bytes: int = BODY_LIMIT,
    ) -> None:
        self._store = store
        self._stop = stop
        self._rng = rng
        self._advance = advance
        self._warn = warn
        self._max_response_bytes = max_response_bytes

    def collect(
        self, account: PolledAccount, target: DiskUsageTarget, end: float, first_day: date | None
    ) -> CollectionResult:
        """Collect the days of an account before ``end``, in unix seconds.

        They go back to ``first_day``, or until a window has no row. Any failure ends the account
        alone. Raises sqlite3.Error.
        """
        done = CollectionResult(account.name, None, 0)
        try:
            # Also where no request is left to make: names are written without these secrets.
            asyncio.run(account.credentials.read())
        except ScaleEngineError as error:
            return replace(done, error=error)
        for window in list_windows_before(end, first_day):
            rows = self._store.count_rows(account.name, window)
            if rows is None:
                if self._stop.is_set():
                    return replace(done, stopped=True)
                session = PollSession(account, target, self._rng)
                outcome = self._request(account, target, session, window)
                done = replace(done, requests=done.requests + session.requests)
                if outcome is None:
                    return replace(done, stopped=True)
                if isinstance(outcome, ScaleEngineError):
                    return replace(done, error=outcome)
                rows = outcome
            done = replace(done, oldest=window)
            self._advance(account.name, window, rows)
            if not rows and first_day is None:
                return done
        if first_day is None:
            self._warn(
                "no window is empty, stopped at the earliest day",
                {"account": account.name, "day": str(EARLIEST_DAY), "advice": "set --from"},
            )
        return done

    def _request(
        self, account: PolledAccount, target: DiskUsageTarget, session: PollSession, window: Window
    ) -> int | ScaleEngineError | None:
        """Request a window; return the number of its rows, the failure, or None when stopped."""
        reading = _Reading()
        try:
            reports = self._request_reports(target, session, window)
            parts = _read_parts(reports, target, window, reading, account.limits.snapshot)
            rows = self._store.add_window(account.name, window, parts)
        except StopRequestedError:
            return None
        except ScaleEngineError as error:
            return None if self._stop.is_set() else error
        except (OSError, RuntimeError, MemoryError) as error:
            limit = find_resource_limit(error)
            if limit is None:
                raise
            return ResourceLimitError(COMMAND, limit.cause, limit.advice)
        release_free_memory()  # of the rows, before the next response arrives
        self._report(account.name, window, reading, rows)
        return rows

    def _request_reports(
        self, target: DiskUsageTarget, session: PollSession, window: Window
    ) -> Iterator[UsageReport]:
        for cpu_users in split_users(target.cpu_users, self._max_response_bytes):
            yield asyncio.run(session.disk_usage(cpu_users, _keep, window.starttime))

    def _report(self, account: str, window: Window, reading: _Reading, rows: int) -> None:
        """Warn of rows that are not used."""
        place = {"account": account, "first": str(window.first), "last": str(window.last)}
        for group in group_rejected(reading.rejected, {}):
            self._warn("disk usage rows rejected", {**place, **describe_rejected(group)})
        if reading.other_days and not rows:
            self._warn(
                "response has only other days than those requested",
                {
                    **place,
                    "rows": reading.other_days,
                    "advice": "ScaleEngine may not give days that are so old",
                },
            )


def _keep(report: UsageReport) -> UsageReport:
    return report


def _read_parts(
    reports: Iterator[UsageReport],
    target: DiskUsageTarget,
    window: Window,
    reading: _Reading,
    limits: SnapshotLimits,
) -> Iterator[list[UsageRow]]:
    """Return the rows of a window that can be used, one list for each response.

    Raises ProtocolError where the window has rows and none of them can be read: it is not empty
    then; the days of others do not matter. Raises LimitReachedError where there are too many users.
    """
    requested = frozenset(target.cpu_users)
    for report in reports:
        for rejected, count in report.rejected.items():
            if rejected.day is None or window.contains(rejected.day):
                reading.rejected[rejected] += count
            else:
                reading.other_days += count
        part = [row for row in report.rows if window.contains(row.day)]
        reading.readable += len(part)
        reading.other_days += len(report.rows) - len(part)
        del report  # it may be large, and the list comes on top
        if requested:
            part = [row for row in part if row.cpu_user in requested]
        check_limits({row.cpu_user for row in part}, limits)
        yield part
        del part
    if reading.rejected and not reading.readable:
        raise _build_unreadable_error(window, reading)


def _build_unreadable_error(window: Window, reading: _Reading) -> ProtocolError:
    error = build_no_row_error(
        reading.rejected.total(), tuple(group_rejected(reading.rejected, {}))
    )
    days = f"{window.first} to {window.last}"
    return ProtocolError(COMMAND, f"{days}: {error.cause}", error.advice)
