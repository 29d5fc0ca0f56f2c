"""Every reading of the API's pages changes how an answer is written, and nothing else."""

from collections.abc import Callable

import pytest
import requests

from exporter.simulator import (
    BUSY,
    Array,
    Behaviour,
    Broken,
    Code,
    Content,
    Empty,
    Folder,
    FolderShape,
    Loaded,
    Numbers,
    Readings,
    Refusal,
    Simulator,
)
from exporter.simulator.listing import list_folder
from exporter.simulator.php import Json, decode, encode
from exporter.simulator.shapes import folder as written_folder

Ask = Callable[..., dict[str, object]]
Post = Callable[..., requests.Response]
Sign = Callable[..., str]


def written(root: Folder, readings: Readings) -> Json:
    """Return how a folder is written, as a client decodes it."""
    return decode(encode(written_folder(list_folder(root, "video", 0, readings), readings)))


def tree(*paths: str) -> Folder:
    """Return a folder with videos at these paths."""
    root = Folder()
    for path in paths:
        root.add(path)
    return root


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            FolderShape.MAPPING,
            {"__files": ["m"], "__is_loaded": 1, "f": {"__files": ["a"], "__is_loaded": 1}},
        ),
        (
            FolderShape.LIST,
            [{"__files": ["m"], "__is_loaded": 1, "f": [{"__files": ["a"], "__is_loaded": 1}]}],
        ),
        (
            FolderShape.PIECES,
            [
                {"__files": ["m"]},
                {"__is_loaded": 1},
                {"f": [{"__files": ["a"]}, {"__is_loaded": 1}]},
            ],
        ),
    ],
)
def test_a_folder_is_a_mapping_or_a_list_of_them(shape: FolderShape, expected: Json) -> None:
    """A folder is written as one mapping, as a list of it, or in pieces."""
    assert written(tree("m", "f/a"), Readings(folder=shape)) == expected


@pytest.mark.parametrize(
    ("loaded", "flags"),
    [
        (Loaded.EVERYWHERE, (1, 1, -1, 0)),
        (Loaded.NOT_ON_ROOT, (None, 1, -1, 0)),
        (Loaded.NOT_ON_COMPLETE, (1, None, -1, 0)),
        (Loaded.ONLY_UNFINISHED, (None, None, -1, 0)),
        (Loaded.NOWHERE, (None, None, None, None)),
    ],
)
def test_the_flag_can_be_absent(loaded: Loaded, flags: tuple[int | None, ...]) -> None:
    """Root, complete, partial and skipped folder have the flag as the reading says."""
    readings = Readings(folder=FolderShape.MAPPING, loaded=loaded, files_per_answer=3)
    root = written(tree("m", "done/a", "part/a", "part/b", "rest/a"), readings)

    assert isinstance(root, dict)
    folders = [root, root["done"], root["part"], root["rest"]]
    found = [folder.get("__is_loaded") if isinstance(folder, dict) else None for folder in folders]
    assert tuple(found) == flags
    assert root["part"]["__offset"] == 1


def test_an_offset_stands_without_its_flag() -> None:
    """A root that is cut says where to go on even where it has no flag."""
    readings = Readings(folder=FolderShape.MAPPING, loaded=Loaded.NOT_ON_ROOT, files_per_answer=1)

    assert written(tree("a", "b"), readings) == {
        "__files": ["a"],
        "__offset": 1,
        "__file_count": 2,
    }


def test_a_skipped_folder_without_its_flag_looks_empty() -> None:
    """Where no flag is written, nothing tells a skipped folder from an empty one."""
    readings = Readings(loaded=Loaded.NOWHERE, files_per_answer=1)

    assert written(tree("a", "f/b"), readings) == [{"__files": ["a"], "f": []}]


def test_names_can_be_a_mapping_with_gaps() -> None:
    """PHP prints an array that lost items as a mapping."""
    readings = Readings(folder=FolderShape.MAPPING, files=Array.GAPS)

    assert written(tree("a", "b"), readings) == {"__files": {"1": "a", "3": "b"}, "__is_loaded": 1}


def test_numbers_can_be_texts() -> None:
    """Flags, offsets and counts can come as text."""
    readings = Readings(folder=FolderShape.MAPPING, numbers=Numbers.TEXT, files_per_answer=1)

    assert written(tree("a", "b"), readings) == {
        "__files": ["a"],
        "__is_loaded": "-1",
        "__offset": "1",
        "__file_count": "2",
    }


@pytest.mark.parametrize(
    ("empty", "expected"),
    [(Empty.OMITTED, []), (Empty.WRITTEN, {"__files": [], "__is_loaded": 1})],
)
def test_an_empty_folder_is_an_empty_array_or_flagged(empty: Empty, expected: Json) -> None:
    """What has neither files nor folders is PHP's empty array, or says that it is complete."""
    assert written(Folder(), Readings(folder=FolderShape.MAPPING, empty=empty)) == expected


def test_folders_named_like_indexes_become_a_list() -> None:
    """PHP can't tell a mapping with the keys 0 and 1 from a list."""
    readings = Readings(folder=FolderShape.MAPPING, loaded=Loaded.NOWHERE)

    assert written(tree("0/a", "1/b"), readings) == [{"__files": ["a"]}, {"__files": ["b"]}]


@pytest.mark.parametrize(
    ("content", "usage_under_data", "listing_under_data"),
    [
        (Content.PUBLISHED, False, True),
        (Content.UNDER_DATA, True, True),
        (Content.BESIDE_MESSAGE, False, False),
    ],
)
def test_content_is_under_data_or_beside_the_message(
    simulator: Simulator,
    ask: Ask,
    content: Content,
    *,
    usage_under_data: bool,
    listing_under_data: bool,
) -> None:
    """The rows and the listing stand where the reading says."""
    simulator.behave(Behaviour(readings=Readings(content=content)))
    usage = ask("disk.usage", cpu="", starttime="2014-11-11")
    listing = ask("files.list", path="sestore4/jb")

    assert ("data" in usage, "usage" in usage) == (usage_under_data, not usage_under_data)
    assert ("data" in listing, "sestore4/jb" in listing) == (
        listing_under_data,
        not listing_under_data,
    )


def test_bytes_can_be_text(simulator: Simulator, ask: Ask) -> None:
    """The bytes of a row can come as text, as they do in a sister object of the API."""
    simulator.behave(Behaviour(readings=Readings(numbers=Numbers.TEXT)))
    answer = ask("disk.usage", cpu="web", starttime="2014-11-11")

    assert answer["usage"] == [
        {"summary_date": "2014-11-11", "cpu_user": "web", "bytes_total": "2048"}
    ]


@pytest.mark.parametrize(
    ("form", "code", "written_code"),
    [
        (Code.TEXT, "0003", "0003"),
        (Code.NUMBER, "0003", 3),
        (Code.SHORT_TEXT, "0003", "3"),
        (Code.NUMBER, "0000", 0),
        (Code.SHORT_TEXT, "0000", "0"),
        (Code.NUMBER, "1000", 1000),
    ],
)
def test_a_code_can_lose_its_zeros(
    simulator: Simulator, ask: Ask, form: Code, code: str, written_code: str | int
) -> None:
    """A code comes with its zeros, as a number, or as text without them."""
    broken = (Broken(Refusal(code)),)
    simulator.behave(Behaviour(readings=Readings(code=form), broken=broken))

    assert ask("files.list", path="sestore4/jb")["code"] == written_code


def test_the_content_type_says_nothing(simulator: Simulator, post: Post, signed: Sign) -> None:
    """PHP's own Content-Type stands on good answers and on failures."""
    readings = Readings(content_type="text/html; charset=UTF-8")
    simulator.behave(Behaviour(readings=readings, broken=(Broken(BUSY, calls=(2,)),)))

    for _ in range(2):
        answer = post(simulator.url, signed("files.list", path="sestore4/jb"))
        assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
        assert answer.json()["status"] in {"success", "failure"}


def test_a_trailing_slash_is_answered_as_it_was_asked(ask: Ask) -> None:
    """The requested path is the key of its folder, letter by letter."""
    assert ask("files.list", path="sestore4/jb/season 2/")["data"] == {
        "sestore4/jb/season 2/": [{"__files": ["é.mp4"], "__is_loaded": 1}]
    }
