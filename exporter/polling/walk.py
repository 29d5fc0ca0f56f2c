"""Walk a file tree and count it: every file once, or no count at all.

A response lists about a hundred files. What it leaves out it may mark: a folder was seen partly
and goes on at an offset, or was skipped and has to be requested separately. The walk follows each
mark. Where a mark may be missing, one more request shows whether there is more; what the API's
pages leave open is found out by the responses (``walk_traits``).

A further response for a folder may show more of what is below it. So a sub-folder is requested only
when all folders above it are complete, and nothing is requested that was about to be shown. The
walk holds the folders on its edge only, so memory grows with the edge, not with the tree.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

from exporter.polling.comparisons import (
    Candidate,
    Comparison,
    ComparisonOutcome,
    ComparisonResult,
    Probe,
    compare_siblings,
    find_candidates,
)
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.follow_ups import accept_response
from exporter.polling.listing_counter import ListingCounter
from exporter.polling.siblings import (
    Entry,
    SiblingRun,
    begin_run,
    match_position,
)
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.steps import (
    find_start,
    has_skipped,
)
from exporter.polling.threads import cancel_all
from exporter.polling.walk_strategy import ParentRequest, WalkStrategy
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.errors import (
    ApiError,
    IncompleteError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
)
from exporter.scaleengine.file_listing import (
    COMMAND,
    FolderEncoding,
    FolderListing,
    Listing,
)

Request: TypeAlias = Callable[[str, int], Coroutine[None, None, Listing]]
"""Requests the listing of a path from an offset on."""


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """How many requests a walk may have under way at once and make in all, and what it may find.

    Requests are ``gap`` seconds apart at least.
    """

    max_concurrency: int
    max_requests: int
    snapshot: SnapshotLimits = field(default_factory=SnapshotLimits)
    gap: float = 0.0


async def walk(
    path: str,
    request: Request,
    limits: WalkLimits,
    counts: FolderCounts,
    strategy: WalkStrategy | None = None,
) -> None:
    """Count every file and folder below the path into ``counts``.

    ``strategy`` chooses among requests that lead to the same count. Raises ScaleEngineError; the
    counts are then worth nothing. Where it fails or is cancelled, the requests under way are
    cancelled, and have ended when it ends.
    """
    strategy = strategy or WalkStrategy(limits.max_concurrency, limits.gap)
    counter = ListingCounter(path, counts, limits.snapshot.folders, WalkTraits())
    await _Walk(path, request, limits, counter, strategy).run()


_TOLERATED_ERRORS: Final = (ApiError, ProtocolError, RequestTimeoutError, ServerError)
"""Errors of a request that no number depends on: the walk goes on without its response.

A server may fail at an offset that it does not expect, and at every poll."""


_Purpose: TypeAlias = FolderProgress | Probe | Comparison | ParentRequest


@dataclass
class _Walk:
    path: str
    request: Request
    limits: WalkLimits
    counter: ListingCounter
    strategy: WalkStrategy
    ready: list[FolderProgress] = field(default_factory=list)
    runs: list[SiblingRun] = field(default_factory=list)
    """Runs that wait for no response."""
    awaited: dict[FolderProgress, SiblingRun] = field(default_factory=dict)
    """Runs that wait for a response for their first sub-folder, by that."""
    under_way: dict["asyncio.Task[Listing]", _Purpose] = field(default_factory=dict)
    kept: dict[str, Listing] = field(default_factory=dict)
    """Responses for folders from their start, by path, that were made to compare them."""
    has_confirmed_parent: bool = False
    requests: int = 0
    encoding: FolderEncoding | None = None
    unmarked: FolderProgress | None = None
    """A folder that was requested, and whose response does not say how far it goes."""

    @property
    def traits(self) -> WalkTraits:
        return self.counter.traits

    async def run(self) -> None:
        self.ready.append(FolderProgress(self.path, None, self.counter.counts.root))
        try:
            while self.ready or self.runs or self.under_way:
                self.request_more()
                if not self.under_way:
                    break
                done, _ = await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    match self.under_way.pop(task):
                        case Probe() as probe:
                            self.record_probe_response(probe, task)
                        case Comparison() as comparison:
                            self.record_comparison_response(comparison, task)
                        case ParentRequest() as parent_request:
                            self.record_parent_response(parent_request, task)
                        case folder:
                            self.record_response(folder, task)
        finally:
            await cancel_all(self.under_way)
        if self.unmarked and self.traits.counts_hidden_files and not self.traits.marks_partial:
            raise self.unmarked.incomplete(
                "the server counts files that it does not list, and does not say if more follow"
            )

    def request_more(self) -> None:
        if self.requests + len(self.ready) > self.limits.max_requests:
            raise self.too_many_requests()
        while (self.ready or self.runs) and len(self.under_way) < self.limits.max_concurrency:
            if self.ready:
                folder = self.ready.pop()
                self.send(folder.path, folder.step.offset, folder)
            else:
                self.go_on(self.runs.pop())

    def send(self, path: str, offset: int, purpose: _Purpose) -> None:
        is_parent = isinstance(purpose, ParentRequest)
        if offset == 0 and path in self.kept:
            request = _return(self.kept.pop(path))
        else:
            request = self.measure(path, offset, is_parent=is_parent)
            self.requests += 1
        self.under_way[asyncio.create_task(request)] = purpose

    async def measure(self, path: str, offset: int, *, is_parent: bool) -> Listing:
        clock = asyncio.get_running_loop()
        began = clock.time()
        listing = await self.request(path, offset)
        self.strategy.record_time(clock.time() - began, is_parent=is_parent)
        return listing

    def go_on(self, run: SiblingRun) -> None:
        """Make the next request of a run, or end the run."""
        first, cut = run.queue[0], run.cut
        runs = 1 + len(self.runs) + len(self.awaited)
        choice = self.strategy.choose(run, runs, partial(self.count_spare_requests, run))
        if isinstance(choice, ParentRequest):
            self.send(run.parent.path, choice.offset, choice)
        elif choice.finds_anchor and not first.is_complete:
            self.awaited[first] = run
            self.send(first.path, first.step.offset, first)
        else:
            taken = run.take_first(choice.number)
            self.release_children(taken, {} if cut is None else {first.name: cut})
            if run.queue:
                self.runs.append(run)

    def count_spare_requests(self, run: SiblingRun) -> int:
        """Return how many requests may be made beyond one for each sub-folder of all runs."""
        runs = [run, *self.runs, *self.awaited.values()]
        purposes = self.under_way.values()
        runs += [purpose.run for purpose in purposes if isinstance(purpose, ParentRequest)]
        left = len(self.ready) + sum(len(waiting.queue) for waiting in runs)
        return self.limits.max_requests - self.requests - left

    def too_many_requests(self) -> IncompleteError:
        return IncompleteError(
            COMMAND,
            f"counting {self.path!r} takes more than {self.limits.max_requests} requests",
            "raise api.max_requests_per_poll, or configure smaller paths",
        )

    def record_response(self, folder: FolderProgress, response: "asyncio.Task[Listing]") -> None:
        try:
            listing = response.result()
        except ApiError as error:
            if folder.parent is None:
                raise
            if folder.is_certain:
                cause = f"it cannot be requested separately ({error.cause})"
                raise folder.incomplete(cause) from error
            return  # it is a member of the API that looks like a folder
        self.observe(folder, listing)
        self.counter.confirm(folder)
        if not accept_response(folder, listing, self.traits):
            self.release(folder)
        elif candidates := self.find_to_probe(folder, listing):
            self.probe(Probe(folder, listing, candidates))
        else:
            self.count(folder, listing)

    def observe(self, folder: FolderProgress, listing: Listing) -> None:
        self.encoding = self.encoding or listing.encoding
        if listing.encoding not in {None, self.encoding}:
            raise folder.incomplete("its response is written in another form than those before")
        self.traits.observe(listing, folder.step.offset)
        is_marked = listing.root.loaded is not None or listing.root.next_offset is not None
        if folder.step.offset == 0 and not is_marked:
            self.unmarked = self.unmarked or folder
        folder.check_complete(listing)

    def find_to_probe(self, folder: FolderProgress, listing: Listing) -> Sequence[Candidate]:
        """Return sub-folders whose requests show what an offset skips, if that has to be known.

        It has where a response from an offset above 0, which has skipped something, shows
        sub-folders that were not seen before.
        """
        if folder.step.offset == 0 or self.traits.shows_children_from_start is not None:
            return []
        if folder.start is None or not has_skipped(folder.start, listing.root):
            return []  # the offset may have skipped nothing yet
        return find_candidates(folder, listing.root)

    def probe(self, probe: Probe) -> None:
        if self.requests >= self.limits.max_requests:
            raise self.too_many_requests()
        self.send(probe.candidates[0].path, probe.offset, probe)

    def record_probe_response(self, probe: Probe, response: "asyncio.Task[Listing]") -> None:
        candidate, *left = probe.candidates
        listing = _read_comparison(response)
        if listing is not None and not probe.is_from_start and candidate.proves_start(listing):
            self.probe(replace(probe, is_from_start=True))
            return
        if listing is None or not (probe.is_from_start and listing.root.files):
            self.traits.record_failed_probe()
        else:
            self.kept[candidate.path] = listing
            begins_so = not has_skipped(find_start(listing.root), candidate.shown)
            if self.traits.shows_children_from_start is None or not begins_so:
                self.traits.shows_children_from_start = begins_so
        if left and self.traits.shows_children_from_start is None:
            self.probe(Probe(probe.requested, probe.listing, left))
        else:
            self.count(probe.requested, probe.listing)

    def record_parent_response(
        self, request: ParentRequest, response: "asyncio.Task[Listing]"
    ) -> None:
        try:
            listing = response.result()
        except _TOLERATED_ERRORS:
            listing = Listing(FolderListing())  # no number depends on this request
        shown = None
        if listing.encoding in {None, self.encoding}:
            shown = match_position(request.run, listing.root, self.counter.shows_all)
        if shown is None or self.has_confirmed_parent:
            self.use_parent(request, listing, shown)
            return
        new = shown[len(request.run.before) or 1 :]
        comparison = compare_siblings(
            request,
            listing,
            shown,
            [entry for entry in new if self.counter.shows_all(entry[1])],
        )
        spare = self.count_spare_requests(request.run)
        if comparison is not None and spare > len(comparison.candidates):
            if self.strategy.can_afford_comparison:
                self.compare(comparison)
                return
            self.strategy.postpone_comparison(request)
        self.use_parent(request, listing, None)

    def compare(self, comparison: Comparison) -> None:
        """Request a sub-folder separately, before the first response for a parent is used."""
        self.send(comparison.path, comparison.offset, comparison)

    def record_comparison_response(
        self, comparison: Comparison, response: "asyncio.Task[Listing]"
    ) -> None:
        match comparison.judge(_read_comparison(response)):
            case Comparison() as following:
                self.compare(following)
            case result:
                self.end_comparison(comparison, result)

    def end_comparison(self, comparison: Comparison, result: ComparisonResult) -> None:
        """Count the response for the parent if it, or another one meanwhile, was confirmed."""
        request, listing = comparison.request, comparison.listing
        if result.outcome is ComparisonOutcome.CONFIRMED:
            self.has_confirmed_parent = True
        elif result.outcome is ComparisonOutcome.REFUTED:
            if self.has_confirmed_parent:
                raise request.run.parent.incomplete(
                    "a sub-folder has other files in its own response than in that for its parent"
                )
            self.strategy.stop_after_misfit()
        if self.has_confirmed_parent and result.outcome is not ComparisonOutcome.NO_RESPONSE:
            self.use_parent(request, listing, comparison.shown)
        else:
            self.kept.update(result.responses)
            self.use_parent(request, listing, None, cost=2)

    def use_parent(
        self,
        request: ParentRequest,
        listing: Listing,
        shown: Sequence[Entry] | None,
        cost: int = 1,
    ) -> None:
        """Count what a response for a parent shows; None where that is of no use.

        ``cost`` is how many requests were then of no use.
        """
        run = request.run
        if shown is None:
            self.strategy.record_misfit(request, cost)
        else:
            self.count_siblings(request, listing, shown)
        if run.queue:
            self.runs.append(run)

    def count_siblings(
        self, request: ParentRequest, listing: Listing, shown: Sequence[Entry]
    ) -> None:
        """Count the sub-folders of a run that a response for the parent shows."""
        run = request.run
        self.traits.observe(listing, request.offset)
        self.counter.count_siblings(run.parent, listing, shown[len(run.before) :])
        taken = run.take_in(shown)
        self.strategy.record_fit(request, sum(child.is_done for child in taken))
        self.release_children(taken, dict(shown))

    def count(self, folder: FolderProgress, listing: Listing) -> None:
        """Count what an accepted response shows, and make ready what is requested next."""
        is_from_start = folder.step.offset == 0
        self.counter.count(folder, listing)
        self.release(folder, listing.root if is_from_start else None)

    def release(self, folder: FolderProgress, shown: FolderListing | None = None) -> None:
        """Make ready what is to be requested next after a response for a folder.

        ``shown`` is what that showed of it, where it showed each sub-folder from its start.
        """
        run = self.awaited.pop(folder, None)
        if run is not None:
            run.take_requested(shown)
            if run.queue:
                self.runs.append(run)
        self.release_children([folder], {} if shown is None else {folder.name: shown})

    def release_children(
        self, folders: Iterable[FolderProgress], shown: Mapping[str, FolderListing]
    ) -> None:
        """Make ready the topmost folders, from these down, that are not complete, in their order.

        Where several of one folder are not complete, they are a run.
        """
        found = []
        unseen = [(folder, shown.get(folder.name)) for folder in reversed([*folders])]
        while unseen:
            candidate, its_shown = unseen.pop()
            if not candidate.is_complete:
                found.append(candidate)
                continue
            run = None
            if self.traits.marks_skipped:
                run = begin_run(candidate, its_shown, self.traits.max_files)
            if run is not None:
                self.runs.append(run)
            others = [*(candidate.take_children() if run is None else run.take_others())]
            unseen += (
                (child, None if its_shown is None else its_shown.folders.get(child.name))
                for child in reversed(others)
            )
        self.ready += reversed(found)


def _read_comparison(response: "asyncio.Task[Listing]") -> Listing | None:
    """Return a response that no number depends on; None where it says nothing."""
    try:
        return response.result()
    except _TOLERATED_ERRORS:
        return None


async def _return(listing: Listing) -> Listing:
    return listing
