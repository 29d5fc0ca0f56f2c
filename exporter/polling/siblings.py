"""Complete the sub-folders of a folder by requests for the folder, about a hundred files each.

A response that reaches its limit skips the sub-folders that follow. To request each of them takes a
request per sub-folder. A request for their parent, at the offset of the last sub-folder that was
shown, returns as many of them as have room in a response. What the offset of a parent counts is not
documented, so it is tried, and a response is used only where it proves its position:

- The first folder that it shows is the *anchor*, a sub-folder with files that is known already. It
  is shown as before, so the offset has skipped nothing in it; where it was cut, it may go on.
- The anchor is not the first sub-folder: a server may show all of them at any offset.
- From the anchor on, the known sub-folders follow in the known order, none left out, none new.
- They are complete, then at most one is cut, and all others are skipped.
- The offset is not larger than the number of files that are known before the anchor.

Nothing else is learned from the response, and where one of this does not hold, nothing at all.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from exporter.polling.folder_progress import FolderProgress
from exporter.scaleengine.file_listing import (
    FolderListing,
    LoadState,
    may_be_api_member,
)

MIN_SIBLINGS: Final = 3
"""Fewer incomplete sub-folders are requested separately."""
_MAX_ANCHOR_SHARE: Final = 0.6
"""A complete anchor that takes more of a response leaves too little room for others."""


class ParentOffset(StrEnum):
    """What the offset of a request for a parent may count, up to the anchor."""

    ENTRIES = "entries"
    """The files in the parent, and the sub-folders."""
    FOLDERS = "folders"
    """The sub-folders."""
    FILES = "files"
    """The files in the parent, and those in the sub-folders, at any depth."""


Entry = tuple[str, FolderListing]
"""A sub-folder as a response shows it, with its name."""


@dataclass(slots=True)
class SiblingRun:
    """Incomplete sub-folders of a complete folder, in the order of its listing.

    ``before`` are the complete ones directly before the first of ``queue``, from the anchor on, and
    ``cut`` is that first one where it was shown in part; each as it was shown from its start.
    ``index`` sub-folders, with ``files_before`` known files, come before all these. A response has
    room for ``page`` files.
    """

    parent: FolderProgress
    queue: deque[FolderProgress]
    page: int
    index: int
    files_before: int
    before: list[Entry] = field(default_factory=list)
    cut: FolderListing | None = None
    seen_folders: int = 0
    seen_files: int = 0
    tried: set[int] = field(default_factory=set)
    """The offsets at which a response for the parent was of no use with this anchor."""
    choice: tuple[str, str] | None = None
    """What was chosen last and why, for the log."""
    is_exact: bool = True
    """Whether ``files_before`` has all files that come before."""
    _open: list[FolderProgress] = field(default_factory=list)
    """Sub-folders before the anchor whose files are not all in ``files_before``."""
    _batch: int = 8

    @property
    def anchor(self) -> FolderListing | None:
        """Return the anchor as it was shown, if there is one."""
        return self.before[0][1] if self.before else self.cut

    @property
    def names(self) -> list[str]:
        """Return the names of the sub-folders from the anchor on."""
        return [name for name, _ in self.before] + [child.name for child in self.queue]

    @property
    def mean_files(self) -> float:
        """Return about how many files a sub-folder has."""
        cut = 0 if self.cut is None else self.cut.all_files
        return (self.seen_files + cut) / max(1, self.seen_folders)

    @property
    def expected(self) -> float:
        """Return about how many sub-folders one more response for the parent completes.

        It shows again all that is known from the anchor on.
        """
        again = sum(folder.all_files for _, folder in self.before)
        again += 0 if self.cut is None else self.cut.all_files
        return (self.page - again) / max(1.0, self.mean_files)

    def offset(self, counted: ParentOffset) -> int | None:
        """Return the offset of the anchor; None where there is none that could prove anything."""
        if self.anchor is None or self.index == 0:
            return None
        self._add_known_files()
        offset = {
            ParentOffset.ENTRIES: self.parent.file_count + self.index,
            ParentOffset.FOLDERS: self.index,
            ParentOffset.FILES: self.files_before if self.is_exact else 0,
        }[counted]
        return offset if 0 < offset <= self.files_before else None

    def take_in(self, shown: Sequence[Entry]) -> Sequence[FolderProgress]:
        """Move on behind what a response for the parent has shown, and was counted already.

        Return the sub-folders that are no longer in the run, complete or not.
        """
        known = 0 if self.cut is None else self.cut.all_files
        self.cut = None
        self.tried.clear()
        taken: list[FolderProgress] = []
        for name, folder in shown[len(self.before) :]:
            child = self.queue.popleft()
            is_stuck = folder.all_files <= known and not taken
            is_last = name == shown[-1][0]
            if (
                not child.is_done
                and is_last
                and not is_stuck
                and _may_anchor(child, folder, self.page)
            ):
                self.queue.appendleft(child)
                self.cut = folder
                break
            self._take(child, folder if child.is_done else None, folder.all_files)
            taken.append(child)
        self.set_anchor()
        return taken

    def take_requested(self, shown: FolderListing | None) -> None:
        """Move on behind the first sub-folder, after a response to a request for that was counted.

        ``shown`` is what that showed of it from its start; None where it did not.
        """
        self.cut = None
        self.tried.clear()
        child = self.queue.popleft()
        self._take(child, shown if child.is_done else None, child.known_files)
        self.set_anchor()

    def double_batch(self) -> int:
        """Return twice as many sub-folders to request separately as the last time."""
        self._batch *= 2
        return self._batch

    def take_first(self, number: int) -> Sequence[FolderProgress]:
        """Take sub-folders out of the run, to be requested separately.

        What follows may be of another size, so what was seen of their sizes counts no longer.
        """
        self.seen_folders = self.seen_files = 0
        self.tried.clear()
        taken = [self.queue.popleft() for _ in range(min(number, len(self.queue)))]
        self.cut = None
        for child in taken:
            self._leave_behind(child)
            self.parent.drop_child(child.name)
        return taken

    def add_complete(self, child: FolderProgress, shown: FolderListing | None) -> None:
        """Record a complete sub-folder that comes before the queue."""
        self.seen_folders += 1
        self.seen_files += child.known_files
        if shown is not None and shown.loaded is not LoadState.SKIPPED:
            self.before.append((child.name, shown))
        else:
            self._pass_over(len(self.before))
            self.index += 1
            self.files_before += child.known_files

    def leave_first(self) -> None:
        """Leave the first sub-folder to the parent."""
        self._leave_behind(self.queue.popleft())

    def take_others(self) -> Sequence[FolderProgress]:
        """Take the sub-folders that are not in the run from their parent."""
        in_run = frozenset(self.queue)
        others = [child for child in self.parent.children.values() if child not in in_run]
        for child in others:
            self.parent.drop_child(child.name)
        return others

    def _take(self, child: FolderProgress, shown: FolderListing | None, files: int) -> None:
        """Move on behind a sub-folder; ``shown`` is None where it was not shown as complete."""
        self.seen_folders += 1
        self.seen_files += files
        if shown is None:
            self._leave_behind(child)
        else:
            self.before.append((child.name, shown))
        self.parent.drop_child(child.name)

    def _leave_behind(self, child: FolderProgress) -> None:
        """Pass over a sub-folder of which not everything is known: then there is no anchor."""
        self._pass_over(len(self.before))
        self.index += 1
        self.is_exact = False
        self._open.append(child)

    def _pass_over(self, number: int) -> None:
        self.index += number
        self.files_before += sum(folder.all_files for _, folder in self.before[:number])
        del self.before[:number]

    def set_anchor(self) -> None:
        """Begin with the last complete sub-folder that may be an anchor, or with the cut one."""
        usable = [
            index
            for index, (_, folder) in enumerate(self.before)
            if 0 < folder.all_files <= _MAX_ANCHOR_SHARE * self.page
        ]
        if self.cut is not None or not usable:
            self._pass_over(len(self.before))
        else:
            self._pass_over(usable[-1])

    def _add_known_files(self) -> None:
        """Add the files of sub-folders that have become complete."""
        self.files_before += sum(child.file_count for child in self._open if child.is_complete)
        self._open = [child for child in self._open if not child.is_complete]


def begin_run(parent: FolderProgress, shown: FolderListing | None, page: int) -> SiblingRun | None:
    """Return the run of a complete folder; None where too few of its sub-folders are incomplete.

    ``shown`` is what a response showed of the folder, with each sub-folder from its start; None
    where there is no such response. The other sub-folders stay with the parent. A response shows at
    most ``page`` files.
    """
    children = [child for child in parent.children.values() if child.is_certain]
    first = next((i for i, child in enumerate(children) if not child.is_done), len(children))
    complete, queue = children[:first], deque(children[first:])
    if len(queue) < MIN_SIBLINGS or any(child.is_touched for child in children[first + 1 :]):
        return None
    run = SiblingRun(parent, queue, page, 0, parent.file_count)
    folders = {} if shown is None else shown.folders
    for child in complete:
        run.add_complete(child, folders.get(child.name))
    cut = folders.get(queue[0].name)
    if cut is not None and _may_anchor(queue[0], cut, page):
        run.cut = cut
    run.set_anchor()
    if run.cut is None and queue[0].is_complete:
        run.leave_first()
    return run


def match_position(
    run: SiblingRun, response: FolderListing, is_complete: Callable[[FolderListing], bool]
) -> Sequence[Entry] | None:
    """Return the sub-folders that a response for the parent shows, if they can be used.

    The request was made at the offset of the anchor. ``is_complete`` says whether a response shows
    a folder as complete, with all that is below it.
    """
    entries = [
        (name, folder)
        for name, folder in response.folders.items()
        if not may_be_api_member(name) or folder.is_surely_folder
    ]
    shown = [entry for entry in entries if entry[1].loaded is not LoadState.SKIPPED]
    is_proven = (
        (not response.files or response.files_last)
        and [name for name, _ in entries] == run.names
        and shown == entries[: len(shown)]
        and all(is_complete(folder) for _, folder in shown[:-1])
        and _shows_anchor(run, [folder for _, folder in shown])
    )
    return shown if is_proven else None


def _shows_anchor(run: SiblingRun, shown: Sequence[FolderListing]) -> bool:
    """Return whether a response shows again what is known from the anchor on."""
    if len(shown) < len(run.before):
        return False
    if run.cut is not None:
        return bool(shown) and shows_more(run.cut, shown[0])
    known = [folder for _, folder in run.before]
    return all(map(shows_same, known, shown))


def shows_same(known: FolderListing, shown: FolderListing) -> bool:
    """Return whether two responses show a folder with the same files and folders."""
    unread = [(known, shown)]
    while unread:
        before, now = unread.pop()
        if [*before.files] != [*now.files] or [*before.folders] != [*now.folders]:
            return False
        unread += zip(before.folders.values(), now.folders.values(), strict=True)
    return True


def shows_more(known: FolderListing, shown: FolderListing) -> bool:
    """Return whether a response shows a folder from its start, with at least what is known of it.

    ``known`` is what an earlier response showed, which may have ended inside the folder.
    """
    unread = [(known, shown)]
    while unread:
        before, now = unread.pop()
        if before.loaded is LoadState.SKIPPED:
            continue
        is_cut = before.loaded is not LoadState.COMPLETE
        files, folders = [*now.files], [*now.folders]
        if is_cut:
            files, folders = files[: len(before.files)], folders[: len(before.folders)]
        if files != [*before.files] or folders != [*before.folders]:
            return False
        unread += ((folder, now.folders[name]) for name, folder in before.folders.items())
    return True


def _may_anchor(child: FolderProgress, shown: FolderListing, page: int) -> bool:
    """Return whether a cut sub-folder has files, and leaves room for another as the anchor."""
    is_used = shown.loaded is not LoadState.SKIPPED and not child.is_requested_separately
    return is_used and 0 < shown.all_files < page
