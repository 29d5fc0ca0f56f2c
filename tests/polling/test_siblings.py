"""Which responses for a parent are used, and what a run requests next."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from exporter.polling.folder_progress import FolderProgress
from exporter.polling.siblings import ParentOffset, SiblingRun, begin_run, match_position
from exporter.scaleengine.file_listing import FolderListing, LoadState

PAGE = 10


def files(first: int, behind: int) -> list[str]:
    return [f"{number}.mp4" for number in range(first, behind)]


def complete(number: int, **folders: FolderListing) -> FolderListing:
    return FolderListing(files(0, number), folders, LoadState.COMPLETE)


def partial(number: int, first: int = 0, **folders: FolderListing) -> FolderListing:
    return FolderListing(files(first, number), folders, LoadState.PARTIAL, number)


SKIPPED = FolderListing(loaded=LoadState.SKIPPED)
THREE = {"x": SKIPPED, "y": SKIPPED, "z": SKIPPED}


def is_complete(folder: FolderListing) -> bool:
    return folder.loaded is LoadState.COMPLETE and all(map(is_complete, folder.folders.values()))


def make_run(shown: Mapping[str, FolderListing], own: int = 0) -> SiblingRun:
    """Return the run of a folder, after a response that showed its sub-folders like this."""
    parent = FolderProgress("s")
    parent.add_files(files(100, 100 + own))
    parent.finish()
    for name, folder in shown.items():
        hold(parent, name, folder)
    run = begin_run(parent, FolderListing(folders=shown), PAGE)
    assert run is not None
    return run


def hold(parent: FolderProgress, name: str, shown: FolderListing) -> None:
    child = parent.children.get(name) or parent.add_child(name)
    child.add_files(shown.files)
    for below, folder in shown.folders.items():
        hold(child, below, folder)
    if shown.loaded is LoadState.COMPLETE:
        child.finish()


CUT = {"a": complete(6), "b": partial(4), "c": SKIPPED, "d": SKIPPED, "e": SKIPPED}
"""The anchor is b, which was cut."""
FULL = {"a": complete(5), "b": complete(5), "c": SKIPPED, "d": SKIPPED, "e": SKIPPED}
"""The anchor is b, which is complete."""
NESTED = {
    "a": complete(5),
    "b": complete(1, x=complete(2), y=partial(2), z=SKIPPED),
    "c": SKIPPED,
    "d": SKIPPED,
}
"""The anchor is b, whose sub-folders are not complete."""
AROUND = {
    "a": complete(4),
    "b": complete(3),
    "c": complete(0),
    "d": SKIPPED,
    "e": SKIPPED,
    "f": SKIPPED,
}
"""The anchor is b, since c has no files."""

USED: Mapping[str, tuple[Mapping[str, FolderListing], Mapping[str, FolderListing], list[str]]] = {
    "what was cut is complete": (
        CUT,
        {"b": complete(7), "c": complete(2), "d": partial(1), "e": SKIPPED},
        ["b", "c", "d"],
    ),
    "what was cut is cut farther on": (
        CUT,
        {"b": partial(9), "c": SKIPPED, "d": SKIPPED, "e": SKIPPED},
        ["b"],
    ),
    "the anchor is as before": (
        FULL,
        {"b": complete(5), "c": complete(1), "d": complete(1), "e": complete(3)},
        [*"bcde"],
    ),
    "an empty folder behind the anchor": (
        AROUND,
        {"b": complete(3), "c": complete(0), "d": complete(7), "e": SKIPPED, "f": SKIPPED},
        [*"bcd"],
    ),
    "sub-folders of the anchor go on": (
        NESTED,
        {"b": complete(1, x=complete(2), y=complete(3), z=partial(1)), "c": SKIPPED, "d": SKIPPED},
        ["b"],
    ),
    "a member of the API between folders": (
        FULL,
        {"b": complete(5), "__x": FolderListing(), "c": complete(1), "d": SKIPPED, "e": SKIPPED},
        ["b", "c"],
    ),
}


@pytest.mark.parametrize(("before", "shown", "used"), USED.values(), ids=USED.keys())
def test_the_position_of_a_response_is_found(
    before: Mapping[str, FolderListing], shown: Mapping[str, FolderListing], used: list[str]
) -> None:
    found = match_position(make_run(before), FolderListing(folders=shown), is_complete)
    assert found is not None
    assert [name for name, _ in found] == used


@dataclass(frozen=True)
class Misfit:
    """A response that must not be used, to a request for the parent of these sub-folders."""

    before: Mapping[str, FolderListing]
    shown: FolderListing


def shows(*own: str, files_last: bool = False, **folders: FolderListing) -> FolderListing:
    return FolderListing(own, folders, files_last=files_last)


MISFITS = {
    "nothing": Misfit(FULL, shows()),
    "files of the parent come first": Misfit(
        FULL, shows("x.mp4", b=complete(5), c=complete(1), d=SKIPPED, e=SKIPPED)
    ),
    "a folder comes before the anchor": Misfit(
        FULL, shows(a=complete(5), b=complete(5), c=SKIPPED, d=SKIPPED, e=SKIPPED)
    ),
    "an empty folder comes before the anchor": Misfit(
        FULL, shows(a=complete(0), b=complete(5), c=complete(1), d=SKIPPED, e=SKIPPED)
    ),
    "the anchor is not shown": Misfit(FULL, shows(c=complete(1), d=SKIPPED, e=SKIPPED)),
    "the anchor has another file": Misfit(
        FULL,
        shows(
            b=FolderListing(files(1, 6), {}, LoadState.COMPLETE),
            c=complete(1),
            d=SKIPPED,
            e=SKIPPED,
        ),
    ),
    "the anchor lacks its first file": Misfit(
        FULL,
        shows(
            b=FolderListing(files(1, 5), {}, LoadState.COMPLETE),
            c=complete(1),
            d=SKIPPED,
            e=SKIPPED,
        ),
    ),
    "the anchor has one more file": Misfit(
        FULL, shows(b=complete(6), c=complete(1), d=SKIPPED, e=SKIPPED)
    ),
    "the anchor has a sub-folder": Misfit(
        FULL, shows(b=complete(5, x=complete(0)), c=complete(1), d=SKIPPED, e=SKIPPED)
    ),
    "what is behind the anchor has changed": Misfit(
        AROUND, shows(b=complete(3), c=complete(1), d=complete(2), e=SKIPPED, f=SKIPPED)
    ),
    "what was cut lacks its first file": Misfit(
        CUT, shows(b=partial(9, first=1), c=SKIPPED, d=SKIPPED, e=SKIPPED)
    ),
    "what was cut shows less": Misfit(CUT, shows(b=partial(3), c=SKIPPED, d=SKIPPED, e=SKIPPED)),
    "what was cut is skipped": Misfit(CUT, shows(b=SKIPPED, c=SKIPPED, d=SKIPPED, e=SKIPPED)),
    "a sub-folder of the cut anchor is gone": Misfit(
        NESTED, shows(b=complete(1, y=complete(3), z=SKIPPED), c=SKIPPED, d=SKIPPED)
    ),
    "a sub-folder of the cut anchor is new": Misfit(
        NESTED,
        shows(
            b=complete(1, x=complete(2), y=complete(3), yy=SKIPPED, z=SKIPPED), c=SKIPPED, d=SKIPPED
        ),
    ),
    "a complete sub-folder of the cut anchor has changed": Misfit(
        NESTED, shows(b=complete(1, x=complete(1), y=complete(3), z=SKIPPED), c=SKIPPED, d=SKIPPED)
    ),
    "a file of the cut anchor is gone": Misfit(
        NESTED, shows(b=complete(0, x=complete(2), y=complete(3), z=SKIPPED), c=SKIPPED, d=SKIPPED)
    ),
    "a folder is left out": Misfit(FULL, shows(b=complete(5), d=complete(1), e=SKIPPED)),
    "the last folder is left out": Misfit(FULL, shows(b=complete(5), c=complete(1), d=SKIPPED)),
    "a folder is new": Misfit(
        FULL, shows(b=complete(5), bb=complete(1), c=SKIPPED, d=SKIPPED, e=SKIPPED)
    ),
    "a folder is new at the end": Misfit(
        FULL, shows(b=complete(5), c=complete(1), d=SKIPPED, e=SKIPPED, f=SKIPPED)
    ),
    "the folders come in another order": Misfit(
        FULL, shows(b=complete(5), d=complete(1), c=SKIPPED, e=SKIPPED)
    ),
    "two folders are cut": Misfit(
        FULL, shows(b=complete(5), c=partial(1), d=partial(1), e=SKIPPED)
    ),
    "a folder behind one that is cut is complete": Misfit(
        FULL, shows(b=complete(5), c=partial(1), d=complete(1), e=SKIPPED)
    ),
    "a folder behind a skipped one is complete": Misfit(
        FULL, shows(b=complete(5), c=SKIPPED, d=complete(1), e=SKIPPED)
    ),
    "a sub-folder is skipped before the last": Misfit(
        FULL, shows(b=complete(5), c=complete(0, x=SKIPPED), d=complete(1), e=SKIPPED)
    ),
}


@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS.keys())
def test_a_response_that_breaks_a_condition_proves_nothing(misfit: Misfit) -> None:
    """Each breaks one condition; a number that came from it could be wrong."""
    assert match_position(make_run(misfit.before), misfit.shown, is_complete) is None


def test_files_of_the_parent_may_follow_its_folders() -> None:
    """A server may list a folder's own files behind its sub-folders."""
    shown = shows(
        "x.mp4", files_last=True, b=complete(5), c=complete(1), d=complete(0), e=complete(0)
    )
    assert match_position(make_run(FULL), shown, is_complete)


@pytest.mark.parametrize(
    ("shown", "own", "offsets"),
    [
        (CUT, 3, (4, 1, 9)),
        (FULL, 0, (1, 1, 5)),
        (AROUND, 3, (4, 1, 7)),
        # Beyond the files that are known before, an offset may skip files in the anchor.
        ({"a": complete(1), "b": complete(0), "c": complete(5), **THREE}, 0, (None, None, 1)),
        ({"a": complete(0), "b": complete(0), "c": complete(5), **THREE}, 1, (None, None, 1)),
        # Before the first sub-folder an offset skips none: all may be shown at any offset.
        ({"a": complete(5), "b": SKIPPED, "c": SKIPPED, "d": SKIPPED}, 3, (None, None, None)),
        ({"a": partial(5), "b": SKIPPED, "c": SKIPPED}, 3, (None, None, None)),
        # No folder with files is known, or it leaves no room.
        ({"a": complete(0), "b": SKIPPED, "c": SKIPPED, "d": SKIPPED}, 3, (None, None, None)),
        (
            {"a": complete(1), "b": complete(9), "c": SKIPPED, "d": SKIPPED, "e": SKIPPED},
            3,
            (None,) * 3,
        ),
    ],
)
def test_the_offset_of_the_anchor_is_computed(
    shown: Mapping[str, FolderListing], own: int, offsets: tuple[int | None, ...]
) -> None:
    assert tuple(map(make_run(shown, own).offset, ParentOffset)) == offsets


def test_too_few_folders_are_no_run() -> None:
    parent = FolderProgress("s")
    for name in "ab":
        parent.add_child(name)
    parent.finish()
    assert begin_run(parent, None, PAGE) is None


def test_a_folder_that_is_known_behind_an_unknown_one_is_no_run() -> None:
    """Then the folders have not been listed in their order."""
    parent = FolderProgress("s")
    for name in "abcd":
        parent.add_child(name)
    parent.children["c"].add_files(files(0, 1))
    parent.finish()
    assert begin_run(parent, None, PAGE) is None


def test_the_room_of_a_response_for_the_parent_is_estimated() -> None:
    """It shows again all that is known from the anchor on, not only the anchor."""
    run = make_run({"a": complete(5), "b": complete(1), "c": complete(8), **THREE})
    assert [name for name, _ in run.before] == ["b", "c"]
    assert run.expected < 1
