"""What a good poll learned: immutable, and replaced only as a whole."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from exporter.scaleengine.disk_usage import RejectedRow, RowFault, UsageRow


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """What one snapshot may hold, for each becomes series; a poll that finds more fails.

    ``users`` are CPU users with a number, ``folders`` those below a path at any depth, and
    ``label_length`` is in characters. No real account comes near the defaults.
    """

    users: int = 50_000
    folders: int = 200_000
    label_length: int = 1024


HISTORY_DAYS: Final = 30
"""The days of one response of ``disk.usage``, the newest included."""

PackedDays: TypeAlias = bytes
"""The disk usage of each day but the newest, as integers of 8 bytes: 10,000 users take 3 MB."""

_UNKNOWN: Final = -1
_NO_DAYS: Final = (_UNKNOWN,) * (HISTORY_DAYS - 1)


@dataclass(frozen=True, slots=True)
class UserUsage:
    """The bytes of one CPU user on the newest day that the API gives.

    ``packed_days`` holds the days before it. No metric shows them, so two usages that differ in
    them alone are equal.
    """

    cpu_user: str
    day: date
    bytes: int
    packed_days: PackedDays = field(default=b"", repr=False, compare=False)

    @property
    def days(self) -> tuple[int | None, ...]:
        """Return the bytes of each day up to ``day``, the oldest first; None for a missing day."""
        earlier = array("q", self.packed_days)
        return (*(None if value == _UNKNOWN else value for value in earlier), self.bytes)


def pack_days(rows: Iterable[UsageRow], newest: Mapping[str, UsageRow]) -> dict[str, PackedDays]:
    """Return the ``packed_days`` of each CPU user of ``newest``, which has their newest rows.

    They are always of as many days, those without a row too.
    """
    columns = {user: array("q", _NO_DAYS) for user in newest}
    for row in rows:
        column = columns.get(row.cpu_user)
        if column is not None:
            age = newest[row.cpu_user].day.toordinal() - row.day.toordinal()
            if 0 < age < HISTORY_DAYS:
                column[-age] = row.bytes_total
    return {user: column.tobytes() for user, column in columns.items()}


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """The rows of a poll that were rejected for one fault: their number, and a few of them.

    ``cpu_users`` are the users without a number because of these rows.
    """

    fault: RowFault
    count: int
    examples: tuple[RejectedRow, ...]
    cpu_users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DiskUsageSnapshot:
    """The disk usage of an account by CPU user, and the rows that were rejected, by fault."""

    users: tuple[UserUsage, ...]
    rejected: tuple[RejectedRows, ...] = ()

    @property
    def rejected_users(self) -> frozenset[str]:
        """Return the CPU users without a number because of rejected rows."""
        return frozenset(user for rows in self.rejected for user in rows.cpu_users)


@dataclass(frozen=True, slots=True)
class FolderCount:
    """The files of one folder, and of all below it where the depth cuts."""

    folder: str
    files: int


@dataclass(frozen=True, slots=True)
class FileCounts:
    """The files and folders below a path, at any depth.

    ``by_folder`` sums to ``files``; it is None if it is not configured.
    """

    files: int
    folders: int
    by_folder: tuple[FolderCount, ...] | None = None


Snapshot: TypeAlias = DiskUsageSnapshot | FileCounts
