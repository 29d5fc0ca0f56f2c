"""A listing is read in every shape that PHP may give it, and refused where it says two things."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import product

import pytest

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.file_listing import (
    FILES_PER_ANSWER,
    Folder,
    Form,
    Loaded,
    list_files,
    read_listing,
)
from exporter.scaleengine.json_values import Json, UnexpectedError
from exporter.simulator import (
    Array,
    Behaviour,
    Content,
    Empty,
    FolderShape,
    Numbers,
    Readings,
    Simulator,
)
from exporter.simulator import Loaded as Flags

PATH = "sestore4/jb"


def read(folder: Json) -> Folder:
    """Return what is read of a requested folder that is written like this."""
    return read_listing({"status": "success", "data": {PATH: folder}}, PATH).root


def flaw(answer: dict[str, Json]) -> str:
    """Return what is said of an answer that is refused."""
    with pytest.raises(UnexpectedError) as caught:
        read_listing(answer, PATH)
    return str(caught.value)


def test_the_published_sample() -> None:
    """The sample of the API page is read, in the form that its lost brackets allow."""
    published = """{
        "data": {"sestore4/jb": [{
            "folder1": [{
                "__files": ["movie2.mp4"], "__is_loaded": -1, "__offset": 1, "__file_count": 1
            }],
            "__files": ["movie.mp4"]
        }]},
        "message": "Found Files List Data",
        "status": "success",
        "handle_time": "0.3795 seconds"
    }"""
    listing = read_listing(json.loads(published), PATH)

    below = Folder(("movie2.mp4",), {}, Loaded.PARTLY, next_offset=1, entries=1)
    assert listing.root == Folder(("movie.mp4",), {"folder1": below})
    assert not listing.full


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {PATH: {"__files": ["a"]}}},
        {"data": [{PATH: {"__files": ["a"]}}]},
        {"data": [{}, {PATH: {"__files": ["a"]}}]},
        {PATH: {"__files": ["a"]}},
        {"data": [], PATH: {"__files": ["a"]}},
        {"data": None, PATH: {"__files": ["a"]}},
        {"data": {"sestore4/other": []}, PATH: {"__files": ["a"]}},
    ],
)
def test_places(answer: dict[str, Json]) -> None:
    """The path is found under data and beside the message."""
    assert read_listing(answer, PATH).root == Folder(("a",))


@pytest.mark.parametrize(
    "written",
    [
        {"__files": ["a", "b"], "__is_loaded": 1, "sub": {"__files": ["c"]}},
        [{"__files": ["a", "b"], "__is_loaded": 1, "sub": [{"__files": ["c"]}]}],
        [{"__files": ["a", "b"]}, {"__is_loaded": "1"}, {"sub": [{"__files": {"0": "c"}}]}],
        {
            "__files": {"1": "a", "3": "b"},
            "__is_loaded": Decimal("1.0"),
            "sub": {"__files": {"7": "c"}},
        },
    ],
)
def test_shapes(written: Json) -> None:
    """A folder may be a mapping, a list of one, or a list of its parts."""
    assert read(written) == Folder(("a", "b"), {"sub": Folder(("c",))}, Loaded.WHOLE)


@pytest.mark.parametrize("nothing", [[], {}, {"__files": []}, {"__files": {}}])
def test_empty_folders(nothing: Json) -> None:
    """A folder without anything is one, the requested folder and those below it."""
    assert read(nothing) == Folder()
    assert read({"sub": nothing}) == Folder(folders={"sub": Folder()})


@pytest.mark.parametrize("nothing", [[], [{}], [[]], [{"__files": []}]])
def test_empty_folders_in_parts(nothing: Json) -> None:
    """So is one that has no parts, or whose parts are empty."""
    assert read(nothing) == Folder()
    assert read([{"sub": nothing}]) == Folder(folders={"sub": Folder()})


@pytest.mark.parametrize(
    ("written", "form"),
    [([], None), ({}, Form.MAPPING), ({"0": []}, Form.MAPPING), ([{}], Form.PARTS)],
)
def test_the_form_of_an_answer(written: Json, form: Form | None) -> None:
    """The requested folder tells the form of all, unless it is PHP's empty array."""
    assert read_listing({PATH: written}, PATH).form is form


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ({}, Folder(loaded=None)),
        ({"__is_loaded": 1}, Folder(loaded=Loaded.WHOLE)),
        ({"__is_loaded": 0}, Folder(loaded=Loaded.SKIPPED)),
        ({"__is_loaded": "0"}, Folder(loaded=Loaded.SKIPPED)),
        (
            {"__is_loaded": -1, "__offset": 100, "__file_count": 250},
            Folder(loaded=Loaded.PARTLY, next_offset=100, entries=250),
        ),
        (
            {"__is_loaded": "-1", "__offset": "100", "__file_count": "250"},
            Folder(loaded=Loaded.PARTLY, next_offset=100, entries=250),
        ),
        ({"__is_loaded": "-1"}, Folder(loaded=Loaded.PARTLY)),
        ({"__offset": 0, "__file_count": 0}, Folder(next_offset=0, entries=0)),
    ],
)
def test_flags(flags: dict[str, Json], folder: Folder) -> None:
    """What a folder says of itself is read from numbers and texts; what it does not say is None."""
    assert read(flags) == folder
    assert read({"sub": flags}) == Folder(folders={"sub": folder})


@pytest.mark.parametrize(
    "called",
    [
        "0",
        "17",
        "-1",
        "1.5",
        "__",
        "__file",
        "__FILES",
        "status",
        "message",
        " ",
        "é",
        "a\nb",
        "...",
    ],
)
def test_names_of_sub_folders(called: str) -> None:
    """Every member that is not one of the four is a sub-folder, whatever its name looks like."""
    assert read({called: {"__files": [17]}}) == Folder(folders={called: Folder(("17",))})


@pytest.mark.parametrize(
    "written",
    [
        {"x": [[], {"__files": ["a"]}, []]},
        [{"x": [[[], [{"__files": ["a"]}], []]]}],
        [{"x": [[[]], {"1": [{"__files": ["a"]}]}, {"2": []}]}],
    ],
)
def test_sub_folders_whose_names_are_indexes(written: Json) -> None:
    """Sub-folders 0, 1, 2 without anything beside them are printed by PHP as a list."""
    inner = read(written).folders["x"].folders
    assert inner == {"0": Folder(), "1": Folder(("a",)), "2": Folder()}


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("text", "a text stands where a mapping should"),
        (None, "null stands where a mapping should"),
        (7, "a number stands where a mapping should"),
        ({"__files": "a"}, "a text stands where a list should"),
        ({"__files": None}, "null stands where a list should"),
        ({"__files": {"movie2.mp4": 1}}, "a mapping stands where a list should"),
        ({"__files": [["a"]]}, "a list stands where a name should"),
        ({"__files": [None]}, "null stands where a name should"),
        ({"__files": ["\ud800.mp4"]}, "a name holds half of a character"),
        ({"__files": [{"__files": ["a"]}]}, "a mapping stands where a name should"),
        ({"__is_loaded": 2}, "__is_loaded is none of -1, 0 and 1"),
        ({"__is_loaded": "-2"}, "__is_loaded is none of -1, 0 and 1"),
        ({"__is_loaded": True}, "true or false stands where a whole number should"),
        ({"__is_loaded": None}, "null stands where a whole number should"),
        ({"__is_loaded": []}, "a list stands where a whole number should"),
        ({"__offset": -1}, "__offset is below zero"),
        ({"__offset": "all"}, "a text stands where a whole number should"),
        ({"__offset": 2**63}, "a number stands where a whole number should"),
        ({"__file_count": "-5"}, "__file_count is below zero"),
        ({"__file_count": Decimal("1.5")}, "a number stands where a whole number should"),
        ({"": []}, "a sub-folder cannot be named ''"),
        ({".": []}, "a sub-folder cannot be named '.'"),
        ({"..": []}, "a sub-folder cannot be named '..'"),
        ({"a/b": []}, "a sub-folder cannot be named 'a/b'"),
        ({"/" * 500: []}, f"a sub-folder cannot be named {'/' * 80!r}"),
        ({"\udfff": []}, "a name holds half of a character"),
    ],
)
def test_refused_folders(folder: Json, sentence: str) -> None:
    """A folder that is none spoils the answer, and the sentence says which folder it is."""
    assert flaw({"data": {PATH: folder}}) == f"folder '': {sentence}"
    below: Json = {"first": [], "second": {"third": folder}}
    assert flaw({"data": {PATH: below}}) == f"folder 'third': {sentence}"


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        (["a"], "a text stands where a mapping should"),
        ({}, "a mapping stands where a list of parts should"),
        ([{"__files": ["a"]}, {"__files": ["b"]}], "two parts of a folder name the same thing"),
        ([{"x": []}, {"x": []}], "two parts of a folder name the same thing"),
    ],
)
def test_refused_parts(folder: Json, sentence: str) -> None:
    """In an answer of parts, a folder that is none is refused."""
    with pytest.raises(UnexpectedError) as caught:
        read([{"third": folder}])
    assert str(caught.value) == f"folder 'third': {sentence}"


def test_long_names_are_cut_in_sentences() -> None:
    """A sentence shows the beginning of a name, on one line."""
    shown = repr("x\n" * 40)
    assert flaw({PATH: {"x\n" * 500: 7}}) == (
        f"folder {shown}: a number stands where a mapping should"
    )


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({}, "it holds the path 0 times"),
        ({"data": []}, "it holds the path 0 times"),
        ({"data": {"sestore4/jb/": []}}, "it holds the path 0 times"),
        ({"data": {"sestore4": {"jb": []}}}, "it holds the path 0 times"),
        ({"data": {PATH: []}, PATH: []}, "it holds the path 2 times"),
        ({"data": [{PATH: []}, {PATH: []}]}, "it holds the path 2 times"),
        ({"data": "text"}, "a text stands where a mapping should"),
        ({"data": 7, PATH: []}, "a number stands where a mapping should"),
    ],
)
def test_refused_answers(answer: dict[str, Json], sentence: str) -> None:
    """An answer must hold the path that was asked for, once."""
    assert flaw(answer) == sentence


@pytest.mark.parametrize(
    ("own", "below", "full"),
    [
        (0, 0, False),
        (99, 0, False),
        (100, 0, True),
        (50, 49, False),
        (50, 50, True),
        (0, 101, True),
    ],
)
def test_full_answers(own: int, below: int, full: bool) -> None:  # noqa: FBT001 - a column of the table
    """An answer is full when it lists a hundred files, at whatever depth they are."""
    tree: Json = {
        "__files": [f"{number}.mp4" for number in range(own)],
        "a": {"b": {"__files": [f"{number}.mp4" for number in range(below)]}},
    }

    assert FILES_PER_ANSWER == 100
    assert read_listing({PATH: tree}, PATH).full is full


def test_deep_trees() -> None:
    """A tree may be far deeper than Python's stack."""
    depth = 5000
    tree: Json = [{"__files": ["movie.mp4"]}]
    for number in range(depth):
        tree = [{str(number): tree}]
    folder = read(tree)
    for number in reversed(range(depth)):
        assert list(folder.folders) == [str(number)]
        folder = folder.folders[str(number)]

    assert folder.files == ("movie.mp4",)


READINGS = [
    Readings(folder, files, numbers=numbers, content=content, empty=empty, loaded=Flags.NOWHERE)
    for folder, files, numbers, content, empty in product(
        FolderShape, Array, Numbers, Content, Empty
    )
]


@pytest.mark.parametrize("readings", READINGS)
def test_every_reading(
    simulator: Simulator,
    connect: Callable[..., Client],
    credentials: Credentials,
    readings: Readings,
) -> None:
    """However the API's pages are read, the same tree is found."""
    simulator.behave(Behaviour(readings=readings))
    listing = list_files(connect(simulator.url), credentials, PATH, "video", 0)

    tree = {
        "2014": Folder(folders={"é": Folder(("7",))}),
        "empty": Folder(),
        "season 1": Folder(("1.mp4", "2.mp4")),
    }
    assert listing.root == Folder(("a.mp4", "b.mp4"), tree)
    assert not listing.full


@pytest.mark.parametrize(("offset", "asked"), [(0, None), (1, 1), (2**40, 2**40)])
@pytest.mark.parametrize("file_type", ["video", "audio", "includeinvalid"])
def test_request(
    simulator: Simulator,
    connect: Callable[..., Client],
    credentials: Credentials,
    offset: int,
    asked: int | None,
    file_type: str,
) -> None:
    """The path and the file type are sent, and an offset when it skips something."""
    list_files(connect(simulator.url), credentials, PATH, file_type, offset)

    (call,) = simulator.calls
    assert (call.command, call.path, call.file_type) == ("files.list", PATH, file_type)
    assert call.offset == asked


def test_a_path_beyond_ascii(
    simulator: Simulator, connect: Callable[..., Client], credentials: Credentials
) -> None:
    """A path of any characters is asked for as it is, and found in the answer."""
    path = f"{PATH}/2014/é"

    assert list_files(connect(simulator.url), credentials, path, "video", 0).root.files == ("7",)
    assert simulator.calls[-1].path == path
