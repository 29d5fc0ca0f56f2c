"""Choose the follow-up requests for a folder, and accept their responses.

What an offset counts is not documented: a folder's own files, its entries, or all files below it.
Under each of these, a response that begins at offset N and shows K of the folder's own files has
the last of them at N + K - 1 or behind. A request from there passes over nothing, and its response
begins with that file or before it. So every follow-up is made where the last entry must come
again: where it does not, the listing has changed under the walk, and there is no count.
"""

from dataclasses import replace
from typing import Final

from exporter.polling.folder_progress import FolderProgress
from exporter.polling.steps import (
    FIRST_STEP,
    Step,
    StepKind,
    find_last_file,
    find_last_reached,
    find_start,
    iter_folder_names,
    list_folders_with_files,
    may_leap,
    repeats_expected,
    shows_file,
    shows_nothing,
)
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.file_listing import FolderListing, Listing, LoadState

_FAR: Final = 1000
"""How far behind an offset a response repeats nothing from before it: ten times a page."""
_LENGTHS: Final = (2, 4, 8, 16, 32, 64)


def accept_response(folder: FolderProgress, listing: Listing, traits: WalkTraits) -> bool:
    """Return whether a response to ``step`` continues what is known.

    Where it does not, the next step is another. Raises IncompleteError where none is left.
    """
    step, shown = folder.step, listing.root
    if shown.loaded is LoadState.SKIPPED:
        raise folder.incomplete("it comes back skipped when requested separately")
    if step.kind is StepKind.GAP:
        return _accept_gap(folder, listing, traits)
    if not _fits(folder, listing, traits):
        if step.otherwise is None:
            raise folder.incomplete("its listing has changed while it was read")
        folder.step = step.otherwise
        return False
    if not _may_follow(folder, listing):
        folder.step = FIRST_STEP
        return False
    if step.kind is StepKind.SAME:
        folder.finish()
    elif step.kind is StepKind.CHECK:
        _set_next(folder, folder.step_after_check)
    return step.kind not in {StepKind.SAME, StepKind.CHECK}


def _fits(folder: FolderProgress, listing: Listing, traits: WalkTraits) -> bool:
    """Return whether a response shows again what the step requires."""
    step = folder.step
    if step.kind is StepKind.SAME:
        if listing.fingerprint == folder.fingerprint:
            return True
        folder.far_fingerprint = listing.fingerprint
        return False
    if step.kind is StepKind.LEAP:
        fits = shows_file(listing.root, step)
        traits.misfits += not fits
        return fits
    fits = repeats_expected(listing.root, step)
    traits.repeats_files |= step.kind is StepKind.FARTHER and not fits
    return fits


def _may_follow(folder: FolderProgress, listing: Listing) -> bool:
    """Return whether the offset of a response is one that passes over files.

    An offset may count sub-folders only: then a follow-up at the last file shows all files once
    more, and passes over sub-folders. Raises IncompleteError where it does. Return False where
    the response from the start of the folder is needed to decide.
    """
    first = find_start(listing.root)[0]
    has_passed = folder.step.offset == 0 or folder.own_files < 2 or first != folder.first_file  # noqa: PLR2004 - one file comes again where it was
    if folder.step.kind is StepKind.SAME or first is None or has_passed:
        return True
    child = None if folder.start is None else folder.start[1]
    if folder.is_seen_from_start and child not in {None, *listing.root.folders}:
        raise folder.incomplete("an offset skips its sub-folders, but not its files")
    return folder.is_seen_from_start


def decide_next_step(
    folder: FolderProgress, listing: Listing, new_entries: int, traits: WalkTraits
) -> bool:
    """Set the next step after an accepted response that has shown ``new_entries``.

    Return whether the response is the end of the listing and proves it: it began behind an
    earlier one, had room left, and showed nothing new.
    """
    shown, step = listing.root, folder.step
    is_repeated = folder.fingerprint == listing.fingerprint
    folder.is_seen_from_start |= step.offset == 0
    folder.fingerprint = listing.fingerprint
    has_room = traits.has_room(listing)
    is_end = (
        step.offset > 0
        and not new_entries
        and (has_room or shown.is_empty)
        and not _shows_more_than_due(folder, shown, traits)
    )
    following: Step | None = None
    if shown.loaded is LoadState.PARTIAL or shown.next_offset:
        following = _follow(folder, listing, new_entries, traits)
    elif _are_files_complete(shown, traits) and traits.marks_skipped:
        pass
    elif is_end or (has_room and _are_files_complete(shown, traits)):
        following = Step(step.offset + max(1, traits.max_files), StepKind.GAP)
    elif not shown.is_empty:
        following = _step_on(folder, listing, traits)
    if following is not None and is_repeated and not shown.files:
        if not listing.files:
            following = _step_far(folder, shown, following.otherwise or following)
        if folder.far_fingerprint in {None, listing.fingerprint}:
            following = Step(_choose_far_offset(folder, traits), StepKind.SAME, otherwise=following)
    folder.earlier_offset = step.offset
    if step.check is not None and (new_entries or shown.is_empty):
        folder.step_after_check = following
        folder.step = step.check
    else:
        _set_next(folder, following)
    return is_end and has_room


def _shows_more_than_due(folder: FolderProgress, shown: FolderListing, traits: WalkTraits) -> bool:
    """Return whether own files come again before the one that had to.

    Then the offset counts more than own files of the type, and the end may be farther. Where
    the server repeats some files in every response, return whether it repeats too many.
    """
    if traits.repeats_files:
        # Of a response that repeats most of a page, hidden files may take the last places.
        return 2 * len(shown.files) > traits.max_files > 1
    if folder.step.file not in shown.files:
        return False
    return shown.files[0] != folder.step.file


def _accept_gap(folder: FolderProgress, listing: Listing, traits: WalkTraits) -> bool:
    """Finish where a response from behind the end is empty; raises IncompleteError.

    A response that is not empty proves no end: it repeats what is before its offset, and what
    follows may be hidden. So the next request is farther, unless the response is the same far
    behind the end: then it shows what every response does.
    """
    unread = [(folder, listing.root)]
    while unread:
        known, shown = unread.pop()
        if known.is_requested_separately and known is not folder:
            continue
        children = known.children
        if not known.has_all(shown.files) or shown.folders.keys() - children:
            raise folder.incomplete("behind its end, more is listed")
        unread += [(children[name], child) for name, child in shown.folders.items()]
    if shows_nothing(listing.root) or listing.fingerprint == folder.far_fingerprint:
        folder.finish()
        return False
    # Not farther than one response reaches, so that nothing is passed over.
    following = Step(folder.step.offset + max(1, traits.max_files), StepKind.GAP)
    if folder.far_fingerprint is None:
        folder.fingerprint = listing.fingerprint
        following = Step(_choose_far_offset(folder, traits), StepKind.SAME, otherwise=following)
    folder.step = following
    return False


def _choose_far_offset(folder: FolderProgress, traits: WalkTraits) -> int:
    """Return an offset far behind any that the last response could repeat entries from."""
    return folder.step.offset + max(2 * traits.max_files, _FAR)


def _are_files_complete(shown: FolderListing, traits: WalkTraits) -> bool:
    """Return whether all own files were shown.

    An offset of 0 without a flag may be that of a complete folder, or of one to begin again.
    """
    return shown.loaded is LoadState.COMPLETE or (
        traits.marks_partial and shown.next_offset is None
    )


def _set_next(folder: FolderProgress, following: Step | None) -> None:
    if following is None:
        folder.finish()
    else:
        folder.step = following


def _follow(folder: FolderProgress, listing: Listing, new_entries: int, traits: WalkTraits) -> Step:
    """Return the step after a response that says that there is more."""
    step, shown, next_offset = folder.step, listing.root, listing.root.next_offset
    if step.kind is StepKind.AT_OFFSET and not new_entries:
        traits.overlap_stalls = True
    children = list_folders_with_files(shown)
    if next_offset is None:
        if shown.is_empty:
            raise folder.incomplete("it goes on, but nothing says where")
        return _step_on(folder, listing, traits)
    if next_offset <= step.offset:
        # The offset of a parent may stay at the sub-folder in which the response was cut.
        if shown.files or not children:
            raise folder.incomplete(f"its offset does not move on from {step.offset}")
        return _step_over(folder, shown, children[0])
    file = shown.files[-1] if shown.files else None
    child = children[-1] if children else None
    first_child = find_last_reached(shown)
    if file is None and first_child is None:
        return Step(next_offset)
    again = Step(
        next_offset - 1,
        StepKind.AT_OFFSET,
        file,
        child,
        first_child,
        _choose_own_step(folder, shown, traits),
        child_shown=shown.folders.get(child or ""),
    )
    is_cut = child is not None and shown.folders[child].loaded is LoadState.PARTIAL
    if again.offset <= step.offset or (traits.overlap_stalls and is_cut):
        return Step(next_offset, check=replace(again, kind=StepKind.CHECK, otherwise=None))
    return again


def _step_on(folder: FolderProgress, listing: Listing, traits: WalkTraits) -> Step:
    """Return the step after a response that does not say whether there is more."""
    shown, offset = listing.root, folder.step.offset
    children = list_folders_with_files(shown)
    own = _choose_own_step(folder, shown, traits)
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
        following = _step_over(folder, shown, children[0])
    else:
        following = Step(offset + 1)
        folders = [*iter_folder_names(shown)]
        if len(folders) > 1:
            last_offset = offset + len(folders) - 1
            following = Step(last_offset, first_child=folders[-1], otherwise=following)
    last = replace(shown, files=()) if shown.files_last else shown
    leap = offset + last.all_files - 1
    if may_leap(listing, folder.step, traits) and leap > following.offset:
        return Step(leap, StepKind.LEAP, *find_last_file(last), otherwise=following)
    return following


def _step_far(folder: FolderProgress, shown: FolderListing, following: Step) -> Step:
    """Return a longer step after a response without files, the same as the one before it.

    The offset counts what is not shown, such as files of other types. Where the last sub-folder
    is shown again, nothing was passed over. So each step is twice as long as the last one, or
    half as long where that was too long, and never as long as a response reaches.
    """
    last = find_last_reached(shown)
    length = 2 * (folder.step.offset - folder.earlier_offset)
    lengths = [n for n in _LENGTHS if n <= length]
    for far in (folder.step.offset + n for n in lengths):
        if last is not None and far > following.offset:
            following = Step(far, child=last, otherwise=following)
    return following


def _choose_own_step(
    folder: FolderProgress, shown: FolderListing, traits: WalkTraits
) -> Step | None:
    """Return the step to the last of the own files that a response shows.

    A server may repeat some files before the offset. So those count that come from the file
    on which had to come again.
    """
    files = shown.files
    is_due_later = _shows_more_than_due(folder, shown, traits) and not traits.repeats_files
    if is_due_later and not folder.new_files:
        again = Step(folder.step.offset, file=folder.step.file)
        farther = folder.step.offset + files.index(folder.step.file or "")
        return Step(farther, StepKind.FARTHER, folder.step.file, otherwise=again)
    if folder.step.file in files:
        files = files[files.index(folder.step.file) :]
    elif folder.step.offset > 0:
        files = files[-folder.new_files :] if folder.new_files else ()
    if len(files) < 2:  # noqa: PLR2004 - one file comes again where it was
        return None
    return Step(folder.step.offset + len(files) - 1, file=files[-1])


def _step_over(folder: FolderProgress, shown: FolderListing, child: str) -> Step:
    offset = folder.step.offset
    check = Step(offset, StepKind.CHECK, child=child, child_shown=shown.folders[child])
    return Step(offset + 1, check=check)
