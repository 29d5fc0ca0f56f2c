"""Every reading of the API's pages changes how a response is written, and nothing else."""

from dataclasses import replace

import pytest

from exporter.simulator import Behaviour, FaultRule, FileType, Folder, MemberOrder, Simulator
from exporter.simulator.php import PhpValue, decode, encode
from tests.support.api_variants import (
    ApiVariant,
    Array,
    Code,
    CompleteOffset,
    Content,
    Empty,
    FileCount,
    FolderShape,
    LoadFlagPlacement,
    Nothing,
    Numbers,
    OffsetWritten,
    PassingOffset,
)
from tests.support.faults import BUSY, Refusal
from tests.support.fixtures import PostText, SendCommand, SignCommand
from tests.support.random_variants import describe
from tests.support.variant_encoding import folder as written_folder
from tests.support.variant_listing import list_folder


def written(root: Folder, variant: ApiVariant) -> PhpValue:
    """Return how a folder is written, as a client decodes it."""
    return decode(encode(written_folder(list_folder(root, "video", 0, variant), variant)))


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
def test_a_folder_can_be_a_mapping_or_a_list_of_mappings(
    shape: FolderShape, expected: PhpValue
) -> None:
    """A folder is written as one mapping, as a list of it, or in pieces."""
    assert written(tree("m", "f/a"), ApiVariant(folder=shape)) == expected


@pytest.mark.parametrize(
    ("loaded", "flags"),
    [
        (LoadFlagPlacement.EVERYWHERE, (1, 1, -1, 0)),
        (LoadFlagPlacement.NOT_ON_ROOT, (None, 1, -1, 0)),
        (LoadFlagPlacement.NOT_ON_COMPLETE, (1, None, -1, 0)),
        (LoadFlagPlacement.ONLY_UNFINISHED, (None, None, -1, 0)),
        (LoadFlagPlacement.NOWHERE, (None, None, None, None)),
    ],
)
def test_the_flag_can_be_absent(loaded: LoadFlagPlacement, flags: tuple[int | None, ...]) -> None:
    """Root, complete, partial and skipped folder have the flag as the reading says."""
    variant = ApiVariant(folder=FolderShape.MAPPING, loaded=loaded, files_per_answer=3)
    root = written(tree("m", "done/a", "part/a", "part/b", "rest/a"), variant)

    assert isinstance(root, dict)
    folders = [root, root["done"], root["part"], root["rest"]]
    found = [folder.get("__is_loaded") if isinstance(folder, dict) else None for folder in folders]
    assert tuple(found) == flags
    assert root["part"]["__offset"] == 1


def test_an_offset_can_come_without_its_flag() -> None:
    """A root that is cut says where to go on even where it has no flag."""
    variant = ApiVariant(
        folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOT_ON_ROOT, files_per_answer=1
    )

    assert written(tree("a", "b"), variant) == {
        "__files": ["a"],
        "__offset": 1,
        "__file_count": 2,
    }


def test_a_skipped_folder_without_its_flag_looks_empty() -> None:
    """Where no flag is written, a skipped folder looks like an empty one."""
    variant = ApiVariant(loaded=LoadFlagPlacement.NOWHERE, files_per_answer=1)

    assert written(tree("a", "f/b"), variant) == [{"__files": ["a"], "f": []}]


def test_names_can_be_a_mapping_with_gaps() -> None:
    """PHP prints an array that lost items as a mapping."""
    variant = ApiVariant(folder=FolderShape.MAPPING, files=Array.GAPS)

    assert written(tree("a", "b"), variant) == {"__files": {"1": "a", "3": "b"}, "__is_loaded": 1}


def test_numbers_can_be_texts() -> None:
    """Flags, offsets and counts can come as text."""
    variant = ApiVariant(folder=FolderShape.MAPPING, numbers=Numbers.TEXT, files_per_answer=1)

    assert written(tree("a", "b"), variant) == {
        "__files": ["a"],
        "__is_loaded": "-1",
        "__offset": "1",
        "__file_count": "2",
    }


@pytest.mark.parametrize(
    ("empty", "expected"),
    [(Empty.OMITTED, []), (Empty.WRITTEN, {"__files": [], "__is_loaded": 1})],
)
def test_an_empty_folder_is_an_empty_array_or_flagged(empty: Empty, expected: PhpValue) -> None:
    """What has neither files nor folders is PHP's empty array, or says that it is complete."""
    assert written(Folder(), ApiVariant(folder=FolderShape.MAPPING, empty=empty)) == expected


def test_folders_named_like_indexes_become_a_list() -> None:
    """PHP prints a mapping with the keys 0 and 1 as a list."""
    variant = ApiVariant(folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOWHERE)

    assert written(tree("0/a", "1/b"), variant) == [{"__files": ["a"]}, {"__files": ["b"]}]


def test_sub_folders_can_have_a_form_of_their_own() -> None:
    """The requested folder can be a mapping while those below it are lists, or in pieces."""
    variant = ApiVariant(folder=FolderShape.MAPPING, sub_folder=FolderShape.PIECES)

    assert written(tree("f/g/a"), variant) == {
        "__is_loaded": 1,
        "f": [{"__is_loaded": 1}, {"g": [{"__files": ["a"]}, {"__is_loaded": 1}]}],
    }


def test_a_folder_can_be_an_object_among_lists() -> None:
    """An empty folder can be ``{}``, and a skipped one an object in no list, in any form."""
    variant = ApiVariant(empty_object=True, skipped_object=True, files_per_answer=1)
    root = tree("a/1", "b/2")
    root.make("a/empty")

    assert written(root, variant) == [
        {
            "__is_loaded": 1,
            "a": [{"__files": ["1"], "__is_loaded": 1, "empty": {"__is_loaded": 0}}],
            "b": {"__is_loaded": 0},
        }
    ]
    assert written(root.make("a"), replace(variant, files_per_answer=2)) == [
        {"__files": ["1"], "__is_loaded": 1, "empty": {}}
    ]


@pytest.mark.parametrize(
    ("variant", "member", "value"),
    [
        (ApiVariant(complete_offset=CompleteOffset.NULL), "__offset", None),
        (ApiVariant(complete_offset=CompleteOffset.ZERO), "__offset", 0),
        (ApiVariant(complete_offset=CompleteOffset.ZERO, numbers=Numbers.TEXT), "__offset", "0"),
        (ApiVariant(count_on_complete=True), "__file_count", 3),
        (ApiVariant(count_on_complete=True, count_all_types=True), "__file_count", 4),
        (ApiVariant(count_on_complete=True, count_below=True), "__file_count", 6),
        (ApiVariant(count_on_complete=True, file_count=FileCount.RESPONSE), "__file_count", 3),
        (ApiVariant(extra_members=("__errors",)), "__errors", []),
        (ApiVariant(extra_members=("__size",)), "__size", 4096),
    ],
    ids=lambda value: describe(value) if isinstance(value, ApiVariant) else None,
)
def test_a_complete_folder_can_have_more_members(
    variant: ApiVariant, member: str, value: PhpValue
) -> None:
    """An offset, a count, or members that are not published can stand in a complete folder."""
    root = tree("1", "2", "f/3", "f/g/4")
    root.add("other.pdf", FileType.OTHER)
    usual = {"__files", "__is_loaded", "f"}
    found = written(root, replace(variant, folder=FolderShape.MAPPING))

    assert isinstance(found, dict)
    assert found.keys() - usual == {member}
    assert found[member] == value


@pytest.mark.parametrize(
    ("offset_written", "root_has_it", "sub_folder_has_it"),
    [
        (OffsetWritten.EVERYWHERE, True, True),
        (OffsetWritten.NOT_ON_ROOT, False, True),
        (OffsetWritten.NOWHERE, False, False),
    ],
)
def test_the_offset_can_be_absent(
    offset_written: OffsetWritten, *, root_has_it: bool, sub_folder_has_it: bool
) -> None:
    """Without flag and offset, nothing shows that more is to come; nor does a complete folder."""
    variant = ApiVariant(
        folder=FolderShape.MAPPING,
        loaded=LoadFlagPlacement.NOWHERE,
        offset_written=offset_written,
        complete_offset=CompleteOffset.ZERO,
        files_per_answer=2,
    )
    root = written(tree("a", "f/b", "f/c"), replace(variant, members=MemberOrder.FOLDERS_FIRST))
    cut = written(tree("f/b", "f/c", "f/d"), variant)

    assert isinstance(root, dict)
    assert isinstance(cut, dict)
    assert [("__offset" in root), ("__offset" in cut)] == [root_has_it, root_has_it]
    assert ("__offset" in cut["f"], "__file_count" in cut["f"]) == (sub_folder_has_it,) * 2


@pytest.mark.parametrize("content", Content)
@pytest.mark.parametrize(
    ("nothing", "members"), [(Nothing.EMPTY_DATA, {"data": []}), (Nothing.LEFT_OUT, {})]
)
def test_nothing_to_list_has_more_forms_than_an_empty_folder(
    simulator: Simulator,
    ask: SendCommand,
    content: Content,
    nothing: Nothing,
    members: dict[str, PhpValue],
) -> None:
    """A listing that shows nothing can be an empty ``data``, or lack the path; others do not."""
    simulator.behave(Behaviour(variant=ApiVariant(content=content, nothing=nothing)))
    envelope = {"message", "status", "handle_time"}
    empty = ask("files.list", path="sestore4/jb/empty")
    behind = ask("files.list", path="sestore4/jb", offset=99)
    full = ask("files.list", path="sestore4/jb")

    for response in (empty, behind):
        assert {name: response[name] for name in response.keys() - envelope} == members
    assert "sestore4/jb" in f"{full}"


def test_names_that_are_no_utf8_are_printed_alike() -> None:
    """PHP substitutes each byte that is no UTF-8, so two names can look the same."""
    root = tree("\udcfe.mp4", "\udcff.mp4", "é.mp4")

    assert written(root, ApiVariant(folder=FolderShape.MAPPING)) == {
        "__files": ["é.mp4", "\ufffd.mp4", "\ufffd.mp4"],
        "__is_loaded": 1,
    }


def test_the_offset_of_a_sub_folder_can_count_from_the_requested_path() -> None:
    """The offset of a sub-folder can be the place below the requested folder."""
    variant = ApiVariant(passing_offset=PassingOffset.FROM_REQUESTED, files_per_answer=3)
    listed = list_folder(tree("1", "2", "f/3", "f/4"), "video", 0, variant)

    assert dict(listed.folders)["f"].offset == 4


@pytest.mark.parametrize(
    ("content", "usage_under_data", "listing_under_data"),
    [
        (Content.PUBLISHED, False, True),
        (Content.UNDER_DATA, True, True),
        (Content.BESIDE_MESSAGE, False, False),
    ],
)
def test_content_can_be_under_data_or_next_to_the_message(
    simulator: Simulator,
    ask: SendCommand,
    content: Content,
    *,
    usage_under_data: bool,
    listing_under_data: bool,
) -> None:
    """The rows and the listing stand where the reading says."""
    simulator.behave(Behaviour(variant=ApiVariant(content=content)))
    usage = ask("disk.usage", cpu="", starttime="2014-11-11")
    listing = ask("files.list", path="sestore4/jb")

    assert ("data" in usage, "usage" in usage) == (usage_under_data, not usage_under_data)
    assert ("data" in listing, "sestore4/jb" in listing) == (
        listing_under_data,
        not listing_under_data,
    )


def test_bytes_can_be_text(simulator: Simulator, ask: SendCommand) -> None:
    """The bytes of a row can come as text, as they do in a sister object of the API."""
    simulator.behave(Behaviour(variant=ApiVariant(numbers=Numbers.TEXT)))
    response = ask("disk.usage", cpu="web", starttime="2014-11-11")

    assert response["usage"] == [
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
    simulator: Simulator, ask: SendCommand, form: Code, code: str, written_code: str | int
) -> None:
    """A code comes with its zeros, as a number, or as text without them."""
    faults = (FaultRule(Refusal(code)),)
    simulator.behave(Behaviour(variant=ApiVariant(code=form), faults=faults))

    assert ask("files.list", path="sestore4/jb")["code"] == written_code


def test_the_content_type_is_the_same_for_failures(
    simulator: Simulator, post: PostText, signed: SignCommand
) -> None:
    """PHP's own Content-Type stands on good responses and on failures."""
    variant = ApiVariant(content_type="text/html; charset=UTF-8")
    simulator.behave(Behaviour(variant=variant, faults=(FaultRule(BUSY, requests=(2,)),)))

    for _ in range(2):
        response = post(simulator.url, signed("files.list", path="sestore4/jb"))
        assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
        assert response.json()["status"] in {"success", "failure"}


def test_a_trailing_slash_is_kept_in_the_response(ask: SendCommand) -> None:
    """The requested path is the key of its folder, letter by letter."""
    assert ask("files.list", path="sestore4/jb/season 2/")["data"] == {
        "sestore4/jb/season 2/": [{"__files": ["é.mp4"], "__is_loaded": 1}]
    }
