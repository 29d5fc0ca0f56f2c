"""The rows of a backfill on disk: collected window by window, read series by series.

The API gives all users of thirty days, the newest days first. OpenMetrics needs all days of one
series together, the oldest first. An SQLite file sorts them in little memory. Each window is one
transaction, so a run that was interrupted goes on after its last complete window.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final, TypeAlias

from exporter.backfill.windows import Window
from exporter.polling.usage import name_users
from exporter.scaleengine.disk_usage import UsageRow

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS scope (text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS windows (
    account TEXT, first_day INTEGER, rows INTEGER NOT NULL, PRIMARY KEY (account, first_day)
);
CREATE TABLE IF NOT EXISTS usage (
    account TEXT, cpu_user TEXT, day INTEGER, bytes INTEGER NOT NULL,
    PRIMARY KEY (account, cpu_user, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS moves (target TEXT NOT NULL);
"""
_DAMAGED: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"})
"""SQLite's codes for a file that it cannot read, or that has other tables than these.

Source: https://sqlite.org/rescode.html
"""

UserDays: TypeAlias = tuple[str, str, Iterator[tuple[date, int]]]
"""An account, a CPU user, and the bytes of each of its days, the oldest first."""


@dataclass(frozen=True, slots=True)
class UserSpan:
    """The first and the last day of a CPU user, and on how many days it has a row."""

    cpu_user: str
    first: date
    last: date
    days: int

    @property
    def missing(self) -> int:
        """Return the number of days between the first and the last without a row."""
        return (self.last - self.first).days + 1 - self.days


def is_damaged(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file holds no rows that can be read."""
    return getattr(error, "sqlite_errorname", "") in _DAMAGED  # errors of Python's own lack it


class RowStore:
    """The rows of one backfill, in a file; for one thread.

    Without a file they are in a temporary one, which has no name: it disappears when the process
    ends, however it ends. Raises sqlite3.Error where the file cannot be read or written.
    """

    def __init__(self, file: Path | None) -> None:
        # SQLite makes the temporary file: https://sqlite.org/inmemorydb.html#temp_db
        self._db = sqlite3.connect(file or "", isolation_level=None, timeout=0)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no lock to take for each window
            self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def read_scope(self) -> object:
        """Return what the rows are for, as ``write_scope`` was given it; None before that."""
        found = self._db.execute("SELECT text FROM scope").fetchone()
        return None if found is None else json.loads(str(found[0]))

    def write_scope(self, scope: object) -> None:
        """Remember what the rows are for; anything that JSON can hold."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM scope")
        self._db.execute("INSERT INTO scope VALUES (?)", (json.dumps(scope),))
        self._db.execute("COMMIT")

    def read_moves(self) -> list[Path]:
        """Return where an earlier run has moved blocks, or was about to."""
        return [Path(str(row[0])) for row in self._db.execute("SELECT target FROM moves")]

    def write_moves(self, targets: Sequence[Path]) -> None:
        """Remember where blocks are about to be moved."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM moves")
        self._db.executemany("INSERT INTO moves VALUES (?)", ((str(path),) for path in targets))
        self._db.execute("COMMIT")

    def is_empty(self) -> bool:
        """Return whether no window is complete."""
        return self._db.execute("SELECT 1 FROM windows").fetchone() is None

    def count_rows(self, account: str, window: Window) -> int | None:
        """Return the number of rows of a window; None where it is not complete."""
        found = self._db.execute(
            "SELECT rows FROM windows WHERE account = ? AND first_day = ?",
            (account, window.first.toordinal()),
        ).fetchone()
        return None if found is None else int(found[0])

    def add_window(self, account: str, window: Window, parts: Iterable[list[UsageRow]]) -> int:
        """Add the rows of a window, part by part, and return their number.

        Where ``parts`` raises an error, nothing of the window is added. Sorts the lists.
        """
        rows = 0
        self._db.execute("BEGIN")
        try:
            for part in parts:
                part.sort(key=attrgetter("cpu_user"))  # as the file is sorted: that is much faster
                rows += len(part)
                self._db.executemany(
                    "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)",
                    ((account, row.cpu_user, row.day.toordinal(), row.bytes_total) for row in part),
                )
            self._db.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?)",
                (account, window.first.toordinal(), rows),
            )
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has ended it already, where the disk is full
                self._db.execute("ROLLBACK")
            raise
        return rows

    def read_users(self, first_day: date, last_day: date) -> Iterator[UserDays]:
        """Return each CPU user of each account with its days from the first to the last."""
        found = self._db.execute(
            "SELECT account, cpu_user, day, bytes FROM usage WHERE day BETWEEN ? AND ?"
            " ORDER BY account, cpu_user, day",
            (first_day.toordinal(), last_day.toordinal()),
        )
        for (account, cpu_user), rows in groupby(found, itemgetter(0, 1)):
            days = ((date.fromordinal(int(row[2])), int(row[3])) for row in rows)
            yield str(account), str(cpu_user), days

    def list_users(self, first_day: date, last_day: date) -> list[tuple[str, str]]:
        """Return account and name of the CPU users that ``read_users`` gives."""
        found = self._db.execute(
            "SELECT DISTINCT account, cpu_user FROM usage WHERE day BETWEEN ? AND ?",
            (first_day.toordinal(), last_day.toordinal()),
        )
        return [(str(account), str(cpu_user)) for account, cpu_user in found]

    def read_spans(self, account: str, first_day: date, last_day: date) -> Iterator[UserSpan]:
        """Return from when to when each CPU user of an account has rows."""
        found = self._db.execute(
            "SELECT cpu_user, min(day), max(day), count(*) FROM usage"
            " WHERE account = ? AND day BETWEEN ? AND ? GROUP BY cpu_user ORDER BY cpu_user",
            (account, first_day.toordinal(), last_day.toordinal()),
        )
        for user, first, last, days in found:
            yield UserSpan(
                str(user), date.fromordinal(int(first)), date.fromordinal(int(last)), int(days)
            )

    def read_days(self, account: str, first_day: date, last_day: date) -> Iterator[date]:
        """Return the days on which any CPU user of an account has a row, the oldest first."""
        found = self._db.execute(
            "SELECT DISTINCT day FROM usage WHERE account = ? AND day BETWEEN ? AND ? ORDER BY day",
            (account, first_day.toordinal(), last_day.toordinal()),
        )
        return (date.fromordinal(int(row[0])) for row in found)


Report: TypeAlias = tuple[str, Mapping[str, object]]
"""An event for the log, and its fields."""

_ONE_DAY: Final = timedelta(days=1)
_MAX_SHOWN: Final = 10


def report_gaps(
    store: RowStore, account: str, cpu_users: Sequence[str], first_day: date | None, last_day: date
) -> Iterator[Report]:
    """Return what is missing up to the last day, from the first day on (None: the oldest row)."""
    first_row = next(store.read_days(account, first_day or date.min, last_day), None)
    if first_row is None:
        advice = "check the account's cpu_users, --from and --to"
        yield "no data", {"account": account, "last": str(last_day), "advice": advice}
        return
    first = first_day or first_row
    gaps = list(find_gaps(store.read_days(account, first, last_day), first, last_day))
    if gaps:
        days = sum((end - start).days + 1 for start, end in gaps)
        yield (
            "days without data",
            {"account": account, "days": days, "missing": _describe(gaps)},
        )
    found, partial = set(), []
    for span in store.read_spans(account, first, last_day):
        if span.cpu_user in cpu_users:
            found.add(span.cpu_user)
        if span.missing:
            partial.append(span.cpu_user)
    if partial:
        yield (
            "CPU users lack days between their first and last",
            {"account": account, "users": len(partial), "examples": name_users(partial)},
        )
    absent = sorted(set(cpu_users) - found)
    if absent:
        yield (
            "no data of CPU users",
            {"account": account, "cpu_users": name_users(absent), "advice": "check cpu_users"},
        )


def find_gaps(days: Iterable[date], first: date, last: date) -> Iterator[tuple[date, date]]:
    """Return the first and last day of each gap between days, which are in order."""
    expected = first
    for day in days:
        if day > expected:
            yield expected, day - _ONE_DAY
        expected = day + _ONE_DAY
    if expected <= last:
        yield expected, last


def _describe(gaps: Sequence[tuple[date, date]]) -> str:
    shown = ", ".join(
        str(first) if first == last else f"{first} to {last}"
        for first, last in islice(gaps, _MAX_SHOWN)
    )
    others = len(gaps) - _MAX_SHOWN
    return shown if others <= 0 else f"{shown} and {others} more"
