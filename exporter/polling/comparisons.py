"""Find out by requests for single folders whether an offset is skipped in every folder alike.

A server may skip the offset of a request in each folder that its response shows, not only in the
requested one. Then sub-folders lack their first entries, which nothing in the response shows. A
sub-folder that looks the same from its start proves little: what was skipped in it may be files of
another type, which no response shows. It is proven by two separate requests for a sub-folder, in
this order, so that a file that vanishes meanwhile proves nothing:

- With an offset that is not larger, it begins with a later file. That shows how much comes before
  its first file: the response would lack that file if it had skipped its offset in it. At most half
  the offset may come before it, since responses may overlap.
- From its start, it begins as in the response that was made with an offset.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import nlargest
from typing import Final, TypeAlias

from exporter.polling.folder_progress import FolderProgress
from exporter.polling.siblings import Entry, shows_more
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
    """A sub-folder with files, as a response from the offset ``skipped`` shows it."""

    path: str
    shown: FolderListing
    skipped: int

    @property
    def offset(self) -> int:
        """Return the offset of the request that shows how much comes before the first file."""
        return max(1, min(len(self.shown.files) - 1, self.skipped))

    def proves_start(self, listing: Listing) -> bool:
        """Return whether a response from ``offset`` on proves that the first file is the first.

        A folder of one file ends there; any other begins with a later file.
        """
        first = next(iter(listing.root.files), None)
        if len(self.shown.files) == 1:
            return first is None
        if first not in self.shown.files[1:]:
            return False
        return 2 * (self.offset - self.shown.files.index(first)) <= self.skipped


@dataclass(frozen=True, slots=True)
class Probe:
    """A request for the first of some candidates, at its offset or from its start.

    ``listing`` is the response that shows them, for the folder ``requested``; it is used
    afterwards.
    """

    requested: FolderProgress
    listing: Listing
    candidates: Sequence[Candidate]
    is_from_start: bool = False

    @property
    def offset(self) -> int:
        """Return the offset to request the first candidate at."""
        return 0 if self.is_from_start else self.candidates[0].offset


class ComparisonOutcome(Enum):
    """What the requests of a comparison have shown of the response for the parent."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    """A sub-folder has other files from its start."""
    UNPROVEN = "unproven"
    """The response at an offset does not prove which file of the sub-folder is the first."""
    NO_RESPONSE = "no response"


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """The end of a comparison. ``responses`` for folders from their start can still be used."""

    outcome: ComparisonOutcome
    responses: Mapping[str, Listing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A separate request for a sub-folder, before a response for its parent is used.

    ``shown`` are the sub-folders of that response. The first of ``candidates`` is requested at
    ``offset``: first at its own, then from its start. The others are requested from their start.
    ``responses`` are those from a start so far, by path.
    """

    request: ParentRequest
    listing: Listing
    shown: Sequence[Entry]
    candidates: Sequence[Candidate]
    offset: int
    responses: Mapping[str, Listing] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the path to request."""
        return self.candidates[0].path

    def judge(self, response: Listing | None) -> "Comparison | ComparisonResult":
        """Return the next request of the comparison, or its result.

        ``response`` is None where the request has failed.
        """
        candidate, *left = self.candidates
        if response is None:
            return ComparisonResult(ComparisonOutcome.NO_RESPONSE)
        if self.offset > 0:
            proves_start = candidate.proves_start(response)
            return (
                replace(self, offset=0)
                if proves_start
                else ComparisonResult(ComparisonOutcome.UNPROVEN)
            )
        responses = {**self.responses, self.path: response}
        known = candidate.shown
        if not shows_more(known, response.root) or response.files != known.all_files:
            usable = responses if response.files else self.responses
            return ComparisonResult(ComparisonOutcome.REFUTED, usable)
        if left:
            return replace(self, candidates=left, responses=responses)
        return ComparisonResult(ComparisonOutcome.CONFIRMED, responses)


def find_candidates(folder: FolderProgress, shown: FolderListing) -> Sequence[Candidate]:
    """Return sub-folders whose requests show what the offset of a response skips, best ones first.

    Return none where nothing new is shown, so that nothing depends on it.
    """
    found: list[Candidate] = []
    has_new = False
    for child, names, shown_child in _iter_shown_below(folder, shown):
        if shown_child.loaded is LoadState.SKIPPED:
            continue
        is_known = child is not None and child.starts_like(shown_child)
        is_used = child is None or not (
            child.start or child.is_requested_separately or child.is_complete
        )
        has_new |= is_used
        if shown_child.files and (is_known or is_used):
            path = f"{folder.path}/{_join(names)}"
            found.append(Candidate(path, shown_child, folder.step.offset))
    return nlargest(_MAX_CANDIDATES, found, key=_count_own_files) if has_new else []


def compare_siblings(
    request: ParentRequest,
    listing: Listing,
    shown: Sequence[Entry],
    entries: Sequence[Entry],
) -> Comparison | None:
    """Return the first comparison before a response is used; None where there can be none.

    ``entries`` are the new sub-folders of those that are ``shown``. Compared are those in which
    most would be missing if their start was skipped: the one with the fewest files, and the one
    with the most sub-folders. The candidate is the one of them with more own files; where that has
    one file at most, it is the folder with the most own files below ``entries``.
    """
    if not entries:
        return None
    parent = request.run.parent

    def build_candidate(entry: Entry) -> Candidate:
        return Candidate(f"{parent.path}/{entry[0]}", entry[1], request.offset)

    fewest = min(entries, key=lambda entry: entry[1].all_files)
    deepest = max(entries, key=lambda entry: len(entry[1].folders))
    chosen = {entry[0]: build_candidate(entry) for entry in (fewest, deepest)}
    candidate = max(chosen.values(), key=_count_own_files)
    if len(candidate.shown.files) <= 1:
        below = FolderListing(folders=dict(entries))
        found = [
            Candidate(f"{parent.path}/{_join(names)}", folder, request.offset)
            for _, names, folder in _iter_shown_below(None, below)
        ]
        candidate = max(found, key=_count_own_files)
    if not candidate.shown.files:
        return None
    others = [other for other in chosen.values() if other.path != candidate.path]
    return Comparison(request, listing, shown, [candidate, *others], candidate.offset)


def _count_own_files(candidate: Candidate) -> int:
    return len(candidate.shown.files)


_Names: TypeAlias = "tuple[_Names, str] | None"
"""A way down from a folder, the last name first: a path for each folder would take more memory."""


def _iter_shown_below(
    folder: FolderProgress | None, shown: FolderListing
) -> Iterator[tuple[FolderProgress | None, _Names, FolderListing]]:
    """Return what a response shows below a folder, and what is known of each, level by level."""
    unread: deque[tuple[FolderProgress | None, _Names, FolderListing]] = deque(
        [(folder, None, shown)]
    )
    while unread:
        parent, names, above = unread.popleft()
        for name, shown_child in above.folders.items():
            if may_be_api_member(name) and not shown_child.is_surely_folder:
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
