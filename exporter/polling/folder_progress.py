"""A folder on the edge of a walk: what is known of it, and what to request next.

What an offset counts is not documented: a folder's own files, its entries, or all files below it.
Under each of these, a response that begins at offset N and shows K of the folder's own files has
the last of them at N + K - 1 or behind. A request from there passes over nothing, and its response
begins with that file or before it. So every follow-up is made where the last entry must come
again: where it does not, the listing has changed under the walk, and there is no count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from exporter.polling.folder_counts import CountedFolder
from exporter.polling.seen_names import SeenNames
from exporter.polling.steps import (
    FIRST_STEP,
    Start,
    Step,
    StepKind,
    iter_folder_names,
    last_file,
    last_reached,
    may_leap,
    repeats,
    shows_file,
    shows_nothing,
    start_of,
    with_files,
)
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.errors import IncompleteError
from exporter.scaleengine.file_listing import COMMAND, FolderListing, Listing, LoadState
from exporter.scaleengine.redaction import quote_whole

_SHOWN: Final = 4096
_FAR: Final = 1000
"""How far behind an offset a response repeats nothing from before it: ten times a page."""
_LENGTHS: Final = (2, 4, 8, 16, 32, 64)
_NO_CHILDREN: Final[Mapping[str, "FolderProgress"]] = MappingProxyType({})


class FolderProgress:
    """What is known of a folder until it and all folders above it are complete.

    ``step`` is the next request for it. ``children`` are its sub-folders; those of a complete
    folder are taken out by ``take_children``.
    """

    __slots__ = (
        "_earlier_offset",
        "_far_fingerprint",
        "_fingerprint",
        "_first_file",
        "_is_seen_from_start",
        "_last_file",
        "_names",
        "_new_files",
        "_next",
        "children",
        "counted",
        "file_count",
        "folder_count",
        "is_by_itself",
        "is_certain",
        "is_complete",
        "name",
        "parent",
        "start",
        "step",
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
        self.is_by_itself = False
        """True after a response for a folder above has shown something that could not be used."""
        self.start: Start | None = None
        """What was shown first of the folder, if it was shown from its start with files."""
        self.unclear: Sequence[FolderProgress] = ()
        """Folders below that a response for this one showed, but perhaps not as a whole."""
        self._names: SeenNames | None = None
        self._last_file: str | None = None
        self._earlier_offset = 0
        self._fingerprint: int | None = None
        self._first_file: str | None = None
        self._is_seen_from_start = False
        self._far_fingerprint: int | None = None
        self._next: Step | None = None
        self._new_files = 0

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
            f"folder {quote_whole(self.path, _SHOWN)} could not be seen whole: {cause}",
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
        return sum(folder.own_files for folder in self._held())

    @property
    def is_done(self) -> bool:
        """Return whether this folder is complete, with all below it that are folders for sure."""
        return all(folder.is_complete or not folder.is_certain for folder in self._held())

    @property
    def is_touched(self) -> bool:
        """Return whether a response has shown anything of this folder but its name."""
        return bool(self.is_complete or self.is_by_itself or self.children or self._names)

    def _held(self) -> "Iterator[FolderProgress]":
        """Return this folder and all below it that are held."""
        unread = [self]
        while unread:
            folder = unread.pop()
            yield folder
            unread += folder.children.values()

    def accept(self, listing: Listing, traits: WalkTraits) -> bool:
        """Return whether a response to ``step`` continues what is known.

        Where it does not, the next step is another. Raises IncompleteError where none is left.
        """
        step, shown = self.step, listing.root
        if shown.loaded is LoadState.SKIPPED:
            raise self.incomplete("it comes back skipped when requested by itself")
        if step.kind is StepKind.GAP:
            return self._accept_gap(listing, traits)
        if not self._fits(listing, traits):
            if step.otherwise is None:
                raise self.incomplete("its listing has changed while it was read")
            self.step = step.otherwise
            return False
        if not self._may_follow(listing):
            self.step = FIRST_STEP
            return False
        if step.kind is StepKind.SAME:
            self.finish()
        elif step.kind is StepKind.CHECK:
            self._set_next(self._next)
        return step.kind not in {StepKind.SAME, StepKind.CHECK}

    def _fits(self, listing: Listing, traits: WalkTraits) -> bool:
        """Return whether a response shows again what the step requires."""
        step = self.step
        if step.kind is StepKind.SAME:
            if listing.fingerprint == self._fingerprint:
                return True
            self._far_fingerprint = listing.fingerprint
            return False
        if step.kind is StepKind.LEAP:
            fits = shows_file(listing.root, step)
            traits.misfits += not fits
            return fits
        fits = repeats(listing.root, step)
        traits.repeats_files |= step.kind is StepKind.FARTHER and not fits
        return fits

    def _may_follow(self, listing: Listing) -> bool:
        """Return whether the offset of a response is one that passes over files.

        An offset may count sub-folders only: then a follow-up at the last file shows all files once
        more, and passes over sub-folders. Raises IncompleteError where it does. Return False where
        the response from the start of the folder is needed to tell.
        """
        first = start_of(listing.root)[0]
        has_passed = self.step.offset == 0 or self.own_files < 2 or first != self._first_file  # noqa: PLR2004 - one file comes again where it was
        if self.step.kind is StepKind.SAME or first is None or has_passed:
            return True
        child = None if self.start is None else self.start[1]
        if self._is_seen_from_start and child not in {None, *listing.root.folders}:
            raise self.incomplete("an offset skips its sub-folders, but not its files")
        return self._is_seen_from_start

    def add_files(self, files: Sequence[str]) -> int:
        """Record own files that a response shows; return how many of them are new.

        Raises IncompleteError where a file comes again behind the one that was the last: two files
        of one name, or a listing in another order, cannot be counted.
        """
        self._new_files = 0
        if not files:
            return 0
        if self._names is None:
            self._names = SeenNames()
        before = len(self._names)
        if not before:
            self._first_file = files[0]
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
        self._new_files = len(self._names) - before
        return self._new_files

    def knows(self, files: Sequence[str]) -> bool:
        """Return whether no own file is new; those of a complete folder are not remembered."""
        if self.is_complete:
            return True
        return not files or (self._names is not None and all(map(self._names.__contains__, files)))

    def continues_with(self, files: Sequence[str]) -> bool:
        """Return whether own files in a response for a folder above continue those known."""
        return self._last_file in files

    def starts_like(self, shown: FolderListing) -> bool:
        """Return whether a response shows the folder from its start, as an earlier one did."""
        return self.start is not None and self.start == start_of(shown)

    def finish(self) -> None:
        """Record that the folder is complete."""
        if self._names is not None:
            self.file_count = len(self._names)
        self.is_complete = True
        self._names = self._last_file = self._first_file = None
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

    def request_by_itself(self) -> None:
        """Set the next step after what a response for a folder above has shown of this one."""
        known = 0 if self._names is None else len(self._names)
        self.step = Step(known - 1, file=self._last_file) if known > 1 else FIRST_STEP

    def decide(self, listing: Listing, news: int, traits: WalkTraits) -> bool:
        """Set the next step after an accepted response which told of ``news`` new entries.

        Return whether the response is the end of the listing and proves it: it began behind an
        earlier one, had room left, and showed nothing new.
        """
        shown, step = listing.root, self.step
        is_repeated = self._fingerprint == listing.fingerprint
        self._is_seen_from_start |= step.offset == 0
        self._fingerprint = listing.fingerprint
        has_room = traits.has_room(listing)
        is_end = (
            step.offset > 0
            and not news
            and (has_room or shown.is_empty)
            and not self._shows_more_than_due(shown, traits)
        )
        following: Step | None = None
        if shown.loaded is LoadState.PARTIAL or shown.next_offset:
            following = self._follow(listing, news, traits)
        elif self._files_are_complete(shown, traits) and traits.marks_skipped:
            pass
        elif is_end or (has_room and self._files_are_complete(shown, traits)):
            following = Step(step.offset + max(1, traits.max_files), StepKind.GAP)
        elif not shown.is_empty:
            following = self._step_on(listing, traits)
        if following is not None and is_repeated and not shown.files:
            if not listing.files:
                following = self._step_far(shown, following.otherwise or following)
            if self._far_fingerprint in {None, listing.fingerprint}:
                following = Step(self._far_offset(traits), StepKind.SAME, otherwise=following)
        self._earlier_offset = step.offset
        if step.check is not None and (news or shown.is_empty):
            self._next = following
            self.step = step.check
        else:
            self._set_next(following)
        return is_end and has_room

    def _shows_more_than_due(self, shown: FolderListing, traits: WalkTraits) -> bool:
        """Return whether own files come again before the one that had to.

        Then the offset counts more than own files of the type, and the end may be farther. Where
        the server repeats some files in every response, return whether it repeats too many.
        """
        if traits.repeats_files:
            # Of a response that repeats most of a page, hidden files may take the last places.
            return 2 * len(shown.files) > traits.max_files > 1
        if self.step.file not in shown.files:
            return False
        return shown.files[0] != self.step.file

    def _accept_gap(self, listing: Listing, traits: WalkTraits) -> bool:
        """Finish where a response from behind the end is empty; raises IncompleteError.

        A response that is not empty proves no end: it repeats what is before its offset, and what
        follows may be hidden. So the next request is farther, unless the response is the same far
        behind the end: then it shows what every response does.
        """
        unread = [(self, listing.root)]
        while unread:
            folder, shown = unread.pop()
            if folder.is_by_itself and folder is not self:
                continue
            children = folder.children
            if not folder.knows(shown.files) or shown.folders.keys() - children:
                raise self.incomplete("behind its end, more is listed")
            unread += [(children[name], child) for name, child in shown.folders.items()]
        if shows_nothing(listing.root) or listing.fingerprint == self._far_fingerprint:
            self.finish()
            return False
        # Not farther than one response reaches, so that nothing is passed over.
        following = Step(self.step.offset + max(1, traits.max_files), StepKind.GAP)
        if self._far_fingerprint is None:
            self._fingerprint = listing.fingerprint
            following = Step(self._far_offset(traits), StepKind.SAME, otherwise=following)
        self.step = following
        return False

    def _far_offset(self, traits: WalkTraits) -> int:
        """Return an offset far behind any that the last response could repeat entries from."""
        return self.step.offset + max(2 * traits.max_files, _FAR)

    @staticmethod
    def _files_are_complete(shown: FolderListing, traits: WalkTraits) -> bool:
        """Return whether all own files were shown.

        An offset of 0 without a flag may be that of a complete folder, or of one to begin again.
        """
        return shown.loaded is LoadState.COMPLETE or (
            traits.marks_partial and shown.next_offset is None
        )

    def _set_next(self, following: Step | None) -> None:
        if following is None:
            self.finish()
        else:
            self.step = following

    def _follow(self, listing: Listing, news: int, traits: WalkTraits) -> Step:
        """Return the step after a response that says that there is more."""
        step, shown, told = self.step, listing.root, listing.root.next_offset
        if step.kind is StepKind.TOLD and not news:
            traits.overlap_stalls = True
        children = with_files(shown)
        if told is None:
            if shown.is_empty:
                raise self.incomplete("it goes on, but nothing says where")
            return self._step_on(listing, traits)
        if told <= step.offset:
            # The offset of a parent may stay at the sub-folder in which the response was cut.
            if shown.files or not children:
                raise self.incomplete(f"its offset does not move on from {step.offset}")
            return self._step_over(shown, children[0])
        file = shown.files[-1] if shown.files else None
        child = children[-1] if children else None
        first_child = last_reached(shown)
        if file is None and first_child is None:
            return Step(told)
        again = Step(
            told - 1,
            StepKind.TOLD,
            file,
            child,
            first_child,
            self._own_step(shown, traits),
            child_shown=shown.folders.get(child or ""),
        )
        is_cut = child is not None and shown.folders[child].loaded is LoadState.PARTIAL
        if again.offset <= step.offset or (traits.overlap_stalls and is_cut):
            return Step(told, check=replace(again, kind=StepKind.CHECK, otherwise=None))
        return again

    def _step_on(self, listing: Listing, traits: WalkTraits) -> Step:
        """Return the step after a response that does not say whether there is more."""
        shown, offset = listing.root, self.step.offset
        children = with_files(shown)
        own = self._own_step(shown, traits)
        if own is not None:
            following = own
        elif shown.files:
            following = Step(offset + 1, check=Step(offset, StepKind.CHECK, file=shown.files[0]))
        elif len(children) > 1:
            last_child = children[-1]
            following = Step(
                offset + len(children) - 1,
                child=last_child,
                child_shown=shown.folders[last_child],
            )
        elif children:
            following = self._step_over(shown, children[0])
        else:
            following = Step(offset + 1)
            folders = [*iter_folder_names(shown)]
            if len(folders) > 1:
                last_offset = offset + len(folders) - 1
                following = Step(last_offset, first_child=folders[-1], otherwise=following)
        last = replace(shown, files=()) if shown.files_last else shown
        leap = offset + last.all_files - 1
        if may_leap(listing, self.step, traits) and leap > following.offset:
            return Step(leap, StepKind.LEAP, *last_file(last), otherwise=following)
        return following

    def _step_far(self, shown: FolderListing, following: Step) -> Step:
        """Return a longer step after a response without files, the same as the one before it.

        The offset counts what is not shown, such as files of other types. Where the last sub-folder
        is shown again, nothing was passed over. So each step is twice as long as the last one, or
        half as long where that was too long, and never as long as a response reaches.
        """
        last = last_reached(shown)
        length = 2 * (self.step.offset - self._earlier_offset)
        lengths = [n for n in _LENGTHS if n <= length]
        for far in (self.step.offset + n for n in lengths):
            if last is not None and far > following.offset:
                following = Step(far, child=last, otherwise=following)
        return following

    def _own_step(self, shown: FolderListing, traits: WalkTraits) -> Step | None:
        """Return the step to the last of the own files that a response shows.

        A server may repeat some files before the offset. So those count that come from the file
        on which had to come again.
        """
        files = shown.files
        is_due_later = self._shows_more_than_due(shown, traits) and not traits.repeats_files
        if is_due_later and not self._new_files:
            again = Step(self.step.offset, file=self.step.file)
            farther = self.step.offset + files.index(self.step.file or "")
            return Step(farther, StepKind.FARTHER, self.step.file, otherwise=again)
        if self.step.file in files:
            files = files[files.index(self.step.file) :]
        elif self.step.offset > 0:
            files = files[-self._new_files :] if self._new_files else ()
        if len(files) < 2:  # noqa: PLR2004 - one file comes again where it was
            return None
        return Step(self.step.offset + len(files) - 1, file=files[-1])

    def _step_over(self, shown: FolderListing, child: str) -> Step:
        offset = self.step.offset
        check = Step(offset, StepKind.CHECK, child=child, child_shown=shown.folders[child])
        return Step(offset + 1, check=check)
