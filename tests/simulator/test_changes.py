"""Trees that change while they are walked: what is true at each moment, and how much moved."""

from random import Random

import pytest

from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import PostText, SignCommand
from tests.support.random_trees import random_tree
from tests.support.tree_changes import (
    Add,
    Change,
    ChangingFolder,
    MoveFile,
    Remove,
    Rename,
    Truth,
    random_changes,
    scripted,
)

NOW = 1415700000.0


@pytest.fixture
def tree() -> Folder:
    """Return a file, a folder of two, and in it a folder of one."""
    root = Folder()
    for path in ("x", "a/1", "a/2", "a/b/3"):
        root.add(path)
    return root


@pytest.mark.parametrize(
    ("change", "after", "moved"),
    [
        (Add("a/4"), Truth(5, 2), Truth(1, 0)),
        (Add("c/d/4"), Truth(5, 4), Truth(1, 2)),
        (Add("song", FileType.AUDIO), Truth(4, 2), Truth(0, 0)),
        (Remove("x"), Truth(3, 2), Truth(1, 0)),
        (Remove("a"), Truth(1, 0), Truth(3, 2)),
        (MoveFile("x", "a/y"), Truth(4, 2), Truth(1, 0)),
        (Rename("a", "z"), Truth(4, 2), Truth(3, 2)),
        (Rename("a/b", "z"), Truth(4, 2), Truth(1, 1)),
    ],
    ids=repr,
)
def test_each_change_is_noted(tree: Folder, change: Change, after: Truth, moved: Truth) -> None:
    """What is true afterwards, and how many files and folders came, went or moved."""
    changing = ChangingFolder(tree, "video", scripted({}))
    changing.apply(change)

    assert changing.truths == [Truth(4, 2), after]
    assert Truth(changing.moved_files, changing.moved_folders) == moved


def test_scripted_changes_come_before_their_request(tree: Folder) -> None:
    """The hook counts requests from 1 on, and applies what is to come before each."""
    script: dict[int, list[Change]] = {2: [Remove("x"), Remove("a/1")], 3: [Add("y")]}
    changing = ChangingFolder(tree, "video", scripted(script))
    seen = []
    for _ in range(4):
        changing.refresh(0.0)
        seen.append(tree.count("video"))

    assert seen == [4, 2, 3, 3]
    assert [truth.files for truth in changing.truths] == [4, 3, 2, 3]


def test_a_number_that_was_never_true_has_a_distance(tree: Folder) -> None:
    """What was true at any moment is not off; else the moment that fits best counts."""
    changing = ChangingFolder(tree, "video", scripted({}))
    changing.apply(Remove("a"))

    assert changing.distance(4, 2) == changing.distance(1, 0) == Truth(0, 0)
    assert changing.distance(4, 0) == Truth(0, 2)
    assert changing.distance(2, 1) == Truth(1, 1)


def test_random_changes_follow_from_the_seed() -> None:
    """Each kind of change comes; nothing changes before the first request; truths are counts."""
    histories = []
    for _ in range(2):
        tree = random_tree(Random(4))
        changing = ChangingFolder(tree, "video", random_changes(Random(5), share=0.5))
        changing.refresh(0.0)
        assert len(changing.truths) == 1
        for _ in range(200):
            changing.refresh(0.0)
            assert changing.truths[-1] == Truth(tree.count("video"), tree.count_folders())
        histories.append(changing.truths)

    assert histories[0] == histories[1]
    assert 50 < len(histories[0]) < 150
    kinds = {type(random_changes(Random(n), 1.0)(2, random_tree(Random(4)))[0]) for n in range(50)}
    assert kinds == {Add, Remove, MoveFile, Rename}


def test_an_empty_tree_can_change_too() -> None:
    """Where there is nothing to remove or to move, files still come."""
    tree = Folder()
    changing = ChangingFolder(tree, "video", random_changes(Random(1), share=1.0))
    for _ in range(50):
        changing.refresh(0.0)

    assert max(truth.files for truth in changing.truths) > 0


def test_the_tree_changes_before_each_response(
    tree: Folder, post: PostText, signed: SignCommand
) -> None:
    """A simulator lets the tree change before each response."""
    changing = ChangingFolder(tree, "video", scripted({2: [Add("y")]}))
    storage = Folder(folders={"sestore4": Folder(folders={"jb": tree})})
    account = SimulatedAccount(158, KEY, SECRET, storage=storage, refresh=changing.refresh)
    with Simulator([account], clock=lambda: NOW) as simulator:
        shown = [
            post(simulator.url, signed("files.list", path="sestore4/jb")).json()["data"]
            for _ in range(2)
        ]

    assert [data["sestore4/jb"][0]["__files"] for data in shown] == [["x"], ["x", "y"]]
