"""Under every combination of readings of the API's pages a count is right, or it is absent."""

import asyncio
from dataclasses import replace
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.walk import WalkLimits, walk
from exporter.scaleengine.errors import ApiError, ProtocolError, ScaleEngineError
from exporter.scaleengine.file_listing import Listing, read_listing
from exporter.scaleengine.json_values import SchemaError, decode
from exporter.simulator import Folder, Readings, encoding
from exporter.simulator.listing import Listed, list_folder
from exporter.simulator.php import encode
from exporter.simulator.readings import Nothing
from tests.support.random_readings import random_readings
from tests.support.random_trees import ambiguities, random_tree

PATH = "sestore4/jb"
MAX_REQUESTS = 2000


def respond(folder: Folder, path: str, offset: int, readings: Readings) -> Listing:
    """Return what the client reads of one response; raises SchemaError."""
    listed = list_folder(folder, "video", offset, readings)
    shows_nothing = listed == Listed(file_count=listed.file_count)
    is_left_out = shows_nothing and readings.nothing is not Nothing.FOLDER
    content = {} if is_left_out else {path: encoding.folder(listed, readings)}
    response = decode(encode(encoding.success(content, "", readings, 0.0, listing=True)).encode())
    assert isinstance(response, dict)
    return read_listing(response, path, offset)


def count(tree: Folder, readings: Readings) -> tuple[int, int]:
    """Return the files and folders that a walk counts; raises ScaleEngineError."""

    async def request(path: str, offset: int) -> Listing:
        folder = tree
        try:
            for name in path.removeprefix(PATH).split("/")[1:]:
                folder = dict(folder.folders())[name]
            return respond(folder, path, offset, readings)
        except KeyError:
            raise ApiError("files.list", "no such path", "look") from None
        except SchemaError as unexpected:
            raise ProtocolError("files.list", str(unexpected), "look") from None

    counts = FolderCounts(None)
    asyncio.run(walk(PATH, request, WalkLimits(at_once=1, in_all=MAX_REQUESTS), counts))
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
def test_any_tree_under_any_combination_of_readings(rng: Random) -> None:
    """A walk counts what recursion counts, or fails; `make random-walks` tries many more."""
    readings = random_readings(rng)
    tree = random_tree(rng, readings.files_per_answer)
    assume(not any(ambiguities(tree, readings)))
    try:
        counted = count(tree, readings)
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
def test_any_tree_however_it_is_written(rng: Random) -> None:
    """Where the plainest reading is written in an unusual way only, no count is absent."""
    decisive = {field: getattr(Readings(), field) for field in DECISIVE}
    readings = replace(random_readings(rng, limits=[100]), **decisive)
    tree = random_tree(rng)
    assume(not any(ambiguities(tree, readings)))
    assume(not has_doubled_names(tree))
    assert count(tree, readings) == truth(tree)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_any_tree_under_the_plainest_reading(rng: Random) -> None:
    """Where the API is as its pages read, no count is absent."""
    tree = random_tree(rng)
    assume(not any(ambiguities(tree, Readings())))
    assume(not has_doubled_names(tree))
    assert count(tree, Readings()) == truth(tree)
