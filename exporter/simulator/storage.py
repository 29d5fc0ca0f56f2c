"""The file tree of an account: folders of files that can change while it is listed."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias


class FileType(Enum):
    """What a stored file is: a valid one of some kind, an invalid one, or a deleted one."""

    VIDEO = "video"
    AUDIO = "audio"
    SMIL = "smil"
    OTHER = "other"
    INVALID = "invalid"
    DELETED = "deleted"


VALID = frozenset({FileType.VIDEO, FileType.AUDIO, FileType.SMIL, FileType.OTHER})

LISTED: Mapping[str, frozenset[FileType]] = {
    "video": frozenset({FileType.VIDEO}),
    "audio": frozenset({FileType.AUDIO}),
    "smil": frozenset({FileType.SMIL}),
    "valid": VALID,
    "invalid": frozenset({FileType.INVALID}),
    "includeinvalid": VALID | {FileType.INVALID},
    "deleted": frozenset({FileType.DELETED}),
}
"""The stored files that each ``type`` of files.list shows (the API page on files.list)."""


class MemberOrder(Enum):
    """In which order a folder's members are listed, and so where a response is cut."""

    FILES_FIRST = auto()
    FOLDERS_FIRST = auto()
    """As the published sample prints them."""
    BY_NAME = auto()
    """Files and folders mixed."""


@dataclass(frozen=True, slots=True)
class Run:
    """Files that follow each other in a listing; None for a file that is scanned but not shown."""

    files: tuple[str | None, ...]


Members: TypeAlias = "tuple[Run | tuple[str, Folder], ...]"


class Folder:
    """A folder of files by name and of folders by name; threads may read and change it at once.

    Sorted names and counts are kept until something changes, so that a listing costs what it
    shows, not what is stored. Paths are relative to the folder and divided by ``/``; ``""`` is the
    folder itself. A name can be deleted more than once, and is then listed as often.
    """

    __slots__ = (
        "_counts",
        "_deleted",
        "_files",
        "_folder_count",
        "_folders",
        "_lock",
        "_members",
        "_names",
        "_parent",
        "_sorted_folders",
    )

    def __init__(
        self,
        files: Mapping[str, FileType] | None = None,
        folders: "Mapping[str, Folder] | None" = None,
    ) -> None:
        self._lock = threading.RLock()
        self._parent: Folder | None = None
        self._files: dict[str, FileType] = {}
        self._deleted: Counter[str] = Counter()
        self._folders = dict(folders or {})
        self._names: dict[str | None, tuple[str, ...]] = {}
        self._members: dict[tuple[str, MemberOrder, bool], Members] = {}
        self._sorted_folders: tuple[tuple[str, Folder], ...] | None = None
        self._counts: dict[str | None, int] = {}
        self._folder_count: int | None = None
        for name in (*(files or {}), *self._folders):
            _check_name(name)
        for name, file_type in (files or {}).items():
            self._put(name, file_type)
        for folder in self._folders.values():
            folder.attach(self)

    @property
    def lock(self) -> threading.RLock:
        """The one lock of the whole tree: who holds it sees the tree standing still."""
        return self._lock if self._parent is None else self._parent.lock

    def add(self, path: str, file_type: FileType = FileType.VIDEO) -> None:
        """Add a file, or change the type of the one that is there; missing folders are made.

        A deleted file is no longer there: its name can be added again, and be deleted again.
        Raises ValueError for an empty name.
        """
        name, is_below, rest = path.partition("/")
        _check_name(name)
        with self.lock:
            if is_below:
                self.make(name).add(rest, file_type)
            else:
                self._put(name, file_type)
                self.changed()

    def make(self, path: str) -> "Folder":
        """Return the folder at a path; what is missing of it is made.

        Raises ValueError for an empty name.
        """
        if not path:
            return self
        name, _, rest = path.partition("/")
        _check_name(name)
        with self.lock:
            if name not in self._folders:
                self.place(name, Folder())
            return self._folders[name].make(rest)

    def remove(self, path: str) -> None:
        """Remove the file or, with all that is in it, the folder at a path.

        Raises LookupError where there is neither.
        """
        name, is_below, rest = path.partition("/")
        with self.lock:
            if is_below and name in self._folders:
                self._folders[name].remove(rest)
            elif not is_below and name in self._files:
                del self._files[name]
            elif not is_below and name in self._deleted:
                self._deleted -= Counter([name])
            elif not is_below and name in self._folders:
                self.take(name)
            else:
                raise LookupError(f"there is no file or folder {path!r}")
            self.changed()

    def rename(self, path: str, new_path: str) -> None:
        """Move the folder at a path to a new path; missing folders on the way are made.

        Raises LookupError where there is no folder, ValueError where the new path is taken or is
        in the folder itself.
        """
        with self.lock:
            folder = self.find(path)
            if folder is None or not path:
                raise LookupError(f"there is no folder {path!r}")
            if self.find(new_path) is not None or f"{new_path}/".startswith(f"{path}/"):
                raise ValueError(f"a folder cannot be moved to {new_path!r}")
            old_above, _, old_name = path.rpartition("/")
            self.make(old_above).take(old_name)
            above, _, name = new_path.rpartition("/")
            self.make(above).place(name, folder)

    def take(self, name: str) -> None:
        """Take the folder of this name out of this one. Raises LookupError where there is none."""
        with self.lock:
            self._folders.pop(name).detach()
            self.changed()

    def place(self, name: str, folder: "Folder") -> None:
        """Put a folder that is in no tree into this one. Raises ValueError for an empty name."""
        _check_name(name)
        with self.lock:
            folder.attach(self)
            self._folders[name] = folder
            self.changed()

    def find(self, path: str) -> "Folder | None":
        """Return the folder at a path, or None."""
        if not path:
            return self
        name, _, rest = path.partition("/")
        with self.lock:
            folder = self._folders.get(name)
            return folder.find(rest) if folder is not None else None

    def names(self, listed: str | None) -> tuple[str, ...]:
        """Return the sorted names of the folder's own files that a ``type`` of LISTED shows.

        None means every file, of any type.
        """
        with self.lock:
            if listed not in self._names:
                shown = frozenset(FileType) if listed is None else LISTED[listed]
                names = [name for name, file_type in self._files.items() if file_type in shown]
                if FileType.DELETED in shown:
                    names += self._deleted.elements()
                self._names[listed] = tuple(sorted(names))
            return self._names[listed]

    def members(self, listed: str, order: MemberOrder, *, scanned: bool) -> Members:
        """Return files and folders in an order; ``scanned`` has None for files of other types."""
        key = (listed, order, scanned)
        with self.lock:
            if key not in self._members:
                files = (
                    self._list_scanned(listed) if scanned else [(n, n) for n in self.names(listed)]
                )
                self._members[key] = _order_members(files, self.folders(), order)
            return self._members[key]

    def folders(self) -> "tuple[tuple[str, Folder], ...]":
        """Return the folders directly in this one with their names, sorted by name."""
        with self.lock:
            if self._sorted_folders is None:
                self._sorted_folders = tuple(
                    (name, self._folders[name]) for name in sorted(self._folders)
                )
            return self._sorted_folders

    def count(self, listed: str | None) -> int:
        """Return how many files below the folder, at any depth, a ``type`` of LISTED shows.

        None means every file, of any type.
        """
        with self.lock:
            if listed not in self._counts:
                below = sum(folder.count(listed) for folder in self._folders.values())
                self._counts[listed] = len(self.names(listed)) + below
            return self._counts[listed]

    def count_folders(self) -> int:
        """Return how many folders are below this one, at any depth."""
        with self.lock:
            if self._folder_count is None:
                below = (1 + folder.count_folders() for folder in self._folders.values())
                self._folder_count = sum(below)
            return self._folder_count

    def walk(self, listed: str) -> Iterator[str]:
        """Return the path of every file below the folder that a ``type`` of LISTED shows.

        Depth first, a folder's own files before its folders: the order of files.list.
        """
        yield from self.names(listed)
        for name, folder in self.folders():
            for path in folder.walk(listed):
                yield f"{name}/{path}"

    def attach(self, parent: "Folder") -> None:
        """Make this folder a part of its parent's tree; ``place`` sees to that."""
        if self._parent is not None:
            raise ValueError("the folder is in a tree already: give each place its own Folder")
        self._parent = parent

    def detach(self) -> None:
        """Make this folder a tree of its own; ``take`` sees to that."""
        self._parent = None

    def changed(self) -> None:
        """Forget what was kept about this folder, and the counts of those above it."""
        self._names.clear()
        self._members.clear()
        self._sorted_folders = None
        self._counts.clear()
        self._folder_count = None
        if self._parent is not None:
            self._parent.changed()

    def _put(self, name: str, file_type: FileType) -> None:
        if file_type is FileType.DELETED:
            self._files.pop(name, None)
            self._deleted[name] += 1
        else:
            self._files[name] = file_type

    def _list_scanned(self, listed: str) -> list[tuple[str, str | None]]:
        """Return every file by name, each with its name again where the type shows it."""
        entries = [*self._files.items(), *((n, FileType.DELETED) for n in self._deleted.elements())]
        ordered = sorted(entries, key=lambda item: item[0])
        return [
            (name, name if file_type in LISTED[listed] else None) for name, file_type in ordered
        ]


def _order_members(
    files: Sequence[tuple[str, str | None]],
    folders: tuple[tuple[str, Folder], ...],
    order: MemberOrder,
) -> Members:
    """Return the members of a folder: runs of files (their name, and what is shown), folders."""
    run = tuple(shown for _, shown in files)
    if order is MemberOrder.FILES_FIRST or not folders:
        return (Run(run), *folders)
    if order is MemberOrder.FOLDERS_FIRST:
        return (*folders, Run(run))
    mixed: list[Run | tuple[str, Folder]] = []
    start = 0
    for name, folder in folders:
        end = bisect_left(files, name, key=lambda item: item[0])
        mixed += [Run(run[start:end]), (name, folder)]
        start = end
    return (*mixed, Run(run[start:]))


def _check_name(name: str) -> None:
    if not name or "/" in name:
        raise ValueError(f"a name in a folder must have a character and no '/': {name!r}")
