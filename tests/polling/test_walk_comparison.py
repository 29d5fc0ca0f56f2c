"""Sub-folders are requested by themselves before a response for their parent is used.

An offset may be skipped in every folder that a response shows, among entries that nothing shows.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from bench.walk_requests import ChildrenOnly
from exporter.polling.comparisons import Candidate, compare_siblings
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.siblings import ParentOffset, SiblingRun
from exporter.polling.walk import WalkLimits, walk
from exporter.polling.walk_strategy import ParentRequest, StrategyMemory, WalkStrategy
from exporter.scaleengine.errors import (
    ApiError,
    ProtocolError,
    RequestTimeoutError,
    ScaleEngineError,
    ServerError,
)
from exporter.scaleengine.file_listing import FolderListing, Listing, LoadState
from tests.support.sentences import REPORTED_FAILURE

PAGE = 100


@dataclass(frozen=True)
class Tree:
    """A folder: files of another type, files that count, and sub-folders, in this order."""

    hidden: int = 0
    files: int = 0
    folders: Mapping[str, "Tree"] = field(default_factory=dict)

    def count(self) -> tuple[int, int]:
        """Return the files that count and the folders, at any depth."""
        below = [tree.count() for tree in self.folders.values()]
        return (
            self.files + sum(files for files, _ in below),
            len(below) + sum(folders for _, folders in below),
        )


Skipped: TypeAlias = tuple[int, int]
"""How many entries of a folder are skipped: of its files, and of its sub-folders."""


@dataclass
class EveryFolder:
    """A server that skips an offset in every folder that it shows, and filters types afterwards."""

    tree: Tree
    skips_files: bool = True
    failure: ScaleEngineError | None = None
    """What happens to a request for a parent behind its own entries."""
    fails_below: str | None = None
    """The start of the paths for which each first request with an offset fails."""
    requests: int = 0

    async def request(self, path: str, offset: int) -> Listing:
        """Respond to a request."""
        self.requests += 1
        tree = self.tree
        for name in path.split("/")[1:]:
            tree = tree.folders[name]
        if self.failure is not None and offset and tree.folders:
            raise self.failure
        if self.fails_below is not None and offset and path.startswith(self.fails_below):
            raise ServerError("files.list", REPORTED_FAILURE, "wait")
        return Listing(self._show(tree, offset, [PAGE]))

    def _skip(self, tree: Tree, offset: int) -> Skipped:
        if not self.skips_files:
            return 0, offset
        files = min(offset, tree.hidden + tree.files)
        return files, offset - files

    def _show(self, tree: Tree, offset: int, room: list[int]) -> FolderListing:
        skipped, skipped_folders = self._skip(tree, offset)
        first = max(0, skipped - tree.hidden)
        shown = [f"f{number:03}" for number in range(first, tree.files)][: room[0]]
        room[0] -= len(shown)
        is_cut = first + len(shown) < tree.files
        folders: dict[str, FolderListing] = {}
        for name, child in [*tree.folders.items()][skipped_folders:]:
            if room[0] <= 0:
                folders[name] = FolderListing(loaded=LoadState.SKIPPED)
            else:
                folders[name] = self._show(child, offset, room)
        return FolderListing(
            files=tuple(shown),
            folders=folders,
            loaded=LoadState.PARTIAL if is_cut else LoadState.COMPLETE,
            next_offset=skipped + len(shown) if is_cut else None,
        )


def count(
    server: EveryFolder,
    memory: StrategyMemory | None = None,
    strategy: WalkStrategy | None = None,
) -> tuple[int, int]:
    """Walk over the tree of a server; return its files and folders."""
    counts = FolderCounts(1)
    limits = WalkLimits(max_concurrency=4, max_requests=1000, gap=0.2)
    strategy = strategy or WalkStrategy(limits.max_concurrency, limits.gap, memory)
    asyncio.run(walk("v", server.request, limits, counts, strategy))
    result = counts.result(max_folders=100)
    return result.files, result.folders


def numbered(trees: list[Tree]) -> Tree:
    """Return a folder with these sub-folders."""
    return Tree(folders={f"d{number:03}": tree for number, tree in enumerate(trees)})


HIDDEN_IN_A_CUT_ANCHOR = numbered(
    [Tree(files=60), Tree(10, 20), Tree(files=7), Tree(30, 16), *[Tree(files=7)] * 46]
)
HIDDEN_AMONG_EQUALS = numbered([*[Tree(files=30)] * 3, Tree(30, 20), *[Tree(files=30)] * 56])
SUB_FOLDERS = numbered(
    [*[Tree(files=30)] * 4, *[Tree(0, 3, {"s1": Tree(files=4), "s2": Tree(files=3)})] * 36]
)
HIDDEN_WHERE_IT_IS_COMPARED = numbered(
    [
        *[Tree(files=60), Tree(files=30), Tree(9, 30), Tree(9, 2), Tree(9, 7), Tree(9, 7)],
        *[Tree(files=7)] * 20,
    ]
)


@pytest.mark.parametrize(
    ("tree", "skips_files"),
    [
        (HIDDEN_IN_A_CUT_ANCHOR, True),
        (HIDDEN_AMONG_EQUALS, True),
        (HIDDEN_WHERE_IT_IS_COMPARED, True),
        (SUB_FOLDERS, False),
    ],
)
def test_what_an_offset_skips_in_every_folder_is_counted(tree: Tree, *, skips_files: bool) -> None:
    """The anchor is shown unchanged, and the folders behind it are not whole.

    It costs three requests at most to find that out.
    """
    server, children = EveryFolder(tree, skips_files), EveryFolder(tree, skips_files)
    assert count(server) == tree.count()
    assert count(children, strategy=ChildrenOnly(4, 0.2)) == tree.count()
    assert server.requests <= children.requests + 3


@pytest.mark.parametrize(
    "failure",
    [
        ServerError("files.list", REPORTED_FAILURE, "wait"),
        RequestTimeoutError("files.list", "no response within 10 s", "wait"),
        ApiError("files.list", REPORTED_FAILURE, "ask"),
        ProtocolError("files.list", "it is not JSON", "ask"),
    ],
)
def test_a_failing_parent_offset_is_tried_once_more(failure: ScaleEngineError) -> None:
    """No number depends on such a request. The next walk tries it once more, and no other."""
    tree = numbered([Tree(files=5)] * 40)
    memory = StrategyMemory()
    requests = []
    for _ in range(2):
        server = EveryFolder(tree, failure=failure)
        assert count(server, memory) == (200, 40)
        requests.append(server.requests)

    assert memory.strategy == "children"
    assert requests[1] <= requests[0] <= 25


def test_a_failed_comparison_does_not_fail_the_walk() -> None:
    """A request that fails while another parent is used already ends no walk."""
    tree = Tree(folders={f"p{n}": numbered([Tree(files=5)] * 40) for n in range(3)})
    server = EveryFolder(tree, fails_below="v/p1/")
    assert count(server) == (600, 123)


def test_the_sub_folders_with_few_files_are_compared() -> None:
    """Those in which most would be missing: few files, many sub-folders; each once."""
    inner = {"s": FolderListing(files=("1", "2", "3"))}
    entries = [
        ("a", FolderListing(files=("1", "2"))),
        ("b", FolderListing(files=("1",))),
        ("c", FolderListing(files=("1", "2", "3"))),
        ("d", FolderListing(files=("1", "2"), folders=inner)),
        ("e", FolderListing()),
    ]

    assert paths(entries[:4]) == ["p/d", "p/b"]
    assert paths(entries[:1]) == ["p/a"]
    assert paths(entries[1:2]) == ["p/b"]
    assert paths([("f", FolderListing(folders=inner))]) == ["p/f/s", "p/f"]
    assert paths(entries[4:]) == []
    assert paths([]) == []


def paths(entries: list[tuple[str, FolderListing]]) -> list[str]:
    """Return the paths that are compared, in their order."""
    run = SiblingRun(FolderProgress("p", None, FolderCounts(1).root), deque(), PAGE, 1, 10)
    request = ParentRequest(run, ParentOffset.ENTRIES, 5)
    comparison = compare_siblings(request, Listing(FolderListing()), entries, entries)
    return [] if comparison is None else [candidate.path for candidate in comparison.candidates]


@pytest.mark.parametrize(
    ("files", "skipped", "offset"), [(1, 9, 1), (2, 9, 1), (5, 9, 4), (50, 9, 9), (50, 1, 1)]
)
def test_the_offset_of_a_comparison_is_no_larger(files: int, skipped: int, offset: int) -> None:
    """It is not larger than that of the response, and not behind the end if that can be."""
    assert build_candidate(files, skipped).offset == offset


@pytest.mark.parametrize(
    ("files", "skipped", "first", "proves_start"),
    [
        (5, 9, "4", True),
        (5, 9, "1", True),
        (5, 9, "0", False),
        (5, 9, "x", False),
        (5, 9, None, False),
        (5, 4, "1", False),
        (1, 9, None, True),
        (1, 9, "0", False),
    ],
)
def test_a_later_file_proves_that_a_folder_is_complete(
    files: int, skipped: int, first: str | None, *, proves_start: bool
) -> None:
    """A later file, so near that at most half of the offset comes before the first one."""
    response = FolderListing(files=() if first is None else (first,))
    assert build_candidate(files, skipped).proves_start(Listing(response)) is proves_start


def build_candidate(files: int, skipped: int) -> Candidate:
    """Return a folder with files that are numbers."""
    shown = FolderListing(files=tuple(str(number) for number in range(files)))
    return Candidate("v/a", shown, skipped)
