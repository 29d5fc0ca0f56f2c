"""Files are tallied by folder as ``du --max-depth`` does, and the parts sum to the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.folder_counts import CountedFolder, FolderCounts
from exporter.polling.snapshots import FolderCount

Tree = dict[tuple[str, ...], int]

segments = st.sampled_from(["a", "b", "c", "_other", "0"])
places = st.lists(segments, max_size=4).map(tuple)


def count(depth: int | None, files: Tree) -> FolderCounts:
    """Return the counts of a tree, from the files of each folder; folders above are added."""
    counts = FolderCounts(depth)
    known: dict[tuple[str, ...], CountedFolder] = {(): counts.root}
    for place, number in files.items():
        for length in range(len(place)):
            if place[: length + 1] not in known:
                above = known[place[:length]]
                known[place[: length + 1]] = counts.add_folder(above, place[length])
        counts.add_files(known[place], number)
    return counts


def tally(depth: int | None, max_folders: int, **files: int) -> dict[str, int] | None:
    """Return the files by folder of a tree that is given by paths."""
    tree = {tuple(filter(None, path.split("/"))): number for path, number in files.items()}
    counts = count(depth, tree)
    by_folder = counts.result(max_folders).by_folder
    return None if by_folder is None else {part.folder: part.files for part in by_folder}


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (None, None),
        (1, {".": 1, "a": 6, "b": 8}),
        (2, {".": 1, "a": 2, "a/x": 4, "b": 8}),
        (3, {".": 1, "a": 2, "a/x": 0, "a/x/y": 4, "b": 8}),
    ],
)
def test_files_count_in_the_folder_at_the_depth(
    depth: int | None, expected: dict[str, int] | None
) -> None:
    """Each folder down to the depth has its files and those of everything deeper."""
    assert tally(depth, 10, **{"": 1, "a": 2, "a/x": 0, "a/x/y": 4, "b": 8}) == expected


@pytest.mark.parametrize(
    ("max_folders", "expected"),
    [
        (4, {".": 9, "a": 3, "b": 2, "c": 2, "d": 1}),
        (3, {".": 9, "a": 3, "b": 2, "c": 2, "_other": 1}),
        (2, {".": 9, "a": 3, "b": 2, "_other": 3}),
        (1, {".": 9, "a": 3, "_other": 5}),
    ],
)
def test_the_smallest_of_too_many_folders_are_summed(
    max_folders: int, expected: dict[str, int]
) -> None:
    """Beyond the limit the smallest are summed as _other, by name among equals; '.' stays."""
    assert tally(1, max_folders, **{"": 9, "a": 3, "b": 2, "c": 2, "d": 1}) == expected


def test_a_folder_named_other_joins_the_sum() -> None:
    """A folder that is really named _other joins the sum: no series appears twice."""
    assert tally(1, 1, _other=5, a=3) == {".": 0, "_other": 8}
    assert tally(1, 2, _other=5, a=3) == {".": 0, "_other": 5, "a": 3}


def test_folders_are_sorted_by_name() -> None:
    """The parts are sorted, so that one state always gives one text."""
    counts = count(1, {("c",): 0, ("a",): 0, ("b",): 0})
    assert counts.result(9).by_folder == tuple(FolderCount(name, 0) for name in ".abc")


@given(st.dictionaries(places, st.integers(0, 9)), st.integers(1, 4), st.integers(1, 5))
def test_the_parts_sum_to_the_whole(files: Tree, depth: int, max_folders: int) -> None:
    """For any tree, depth and limit, the folders sum to the files, none of them twice."""
    result = count(depth, files).result(max_folders)
    assert result.by_folder is not None
    assert sum(part.files for part in result.by_folder) == result.files == sum(files.values())
    assert len({part.folder for part in result.by_folder}) == len(result.by_folder)
    assert len(result.by_folder) <= max_folders + 2
