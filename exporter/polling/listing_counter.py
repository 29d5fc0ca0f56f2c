"""Count what the responses of one walk show, and record which folders are complete."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.follow_ups import decide_next_step
from exporter.polling.siblings import Entry
from exporter.polling.steps import (
    StepKind,
    find_last_reached,
    find_start,
    list_folders_with_files,
    starts_with_file,
)
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.errors import LimitReachedError
from exporter.scaleengine.file_listing import (
    COMMAND,
    FolderListing,
    Listing,
    LoadState,
    may_be_api_member,
)


@dataclass(slots=True)
class ListingCounter:
    """Counts the files and folders below ``path`` into ``counts``.

    It raises LimitReachedError at more than ``max_folders`` folders. ``traits`` say how a response
    that does not say how far it goes is to be read.
    """

    path: str
    counts: FolderCounts
    max_folders: int
    traits: WalkTraits
    folders: int = 0

    def count(self, folder: FolderProgress, listing: Listing) -> None:
        """Count what an accepted response for a folder shows, and set the next step of it."""
        step = folder.step
        if step.offset == 0:
            folder.start = find_start(listing.root)
        files = folder.add_files(listing.root.files)
        self.counts.add_files(folder.counted, files)
        new_entries, unclear, last = self._count_children(folder, listing)
        earlier = folder.unclear
        folder.unclear = [*earlier, *unclear]
        is_leap = step.kind is StepKind.LEAP and starts_with_file(listing.root, step)
        if is_leap:
            # The offset has skipped all files before this one: what is before it is complete.
            passed = _find_passed(folder, step.child or "")
            _finish(child for child in earlier if not passed.isdisjoint(child.lineage()))
        if decide_next_step(folder, listing, files + new_entries, self.traits):
            shown = folder.unclear if is_leap else unclear
            _finish(child for child in shown if child not in last)
        folder.unclear = tuple(child for child in folder.unclear if not child.is_complete)

    def count_siblings(
        self, parent: FolderProgress, listing: Listing, shown: Iterable[Entry]
    ) -> None:
        """Count sub-folders that a response for their parent shows from their start."""
        siblings = replace(listing, root=FolderListing(folders=dict(shown)))
        self._count_children(parent, siblings, is_from_parent=True)

    def confirm(self, folder: FolderProgress) -> None:
        """Count a folder whose name might have been a member of the API."""
        if not folder.is_certain:
            folder.is_certain = True
            folder.counted = self.counts.add_folder(folder.counted, folder.name)

    def shows_all(self, shown: FolderListing) -> bool:
        """Return whether a response shows a folder as complete, with all that is below it."""
        unread = [shown]
        while unread:
            folder = unread.pop()
            if self._judge(folder, is_cut=False) is not LoadState.COMPLETE:
                return False
            unread += (
                child
                for name, child in folder.folders.items()
                if not may_be_api_member(name) or child.is_surely_folder
            )
        return True

    def _count_children(
        self, requested: FolderProgress, listing: Listing, *, is_from_parent: bool = False
    ) -> tuple[int, list[FolderProgress], frozenset[FolderProgress]]:
        """Count what is shown below the requested folder.

        ``is_from_parent`` says that every sub-folder is shown from its start, as the response has
        proven. Return how many entries are new, the folders that may not have been shown as a
        whole, and those of them in which the response ends without a word of it: a server may scan
        files that it does not show, so there may be more even where others have shown more.
        """
        new_entries, unclear, silent = 0, [], []
        is_from_start = requested.step.offset == 0 and not is_from_parent
        is_trusted = is_from_start or is_from_parent or bool(self.traits.shows_children_from_start)
        has_room = self.traits.has_room(listing)
        unread = deque([(requested, listing.root, True)])
        while unread:
            parent, shown, is_last = unread.popleft()
            last = _find_last_children(shown) if is_last else frozenset()
            for name, shown_child in shown.folders.items():
                child = parent.children.get(name)
                if child is None:
                    child = self._add_child(parent, name, shown_child)
                    new_entries += 1
                if child.is_complete and is_from_parent:
                    unread.append((child, shown_child, False))
                if child.is_complete or not child.is_certain:
                    continue
                if child.is_requested_separately or not (
                    is_trusted or child.continues_with(shown_child.files)
                ):
                    child.is_requested_separately = True
                    continue
                if is_from_start and shown_child.files:
                    child.start = find_start(shown_child)
                files = child.add_files(shown_child.files)
                self.counts.add_files(child.counted, files)
                new_entries += files
                unread.append((child, shown_child, name in last))
                is_cut = name in last and not self.traits.marks_skipped
                loaded = self._judge(shown_child, is_cut=is_cut and not has_room)
                if loaded is LoadState.COMPLETE:
                    child.finish()
                else:
                    child.plan_separate_request()
                    unclear += [child] if loaded is None else []
                    silent += [child] if name in last and shown_child.loaded is None else []
        return new_entries, unclear, frozenset(silent)

    def _add_child(self, parent: FolderProgress, name: str, shown: FolderListing) -> FolderProgress:
        """Hold a sub-folder that is shown for the first time, and count it if it is one."""
        child = parent.add_child(name)
        self._count_folder()
        child.is_certain = not may_be_api_member(name) or shown.is_surely_folder
        if child.is_certain:
            child.counted = self.counts.add_folder(parent.counted, name)
        return child

    def _judge(self, shown: FolderListing, *, is_cut: bool) -> LoadState | None:
        """Return how far a response for a folder above shows a folder; None where it is not sure.

        ``is_cut`` says that the response may have ended below the folder.
        """
        loaded = shown.loaded
        if loaded is None and shown.next_offset:
            return LoadState.PARTIAL
        if loaded is None and shown.next_offset == 0:
            return None
        says_if_open = self.traits.writes_flags if shown.is_empty else self.traits.marks_children
        if loaded is None and says_if_open:
            loaded = LoadState.COMPLETE
        if loaded is LoadState.COMPLETE and is_cut:
            return None
        return loaded

    def _count_folder(self) -> None:
        """Count a folder that is held."""
        self.folders += 1
        if self.folders > self.max_folders:
            raise LimitReachedError(
                COMMAND,
                f"{self.path!r} has more than {self.max_folders} folders",
                "raise limits.folders_per_path, or configure smaller paths",
            )


def _finish(folders: Iterable[FolderProgress]) -> None:
    """Record that folders are complete, but for those of which something was not used."""
    for folder in folders:
        if not any(above.is_requested_separately for above in folder.lineage()):
            folder.finish()


def _find_passed(folder: FolderProgress, reached: str) -> frozenset[FolderProgress]:
    """Return the folders that come before a path, each with all that is below it."""
    passed: list[FolderProgress] = []
    below: FolderProgress | None = folder
    for name in reached.split("/"):
        if below is None:
            break
        passed += takewhile(lambda child: child.name != name, below.children.values())  # noqa: B023 - used at once
        below = below.children.get(name)
    return frozenset(passed)


def _find_last_children(shown: FolderListing) -> frozenset[str | None]:
    """Return the sub-folders below which a response may have ended."""
    return frozenset([find_last_reached(shown), *list_folders_with_files(shown)[-1:]])
