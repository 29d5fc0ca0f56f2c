"""What one walk has found out about how the server lists files.

The API's pages leave open what an offset counts, which folders carry a flag, and where a response
is cut. A walk relies on none of this until a response has shown it.
"""

from dataclasses import dataclass
from typing import Final

from exporter.scaleengine.file_listing import FolderListing, Listing, LoadState

_MAX_MISFITS: Final = 3


@dataclass(slots=True)
class WalkTraits:
    """Facts that hold for every response of one walk; each is False until it was seen.

    - ``marks_partial``: a requested folder that goes on says so.
    - ``marks_skipped``: sub-folders that a full response does not reach are listed as skipped, so
      a list of sub-folders is complete. One of them alone may be where the response was cut.
    - ``writes_flags``: some folder carries ``__is_loaded``, so one that was skipped would too.
    - ``marks_children``: a sub-folder that is not complete says so.
    - ``shows_children_from_start``: an offset skips nothing inside the sub-folders that come after
      it; None while that is not known.
    - ``repeats_files``: a response shows some files from before its offset.
    - ``overlap_stalls``: a follow-up that repeats the last entry shows nothing else.
    - ``counts_hidden_files``: an offset is beyond all that a response from the start shows, so the
      server counts files that it does not list, such as those of other types.

    ``max_files`` is how many files the fullest response has shown, ``misfits`` how many tries have
    shown that an offset does not count the files at any depth, ``failed_probes`` how many have left
    open whether it is skipped in every folder.
    """

    marks_partial: bool = False
    marks_skipped: bool = False
    writes_flags: bool = False
    marks_children: bool = False
    shows_children_from_start: bool | None = None
    repeats_files: bool = False
    overlap_stalls: bool = False
    counts_hidden_files: bool = False
    max_files: int = 0
    misfits: int = 0
    failed_probes: int = 0

    @property
    def may_leap(self) -> bool:
        """Return whether it may still be tried if an offset counts the files at any depth."""
        return self.misfits < _MAX_MISFITS

    def record_failed_probe(self) -> None:
        """Record that a request has not shown what an offset skips in sub-folders.

        After some of these, no sub-folder is used that comes after an offset.
        """
        self.failed_probes += 1
        if self.failed_probes >= _MAX_MISFITS and self.shows_children_from_start is None:
            self.shows_children_from_start = False

    def observe(self, listing: Listing, offset: int) -> None:
        """Record what a response to a request with an offset shows."""
        root = listing.root
        self.max_files = max(self.max_files, listing.files)
        self.marks_partial |= root.loaded is LoadState.PARTIAL or bool(root.next_offset)
        skipped = [child.loaded is LoadState.SKIPPED for child in root.folders.values()]
        self.marks_skipped |= sum(skipped) > 1 and listing.files == self.max_files
        self.writes_flags |= root.loaded is not None
        unread = [*root.folders.values()]
        while unread and not self.marks_children:
            folder = unread.pop()
            self.writes_flags |= folder.loaded is not None
            self.marks_children = folder.loaded in {LoadState.SKIPPED, LoadState.PARTIAL}
            unread += folder.folders.values()
        if offset == 0 and not self.counts_hidden_files:
            self.counts_hidden_files = _find_largest_offset(root) > listing.entries

    def has_room(self, listing: Listing) -> bool:
        """Return whether the response could have shown more, as another one has.

        It may be files or entries that the server limits: files and folders together must be
        fewer than the files of another response. A response that skips a folder is cut there,
        however few entries it shows.
        """
        return listing.entries < self.max_files and not listing.root.skips_folders


def _find_largest_offset(folder: FolderListing) -> int:
    """Return the largest offset at a folder or below it."""
    largest, unread = 0, [folder]
    while unread:
        folder = unread.pop()
        largest = max(largest, folder.next_offset or 0)
        unread += folder.folders.values()
    return largest
