"""Estimate, from the first response for a path, how many requests a full poll takes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter.polling.siblings import MIN_SIBLINGS
from exporter.scaleengine.file_listing import PAGE_SIZE, FolderListing, Listing, LoadState

_REQUESTS_AT_THE_END: Final = 2
_LEAVES_OUT: Final = (LoadState.PARTIAL, LoadState.SKIPPED)


@dataclass(frozen=True, slots=True)
class PollEstimate:
    """The files and folders in the first response, and about how many requests a full poll makes.

    ``requests`` includes the first. 1 is certain: nothing is left out, and 2 or more say that more
    requests are certain. How many is an estimate, for what is in a skipped folder is not known.
    """

    files: int
    folders: int
    requests: int


def estimate_poll(listing: Listing, *, is_end: bool) -> PollEstimate:
    """Return the estimate from a response that begins at offset 0.

    ``is_end`` says that the walk requests nothing more for the requested folder; otherwise two
    requests at its end show that there is no more.
    """
    folders = tuple(_list_folders(listing.root))
    root = folders[0]
    is_partial = root.loaded is LoadState.PARTIAL or root.next_offset is not None
    pages_left = _count_further_requests(root) if is_partial else 0
    partial = [folder for folder in folders[1:] if folder.loaded is not LoadState.SKIPPED]
    return PollEstimate(
        files=sum(len(folder.files) for folder in folders),
        folders=len(folders) - 1,
        requests=1
        + sum(map(_count_further_requests, partial))
        + sum(map(_estimate_skipped, folders))
        + (0 if is_end else pages_left + _REQUESTS_AT_THE_END),
    )


def count_shown_files(listing: Listing) -> int:
    """Return how many files a response shows, at any depth."""
    return sum(len(folder.files) for folder in _list_folders(listing.root))


def has_surely_no_files(listing: Listing) -> bool:
    """Return whether a response shows no file, and does not say that it leaves any out."""
    return all(
        not folder.files and folder.next_offset is None and folder.loaded not in _LEAVES_OUT
        for folder in _list_folders(listing.root)
    )


def _estimate_skipped(parent: FolderListing) -> int:
    """Return about how many requests the sub-folders take that a response skips.

    Where those before them are small, requests for the parent probably complete several at once.
    """
    children = parent.folders.values()
    skipped = sum(child.loaded is LoadState.SKIPPED for child in children)
    complete = [child.all_files for child in children if child.loaded is LoadState.COMPLETE]
    files = skipped * sum(complete) / max(1, len(complete))
    if skipped < MIN_SIBLINGS or not files:
        return skipped
    return min(skipped, math.ceil(files / PAGE_SIZE))


def _list_folders(root: FolderListing) -> Iterator[FolderListing]:
    """Return a folder and all below it, in a loop: a tree may be deeper than Python's stack."""
    unseen = [root]
    while unseen:
        folder = unseen.pop()
        yield folder
        unseen += folder.folders.values()


def _count_further_requests(folder: FolderListing) -> int:
    """Return how many requests a folder takes after this response.

    That is one for each hundred of its entries that are left, and at least one.
    """
    if folder.loaded is LoadState.COMPLETE:
        return 0
    left = (folder.entries or 0) - len(folder.files) - len(folder.folders)
    return max(1, math.ceil(left / PAGE_SIZE))
