"""Find out by requests for single folders whether an offset is skipped in every folder alike.

A server may skip the offset of a request in each folder that its response shows, not only in the
requested one. Then sub-folders lack their first entries, which nothing in the response tells. A
sub-folder that looks the same from its start proves little: what was skipped in it may be files of
another type, which no response shows. It is proven by two requests for a sub-folder by itself:

- From its start, it begins as in the response that was made with an offset.
- With that offset, it does not: so the response has not skipped the offset in it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from exporter.polling.folder_progress import FolderProgress
from exporter.polling.siblings import Entry, shows_more
from exporter.polling.steps import has_skipped, start_of
from exporter.polling.walk_strategy import ParentRequest
from exporter.scaleengine.file_listing import (
    FolderListing,
    Listing,
    LoadState,
    may_be_api_member,
)

_MAX_CANDIDATES: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sub-folder as a response with an offset shows it.

    ``is_known`` says that an earlier response showed it from its start, with the same first file.
    """

    path: str
    shown: FolderListing
    is_known: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """A request for the first of some candidates, from an offset on.

    ``listing`` is the response that shows them, for the folder ``requested``; it is used
    afterwards. ``alone`` is the response for the first candidate from its start, if there was one.
    """

    requested: FolderProgress
    listing: Listing
    candidates: Sequence[Candidate]
    offset: int
    alone: Listing | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A request for a sub-folder by itself, before a response for its parent is believed.

    ``shown`` are the sub-folders of that response, ``left`` those to be compared, the first one by
    this request. After them, the anchor is requested at the offset of the parent. ``alone`` are
    the responses so far, by path.
    """

    request: ParentRequest
    listing: Listing
    shown: Sequence[Entry]
    left: Sequence[Entry]
    alone: dict[str, Listing] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the path to request."""
        return f"{self.request.run.parent.path}/{(*self.left, self.shown[0])[0][0]}"

    @property
    def offset(self) -> int:
        """Return the offset to request it at."""
        return 0 if self.left else self.request.offset

    def holds(self, listing: Listing) -> bool:
        """Return whether a response fits to what the response for the parent shows."""
        if not self.left:
            return has_skipped(start_of(self.shown[0][1]), listing.root)
        known = self.left[0][1]
        return shows_more(known, listing.root) and listing.files == known.all_files

    def go_on(self, listing: Listing) -> "Comparison | None":
        """Return the next comparison; None where this one was the last."""
        if not self.left:
            return None
        alone = {**self.alone, self.path: listing}
        return replace(self, left=self.left[1:], alone=alone)


def find_candidates(folder: FolderProgress, shown: FolderListing) -> Sequence[Candidate]:
    """Return sub-folders whose requests tell what the offset of a response skips, best ones first.

    Return none where nothing new is shown, so that nothing depends on it.
    """
    known: list[Candidate] = []
    new: list[Candidate] = []
    has_new = False
    for child, names, shown_child in _shown_below(folder, shown):
        if shown_child.loaded is LoadState.SKIPPED:
            continue
        is_known = child is not None and child.starts_like(shown_child)
        is_used = child is None or not (child.start or child.is_by_itself or child.is_complete)
        has_new |= is_used
        if shown_child.files and (is_known or is_used):
            path = f"{folder.path}/{_join(names)}"
            (known if is_known else new).append(Candidate(path, shown_child, is_known))
    return [*known, *new][:_MAX_CANDIDATES] if has_new else []


def choose_to_compare(entries: Sequence[Entry]) -> list[Entry]:
    """Return the sub-folders that are requested by themselves before a response is believed.

    Those in which most would be missing if their start was skipped: the one with the fewest files,
    and the one with the most sub-folders.
    """
    if not entries:
        return []
    fewest = min(entries, key=lambda entry: entry[1].all_files)
    deepest = max(entries, key=lambda entry: len(entry[1].folders))
    return list({entry[0]: entry for entry in (fewest, deepest)}.values())


_Names: TypeAlias = "tuple[_Names, str] | None"
"""A way down from a folder, the last name first: a path for each folder would take more memory."""


def _shown_below(
    folder: FolderProgress, shown: FolderListing
) -> Iterator[tuple[FolderProgress | None, _Names, FolderListing]]:
    """Return what a response shows below a folder, and what is known of each, level by level."""
    unread: deque[tuple[FolderProgress | None, _Names, FolderListing]] = deque(
        [(folder, None, shown)]
    )
    while unread:
        parent, names, above = unread.popleft()
        for name, shown_child in above.folders.items():
            if may_be_api_member(name) and not shown_child.has_state:
                continue
            child = None if parent is None else parent.children.get(name)
            found = (child, (names, name), shown_child)
            yield found
            unread.append(found)


def _join(names: _Names) -> str:
    path: list[str] = []
    while names is not None:
        names, name = names
        path.append(name)
    return "/".join(reversed(path))
