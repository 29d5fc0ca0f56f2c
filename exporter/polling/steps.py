"""The requests of a walk for one folder: where each begins, and what it must show again."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.file_listing import (
    PAGE_SIZE,
    FolderListing,
    Listing,
    LoadState,
    may_be_api_member,
)

Start: TypeAlias = tuple[str | None, str | None]


class StepKind(Enum):
    """What a request of a folder is for."""

    NEXT = auto()
    AT_OFFSET = auto()
    """From the place that the server gave, one entry earlier."""
    LEAP = auto()
    """A try: whether an offset counts the files at any depth."""
    SAME = auto()
    """A try: whether the offset has no effect on the sub-folders, however large it is."""
    GAP = auto()
    """A try behind the end: a server may limit what it looks at, not what it shows."""
    FARTHER = auto()
    """A try: whether an offset counts more than the own files that a response shows."""
    CHECK = auto()
    """Nothing is learned from the response, but that its first entry is still in its place."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request for a folder.

    ``file``, ``child`` (a sub-folder) and ``first_child`` (one that comes before all others) are
    entries of which one must be shown again; None for what the last response did not show.
    ``otherwise`` is the step to make where that is not so, and ``check`` the one that shows
    afterwards that nothing has moved. The ``child`` of a leap is where its ``file`` is.
    ``child_shown`` is the ``child`` as the last response showed it.
    """

    offset: int
    kind: StepKind = StepKind.NEXT
    file: str | None = None
    child: str | None = None
    first_child: str | None = None
    otherwise: "Step | None" = None
    check: "Step | None" = None
    child_shown: FolderListing | None = None


FIRST_STEP: Final = Step(0)


def find_start(shown: FolderListing) -> Start:
    """Return the first own file and the first sub-folder that a response shows of a folder."""
    return next(iter(shown.files), None), next(iter(iter_folder_names(shown)), None)


def iter_folder_names(shown: FolderListing) -> Iterator[str]:
    """Return the names of the sub-folders that a response shows, but for members of the API."""
    return (
        name
        for name, child in shown.folders.items()
        if child.is_surely_folder or not may_be_api_member(name)
    )


def has_skipped(start: Start, shown: FolderListing) -> bool:
    """Return whether a response leaves out what an earlier one showed first of the folder.

    ``start`` is that of the earlier response. That may have been cut before it came to a sub-folder
    or to a file, so only what it did show counts: its first file, or else its first sub-folder.
    """
    first_file, first_child = start
    file, child = find_start(shown)
    if first_file is not None:
        return file != first_file
    return first_child is not None and child != first_child


def shows_nothing(shown: FolderListing) -> bool:
    """Return whether a response shows neither files nor folders, but for members of the API."""
    return not shown.files and not any(iter_folder_names(shown))


def repeats_expected(shown: FolderListing, step: Step) -> bool:
    """Return whether a response shows again the entries that the step expects."""
    if step.file is None and step.first_child is None and step.child is None:
        return True
    if step.file in shown.files:
        return True
    child = shown.folders.get(step.child or "")
    if child is not None and child.loaded is not LoadState.SKIPPED:
        return step.child_shown is None or repeats_or_adds_nothing(step.child_shown, child)
    return step.first_child is not None and find_start(shown)[1] == step.first_child


def repeats_or_adds_nothing(known: FolderListing, shown: FolderListing) -> bool:
    """Return whether nothing of a folder can have been passed over between two responses.

    That is where the later one shows a file of the folder again, or nothing new in it. ``known`` is
    what the earlier one showed. Where all its files are gone and others are shown, what was between
    them may have been passed over.
    """
    has_new = False
    unread = [(known, shown)]
    while unread:
        before, now = unread.pop()
        if not frozenset(before.files).isdisjoint(now.files):
            return True
        has_new |= bool(now.files)
        for name, folder in now.folders.items():
            if name in before.folders:
                unread.append((before.folders[name], folder))
            else:
                has_new |= folder.loaded is not LoadState.SKIPPED
    return not has_new


def may_leap(listing: Listing, step: Step, traits: WalkTraits) -> bool:
    """Return whether it is worth a try that an offset counts the files at any depth.

    The try must be able to fail: not where the folder's own entries reach as far.
    """
    is_full = listing.files >= PAGE_SIZE or (step.offset > 0 and not traits.has_room(listing))
    own_entries = len(listing.root.files) + len(listing.root.folders)
    return is_full and traits.may_leap and listing.files - 1 > own_entries


def starts_with_file(shown: FolderListing, step: Step) -> bool:
    """Return whether the file of a leap is the very first that a response shows."""
    folder, names = shown, []
    while not folder.files or (folder.files_last and list_folders_with_files(folder)):
        children = list_folders_with_files(folder)
        if not children:
            return False
        names.append(children[0])
        folder = folder.folders[children[0]]
    return folder.files[0] == step.file and "/".join(names) == step.child


def shows_file(shown: FolderListing, step: Step) -> bool:
    """Return whether a response shows the file of a leap, in its folder."""
    folder: FolderListing | None = shown
    for name in filter(None, (step.child or "").split("/")):
        folder = None if folder is None else folder.folders.get(name)
    return folder is not None and step.file in folder.files


def find_last_file(shown: FolderListing) -> tuple[str, str]:
    """Return the last file that a response shows, and where it is below the requested folder.

    A file is the last of its folder, but for the files of sub-folders that are named behind it.
    """
    folder, names = shown, []
    while (children := list_folders_with_files(folder)) and not (
        folder.files and folder.files_last
    ):
        names.append(children[-1])
        folder = folder.folders[children[-1]]
    return folder.files[-1], "/".join(names)


def list_folders_with_files(shown: FolderListing) -> list[str]:
    """Return the sub-folders of which a response shows files, at any depth."""
    return [name for name, child in shown.folders.items() if child.all_files]


def find_last_reached(shown: FolderListing) -> str | None:
    """Return the last sub-folder that a response does not pass over."""
    reached = [
        name
        for name in iter_folder_names(shown)
        if shown.folders[name].loaded is not LoadState.SKIPPED
    ]
    return reached[-1] if reached else None
