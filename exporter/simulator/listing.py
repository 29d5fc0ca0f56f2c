"""files.list: which files and folders one answer shows, and where it is cut."""

from dataclasses import dataclass

from exporter.simulator.readings import FileCount, Offsets, Readings, Unreached
from exporter.simulator.storage import Folder

COMPLETE = 1
SKIPPED = 0
PARTIAL = -1


@dataclass(frozen=True, slots=True)
class Listed:
    """One folder of an answer; ``offset`` and ``file_count`` are given when it is partial."""

    files: tuple[str, ...] = ()
    folders: tuple[tuple[str, "Listed"], ...] = ()
    loaded: int = COMPLETE
    offset: int = 0
    file_count: int = 0

    def file_total(self) -> int:
        """Return how many files the answer shows of this folder, at any depth."""
        return len(self.files) + sum(folder.file_total() for _, folder in self.folders)


_UNREACHED = Listed(loaded=SKIPPED)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What stays the same all the way down: the ``type`` of files to show, and the reading."""

    listed: str
    readings: Readings

    def shows_unreached(self, *, cut_in_files: bool) -> bool:
        """Say whether a folder lists those in it that there was no room for, as skipped."""
        if cut_in_files:
            return self.readings.unreached is Unreached.SKIPPED
        return self.readings.unreached is not Unreached.BEHIND_OFFSET


def list_folder(folder: Folder, listed: str, offset: int, readings: Readings) -> Listed:
    """Return what one answer shows of a folder, from an offset on.

    Depth first, a folder's own files before its folders, names sorted; at most
    ``readings.files_per_answer`` files. ``listed`` is a ``type`` that the API knows.
    """
    asked = _Asked(listed, readings)
    room = readings.files_per_answer
    with folder.lock:
        if readings.offsets is Offsets.RECURSIVE:
            return _by_files(folder, asked, max(0, offset - readings.overlap), room)
        if offset <= len(folder.names(listed)):
            offset = max(0, offset - readings.overlap)
        return _by_entries(folder, asked, offset, room)


def _by_entries(folder: Folder, asked: _Asked, start: int, room: int) -> Listed:
    """List a folder whose offset counts its own entries: its files, then its folders."""
    names = folder.names(asked.listed)
    files = names[start : start + room]
    reached = start + len(files)
    room -= len(files)
    cut_in_files = reached < len(names)
    cut = cut_in_files
    folders: list[tuple[str, Listed]] = []
    for name, below in folder.folders()[max(0, reached - len(names)) :]:
        if room:
            shown = _by_entries(below, asked, 0, room)
            folders.append((name, shown))
            room -= shown.file_total()
            reached += 1
        elif asked.shows_unreached(cut_in_files=cut_in_files):
            folders.append((name, _UNREACHED))
        else:
            cut = True
    return _listed(folder, asked, files, folders, reached if cut else None)


def _by_files(folder: Folder, asked: _Asked, start: int, room: int) -> Listed:
    """List a folder whose offset counts the files below it, at any depth."""
    names = folder.names(asked.listed)
    files = names[start : start + room]
    reached = start + len(files)
    room -= len(files)
    before = max(0, start - len(names))
    cut_in_files = reached < len(names)
    folders: list[tuple[str, Listed]] = []
    for name, below in folder.folders():
        total = below.count(asked.listed)
        if before and total <= before:
            before -= total
        elif room or not total:
            shown = _by_files(below, asked, before, room)
            folders.append((name, shown))
            room -= shown.file_total()
            reached += shown.file_total()
            before = 0
        elif asked.shows_unreached(cut_in_files=cut_in_files):
            folders.append((name, _UNREACHED))
    cut = reached < folder.count(asked.listed)
    return _listed(folder, asked, files, folders, reached if cut else None)


def _listed(
    folder: Folder,
    asked: _Asked,
    files: tuple[str, ...],
    folders: list[tuple[str, Listed]],
    cut_at: int | None,
) -> Listed:
    if cut_at is None:
        return Listed(files, tuple(folders))
    if asked.readings.file_count is FileCount.ANSWER:
        entries = len(files) + len(folders)
    else:
        entries = len(folder.names(asked.listed)) + len(folder.folders())
    return Listed(files, tuple(folders), PARTIAL, cut_at, entries)
