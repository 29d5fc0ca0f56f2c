"""What the first answer for a path shows, and what it lets foresee of a full poll."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter.scaleengine.file_listing import PAGE_SIZE, FolderListing, Listing, LoadState

_REQUESTS_AT_THE_END: Final = 2


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The files and folders in the first answer, and about how many requests a full poll makes.

    ``requests`` includes the first. 1 is certain: nothing is left out. More are an estimate: what
    is in a folder that was skipped is not known, and a further response may show several at once.
    """

    files: int
    folders: int
    requests: int


def first_answer(listing: Listing, *, is_end: bool) -> FirstAnswer:
    """Return what a response that begins at offset 0 tells.

    ``is_end`` says that the walk requests nothing more for the requested folder; otherwise two
    requests at its end show that there is no more.
    """
    folders = tuple(_all(listing.root))
    root = folders[0]
    is_partial = root.loaded is LoadState.PARTIAL or root.next_offset is not None
    pages_left = _further(root) if is_partial else 0
    return FirstAnswer(
        files=sum(len(folder.files) for folder in folders),
        folders=len(folders) - 1,
        requests=1
        + sum(map(_further, folders[1:]))
        + (0 if is_end else pages_left + _REQUESTS_AT_THE_END),
    )


def _all(root: FolderListing) -> Iterator[FolderListing]:
    """Return a folder and all below it, in a loop: a tree may be deeper than Python's stack."""
    unseen = [root]
    while unseen:
        folder = unseen.pop()
        yield folder
        unseen += folder.folders.values()


def _further(folder: FolderListing) -> int:
    """Return how many requests a folder takes after this response.

    That is one for each hundred of its entries that are left, and at least one.
    """
    if folder.loaded is LoadState.COMPLETE:
        return 0
    left = (folder.entries or 0) - len(folder.files) - len(folder.folders)
    return max(1, math.ceil(left / PAGE_SIZE))
