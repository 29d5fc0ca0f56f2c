"""files.list: which files and folders one response shows, and where it is cut."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, ListedFolder
from exporter.simulator.storage import Folder, Run
from tests.support.variant_switches import (
    COUNTS_FOLDERS,
    Counted,
    FileCount,
    Offsets,
    PassingOffset,
    Unreached,
)

if TYPE_CHECKING:
    from tests.support.api_variants import ApiVariant


_UNREACHED = ListedFolder(loaded=SKIPPED)


def list_folder(folder: Folder, listed: str, offset: int, variant: "ApiVariant") -> ListedFolder:
    """Return what one response shows of a folder, from an offset on.

    Depth first, members in the order of the reading, names sorted. ``listed`` is a ``type`` that
    the API knows.
    """
    with folder.lock:
        start = offset
        if variant.offsets is Offsets.RECURSIVE or offset <= len(folder.names(listed)):
            start = max(0, offset - variant.overlap)
        page = _Page(listed, variant, start)
        return page.list_folder(folder, start, requested=True)[0]


@dataclass(slots=True)
class _Seen:
    """What a page has listed of one folder so far.

    ``skip`` is how much is still to be passed over, ``reached`` the place in the folder that the
    listing has come to, both in what offsets count.
    """

    requested: bool
    skip: int
    reached: int
    files: list[str] = field(default_factory=list)
    folders: list[tuple[str, ListedFolder]] = field(default_factory=list)
    cut_in_files: bool = False


class _Page:
    """One response while it is put together: how much room is left, and how far it has come.

    ``passed`` is the place below the requested folder, at any depth, in what offsets count.
    """

    def __init__(self, listed: str, variant: "ApiVariant", start: int) -> None:
        self._listed = listed
        self._variant = variant
        self._start = start
        self._room = variant.files_per_answer
        self._passed = start
        self._recursive = variant.offsets is Offsets.RECURSIVE
        counts = variant.offset_counts
        self._counts_files = counts is not Counted.FOLDERS
        self._counts_folders = counts in COUNTS_FOLDERS
        self._scans = counts in {Counted.SCANNED, Counted.SCANNED_ENTRIES}
        self._has_to_show = variant.limit_counts is Counted.SCANNED

    def list_folder(
        self, folder: Folder, start: int, *, requested: bool
    ) -> tuple[ListedFolder, int]:
        """List a folder from a place in it on; return it and the place that was reached."""
        seen = _Seen(requested, start, start)
        order = self._variant.members
        for member in folder.members(self._listed, order, scanned=self._scans):
            if isinstance(member, Run):
                self._add_files(member.files, seen)
            else:
                self._add_folder(folder, *member, seen)
        listed = self._finish(folder, seen)
        if not requested and listed.loaded == PARTIAL and seen.reached == start:
            shows_nothing = not (listed.files or listed.folders)
            return ListedFolder(loaded=SKIPPED) if shows_nothing else listed, seen.reached
        return listed, seen.reached

    def _add_files(self, files: tuple[str | None, ...], seen: _Seen) -> None:
        if not self._counts_files:
            self._room -= len(files)
            seen.files += [name for name in files if name is not None]
            return
        first = min(seen.skip, len(files))
        seen.skip -= first
        if self._scans:
            end = self._scan(files, first, requested=seen.requested)
        else:
            end = min(first + max(0, self._room), len(files))
            self._room -= end - first
        seen.files += [name for name in files[first:end] if name is not None]
        seen.reached += end - first
        self._passed += end - first
        seen.cut_in_files |= end < len(files)

    def _scan(self, files: tuple[str | None, ...], first: int, *, requested: bool) -> int:
        """Take files of any type while there is room; return where that ends.

        Where the room is for scanned files, scanning goes on until there is something to show.
        """
        counts_all = self._variant.limit_counts is Counted.SCANNED
        concerned = requested or self._recursive
        for index in range(first, len(files)):
            if self._room <= 0 and not (self._has_to_show and concerned):
                return index
            is_shown = files[index] is not None
            self._room -= 1 if counts_all or is_shown else 0
            if is_shown and concerned:
                self._has_to_show = False
        return len(files)

    def _add_folder(self, parent: Folder, name: str, folder: Folder, seen: _Seen) -> None:
        units = self._units(folder)
        if seen.skip and (not self._recursive or seen.skip >= units):
            if self._recursive:
                seen.skip -= units
            elif self._counts_folders:
                seen.skip -= 1
            return
        reserved = self._reserved(parent, seen)
        if self._room <= reserved and not self._is_never_left_out(units):
            seen.folders.append((name, _UNREACHED))
            return
        begins_here = not seen.skip
        start = self._start if self._variant.offset_in_every_folder else seen.skip
        if self._recursive and self._counts_folders and seen.skip:
            start -= 1
        seen.skip = 0
        entry = 1 if begins_here and self._counts_folders else 0
        self._room -= reserved
        self._room -= 1 if begins_here and self._variant.limit_counts is Counted.ENTRIES else 0
        self._passed += entry
        listed, reached = self.list_folder(folder, start, requested=False)
        self._room += reserved
        seen.folders.append((name, listed))
        seen.reached += entry + (reached - start if self._recursive else 0)

    def _units(self, folder: Folder) -> int:
        """Return how much a recursive offset counts of a folder, with itself if it counts it."""
        folders = 1 + folder.count_folders() if self._counts_folders else 0
        return folder.count(None if self._scans else self._listed) + folders

    def _is_never_left_out(self, units: int) -> bool:
        """Return whether a folder is listed without room: no offset would lead to it."""
        return self._recursive and (not units or self._has_to_show)

    def _reserved(self, parent: Folder, seen: _Seen) -> int:
        """Return the room that sub-folders leave, so that a file is shown and an offset moves."""
        counts_own_files = not (self._recursive or self._counts_folders)
        if not (counts_own_files and seen.requested) or seen.files:
            return 0
        own_files = len(parent.names(None if self._scans else self._listed))
        return 1 if seen.reached < own_files else 0

    def _finish(self, folder: Folder, seen: _Seen) -> ListedFolder:
        """Return the folder as it is listed: with unreached folders or not, complete or cut."""
        unreached = self._variant.unreached
        folders = tuple(seen.folders)
        if unreached is Unreached.BEHIND_OFFSET or (
            unreached is Unreached.SKIPPED_AFTER_FILES and seen.cut_in_files
        ):
            folders = tuple(entry for entry in folders if entry[1] is not _UNREACHED)
        if self._recursive:
            total = self._units(folder) - (1 if self._counts_folders else 0)
            is_cut = seen.reached < total
        else:
            is_cut = seen.cut_in_files or len(folders) < len(seen.folders)
        if self._variant.loaded_tells_files:
            is_cut = seen.cut_in_files
        listed = ListedFolder(tuple(seen.files), folders, PARTIAL if is_cut else COMPLETE)
        if is_cut:
            listed = replace(listed, offset=self._offset(seen))
        if is_cut or self._variant.count_on_complete:
            listed = replace(listed, file_count=self._file_count(folder, listed))
        return listed

    def _offset(self, seen: _Seen) -> int:
        variant = self._variant
        if not seen.requested and variant.passing_offset is PassingOffset.FROM_REQUESTED:
            return self._passed
        reached = [listed for _, listed in seen.folders if listed is not _UNREACHED]
        ends_in_folder = bool(reached) and reached[-1].loaded == PARTIAL
        return seen.reached - (1 if variant.offset_stays and ends_in_folder else 0)

    def _file_count(self, folder: Folder, listed: ListedFolder) -> int:
        variant = self._variant
        if variant.file_count is FileCount.RESPONSE:
            return len(listed.files) + len(listed.folders)
        files = None if variant.count_all_types else self._listed
        if variant.count_below:
            return folder.count(files) + folder.count_folders()
        return len(folder.names(files)) + len(folder.folders())
