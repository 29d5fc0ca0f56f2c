"""A folder on the edge of a walk: what is known of it and of its last responses."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from exporter.polling.folder_counts import CountedFolder
from exporter.polling.steps import (
    FIRST_STEP,
    Start,
    Step,
    find_start,
)
from exporter.scaleengine.errors import IncompleteError
from exporter.scaleengine.file_listing import COMMAND, FolderListing, Listing
from exporter.scaleengine.redaction import quote_or_measure

_SHOWN: Final = 4096
_MIN_SLOTS: Final = 8
_WORD: Final = 2**64 - 1
_NO_CHILDREN: Final[Mapping[str, "FolderProgress"]] = MappingProxyType({})


class FolderProgress:
    """What is known of a folder until it and all folders above it are complete.

    ``step`` is the next request for it. ``children`` are its sub-folders; those of a complete
    folder are taken out by ``take_children``.
    """

    __slots__ = (
        "_last_file",
        "_names",
        "children",
        "counted",
        "earlier_offset",
        "far_fingerprint",
        "file_count",
        "fingerprint",
        "first_file",
        "folder_count",
        "is_certain",
        "is_complete",
        "is_requested_separately",
        "is_seen_from_start",
        "name",
        "new_files",
        "parent",
        "start",
        "step",
        "step_after_check",
        "unclear",
    )

    def __init__(
        self,
        name: str,
        parent: "FolderProgress | None" = None,
        counted: CountedFolder | None = None,
    ) -> None:
        self.name = name
        self.parent = parent
        self.counted = counted or CountedFolder()
        """Where its files are counted; that of the parent while it is not certain."""
        self.children: Mapping[str, FolderProgress] = _NO_CHILDREN
        self.step = FIRST_STEP
        self.is_complete = False
        self.file_count = 0
        """How many own files a complete folder has."""
        self.folder_count = 0
        """How many sub-folders it has; known once they are taken out."""
        self.is_certain = True
        """False while the name may be a member of the API, not a folder."""
        self.is_requested_separately = False
        """True after a response for a folder above has shown something that could not be used."""
        self.start: Start | None = None
        """What was shown first of the folder, if it was shown from its start with files."""
        self.unclear: Sequence[FolderProgress] = ()
        """Folders below that a response for this one showed, but perhaps not as a whole."""
        self._names: SeenNames | None = None
        self._last_file: str | None = None
        self.earlier_offset = 0
        """The offset of the response before the last one."""
        self.fingerprint: int | None = None
        """That of the last response."""
        self.first_file: str | None = None
        """The first own file that was shown, while it is not complete."""
        self.is_seen_from_start = False
        """True after a response from offset 0."""
        self.far_fingerprint: int | None = None
        """That of a response from far behind the end, which shows what every response does."""
        self.step_after_check: Step | None = None
        self.new_files = 0
        """How many own files the last response has shown for the first time."""

    @property
    def path(self) -> str:
        """Return the path, as requests have it."""
        names = [folder.name for folder in self.lineage()]
        return "/".join(reversed(names))

    def lineage(self) -> "Iterator[FolderProgress]":
        """Return this folder and all above it."""
        folder: FolderProgress | None = self
        while folder is not None:
            yield folder
            folder = folder.parent

    def incomplete(self, cause: str) -> IncompleteError:
        """Return the error that ends a walk at this folder."""
        return IncompleteError(
            COMMAND,
            f"folder {quote_or_measure(self.path, _SHOWN)} could not be seen whole: {cause}",
            "the next poll tries again; if it lasts, ask ScaleEngine's support",
        )

    def add_child(self, name: str) -> "FolderProgress":
        """Return a new sub-folder."""
        if not isinstance(self.children, dict):
            self.children = {}  # most folders have none, and a walk may hold very many
        child = self.children[name] = FolderProgress(name, self, self.counted)
        return child

    def take_children(self) -> "Iterable[FolderProgress]":
        """Return the sub-folders and hold them no longer."""
        self.folder_count = max(len(self.children), self.folder_count)
        children, self.children = self.children, _NO_CHILDREN
        return children.values()

    def drop_child(self, name: str) -> None:
        """Hold a sub-folder no longer."""
        self.folder_count = max(len(self.children), self.folder_count)
        if isinstance(self.children, dict):
            self.children.pop(name, None)

    @property
    def own_files(self) -> int:
        """Return how many own files are known."""
        return self.file_count if self._names is None else len(self._names)

    @property
    def known_files(self) -> int:
        """Return how many files are known, here and in the sub-folders that are held."""
        return sum(folder.own_files for folder in self._iter_held())

    @property
    def is_done(self) -> bool:
        """Return whether this folder is complete, with all below it that are folders for sure."""
        return all(folder.is_complete or not folder.is_certain for folder in self._iter_held())

    @property
    def is_touched(self) -> bool:
        """Return whether a response has shown anything of this folder but its name."""
        return bool(
            self.is_complete or self.is_requested_separately or self.children or self._names
        )

    def _iter_held(self) -> "Iterator[FolderProgress]":
        """Return this folder and all below it that are held."""
        unread = [self]
        while unread:
            folder = unread.pop()
            yield folder
            unread += folder.children.values()

    def add_files(self, files: Sequence[str]) -> int:
        """Record own files that a response shows; return how many of them are new.

        Raises IncompleteError where a file comes again behind the one that was the last: two files
        of one name, or a listing in another order, cannot be counted.
        """
        self.new_files = 0
        if not files:
            return 0
        if self._names is None:
            self._names = SeenNames()
        before = len(self._names)
        if not before:
            self.first_file = files[0]
        repeated = files.index(self._last_file) + 1 if self._last_file in files else 0
        for name in files[:repeated]:
            self._names.add(name)
        known = len(self._names)
        for name in files[repeated:]:
            self._names.add(name)
        if repeated and len(self._names) - known < len(files) - repeated:
            raise self.incomplete("a file comes again behind the last one, or two have one name")
        if len(self._names) > before:
            self._last_file = files[-1]
        self.new_files = len(self._names) - before
        return self.new_files

    def has_all(self, files: Sequence[str]) -> bool:
        """Return whether all own files are known; of a complete folder, all are."""
        if self.is_complete:
            return True
        return not files or (self._names is not None and all(map(self._names.__contains__, files)))

    def continues_with(self, files: Sequence[str]) -> bool:
        """Return whether own files in a response for a folder above continue those known."""
        return self._last_file in files

    def starts_like(self, shown: FolderListing) -> bool:
        """Return whether a response shows the folder from its start, as an earlier one did."""
        return self.start is not None and self.start == find_start(shown)

    def finish(self) -> None:
        """Record that the folder is complete."""
        if self._names is not None:
            self.file_count = len(self._names)
        self.is_complete = True
        self._names = self._last_file = self.first_file = None
        self.unclear = ()

    def check_complete(self, listing: Listing) -> None:
        """Check that a response shows no more of a complete folder than was counted.

        Raises IncompleteError where it does: the folder was not complete, or has changed.
        """
        unread = [(self, listing.root)]
        while unread:
            folder, shown = unread.pop()
            if folder.is_complete:
                folder.check_shown(shown)
            for name, child in folder.children.items():
                if name in shown.folders:
                    unread.append((child, shown.folders[name]))

    def check_shown(self, shown: FolderListing) -> None:
        """Check that this complete folder is not shown with more than was counted."""
        if len(shown.files) > self.file_count:
            raise self.incomplete(
                f"a response shows {len(shown.files)} files where {self.file_count} were all"
            )
        folders = max(len(self.children), self.folder_count)
        if len(shown.folders) > folders:
            raise self.incomplete(
                f"a response shows {len(shown.folders)} sub-folders where {folders} were all"
            )

    def plan_separate_request(self) -> None:
        """Set the next step after what a response for a folder above has shown of this one."""
        known = 0 if self._names is None else len(self._names)
        self.step = Step(known - 1, file=self._last_file) if known > 1 else FIRST_STEP


class SeenNames:
    """The names seen so far: sixteen to thirty-two bytes for each, however long it is.

    A folder of a million files comes in ten thousand responses, and responses may overlap; a set of
    the names would take over a hundred megabytes. It keeps a hash of 64 bits, with a new key in
    each process: that two names of a folder of a million share one has a probability of 1 in 37
    million.
    """

    def __init__(self) -> None:
        self._slots = _make_empty_table(_MIN_SLOTS)
        self._count = 0

    def __len__(self) -> int:
        """Return how many different names there are."""
        return self._count

    def __contains__(self, name: str) -> bool:
        """Return whether a name was seen."""
        key = hash(name) & _WORD or 1
        return self._slots[self._find(key)] == key

    def add(self, name: str) -> None:
        """Add a name; a name that is known changes nothing."""
        if self._put(hash(name) & _WORD or 1):
            self._count += 1
            if self._count * 2 > len(self._slots):
                self._grow()

    def _put(self, key: int) -> bool:
        index = self._find(key)
        is_new = self._slots[index] != key
        self._slots[index] = key
        return is_new

    def _find(self, key: int) -> int:
        """Return the slot of a key, or the free one where it belongs."""
        slots = self._slots
        mask = len(slots) - 1
        index = key & mask
        while slots[index] not in {0, key}:
            index = (index + 1) & mask
        return index

    def _grow(self) -> None:
        keys = self._slots
        self._slots = _make_empty_table(2 * len(keys))
        for key in keys:
            if key:
                self._put(key)


def _make_empty_table(slots: int) -> "array[int]":
    return array("Q", bytes(8 * slots))
