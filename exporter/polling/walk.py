"""Walk a file tree and count it: every file once, or no count at all.

An answer lists a hundred files at most. What it leaves out it marks: a folder was seen partly and
goes on at an offset, or was skipped and has to be asked for by itself. The walk follows each mark.
It remembers the folders on its edge only, so memory grows with the edge, not with the tree.

A further answer for a folder may show more of what lies below it. So a sub-folder is asked for only
when all folders above it have been seen whole, and nothing is asked for that was about to be told.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.open_folder import News, OpenFolder
from exporter.scaleengine.errors import ApiError, IncompleteError
from exporter.scaleengine.file_listing import COMMAND, Form, Listing

Ask = Callable[[str, int], "Future[Listing]"]
"""Ask for the listing of a path from an offset on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls a walk may have under way at once, and make in all."""

    at_once: int
    in_all: int


def walk(path: str, ask: Ask, limits: Limits, counts: FolderCounts) -> None:
    """Count every file and folder below the path into ``counts``.

    Raises ScaleEngineError; the counts are then worth nothing, and calls may still be under way.
    """
    _Walk(path, ask, limits, counts).run()


@dataclass
class _Walk:
    path: str
    ask: Ask
    limits: Limits
    counts: FolderCounts
    ready: list[OpenFolder] = field(default_factory=list)
    under_way: dict["Future[Listing]", OpenFolder] = field(default_factory=dict)
    calls: int = 0
    form: Form | None = None

    def run(self) -> None:
        self.ready.append(OpenFolder(self.path))
        try:
            while self.ready or self.under_way:
                self.ask_for_more()
                answered, _ = wait(self.under_way, return_when=FIRST_COMPLETED)
                for answer in answered:
                    self.learn(self.under_way.pop(answer), answer)
        finally:
            for answer in self.under_way:
                answer.cancel()

    def ask_for_more(self) -> None:
        if self.calls + len(self.ready) > self.limits.in_all:
            raise IncompleteError(
                COMMAND,
                f"counting {self.path!r} takes more than {self.limits.in_all} requests",
                "raise api.max_requests_per_poll, or configure smaller paths",
            )
        while self.ready and len(self.under_way) < self.limits.at_once:
            folder = self.ready.pop()
            self.under_way[self.ask(folder.path, folder.offset)] = folder
            self.calls += 1

    def learn(self, folder: OpenFolder, answer: "Future[Listing]") -> None:
        try:
            listing = answer.result()
        except ApiError as error:
            if folder.path == self.path:
                raise
            raise folder.incomplete(f"it cannot be asked for by itself ({error.cause})") from error
        self.count(folder, listing)
        self.ready += _next_to_ask(folder)

    def count(self, folder: OpenFolder, listing: Listing) -> None:
        self.form = self.form or listing.form
        if listing.form not in {None, self.form}:
            raise folder.incomplete("its answer has another form than those before")
        self.add(folder, folder.see_answer(listing.root, full=listing.full))
        unread = [(folder, listing.root)]
        while unread:
            above, shown = unread.pop()
            for name, shown_below in shown.folders.items():
                below = above.below.get(name)
                if below is not None:  # a folder that is whole takes no new ones
                    self.add(below, below.see_in_passing(shown_below, full=listing.full))
                    unread.append((below, shown_below))

    def add(self, folder: OpenFolder, news: News) -> None:
        self.counts.add_files(self.place(folder), news.files)
        for below in news.folders:
            self.counts.add_folder(self.place(below))

    def place(self, folder: OpenFolder) -> str:
        return folder.path[len(self.path) + 1 :]


def _next_to_ask(folder: OpenFolder) -> list[OpenFolder]:
    """Return the topmost folders, from this one down, that have not been seen whole."""
    found = []
    unseen = [folder]
    while unseen:
        candidate = unseen.pop()
        if candidate.whole:
            unseen += candidate.below.values()
        else:
            found.append(candidate)
    return found
