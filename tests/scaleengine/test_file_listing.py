"""A listing is read in every shape that PHP may give it, and refused where it is ambiguous."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import product

import pytest

from exporter.scaleengine.client import Credentials
from exporter.scaleengine.file_listing import (
    FolderEncoding,
    FolderListing,
    LoadState,
    list_files,
    read_listing,
)
from exporter.scaleengine.json_values import Json, SchemaError
from exporter.simulator import Behaviour, Simulator
from tests.support.api_variants import ApiVariant, Array, Content, Empty, FolderShape, Numbers
from tests.support.api_variants import LoadFlagPlacement as Flags
from tests.support.fixtures import MakeClient
from tests.support.sentences import (
    HALF_CHARACTER,
    LIST_EXPECTED,
    MAPPING_EXPECTED,
    NAME_EXPECTED,
    NO_PARTS,
    NO_REQUESTED_PATH,
    NO_WHOLE_NUMBER,
    TWO_PARTS,
)

PATH = "sestore4/jb"


def read(folder: Json) -> FolderListing:
    """Return what is read of a requested folder that is written like this."""
    return read_listing({"status": "success", "data": {PATH: folder}}, PATH).root


def flaw(response: dict[str, Json]) -> str:
    """Return what is said of a response that is refused."""
    with pytest.raises(SchemaError) as caught:
        read_listing(response, PATH)
    return str(caught.value)


def test_the_published_sample_is_read() -> None:
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

    below = FolderListing(("movie2.mp4",), {}, LoadState.PARTIAL, next_offset=1, entries=1)
    assert listing.root == FolderListing(("movie.mp4",), {"folder1": below})
    assert (listing.files, listing.entries) == (2, 3)


@pytest.mark.parametrize(
    "response",
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
def test_the_path_is_found_at_both_places(response: dict[str, Json]) -> None:
    """The path is found under data and next to the message."""
    assert read_listing(response, PATH).root == FolderListing(("a",))


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
def test_a_folder_is_read_in_each_shape(written: Json) -> None:
    """A folder may be a mapping, a list of one, or a list of its parts."""
    assert read(written) == FolderListing(
        ("a", "b"), {"sub": FolderListing(("c",))}, LoadState.COMPLETE
    )


@pytest.mark.parametrize("nothing", [[], {}, {"__files": []}, {"__files": {}}])
def test_an_empty_folder_is_read(nothing: Json) -> None:
    """A folder without anything is one, the requested folder and those below it."""
    assert read(nothing) == FolderListing()
    assert read({"sub": nothing}) == FolderListing(folders={"sub": FolderListing()})


@pytest.mark.parametrize("nothing", [[], [{}], [[]], [{"__files": []}]])
def test_an_empty_folder_in_parts_is_read(nothing: Json) -> None:
    """So is one that has no parts, or whose parts are empty."""
    assert read(nothing) == FolderListing()
    assert read([{"sub": nothing}]) == FolderListing(folders={"sub": FolderListing()})


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ([], None),
        ({}, None),
        ({"0": []}, FolderEncoding.OBJECT),
        ([{}], FolderEncoding.LIST_OF_OBJECTS),
    ],
)
def test_the_requested_folder_shows_the_encoding(
    written: Json, encoding: FolderEncoding | None
) -> None:
    """The requested folder shows how it is written, unless it has no members."""
    assert read_listing({PATH: written}, PATH).encoding is encoding


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ({}, FolderListing(loaded=None)),
        ({"__is_loaded": 1}, FolderListing(loaded=LoadState.COMPLETE)),
        ({"__is_loaded": 0}, FolderListing(loaded=LoadState.SKIPPED)),
        ({"__is_loaded": "0"}, FolderListing(loaded=LoadState.SKIPPED)),
        (
            {"__is_loaded": -1, "__offset": 100, "__file_count": 250},
            FolderListing(loaded=LoadState.PARTIAL, next_offset=100, entries=250),
        ),
        (
            {"__is_loaded": "-1", "__offset": "100", "__file_count": "250"},
            FolderListing(loaded=LoadState.PARTIAL, next_offset=100, entries=250),
        ),
        ({"__is_loaded": "-1"}, FolderListing(loaded=LoadState.PARTIAL)),
        ({"__offset": 0, "__file_count": 0}, FolderListing(next_offset=0, entries=0)),
    ],
)
def test_flags_are_read_from_numbers_and_texts(
    flags: dict[str, Json], folder: FolderListing
) -> None:
    """What a folder says of itself is read from numbers and texts; what it does not say is None."""
    assert read(flags) == folder
    assert read({"sub": flags}) == FolderListing(folders={"sub": folder})


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
def test_every_other_member_is_a_sub_folder(called: str) -> None:
    """Every member that is not one of the four is a sub-folder, for any name."""
    assert read({called: {"__files": [17]}}) == FolderListing(
        folders={called: FolderListing(("17",))}
    )


@pytest.mark.parametrize(
    "written",
    [
        [{"x": [[[], [{"__files": ["a"]}], []]]}],
        [{"x": [[[]], {"1": [{"__files": ["a"]}]}, {"2": []}]}],
    ],
)
def test_sub_folders_named_like_indexes_are_read_from_a_list(written: Json) -> None:
    """Sub-folders 0, 1, 2 without other members are printed by PHP as a list."""
    inner = read(written).folders["x"].folders
    assert inner == {"0": FolderListing(), "1": FolderListing(("a",)), "2": FolderListing()}


def test_a_list_under_objects_holds_empty_sub_folders_only() -> None:
    """Where folders are objects, a list holds empty sub-folders, or may as well hold parts."""
    assert read({"x": [[], {}]}).folders["x"].folders == {
        "0": FolderListing(),
        "1": FolderListing(),
    }
    with pytest.raises(SchemaError, match="its parts, or sub-folders named 0, 1, 2"):
        read({"x": [{"__files": ["a"]}]})


@pytest.mark.parametrize("form", [{"a": {}}, [{"a": {}}], [{"a": {"__files": []}}]])
def test_a_folder_may_be_an_object_within_lists(form: Json) -> None:
    """In a listing of lists a single folder may be an object: an empty or a skipped one."""
    assert read(form) == FolderListing(folders={"a": FolderListing()})


@pytest.mark.parametrize("value", [None, 4096, "text", True, ["text"], [7]])
def test_unknown_members_of_the_api_are_left_out(value: Json) -> None:
    """A member that begins with two underscores and cannot be a folder is left out."""
    assert read({"__size": value, "__files": ["a"]}) == FolderListing(("a",))


@pytest.mark.parametrize("name", ["__is_loaded", "__offset", "__file_count"])
@pytest.mark.parametrize("value", [[], {}, {"__files": ["a"]}])
def test_a_sub_folder_named_like_a_flag_is_refused(name: str, value: Json) -> None:
    """A sub-folder with the name of a flag hides the flag: the listing is refused."""
    with pytest.raises(SchemaError):
        read({"__is_loaded": 1, name: value} if name != "__is_loaded" else {name: value})


def test_the_order_of_a_response_is_kept() -> None:
    """Sub-folders come in the order of the response."""
    assert [*read({"b": [], "a": {"z": [], "y": []}, "c": []}).folders] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("members", "last"),
    [({"__files": ["x"], "a": []}, False), ({"a": [], "__files": ["x"], "__is_loaded": 1}, True)],
)
def test_files_behind_the_sub_folders_are_noticed(members: dict[str, Json], last: bool) -> None:  # noqa: FBT001 - a column of the table
    """A folder shows whether its files are named behind its sub-folders."""
    assert read(members).files_last is last


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("text", f"{MAPPING_EXPECTED} a text"),
        (None, f"{MAPPING_EXPECTED} null"),
        (7, f"{MAPPING_EXPECTED} a number"),
        ({"__files": "a"}, f"{LIST_EXPECTED} a text"),
        ({"__files": None}, f"{LIST_EXPECTED} null"),
        ({"__files": {"movie2.mp4": 1}}, f"{LIST_EXPECTED} a mapping"),
        ({"__files": [["a"]]}, f"{NAME_EXPECTED} a list"),
        ({"__files": [None]}, f"{NAME_EXPECTED} null"),
        ({"__files": ["a", "a"]}, "it lists two files of one name, which cannot be counted apart"),
        ({"__files": ["\ud800.mp4"]}, HALF_CHARACTER),
        ({"__files": [{"__files": ["a"]}]}, f"{NAME_EXPECTED} a mapping"),
        ({"__is_loaded": 2}, "__is_loaded is none of -1, 0 and 1"),
        ({"__is_loaded": "-2"}, "__is_loaded is none of -1, 0 and 1"),
        ({"__is_loaded": True}, f"{NO_WHOLE_NUMBER} true or false"),
        ({"__is_loaded": None}, f"{NO_WHOLE_NUMBER} null"),
        ({"__is_loaded": []}, f"{NO_WHOLE_NUMBER} a list"),
        ({"__offset": -1}, "__offset is below zero"),
        ({"__offset": "all"}, f"{NO_WHOLE_NUMBER} a text"),
        ({"__offset": 2**63}, f"{NO_WHOLE_NUMBER} a number"),
        ({"__file_count": "-5"}, "__file_count is below zero"),
        ({"__file_count": Decimal("1.5")}, f"{NO_WHOLE_NUMBER} a number"),
        ({"": []}, "a sub-folder cannot be named ''"),
        ({".": []}, "a sub-folder cannot be named '.'"),
        ({"..": []}, "a sub-folder cannot be named '..'"),
        ({"a/b": []}, "a sub-folder cannot be named 'a/b'"),
        ({"/" * 500: []}, "a sub-folder cannot be named (500 characters)"),
        ({"\udfff": []}, HALF_CHARACTER),
    ],
)
def test_a_malformed_folder_is_refused_by_name(folder: Json, sentence: str) -> None:
    """A folder that is none spoils the response, and the sentence says which folder it is."""
    assert flaw({"data": {PATH: folder}}) == f"the requested folder: {sentence}"
    below: Json = {"first": [], "second": {"third": folder}}
    assert flaw({"data": {PATH: below}}) == f"folder 'third': {sentence}"


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        (["a"], f"{MAPPING_EXPECTED} a text"),
        ("text", f"{NO_PARTS} a text"),
        ([{"__files": ["a"]}, {"__files": ["b"]}], TWO_PARTS),
        ([{"x": []}, {"x": []}], TWO_PARTS),
    ],
)
def test_a_part_that_is_no_folder_is_refused(folder: Json, sentence: str) -> None:
    """In a response of parts, a folder that is none is refused."""
    with pytest.raises(SchemaError) as caught:
        read([{"third": folder}])
    assert str(caught.value) == f"folder 'third': {sentence}"


def test_names_are_never_cut_in_messages() -> None:
    """A sentence shows a name on one line, and never a part of it: it might be half a secret."""
    shown = repr("x\n" * 99)
    assert flaw({PATH: {"x\n" * 99: 7}}) == f"folder {shown}: {MAPPING_EXPECTED} a number"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x"])
def test_names_of_255_bytes_are_accepted(name: str) -> None:
    """A name may have 255 bytes, as on any file system."""
    folder = read({name: {"__files": [name]}})
    assert folder.folders[name].files == (name,)


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128])
@pytest.mark.parametrize("shape", [lambda name: {name: []}, lambda name: {"__files": [name]}])
def test_longer_names_are_refused(name: str, shape: Callable[[str], Json]) -> None:
    """A longer name of a file or folder is refused."""
    sentence = "a name has 256 bytes, and the most is 255"
    assert flaw({PATH: shape(name)}) == f"the requested folder: {sentence}"


@pytest.mark.parametrize(
    "entries",
    [
        {str(number): [] for number in range(100_001)},
        {
            "folder": {"__files": [str(number) for number in range(100_000)]},
            **{str(number): [] for number in range(2)},
        },
    ],
)
def test_too_many_entries_are_refused(entries: Json) -> None:
    """A response may show 100,000 files and folders, a thousand times what is documented."""
    assert flaw({PATH: entries}) == "it shows more than 100000 files and folders"


def test_paths_have_4096_bytes_at_most() -> None:
    """A path has at most 4,096 bytes, with the path that was asked for."""
    names = [*["x" * 255] * 15, "x" * (4096 - len(PATH) - 15 * 256 - 1)]

    def nest(innermost: Json) -> Json:
        for name in reversed(names):
            innermost = {name: innermost}
        return innermost

    assert read(nest([])).all_folders == len(names)
    too_long: tuple[Json, ...] = ({"y": []}, {"__files": ["y"]})
    for folder in too_long:
        sentence = "a path has 4098 bytes, and the most is 4096"
        assert flaw({PATH: nest(folder)}) == f"folder {names[-1]!r}: {sentence}"


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ({}, NO_REQUESTED_PATH),
        ({"data": {"sestore4/jb/": []}}, NO_REQUESTED_PATH),
        ({"data": {"sestore4": {"jb": []}}}, NO_REQUESTED_PATH),
        ({"data": {PATH: []}, PATH: []}, "it holds the requested path 2 times"),
        ({"data": [{PATH: []}, {PATH: []}]}, "it holds the requested path 2 times"),
        ({"data": "text"}, f"data {MAPPING_EXPECTED} a text"),
        ({"data": 7, PATH: []}, f"data {MAPPING_EXPECTED} a number"),
    ],
)
def test_a_response_without_the_requested_path_is_refused(
    response: dict[str, Json], sentence: str
) -> None:
    """A response must hold the path that was asked for, once."""
    assert flaw(response) == sentence


def test_entries_are_counted_at_any_depth() -> None:
    """Files are counted at any depth; skipped folders are not among the entries."""
    tree: Json = {
        "__files": ["x", "y"],
        "a": {"b": {"__files": ["z"]}, "c": {"__is_loaded": 0}},
    }
    listing = read_listing({PATH: tree}, PATH)

    assert (listing.files, listing.entries) == (3, 5)


def test_equal_responses_have_equal_fingerprints() -> None:
    """Two responses have one fingerprint if they show the same in the same order."""
    one: Json = {"a": {"__files": ["x"]}, "b": []}
    same: Json = {"a": {"__files": ["x"], "__is_loaded": 1}, "b": {}}
    others: list[Json] = [{"b": [], "a": {"__files": ["x"]}}, {"a": {"__files": ["y"]}, "b": []}]
    prints = [read_listing({PATH: tree}, PATH).fingerprint for tree in (one, same, *others)]

    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("nothing", [{"data": []}, {"data": {}}])
@pytest.mark.parametrize("offset", [0, 100])
def test_an_empty_array_is_an_empty_listing(nothing: dict[str, Json], offset: int) -> None:
    """PHP's empty array as data is an empty listing."""
    assert read_listing(nothing, PATH, offset).root == FolderListing()


def test_a_follow_up_may_have_no_content() -> None:
    """Behind the last entry a response may hold nothing; at the start the path must be there."""
    response: dict[str, Json] = {"status": "success", "message": "Found", "handle_time": "0.1 s"}

    assert read_listing(response, PATH, 100).root == FolderListing()
    assert flaw(response) == NO_REQUESTED_PATH
    with pytest.raises(SchemaError):
        read_listing({**response, "sestore4/other": []}, PATH, 100)


def test_a_tree_deeper_than_the_stack_is_read() -> None:
    """A tree may be far deeper than Python's stack."""
    depth = 2000
    tree: Json = [{"__files": ["movie.mp4"]}]
    for _ in range(depth):
        tree = [{"a": tree}]
    folder = read(tree)
    for _ in range(depth):
        assert list(folder.folders) == ["a"]
        folder = folder.folders["a"]

    assert folder.files == ("movie.mp4",)


READINGS = [
    ApiVariant(folder, files, numbers=numbers, content=content, empty=empty, loaded=Flags.NOWHERE)
    for folder, files, numbers, content, empty in product(
        FolderShape, Array, Numbers, Content, Empty
    )
]


@pytest.mark.parametrize("variant", READINGS)
def test_the_same_tree_is_found_under_every_reading(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    variant: ApiVariant,
) -> None:
    """However the API's pages are read, the same tree is found."""
    simulator.behave(Behaviour(variant=variant))
    listing = list_files(connect(simulator.url), credentials, PATH, "video", 0)

    tree = {
        "2014": FolderListing(folders={"é": FolderListing(("7",))}),
        "empty": FolderListing(),
        "season 1": FolderListing(("1.mp4", "2.mp4")),
    }
    assert listing.root == FolderListing(("a.mp4", "b.mp4"), tree)


@pytest.mark.parametrize(("offset", "asked"), [(0, None), (1, 1), (2**40, 2**40)])
@pytest.mark.parametrize("file_type", ["video", "audio", "includeinvalid"])
def test_path_type_and_offset_are_sent(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    offset: int,
    asked: int | None,
    file_type: str,
) -> None:
    """The path and the file type are sent, and an offset when it skips something."""
    list_files(connect(simulator.url), credentials, PATH, file_type, offset)

    (call,) = simulator.requests
    assert (call.command, call.path, call.file_type) == ("files.list", PATH, file_type)
    assert call.offset == asked


def test_a_path_beyond_ascii_is_found(
    simulator: Simulator, connect: MakeClient, credentials: Credentials
) -> None:
    """A path of any characters is asked for as it is, and found in the response."""
    path = f"{PATH}/2014/é"

    assert list_files(connect(simulator.url), credentials, path, "video", 0).root.files == ("7",)
    assert simulator.requests[-1].path == path


@pytest.mark.parametrize("flag", [0, "0", "00"])
def test_many_skipped_folders_are_read_in_each_form(flag: Json) -> None:
    """Thousands of them may be in one response, in each form of a folder."""
    skipped = FolderListing(loaded=LoadState.SKIPPED)
    as_object: Json = {"__is_loaded": flag}
    assert read([{"a": [as_object], "b": as_object}]).folders == {"a": skipped, "b": skipped}
    assert read({"a": as_object}).folders == {"a": skipped}


@pytest.mark.parametrize("flag", [False, "", 2, None, [0]])
def test_a_wrong_flag_of_a_skipped_folder_is_refused(flag: Json) -> None:
    with pytest.raises(SchemaError):
        read([{"a": [{"__is_loaded": flag}]}])


def test_a_skipped_folder_in_a_list_under_objects_is_refused() -> None:
    """There, a list may be one of sub-folders that are named 0, 1, 2."""
    with pytest.raises(SchemaError, match="may hold its parts"):
        read({"a": [{"__is_loaded": 0}]})
