"""Count the requests of walks over several trees, under several readings of the API's pages.

In process, without HTTP: what it counts depends on no machine. ``children`` is a walk that requests
each skipped sub-folder by itself, ``parents`` one that requests a folder again where that proves
its position. Both get the same responses.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.walk import WalkLimits, walk
from exporter.polling.walk_strategy import StrategyMemory, WalkStrategy
from exporter.scaleengine.file_listing import Listing, read_listing
from exporter.scaleengine.json_values import decode
from exporter.simulator import FileType, Folder
from exporter.simulator.php import encode
from exporter.simulator.storage import MemberOrder
from tests.support import variant_encoding as encoding
from tests.support.api_variants import ApiVariant, Counted, Offsets
from tests.support.variant_listing import list_folder

PATH: Final = "sestore4/jb"
PER_SECOND: Final = 5.0
_GAP: Final = 3600.0
"""Seconds between requests for the strategy: then only their number counts, on any machine."""
VARIANTS: Mapping[str, ApiVariant] = {
    "entries of the folder": ApiVariant(),
    "the same, folders first": ApiVariant(members=MemberOrder.FOLDERS_FIRST),
    "the same, one entry again": ApiVariant(overlap=1),
    "files of the folder": ApiVariant(offset_counts=Counted.FILES),
    "files of any type": ApiVariant(offset_counts=Counted.SCANNED),
    "files at any depth": ApiVariant(offsets=Offsets.RECURSIVE, offset_counts=Counted.FILES),
    "in every folder alike": ApiVariant(offset_in_every_folder=True),
}
"""What an offset counts."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a walk took, and whether its counts are right."""

    requests: int
    size: int
    seconds: float
    is_right: bool


class ChildrenOnly(WalkStrategy):
    """Requests no parent again."""

    @property
    def has_given_up(self) -> bool:
        """Return True: nothing is tried."""
        return True


def even_tree(*breadths: int, files: int) -> Folder:
    """Return a tree with as many sub-folders at each level, and files in the lowest."""
    if not breadths:
        return Folder({f"recording {number:07}.mp4": FileType.VIDEO for number in range(files)})
    first, *others = breadths
    return Folder({}, {f"folder {n:05}": even_tree(*others, files=files) for n in range(first)})


def deep_tree(depth: int, files: int) -> Folder:
    """Return a chain of folders, each in the one before it, with files in each."""
    folder = even_tree(files=files)
    for _ in range(depth):
        above = even_tree(files=files)
        above.place("folder", folder)
        folder = above
    return folder


TREES: Mapping[str, Callable[[], Folder]] = {
    "300 folders of 5": lambda: even_tree(300, files=5),
    "20 x 30 folders of 8": lambda: even_tree(20, 30, files=8),
    "400 empty folders": lambda: even_tree(400, files=0),
    "a chain of 60 folders of 5": lambda: deep_tree(60, 5),
    "60 folders of 100": lambda: even_tree(60, files=100),
}
LARGE: Mapping[str, Callable[[], Folder]] = {
    "3,000 folders of 30": lambda: even_tree(3000, files=30),
    "a million in one folder": lambda: even_tree(files=1_000_000),
    "a million in 10,000 folders": lambda: even_tree(10_000, files=100),
}


def count_requests(tree: Folder, variant: ApiVariant, strategy: WalkStrategy) -> Cost:
    """Walk over a tree."""
    requests = size = 0

    async def request(path: str, offset: int) -> Listing:
        nonlocal requests, size
        folder = tree.find(path.removeprefix(PATH).lstrip("/")) or Folder()
        listed = encoding.folder(list_folder(folder, "video", offset, variant), variant)
        body = encode(encoding.success({path: listed}, "", variant, 0.0, listing=True)).encode()
        requests, size = requests + 1, size + len(body)
        response = decode(body)
        if not isinstance(response, dict):
            raise TypeError(path)
        return read_listing(response, path, offset)

    counts, began = FolderCounts(None), time.process_time()
    asyncio.run(walk(PATH, request, WalkLimits(1, 10**6), counts, strategy))
    seconds = time.process_time() - began
    found = counts.result(1)
    is_right = (found.files, found.folders) == (tree.count("video"), tree.count_folders())
    return Cost(requests, size, seconds, is_right)


def table(
    trees: Mapping[str, Callable[[], Folder]], variants: Mapping[str, ApiVariant]
) -> Iterator[str]:
    """Return the lines of a table in Markdown."""
    columns = ["tree", "an offset counts", "least", "children", "parents"]
    columns += [f"{name}, {which}" for name in ("s at 5/s", "MB", "CPU s") for which in "cp"]
    yield f"| {' | '.join(columns)} |"
    yield "| --- | --- | " + "---: | " * 8 + "---: |"
    for tree_name, make_tree in trees.items():
        tree = make_tree()
        least = max(1, -(-tree.count("video") // 100))
        for variant_name, variant in variants.items():
            before = count_requests(tree, variant, ChildrenOnly(4, _GAP, StrategyMemory()))
            after = count_requests(tree, variant, WalkStrategy(4, _GAP, StrategyMemory()))
            costs = (before, after)
            cells = [tree_name, variant_name, f"{least:,}"]
            cells += [f"{cost.requests:,}" + ("" if cost.is_right else " WRONG") for cost in costs]
            cells += [f"{(cost.requests - 1) / PER_SECOND:,.1f}" for cost in costs]
            cells += [f"{cost.size / 1e6:,.2f}" for cost in costs]
            cells += [f"{cost.seconds:,.1f}" for cost in costs]
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the command line and count."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.walk_requests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--large", action="store_true", help="trees of 90,000 and a million files")
    given = parser.parse_args()
    variants = dict([*VARIANTS.items()][:1]) if given.large else VARIANTS
    for line in table(LARGE if given.large else TREES, variants):
        print(line, flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    main()
