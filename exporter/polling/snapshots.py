"""What a good poll learned: immutable, and replaced only as a whole."""

from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from exporter.scaleengine.disk_usage import RejectedRow, RowFault


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """What one snapshot may hold, for each becomes series; a poll that finds more fails.

    ``users`` are CPU users with a number, ``folders`` those below a path at any depth, and
    ``label_length`` is in characters. No real account comes near the defaults.
    """

    users: int = 50_000
    folders: int = 200_000
    label_length: int = 1024


@dataclass(frozen=True, slots=True)
class UserUsage:
    """What one CPU user occupied, in bytes, on the newest day that the API gives."""

    cpu_user: str
    day: date
    occupied: int


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
class DiskUsage:
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

    ``by_folder`` sums to ``files``; it is None where nobody asked for it.
    """

    files: int
    folders: int
    by_folder: tuple[FolderCount, ...] | None = None


Snapshot: TypeAlias = DiskUsage | FileCounts
