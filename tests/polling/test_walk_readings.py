"""Under every combination of readings of the API's pages a count is right, or it is absent."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.walk import WalkLimits, walk
from exporter.scaleengine.errors import (
    ApiError,
    IncompleteError,
    ProtocolError,
    RequestTimeoutError,
    ScaleEngineError,
)
from exporter.scaleengine.file_listing import Listing, read_listing
from exporter.scaleengine.json_values import SchemaError, decode
from exporter.simulator import FileType, Folder
from exporter.simulator.php import encode
from exporter.simulator.published import ListedFolder
from exporter.simulator.storage import MemberOrder
from tests.support import variant_encoding as encoding
from tests.support.api_variants import (
    ApiVariant,
    Counted,
    LoadFlagPlacement,
    Nothing,
    Offsets,
    OffsetWritten,
    Unreached,
)
from tests.support.random_trees import ambiguities, random_tree, random_wide_tree
from tests.support.random_variants import random_variant
from tests.support.sentences import REPORTED_FAILURE
from tests.support.tree_changes import ChangingFolder, Remove, scripted
from tests.support.variant_listing import list_folder

PATH = "sestore4/jb"
MAX_REQUESTS = 2000


def respond(folder: Folder, path: str, offset: int, variant: ApiVariant) -> Listing:
    """Return what the client reads of one response; raises SchemaError."""
    listed = list_folder(folder, "video", offset, variant)
    shows_nothing = listed == ListedFolder(file_count=listed.file_count)
    is_left_out = shows_nothing and variant.nothing is not Nothing.FOLDER
    content = {} if is_left_out else {path: encoding.folder(listed, variant)}
    response = decode(encode(encoding.success(content, "", variant, 0.0, listing=True)).encode())
    assert isinstance(response, dict)
    return read_listing(response, path, offset)


def count(
    tree: Folder,
    variant: ApiVariant,
    requested: list[tuple[str, int]] | None = None,
    before_request: Callable[[], object] = lambda: None,
) -> tuple[int, int]:
    """Return the files and folders that a walk counts; raises ScaleEngineError.

    What is requested is appended to ``requested``.
    """

    async def request(path: str, offset: int) -> Listing:
        before_request()
        if requested is not None:
            requested.append((path, offset))
        folder = tree
        try:
            for name in path.removeprefix(PATH).split("/")[1:]:
                folder = dict(folder.folders())[name]
            return respond(folder, path, offset, variant)
        except KeyError:
            raise ApiError("files.list", "no such path", "look") from None
        except SchemaError as unexpected:
            raise ProtocolError("files.list", str(unexpected), "look") from None

    counts = FolderCounts(None)
    # Requests are so far apart that only their number counts.
    asyncio.run(walk(PATH, request, WalkLimits(1, MAX_REQUESTS, gap=3600.0), counts))
    result = counts.result(max_folders=1)
    return result.files, result.folders


def truth(folder: Folder) -> tuple[int, int]:
    """Count videos and folders by recursion."""
    below = [truth(child) for _, child in folder.folders()]
    files = len(folder.names("video")) + sum(files for files, _ in below)
    return files, len(below) + sum(folders for _, folders in below)


def has_doubled_names(folder: Folder) -> bool:
    """Return whether a folder holds two files that PHP prints alike, which nothing tells apart."""
    names = [encode(name) for name in folder.names("video")]
    below = (has_doubled_names(child) for _, child in folder.folders())
    return len(set(names)) < len(names) or any(below)


@settings(max_examples=150)
@given(st.randoms(use_true_random=False))
def test_any_tree_is_counted_or_fails_under_any_combination_of_readings(rng: Random) -> None:
    """A walk counts what recursion counts, or fails; `make random-walks` tries many more."""
    variant = random_variant(rng)
    tree = random_tree(rng, variant.files_per_answer)
    assume(not any(ambiguities(tree, variant)))
    try:
        counted = count(tree, variant)
    except ScaleEngineError:
        return
    assert counted == truth(tree)


DECISIVE = (
    *("loaded", "offset_written", "offsets", "unreached", "overlap", "limit_counts"),
    *("offset_counts", "members", "offset_in_every_folder", "passing_offset", "offset_stays"),
    *("loaded_tells_files", "files_per_answer", "nothing", "folder", "sub_folder"),
)
"""What decides which entries a response shows, which of them it marks, and what a list means."""


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_any_tree_is_counted_in_any_encoding(rng: Random) -> None:
    """Where the plainest reading is written in an unusual way only, no count is absent."""
    decisive = {field: getattr(ApiVariant(), field) for field in DECISIVE}
    variant = replace(random_variant(rng, limits=[100]), **decisive)
    tree = random_tree(rng)
    assume(not any(ambiguities(tree, variant)))
    assume(not has_doubled_names(tree))
    assert count(tree, variant) == truth(tree)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_any_tree_is_counted_under_the_plainest_reading(rng: Random) -> None:
    """Where the API is as its pages read, no count is absent."""
    tree = random_tree(rng)
    assume(not any(ambiguities(tree, ApiVariant())))
    assume(not has_doubled_names(tree))
    assert count(tree, ApiVariant()) == truth(tree)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_any_wide_tree_with_skipped_folders_is_counted(seed: int) -> None:
    """A parent is requested again only where that is sure to lead to the same count."""
    rng = Random(seed)
    variant = replace(
        random_variant(rng, limits=[10]),
        unreached=Unreached.SKIPPED,
        offset_written=OffsetWritten.EVERYWHERE,
        loaded=rng.choice([LoadFlagPlacement.EVERYWHERE, LoadFlagPlacement.NOT_ON_COMPLETE]),
    )
    tree = random_wide_tree(rng, variant.files_per_answer)
    try:
        counted = count(tree, variant)
    except ScaleEngineError:
        return
    assert counted == truth(tree)


def tree_of(*breadths: int, files: int, own: int = 0) -> Folder:
    """Return a tree with as many sub-folders at each level, and files in the lowest."""
    if not breadths:
        return Folder({f"{number:04}.mp4": FileType.VIDEO for number in range(files)})
    first, *others = breadths
    below = {f"f{number:04}": tree_of(*others, files=files) for number in range(first)}
    return Folder({f"{number:04}.mp4": FileType.VIDEO for number in range(own)}, below)


TEN = ApiVariant(files_per_answer=10)
"""A response has room for ten files."""
REPEATED = {
    "small folders": (tree_of(100, files=1), TEN, 13),
    "next to files": (tree_of(100, files=1, own=5), TEN, 14),
    "folders first": (
        tree_of(100, files=1, own=5),
        replace(TEN, members=MemberOrder.FOLDERS_FIRST),
        14,
    ),
    "folders of three": (tree_of(60, files=3), TEN, 22),
    "folders of four and a part": (tree_of(20, files=4), TEN, 12),
    "folders in folders": (tree_of(4, 12, files=2), TEN, 14),
    "empty folders count": (tree_of(30, files=1), replace(TEN, limit_counts=Counted.ENTRIES), 10),
    "offsets count files": (
        tree_of(60, files=2),
        replace(
            TEN,
            offsets=Offsets.RECURSIVE,
            offset_counts=Counted.FILES,
            loaded_tells_files=True,
        ),
        20,
    ),
    "an overlap": (tree_of(60, files=3), replace(TEN, overlap=1), 22),
}


@pytest.mark.parametrize(("tree", "variant", "most"), REPEATED.values(), ids=REPEATED)
def test_a_parent_that_can_be_requested_again_saves_requests(
    tree: Folder, variant: ApiVariant, most: int
) -> None:
    """A response completes as many folders as have room in it; two requests confirm the first."""
    requested: list[tuple[str, int]] = []
    assert count(tree, variant, requested) == truth(tree)
    assert len(requested) <= most


NOT_REPEATED = {
    "offsets count files": replace(TEN, offset_counts=Counted.FILES),
    "offsets count scanned files": replace(TEN, offset_counts=Counted.SCANNED),
    "an offset is skipped in every folder": replace(TEN, offset_in_every_folder=True),
    "the same, with files of any type": replace(
        TEN, offset_in_every_folder=True, offset_counts=Counted.SCANNED_ENTRIES
    ),
    "the same, but only sub-folders are skipped": replace(
        TEN, offset_in_every_folder=True, offset_counts=Counted.FOLDERS
    ),
}


@pytest.mark.parametrize("variant", NOT_REPEATED.values(), ids=NOT_REPEATED)
def test_a_parent_that_cannot_be_requested_again_costs_three_requests(variant: ApiVariant) -> None:
    """It costs three requests to find out, and one for each folder that was skipped."""
    tree, requested = tree_of(40, files=2), list[tuple[str, int]]()
    assert count(tree, variant, requested) == truth(tree)
    assert len(requested) <= 1 + 35 + 3


@pytest.mark.parametrize(
    "variant",
    [
        ApiVariant(offset_counts=Counted.SCANNED),
        ApiVariant(
            offsets=Offsets.RECURSIVE,
            offset_counts=Counted.SCANNED,
            members=MemberOrder.FOLDERS_FIRST,
            loaded_tells_files=True,
        ),
        ApiVariant(offsets=Offsets.RECURSIVE, offset_counts=Counted.SCANNED_ENTRIES),
    ],
)
def test_offsets_are_not_raised_one_by_one(variant: ApiVariant) -> None:
    """An offset that counts files of other types is not raised one by one."""
    others = {f"{n:03}.wav": FileType.AUDIO for n in range(120)}
    tree = Folder(others, {f"f{n}": Folder(others) for n in range(4)})
    requested: list[tuple[str, int]] = []
    assert count(tree, variant, requested) == (0, 4)
    assert len(requested) <= 100


@pytest.mark.parametrize(
    "failure",
    [
        ApiError("files.list", REPORTED_FAILURE, "ask"),
        RequestTimeoutError("files.list", "no response within 10 s", "wait"),
    ],
)
def test_a_failing_offset_of_a_sub_folder_changes_no_number(failure: ScaleEngineError) -> None:
    """No number depends on a request that confirms another one."""
    tree = tree_of(40, files=2, own=15)
    requests = 0

    async def request(path: str, offset: int) -> Listing:
        nonlocal requests
        requests += 1
        folder = tree.find(path.removeprefix(PATH).lstrip("/"))
        assert folder is not None
        if path != PATH and offset:
            raise failure
        return respond(folder, path, offset, TEN)

    counts = FolderCounts(None)
    asyncio.run(walk(PATH, request, WalkLimits(1, MAX_REQUESTS, gap=3600.0), counts))
    result = counts.result(max_folders=1)
    assert (result.files, result.folders) == truth(tree)
    assert requests <= 2 + 40 + 2 * 3


@pytest.mark.parametrize("files", [7, 10, 15])
def test_large_folders_are_requested_one_by_one(files: int) -> None:
    """Where a response has room for one, each is requested on its own."""
    requested: list[tuple[str, int]] = []
    count(tree_of(30, files=files), TEN, requested)
    assert sum(path == PATH for path, _ in requested) <= 2


def videos(number: int, hidden: int = 0) -> Mapping[str, FileType]:
    """Return videos, and before them files of another type."""
    return {f"!{n:03}.wav": FileType.AUDIO for n in range(hidden)} | {
        f"{n:03}.mp4": FileType.VIDEO for n in range(number)
    }


HIDDEN = {
    "a folder behind the requested folder's files": (
        100,
        Folder(videos(150), {"a": Folder(videos(10)), "b": Folder(videos(10, 120)), "c": Folder()}),
    ),
    "a folder that is known from its start": (
        10,
        Folder(videos(2), {"a": Folder(videos(10, 1), {"a": Folder(videos(5))})}),
    ),
    "a folder that ends before the offset": (
        100,
        Folder(
            videos(150),
            {"a": Folder(videos(5, 98)), "b": Folder(videos(45)), "c": Folder(videos(3))},
        ),
    ),
    "a folder that was not seen before": (
        10,
        Folder(videos(5, 1), {"a": Folder(videos(5, 5)), "b": Folder(videos(5, 1))}),
    ),
}


@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize(("limit", "tree"), HIDDEN.values(), ids=HIDDEN)
def test_a_tree_with_hidden_files_that_an_offset_skips_is_counted(
    limit: int, tree: Folder, overlap: int
) -> None:
    """A folder that is shown from its start does not prove that nothing was skipped in others."""
    variant = ApiVariant(
        files_per_answer=limit,
        overlap=overlap,
        offset_in_every_folder=True,
        offset_counts=Counted.SCANNED,
    )
    assert count(tree, variant) == truth(tree)


@pytest.mark.parametrize("videos_in_all", [21, 23, 26, 40])
@pytest.mark.parametrize("overlap", [1, 20, 24])
def test_a_response_that_repeats_most_of_a_page_proves_no_end(
    overlap: int, videos_in_all: int
) -> None:
    """It shows fewer files than others where hidden ones come last: that proves no end."""
    hidden = {f"{n:03}.mp4.wav": FileType.AUDIO for n in (0, 2, 12, 13, 20, 23, 24)}
    variant = ApiVariant(
        files_per_answer=25,
        overlap=overlap,
        limit_counts=Counted.SCANNED,
        offset_counts=Counted.SCANNED,
        loaded=LoadFlagPlacement.NOT_ON_ROOT,
        offset_written=OffsetWritten.NOT_ON_ROOT,
    )
    tree = Folder({**videos(videos_in_all), **hidden})
    try:
        counted = count(tree, variant)
    except IncompleteError:
        assert overlap > 1
    else:
        assert counted == truth(tree)


@pytest.mark.parametrize("before_request", range(2, 9))
@pytest.mark.parametrize("path", ["a", "a/000.mp4"])
def test_a_folder_that_changes_during_its_comparison_proves_nothing(
    path: str, before_request: int
) -> None:
    """A file that vanishes while a folder is compared proves nothing."""
    variant = ApiVariant(offset_in_every_folder=True, offset_counts=Counted.SCANNED)
    folders = {name: Folder(videos(90)) for name in "bcd"}
    tree = Folder(videos(150), {"a": Folder(videos(5, 120)), **folders})
    changing = ChangingFolder(tree, "video", scripted({before_request: [Remove(path)]}))
    with suppress(ScaleEngineError):
        counted = count(tree, variant, before_request=lambda: changing.refresh(0))
        distance = changing.distance(*counted)
        assert distance.files <= changing.moved_files
