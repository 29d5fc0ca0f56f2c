"""The file tree of an account: folders of files that can change while it is listed."""

import threading
from collections.abc import Iterator, Mapping
from enum import Enum


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


class Folder:
    """A folder of files by name and of folders by name; threads may read and change it at once.

    Sorted names and counts are kept until something changes, so that a listing costs what it
    shows, not what is stored. Paths are relative to the folder and divided by ``/``; ``""`` is the
    folder itself.
    """

    __slots__ = ("_below", "_files", "_folders", "_lock", "_names", "_parent", "_sorted_folders")

    def __init__(
        self,
        files: Mapping[str, FileType] | None = None,
        folders: "Mapping[str, Folder] | None" = None,
    ) -> None:
        self._lock = threading.RLock()
        self._parent: Folder | None = None
        self._files = dict(files or {})
        self._folders = dict(folders or {})
        self._names: dict[str, tuple[str, ...]] = {}
        self._sorted_folders: tuple[tuple[str, Folder], ...] | None = None
        self._below: dict[str, int] = {}
        for name in (*self._files, *self._folders):
            _check_name(name)
        for folder in self._folders.values():
            folder.attach(self)

    @property
    def lock(self) -> threading.RLock:
        """The one lock of the whole tree: who holds it sees the tree standing still."""
        return self._lock if self._parent is None else self._parent.lock

    def add(self, path: str, file_type: FileType = FileType.VIDEO) -> None:
        """Add a file, or change the type of the one that is there; missing folders are made.

        Raises ValueError for an empty name.
        """
        name, is_below, rest = path.partition("/")
        _check_name(name)
        with self.lock:
            if is_below:
                self.make(name).add(rest, file_type)
            else:
                self._files[name] = file_type
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
                folder = Folder()
                folder.attach(self)
                self._folders[name] = folder
                self.changed()
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
            elif not is_below and name in self._folders:
                del self._folders[name]
            else:
                raise LookupError(f"there is no file or folder {path!r}")
            self.changed()

    def find(self, path: str) -> "Folder | None":
        """Return the folder at a path, or None."""
        if not path:
            return self
        name, _, rest = path.partition("/")
        with self.lock:
            folder = self._folders.get(name)
            return folder.find(rest) if folder is not None else None

    def names(self, listed: str) -> tuple[str, ...]:
        """Return the sorted names of the folder's own files that a ``type`` of LISTED shows."""
        with self.lock:
            if listed not in self._names:
                shown = LISTED[listed]
                names = sorted(name for name, kind in self._files.items() if kind in shown)
                self._names[listed] = tuple(names)
            return self._names[listed]

    def folders(self) -> "tuple[tuple[str, Folder], ...]":
        """Return the folders directly in this one with their names, sorted by name."""
        with self.lock:
            if self._sorted_folders is None:
                self._sorted_folders = tuple(
                    (name, self._folders[name]) for name in sorted(self._folders)
                )
            return self._sorted_folders

    def count(self, listed: str) -> int:
        """Return how many files below the folder, at any depth, a ``type`` of LISTED shows."""
        with self.lock:
            if listed not in self._below:
                below = sum(folder.count(listed) for folder in self._folders.values())
                self._below[listed] = len(self.names(listed)) + below
            return self._below[listed]

    def count_folders(self) -> int:
        """Return how many folders are below this one, at any depth."""
        with self.lock:
            return sum(1 + folder.count_folders() for folder in self._folders.values())

    def walk(self, listed: str) -> Iterator[str]:
        """Give the path of every file below the folder that a ``type`` of LISTED shows.

        Depth first, a folder's own files before its folders: the order of files.list.
        """
        yield from self.names(listed)
        for name, folder in self.folders():
            for path in folder.walk(listed):
                yield f"{name}/{path}"

    def attach(self, parent: "Folder") -> None:
        """Make this folder a part of its parent's tree; ``add`` and ``make`` see to that."""
        if self._parent is not None:
            raise ValueError("the folder is in a tree already: give each place its own Folder")
        self._parent = parent

    def changed(self) -> None:
        """Forget what was kept about this folder, and the counts of those above it."""
        self._names.clear()
        self._sorted_folders = None
        self._below.clear()
        if self._parent is not None:
            self._parent.changed()


def _check_name(name: str) -> None:
    if not name or "/" in name:
        raise ValueError(f"a name in a folder must have a character and no '/': {name!r}")
