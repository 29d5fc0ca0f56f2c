"""Random trees, and which of them are ambiguous in a response."""

from random import Random

import pytest

from exporter.simulator import FileType, Folder
from tests.support.api_variants import ApiVariant, FolderShape, LoadFlagPlacement
from tests.support.random_trees import MAX_FILES, ambiguities, describe_tree, random_tree


def folder(*paths: str) -> Folder:
    root = Folder()
    for path in paths:
        root.add(path)
    return root


def test_a_seed_gives_the_same_tree() -> None:
    """A tree can be made again from its seed."""
    assert describe_tree(random_tree(Random(1))) == describe_tree(random_tree(Random(1)))


def test_trees_are_of_all_sizes_around_the_limit() -> None:
    """From nothing to six hundred files, with folders of just a page, and other types mixed in."""
    trees = [random_tree(Random(number), 100) for number in range(300)]
    sizes = [tree.count("video") for tree in trees]
    own = {len(tree.names("video")) for tree in trees}

    assert min(sizes) == 0
    assert MAX_FILES // 2 < max(sizes) <= MAX_FILES + 50
    assert own >= {99, 100, 101}
    assert any(tree.count(None) > 1.5 * tree.count("video") > 0 for tree in trees)
    assert max(tree.count_folders() for tree in trees) > 20


def test_some_trees_list_a_name_twice() -> None:
    """Names that PHP prints alike, and files that were deleted twice, are in a few of them."""
    trees = [random_tree(Random(number), 100) for number in range(300)]
    deleted = [tree.names("deleted") for tree in trees]

    assert 0 < sum(len(set(names)) < len(names) for names in deleted) < 30
    assert any("\udcff.mp4" in tree.names("video") for tree in trees)


def test_a_tree_is_described_in_a_line() -> None:
    """How many files of the type each folder has, how many others, and its folders."""
    root = folder("1", "2", "a/3", "a/b/4")
    root.make("empty")
    root.add("song", FileType.AUDIO)

    assert describe_tree(root) == "2+1 a{1 b{1}} empty{}"


MAPPING = ApiVariant(folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOWHERE)


@pytest.mark.parametrize(
    ("root", "variant", "found"),
    [
        (folder("a/x", "__x/y"), MAPPING, []),
        (folder("a/__files/x"), ApiVariant(), ["a folder is named __files"]),
        (folder("__errors/x"), ApiVariant(), []),
        (
            folder("__errors/x"),
            ApiVariant(extra_members=("__errors",)),
            ["a folder is named __errors"],
        ),
        (folder("a/0/x"), ApiVariant(), []),
        (folder("a/0/x"), MAPPING, ["a folder named 0 makes an object a list"]),
        (folder("a/0/x"), ApiVariant(folder=FolderShape.MAPPING), []),
        (
            folder("a/0/x"),
            ApiVariant(sub_folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOT_ON_COMPLETE),
            ["a folder named 0 makes an object a list"],
        ),
    ],
)
def test_ambiguous_trees_are_recognized(
    root: Folder, variant: ApiVariant, found: list[str]
) -> None:
    """A folder named as a member of the API's own, or one that PHP prints as an item of a list."""
    assert list(ambiguities(root, variant)) == found
