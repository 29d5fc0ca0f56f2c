"""The simulator gives each response of the table of shapes, letter by letter, under its reading."""

import json
from dataclasses import dataclass, replace

import pytest

from exporter.simulator import Behaviour, FileType, Folder, MemberOrder, SimulatedAccount, Simulator
from tests.polling.fidelity_cases import CASES, PATH, Case
from tests.support.api_variants import (
    ApiVariant,
    CompleteOffset,
    Counted,
    Empty,
    FileCount,
    FolderShape,
    LoadFlagPlacement,
    Nothing,
    Offsets,
    OffsetWritten,
    PassingOffset,
    Unreached,
)
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import PostText, SignCommand

NOW = 1415700000.0

Asked = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The reading and the tree behind a case, and the requests that the table shows.

    ``before`` is the tree at the first request, where it changes after that.
    """

    variant: ApiVariant
    tree: Folder
    asked: Asked
    before: Folder | None = None


def videos(count: int, prefix: str = "f", width: int = 3) -> dict[str, FileType]:
    return {f"{prefix}{number:0{width}}.mp4": FileType.VIDEO for number in range(count)}


def tree(files: dict[str, FileType] | None = None, **below: int | Folder) -> Folder:
    """Return a folder with these files, and with folders of this number of videos each."""
    folders = {
        name: Folder(videos(inside, name)) if isinstance(inside, int) else inside
        for name, inside in below.items()
    }
    return Folder(files, folders)


def at(*offsets: int) -> Asked:
    return tuple((PATH, offset) for offset in offsets)


SILENT = ApiVariant(loaded=LoadFlagPlacement.NOT_ON_ROOT, offset_written=OffsetWritten.NOT_ON_ROOT)
"""The requested folder has neither flag nor offset."""
FLAGGED = ApiVariant(empty=Empty.FLAGGED)
HIDING = replace(FLAGGED, unreached=Unreached.BEHIND_OFFSET)
IN_RESPONSE = replace(HIDING, file_count=FileCount.RESPONSE)
A, B = f"{PATH}/a", f"{PATH}/b"
X = {"x": FileType.VIDEO}
C0 = {"c000.mp4": FileType.VIDEO}
TWO_IN_FIVE = {
    f"f{number:03}.mp4": FileType.VIDEO if number % 5 < 2 else FileType.OTHER
    for number in range(200)
}
OTHERS = dict.fromkeys(("p", "q", "r"), FileType.OTHER)

ROWS = {
    "W1a": Row(
        replace(SILENT, members=MemberOrder.BY_NAME),
        tree(videos(60), a=50, z=1),
        at(0, 51, 52, 61, 62),
    ),
    "W1b": Row(
        replace(SILENT, members=MemberOrder.FOLDERS_FIRST, offset_counts=Counted.FILES),
        tree(videos(60), a=50),
        at(0, 50, 51, 60),
    ),
    "W2a": Row(replace(SILENT, files_per_answer=50), tree(videos(60)), at(0, 50, 60)),
    "W2b": Row(
        replace(SILENT, members=MemberOrder.FOLDERS_FIRST, limit_counts=Counted.ENTRIES),
        tree(videos(70), **{f"d{number:02}": 0 for number in range(40)}),
        at(0, 60, 100, 110),
    ),
    "W2c": Row(
        replace(SILENT, limit_counts=Counted.SCANNED, offset_counts=Counted.SCANNED),
        tree(TWO_IN_FIVE),
        at(0, 40, 67, 100, 199),
    ),
    "W3": Row(
        replace(FLAGGED, folder=FolderShape.MAPPING, sub_folder=FolderShape.LIST),
        tree(a=Folder(X)),
        (*at(0, 1), (A, 0), (A, 1)),
    ),
    "W4": Row(
        ApiVariant(folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOWHERE),
        Folder(folders={"0": Folder(X)}),
        (*at(0, 1), (f"{PATH}/0", 0), (f"{PATH}/0", 1)),
    ),
    "W5": Row(
        replace(
            FLAGGED,
            offsets=Offsets.RECURSIVE,
            offset_counts=Counted.FILES,
            passing_offset=PassingOffset.FROM_REQUESTED,
            loaded_tells_files=True,
            file_count=FileCount.RESPONSE,
        ),
        tree(videos(60), a=50),
        (*at(0, 60, 100), (A, 100), (A, 40)),
    ),
    "W6": Row(
        replace(FLAGGED, folder=FolderShape.MAPPING, extra_members=("__errors",)), tree(X), at(0, 1)
    ),
    "W7": Row(FLAGGED, tree(dict.fromkeys(("\udcfe.mp4", "\udcff.mp4"), FileType.VIDEO)), at(0, 1)),
    "W8": Row(
        ApiVariant(folder=FolderShape.MAPPING), tree(__files=0), (*at(0), (f"{PATH}/__files", 0))
    ),
    "W9": Row(
        replace(HIDING, loaded_tells_files=True),
        tree(a=120, b=30),
        (*at(0, 1, 2), (A, 0), (A, 100), (B, 0)),
    ),
    "W10": Row(
        replace(FLAGGED, offset_in_every_folder=True), tree(videos(230), a=50), at(0, 100, 200)
    ),
    "W11": Row(
        replace(
            IN_RESPONSE,
            offsets=Offsets.RECURSIVE,
            limit_counts=Counted.ENTRIES,
            files_per_answer=4,
            overlap=3,
            passing_offset=PassingOffset.FROM_REQUESTED,
            loaded_tells_files=True,
        ),
        tree(videos(5), a=4, b=0),
        at(*range(15)),
    ),
    "W12": Row(
        replace(
            FLAGGED,
            unreached=Unreached.SKIPPED_AFTER_FILES,
            files_per_answer=4,
            overlap=2,
            offset_in_every_folder=True,
            loaded_tells_files=True,
            file_count=FileCount.RESPONSE,
        ),
        tree(videos(2), a=Folder(videos(3, "a"), {"b": Folder(videos(5, "b"), {"c": tree(C0)})})),
        tuple(
            (path, offset)
            for path in (PATH, A, f"{A}/b", f"{A}/b/c")
            for offset in (0, 1, 2, 3, 4, 7)
        ),
    ),
    "P1": Row(
        IN_RESPONSE,
        tree(a=101, b=500),
        (*at(0, 2, 1), (A, 99), (B, 400)),
        tree({"r0": FileType.VIDEO}, a=101, b=500),
    ),
    "P2": Row(FLAGGED, tree(a=99, b=2), (*at(0, 1, 2), (B, 0)), tree(a=100, b=1)),
    "P3": Row(FLAGGED, tree(a=101, b=0), (*at(0, 1, 2), (B, 0)), tree(a=100, b=1)),
    "P4a": Row(
        IN_RESPONSE,
        tree(b=40, c=9, z=Folder(videos(60, "m"))),
        (*at(0, 2, 1), (B, 0)),
        tree(a=Folder(videos(60, "m")), b=40, c=9),
    ),
    "P4b": Row(
        FLAGGED,
        tree(b=tree(z=Folder(videos(100, "a")))),
        ((PATH, 0), (B, 0), (B, 1)),
        tree(a=100, b=0),
    ),
    "A1": Row(ApiVariant(count_all_types=True), tree({**videos(101), **OTHERS}), at(0, 100)),
    "A2": Row(ApiVariant(nothing=Nothing.EMPTY_DATA), tree(OTHERS), at(0, 1)),
    "A3": Row(replace(SILENT, nothing=Nothing.EMPTY_DATA), tree(videos(100)), at(0, 99, 100)),
    "A4": Row(
        replace(HIDING, offset_stays=True),
        tree(a=150, b=20),
        (*at(0, 1, 2), (A, 0), (A, 100), (B, 0)),
    ),
    "A5": Row(
        replace(SILENT, offsets=Offsets.RECURSIVE, offset_counts=Counted.FILES),
        tree(a=Folder(videos(3000, "a", width=4))),
        (*at(0, 1, 100, 2900, 2999, 3000), (A, 0), (A, 2999), (A, 3000)),
    ),
    "A6a": Row(ApiVariant(empty_object=True), tree(X, empty=0), at(0)),
    "A6b": Row(
        replace(FLAGGED, skipped_object=True),
        tree(videos(110), a=Folder(X)),
        (*at(0, 100, 110), (A, 0)),
    ),
    "A6c": Row(replace(FLAGGED, complete_offset=CompleteOffset.NULL), tree(videos(2)), at(0, 1)),
    "A6d": Row(replace(FLAGGED, complete_offset=CompleteOffset.ZERO), tree(videos(2)), at(0, 1)),
    "A6e": Row(
        ApiVariant(loaded=LoadFlagPlacement.NOWHERE, complete_offset=CompleteOffset.ZERO),
        tree(videos(2)),
        at(0, 1),
    ),
    "A6f": Row(replace(FLAGGED, extra_members=("__size",)), tree(videos(2)), at(0, 1)),
}


def below(folder: Folder | None) -> Folder:
    """Return a storage with the folder at the requested path."""
    return Folder(folders={"sestore4": Folder(folders={"jb": folder or Folder()})})


def truth(folder: Folder | None) -> tuple[int, int]:
    return (folder.count("video"), folder.count_folders()) if folder else (0, 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_the_simulator_gives_what_the_table_shows(
    case: Case, post: PostText, signed: SignCommand
) -> None:
    """Tree, reading and change of a case give its responses, and its truth before and after."""
    row = ROWS[case.name]
    storages = [below(row.before), below(row.tree)] if row.before else [below(row.tree)]
    for number, (path, offset) in enumerate(row.asked):
        storage = storages[min(number, len(storages) - 1)]
        account = SimulatedAccount(158, KEY, SECRET, storage=storage)
        with Simulator([account], Behaviour(variant=row.variant), clock=lambda: NOW) as running:
            text = signed("files.list", path=path, offset=offset)
            given = post(running.url, text).json()
        expected = json.loads(case.body(path, offset, number))
        assert given.get("data") == expected.get("data"), (path, offset)

    trees = [row.before, row.tree] if row.before else [row.tree]
    assert [truth(tree) for tree in trees] == [
        (truth.files, truth.folders) for truth in case.truths
    ]
