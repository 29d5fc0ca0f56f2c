"""What the first answer for a path shows, and what it lets foresee of a full poll."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.scaleengine.file_listing import FILES_PER_ANSWER, Folder, Listing, Loaded


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The files and folders in the first answer, and about how many requests a full poll makes.

    ``requests`` includes the first. 1 is certain: nothing is left out. More are an estimate: what
    lies in a folder that was skipped is not known, and a further answer may show several at once.
    """

    files: int
    folders: int
    requests: int


def first_answer(listing: Listing) -> FirstAnswer:
    """Return what an answer that begins at offset 0 tells."""
    folders = tuple(_all(listing.root))
    return FirstAnswer(
        files=sum(len(folder.files) for folder in folders),
        folders=len(folders) - 1,
        requests=1 + sum(_further(folder, full=listing.full) for folder in folders),
    )


def _all(root: Folder) -> Iterator[Folder]:
    """Return a folder and all below it, in a loop: a tree may be deeper than Python's stack."""
    unseen = [root]
    while unseen:
        folder = unseen.pop()
        yield folder
        unseen += folder.folders.values()


def _further(folder: Folder, *, full: bool) -> int:
    """Return how many requests a folder takes after this answer.

    That is one for each hundred of its entries that are left, and at least one.
    """
    unsure = folder.loaded is None and (full or folder.next_offset is not None)
    if folder.loaded is Loaded.WHOLE or (folder.loaded is None and not unsure):
        return 0
    left = (folder.entries or 0) - len(folder.files) - len(folder.folders)
    return max(1, math.ceil(left / FILES_PER_ANSWER))
