"""A folder on the edge of a walk, and what each answer tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.seen_names import SeenNames
from exporter.scaleengine.errors import IncompleteError
from exporter.scaleengine.file_listing import COMMAND, FILES_PER_ANSWER, Folder, Loaded

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class News:
    """What an answer told of a folder that was not known: how many files, and sub-folders."""

    files: int
    folders: "tuple[OpenFolder, ...]"


class OpenFolder:
    """What is known of a folder until it and all above it have been seen whole.

    ``below`` are its sub-folders; ``offset`` is where the next answer for it has to begin.
    """

    __slots__ = ("_announced", "_files", "_names", "_promised", "below", "offset", "path", "whole")

    def __init__(self, path: str) -> None:
        self.path = path
        self.below: dict[str, OpenFolder] = {}
        self.offset = 0
        self.whole = False
        self._files = 0
        self._names: SeenNames | None = None
        self._promised: int | None = None
        self._announced: int | None = None

    def see_in_passing(self, shown: Folder, *, full: bool) -> News:
        """Learn from an answer for a folder above.

        Where the answer is full and does not say whether this folder is whole, it is not believed:
        the folder will be asked for by itself.
        """
        if self.whole:
            return News(0, ())
        loaded = _loaded(shown, full=full)
        if loaded is Loaded.PARTLY:
            self.offset = max(self.offset, self._next_offset(shown))
        return self._see(shown, whole=loaded is Loaded.WHOLE)

    def see_answer(self, shown: Folder, *, full: bool) -> News:
        """Learn from an answer for this very folder.

        Raises IncompleteError where it leads no further.
        """
        loaded = _loaded(shown, full=full)
        if loaded is Loaded.SKIPPED:
            raise self.incomplete("it comes back skipped when asked for by itself")
        if loaded is not Loaded.WHOLE:
            asked, self.offset = self.offset, self._next_offset(shown)
            if self.offset <= asked:
                raise self.incomplete(f"its offset does not move on from {asked}")
        return self._see(shown, whole=loaded is Loaded.WHOLE)

    def incomplete(self, cause: str) -> IncompleteError:
        """Return the error that ends a walk at this folder."""
        return IncompleteError(
            COMMAND,
            f"folder {self.path[:_SHOWN]!r} could not be seen whole: {cause}",
            "the next poll tries again; if it lasts, ask ScaleEngine's support",
        )

    def _next_offset(self, shown: Folder) -> int:
        if shown.next_offset is not None:
            return shown.next_offset
        if shown.loaded is Loaded.PARTLY:
            raise self.incomplete("it goes on, but nothing says where")
        # Nothing says whether it goes on. Whatever it is that offsets count, this is not further
        # than what the answer has listed, so that nothing is passed over.
        return self.offset + min(len(shown.files) + len(shown.folders), FILES_PER_ANSWER)

    def _see(self, shown: Folder, *, whole: bool) -> News:
        new_files = self._new_files(shown.files, whole=whole)
        self._files += new_files
        new_folders = tuple(
            OpenFolder(f"{self.path}/{name}") for name in shown.folders if name not in self.below
        )
        self.below.update((folder.name, folder) for folder in new_folders)
        self._heed_announcement(shown)
        if whole:
            self._check_promise()
            self.whole = True
            self._names = None
        return News(new_files, new_folders)

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    def _new_files(self, files: Sequence[str], *, whole: bool) -> int:
        """Return how many files were not seen before, and remember them if more may come."""
        if self._names is None:
            if whole:
                return len(frozenset(files))
            if not files:
                return 0
            self._names = SeenNames()
        before = len(self._names)
        for name in files:
            self._names.add(name)
        return len(self._names) - before

    def _heed_announcement(self, shown: Folder) -> None:
        """Note how many entries the folder is said to have, and that they do not grow fewer.

        A number that does not exceed what this answer lists announces nothing: it may count the
        answer alone. If the API should count so, a folder that shrinks between two answers is not
        noticed, and what moved up meanwhile is missed.
        """
        announced = shown.entries
        if announced is None or announced <= len(shown.files) + len(shown.folders):
            return
        if self._announced is not None and announced < self._announced:
            raise self.incomplete(f"it shrank from {self._announced} to {announced} entries")
        self._announced = announced
        if self._promised is None:
            self._promised = announced

    def _check_promise(self) -> None:
        """Refuse a listing that is shorter than was first announced: something was left out."""
        listed = self._files + len(self.below)
        if self._promised is not None and listed < self._promised:
            raise self.incomplete(f"{self._promised} entries were announced, {listed} listed")


def _loaded(shown: Folder, *, full: bool) -> Loaded | None:
    """Return how far an answer shows a folder; None where it is full and does not say."""
    if shown.loaded is not None:
        return shown.loaded
    if shown.next_offset is not None:
        return Loaded.PARTLY
    return None if full else Loaded.WHOLE
