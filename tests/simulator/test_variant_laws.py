"""Every reading is consistent: a client that knows it sees every file, and its flags are true."""

from enum import Enum
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.simulator import FileType, Folder, MemberOrder
from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, ListedFolder
from tests.simulator.knowing_client import find_all
from tests.support.api_variants import (
    ApiVariant,
    Counted,
    FileCount,
    LoadFlagPlacement,
    Offsets,
    OffsetWritten,
    Unreached,
)
from tests.support.random_variants import describe, random_variant
from tests.support.variant_listing import list_folder

LIMITS = (1, 2, 3, 4, 6)
TYPES = [FileType.VIDEO, FileType.VIDEO, FileType.AUDIO, FileType.DELETED]
NAMES = st.text("abc0", min_size=1, max_size=2)
FILES = st.dictionaries(NAMES, st.sampled_from(TYPES), max_size=7)
TREES = st.recursive(
    FILES.map(Folder),
    lambda inner: st.builds(Folder, FILES, st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
READINGS = st.randoms(use_true_random=False).map(lambda rng: random_variant(rng, LIMITS))
OFFSET_READINGS = st.builds(
    ApiVariant,
    offsets=st.sampled_from(Offsets),
    unreached=st.sampled_from(Unreached),
    file_count=st.sampled_from(FileCount),
    files_per_answer=st.integers(3, 6),
    overlap=st.integers(0, 2),
)


def folder_paths(folder: Folder, above: str = "") -> set[str]:
    paths = set()
    for name, below in folder.folders():
        paths |= {f"{above}{name}"} | folder_paths(below, f"{above}{name}/")
    return paths


@settings(max_examples=150)
@given(TREES, READINGS)
def test_a_client_that_knows_the_variant_sees_everything(tree: Folder, variant: ApiVariant) -> None:
    """No reading hides a file or a folder, and every request leads on."""
    found = find_all(tree, "video", variant)

    assert found.files == set(tree.walk("video"))
    assert found.folders == folder_paths(tree)


@given(TREES, OFFSET_READINGS)
def test_following_every_response_leads_to_every_file_and_folder(
    tree: Folder, variant: ApiVariant
) -> None:
    """A client that requests all that is partial or skipped sees the whole tree."""
    files: set[str] = set()
    folders: set[str] = set()
    requested: set[tuple[str, int]] = set()
    to_request = [("", 0)]
    while to_request:
        path, offset = to_request.pop()
        if (path, offset) in requested:
            continue
        requested.add((path, offset))
        folder = tree.find(path)
        assert folder is not None
        response = list_folder(folder, "video", offset, variant)
        assert response.file_total() <= variant.files_per_answer
        assert response.loaded != SKIPPED
        assert response.loaded == COMPLETE or response.offset > offset
        found = [(path, response)]
        while found:
            here, listed = found.pop()
            folders.add(here)
            files.update(f"{here}/{name}".lstrip("/") for name in listed.files)
            if listed.loaded == PARTIAL:
                to_request.append((here, listed.offset))
            elif listed.loaded == SKIPPED:
                to_request.append((here, 0))
            found += [(f"{here}/{name}".lstrip("/"), below) for name, below in listed.folders]

    assert files == set(tree.walk("video"))
    assert len(folders) == 1 + tree.count_folders()


def entries(listed: ListedFolder) -> int:
    """Return how many files and new folders a response lists below the requested folder."""
    return listed.file_total() + sum(
        1 + entries(below) - below.file_total() for _, below in listed.folders if below.loaded
    )


@settings(max_examples=100)
@given(TREES, READINGS, st.integers(0, 12))
def test_a_response_keeps_its_limit(tree: Folder, variant: ApiVariant, offset: int) -> None:
    """A response lists no more files than its limit, and no more entries where these count.

    Folders on the way to a recursive offset were counted before, and skipped ones never are. Where
    an offset counts folders only, the files of one folder may exceed the limit.
    """
    assume(variant.offset_counts is not Counted.FOLDERS)
    listed = list_folder(tree, "video", offset, variant)

    assert listed.file_total() <= variant.files_per_answer
    if variant.limit_counts is Counted.ENTRIES and variant.offsets is Offsets.OWN:
        assert entries(listed) <= variant.files_per_answer


@pytest.mark.parametrize("readings", [OFFSET_READINGS, READINGS], ids=["offsets", "all"])
@given(tree=TREES, data=st.data())
def test_a_complete_folder_shows_all_its_own_files(
    readings: st.SearchStrategy[ApiVariant], tree: Folder, data: st.DataObject
) -> None:
    """The published meaning of 1: all files in the folder have been returned."""
    variant = data.draw(readings)
    found = [(tree, list_folder(tree, "video", 0, variant))]
    while found:
        folder, listed = found.pop()
        if listed.loaded == COMPLETE:
            assert listed.files == folder.names("video")
        below = dict(folder.folders())
        found += [(below[name], shown) for name, shown in listed.folders]


def test_a_recursive_offset_counts_each_folder_once() -> None:
    """Each folder counts once, with all that is in it; a folder that is cut in it is partial."""
    tree = Folder()
    for path in ("a/1", "a/2", "b/3"):
        tree.add(path)
    tree.add("a/0", FileType.OTHER)
    variant = ApiVariant(
        offsets=Offsets.RECURSIVE, offset_counts=Counted.SCANNED_ENTRIES, files_per_answer=1
    )
    listed = list_folder(tree, "video", 0, variant)

    assert (listed.loaded, listed.offset, dict(listed.folders)["a"].files) == (PARTIAL, 3, ("1",))
    assert dict(list_folder(tree, "video", 4, variant).folders)["b"].files == ("3",)


@pytest.mark.parametrize(
    ("members", "files", "folders"),
    [
        (MemberOrder.FILES_FIRST, ("b", "d"), {"a": 1, "c": 0}),
        (MemberOrder.FOLDERS_FIRST, (), {"a": 1, "c": -1}),
        (MemberOrder.BY_NAME, ("b",), {"a": 1, "c": -1}),
    ],
)
def test_the_order_of_members_decides_where_a_response_is_cut(
    members: MemberOrder, files: tuple[str, ...], folders: dict[str, int]
) -> None:
    """Files come first, or folders do, or both are mixed by name."""
    tree = Folder()
    for path in ("a/x", "b", "c/x", "c/y", "c/z", "d"):
        tree.add(path)
    limit = 3
    listed = list_folder(tree, "video", 0, ApiVariant(members=members, files_per_answer=limit))

    assert listed.files == files
    assert {name: below.loaded for name, below in listed.folders} == folders


def test_own_files_are_shown_before_folders_take_all_the_room() -> None:
    """Where an offset counts files only, folders leave room for one: else it would never move."""
    tree = Folder()
    for path in ("a/1", "a/2", "a/3", "x", "y"):
        tree.add(path)
    variant = ApiVariant(
        members=MemberOrder.FOLDERS_FIRST, offset_counts=Counted.FILES, files_per_answer=3
    )
    first = list_folder(tree, "video", 0, variant)

    assert (first.files, dict(first.folders)["a"].files, first.offset) == (("x",), ("1", "2"), 1)
    assert list_folder(tree, "video", 1, variant) == ListedFolder(("y",))


def test_scanning_goes_on_until_there_is_something_to_show() -> None:
    """A response that scanned its share and shows nothing would look like the end."""
    others = {f"{number}": FileType.OTHER for number in range(9)}
    variant = ApiVariant(
        limit_counts=Counted.SCANNED, offset_counts=Counted.SCANNED, files_per_answer=2
    )
    tree = Folder({**others, "x": FileType.VIDEO, "z": FileType.OTHER})
    listed = list_folder(tree, "video", 0, variant)

    assert (listed.files, listed.offset) == (("x",), 10)


OWN_FILES = {"offset_counts": Counted.FILES}
SILENT = {"offset_written": OffsetWritten.NOT_ON_ROOT}


@pytest.mark.parametrize(
    ("switches", "sentence"),
    [
        ({"limit_counts": Counted.SCANNED}, "must count scanned files too"),
        ({"limit_counts": Counted.SCANNED, **OWN_FILES}, "must count scanned files too"),
        (
            {"offsets": Offsets.RECURSIVE, "limit_counts": Counted.ENTRIES, **OWN_FILES},
            "must count them too",
        ),
        ({"unreached": Unreached.BEHIND_OFFSET, **OWN_FILES}, "does not lead to folders"),
        (
            {
                "unreached": Unreached.SKIPPED_AFTER_FILES,
                "members": MemberOrder.BY_NAME,
                **OWN_FILES,
            },
            "passes over the folders",
        ),
        ({"overlap": 1, "members": MemberOrder.BY_NAME}, "overlap needs files first"),
        ({"limit_counts": Counted.FOLDERS}, "is limited by its files"),
        ({"offset_counts": Counted.FOLDERS, "overlap": 1}, "leads from one to the next"),
        (
            {"offset_counts": Counted.FOLDERS, "unreached": Unreached.BEHIND_OFFSET},
            "may exceed its limit",
        ),
        (
            {"offset_counts": Counted.FOLDERS, "offsets": Offsets.RECURSIVE},
            "leads from one to the next",
        ),
        ({"offset_in_every_folder": True, "offsets": Offsets.RECURSIVE}, "not in every folder"),
        ({"offset_stays": True, **OWN_FILES}, "counts the folder's own entries"),
        ({"offset_stays": True, "offsets": Offsets.RECURSIVE}, "counts the folder's own entries"),
        (SILENT, "has to say where it goes on"),
        (
            {"offset_written": OffsetWritten.NOWHERE, "loaded": LoadFlagPlacement.NOT_ON_ROOT},
            "has to say where it goes on",
        ),
        ({"extra_members": ("__nobody",)}, "no extra member '__nobody'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictory_variants_are_refused(switches: dict[str, object], sentence: str) -> None:
    """A reading that contradicts itself, or hides files from every client, is refused."""
    with pytest.raises(ValueError, match=sentence):
        ApiVariant(**switches)  # type: ignore[arg-type]


OF_USAGE = {"rows", "row_order", "with_tomorrow", "code", "telling_status"}


def test_random_variants_combine_every_switch() -> None:
    """In a few thousand readings each unusual value of each switch comes, and a plain one."""
    rng = Random(1)
    seen: set[str] = set()
    for _ in range(3000):
        seen.update(describe(random_variant(rng)).split())

    plain = ApiVariant()
    expected = {
        f"{name}={value.name}"
        for name in sorted(ApiVariant.__dataclass_fields__)
        if isinstance(default := getattr(plain, name), Enum) and name not in OF_USAGE
        for value in type(default)
        if value is not default
    }
    switched = {
        f"{name}=True"
        for name in sorted(ApiVariant.__dataclass_fields__)
        if getattr(plain, name) is False and name not in OF_USAGE
    }
    expected -= {"limit_counts=SCANNED_ENTRIES", "limit_counts=FOLDERS"}  # refused
    assert expected | switched | {"sub_folder=PIECES", "overlap=99", "plainest"} <= seen
