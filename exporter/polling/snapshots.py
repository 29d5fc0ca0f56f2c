"""What a good poll learned: immutable, and replaced only as a whole."""

from dataclasses import dataclass
from datetime import date
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class UserUsage:
    """What one CPU user occupied, in bytes, on the newest day that the API gives."""

    cpu_user: str
    day: date
    occupied: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The disk usage of an account, by CPU user."""

    users: tuple[UserUsage, ...]


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
