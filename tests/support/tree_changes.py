"""Changes of a tree while it is walked, and what was true of it at each moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from exporter.simulator.storage import LISTED, FileType, Folder


@dataclass(frozen=True, slots=True)
class Add:
    """A new file; missing folders are made."""

    path: str
    file_type: FileType = FileType.VIDEO


@dataclass(frozen=True, slots=True)
class Remove:
    """A file, or a folder with all that is in it, that goes."""

    path: str


@dataclass(frozen=True, slots=True)
class MoveFile:
    """A file that moves to another path, which keeps its type."""

    path: str
    new_path: str
    file_type: FileType = FileType.VIDEO


@dataclass(frozen=True, slots=True)
class Rename:
    """A folder that moves to another path with all that is in it."""

    path: str
    new_path: str


Change: TypeAlias = Add | Remove | MoveFile | Rename

Choose: TypeAlias = Callable[[int, Folder], Sequence[Change]]
"""Gives the changes that come before a request; requests are numbered from 1 on."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The files of a type and the folders below a folder, at a moment."""

    files: int
    folders: int


class ChangingFolder:
    """A folder that changes between requests; ``refresh`` is the hook for its account.

    ``truths`` are those of all moments so far, oldest first: what a walk publishes should be one
    of them. ``moved_files`` and ``moved_folders`` are how many the changes have added, removed or
    moved in all: what a walk publishes cannot be further from a truth.
    """

    def __init__(self, folder: Folder, listed: str, choose: Choose) -> None:
        self.truths = [_truth(folder, listed)]
        self.moved_files = 0
        self.moved_folders = 0
        self.requests = 0
        self._folder = folder
        self._listed = listed
        self._choose = choose

    def refresh(self, _: float) -> None:
        """Apply the changes that come before a request."""
        self.requests += 1
        for change in self._choose(self.requests, self._folder):
            self.apply(change)

    def apply(self, change: Change) -> None:
        """Change the folder and note what is true now.

        Raises LookupError or ValueError for a change of what is not there.
        """
        with self._folder.lock:
            touched = self._touched(change)
            _apply(self._folder, change)
            after = _truth(self._folder, self._listed)
            before = self.truths[-1]
            self.moved_files += max(touched.files, abs(after.files - before.files))
            self.moved_folders += max(touched.folders, abs(after.folders - before.folders))
            self.truths.append(after)

    def distance(self, files: int, folders: int) -> Truth:
        """Return how far published numbers are from the moment that they fit best; 0, 0 if true."""
        return min(
            (
                Truth(abs(files - known.files), abs(folders - known.folders))
                for known in self.truths
            ),
            key=lambda truth: (truth.files + truth.folders, truth.files),
        )

    def _touched(self, change: Change) -> Truth:
        """Return how much a change takes with it."""
        if isinstance(change, MoveFile):
            return Truth(int(change.file_type in LISTED[self._listed]), 0)
        folder = self._folder.find(change.path) if isinstance(change, Rename) else None
        if folder is None:
            return Truth(0, 0)
        below = _truth(folder, self._listed)
        return Truth(below.files, below.folders + 1)


def scripted(changes: Mapping[int, Sequence[Change]]) -> Choose:
    """Return a choice of just these changes, by the number of the request that they precede."""
    return lambda number, _: changes.get(number, ())


def random_changes(rng: Random, share: float) -> Choose:
    """Return a choice at random: before this share of requests, but the first, something changes.

    Files come and go, files move to other folders, folders are renamed, and go with all they hold.
    """

    def choose(number: int, folder: Folder) -> Sequence[Change]:
        if number == 1 or rng.random() >= share:
            return ()
        change = _random_change(rng, folder, number)
        return () if change is None else (change,)

    return choose


def _random_change(rng: Random, folder: Folder, number: int) -> Change | None:
    """Return a change of what is there; None where there is nothing of the chosen kind."""
    folders = list(_paths_of_folders(folder))
    into = rng.choice(["", *(f"{path}/" for path in folders)])
    # A new name sorts before, among or behind the others.
    name = rng.choice([f"!{number}.mp4", f"m{number:03}.mp4", f"~{number}.mp4"])
    kind = rng.choices(("add", "remove", "move", "rename", "drop"), (3, 3, 3, 2, 1))[0]
    if kind == "add":
        return Add(f"{into}{name}")
    if kind in {"remove", "move"}:
        files = list(folder.walk("video"))
        if not files:
            return None
        path = rng.choice(files)
        return Remove(path) if kind == "remove" else MoveFile(path, f"{into}{name}")
    if not folders:
        return None
    path = rng.choice(folders)
    if kind == "drop":
        return Remove(path)
    inside = f"{into}/".startswith(f"{path}/")
    return Rename(path, f"{'' if inside else into}{name.removesuffix('.mp4')}")


def _paths_of_folders(folder: Folder, above: str = "") -> Iterator[str]:
    for name, below in folder.folders():
        yield f"{above}{name}"
        yield from _paths_of_folders(below, f"{above}{name}/")


def _apply(folder: Folder, change: Change) -> None:
    if isinstance(change, Add):
        folder.add(change.path, change.file_type)
    elif isinstance(change, Remove):
        folder.remove(change.path)
    elif isinstance(change, MoveFile):
        folder.remove(change.path)
        folder.add(change.new_path, change.file_type)
    else:
        folder.rename(change.path, change.new_path)


def _truth(folder: Folder, listed: str) -> Truth:
    return Truth(folder.count(listed), folder.count_folders())
