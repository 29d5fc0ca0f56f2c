"""Random walks: made again from seed and number, and compared with the truth of every moment."""

import pytest

from bench.random_walks import (
    Outcome,
    Result,
    Trial,
    classify,
    exit_status,
    is_right_by_folder,
    main,
    make_trial,
    summary,
    walk_all,
)
from exporter.polling.snapshots import FileCounts, FolderCount
from exporter.simulator import Folder
from tests.support.api_variants import ApiVariant, FolderShape, LoadFlagPlacement
from tests.support.tree_changes import ChangingFolder, Remove, Truth, scripted


def trial(*paths: str, variant: ApiVariant | None = None) -> Trial:
    tree = Folder()
    for path in paths:
        tree.add(path)
    changing = ChangingFolder(tree, "video", scripted({}))
    return Trial(1, variant or ApiVariant(), tree, "video", changing, 1, "")


def test_walks_follow_from_the_seed() -> None:
    """The same seed and number make the same trial, another number another one."""
    first, again, other = (make_trial("s", number, 0.0) for number in (1, 1, 2))

    assert (first.variant, first.description) == (again.variant, again.description)
    assert (first.variant, first.description) != (other.variant, other.description)


def test_a_number_is_compared_with_every_state() -> None:
    """True at some moment is exact; off by what moved at most is not wrong."""
    tried = trial("a/1", "a/2", "b/3")
    assert classify(tried, Truth(0, 0)) is Outcome.EXACT
    assert classify(tried, Truth(1, 0)) is Outcome.WRONG
    tried.changing.apply(Remove("a/1"))
    assert classify(tried, Truth(1, 0)) is Outcome.BOUNDED
    assert classify(tried, Truth(2, 0)) is Outcome.WRONG
    assert classify(tried, Truth(1, 1)) is Outcome.WRONG


def test_the_numbers_of_folders_are_compared_too() -> None:
    """Each top folder has its files; of a tree that has changed, they have to add up."""
    tried = trial("1", "a/2", "a/b/3")
    right = (FolderCount(".", 1), FolderCount("a", 2))
    swapped = (FolderCount(".", 2), FolderCount("a", 1))
    assert is_right_by_folder(tried, FileCounts(3, 2, right))
    assert not is_right_by_folder(tried, FileCounts(3, 2, swapped))
    tried.changing.apply(Remove("1"))
    assert is_right_by_folder(tried, FileCounts(3, 2, swapped))
    assert not is_right_by_folder(tried, FileCounts(2, 2, swapped))


def test_a_number_of_an_ambiguous_tree_is_not_wrong() -> None:
    """A folder named 0 under flagless objects is printed as a list, which is ambiguous."""
    variant = ApiVariant(folder=FolderShape.MAPPING, loaded=LoadFlagPlacement.NOWHERE)
    assert classify(trial("0/x", variant=variant), Truth(0, 1)) is Outcome.AMBIGUOUS


@pytest.mark.parametrize("change_share", [0.0, 0.5])
def test_each_walk_ends_with_a_number_or_a_cause(change_share: float) -> None:
    """Each walk ends with a number or with a cause, and the summary names what came of all."""
    results = walk_all(range(1, 9), "seed", change_share, seconds=60.0)

    assert len(results) == 8
    for result in results:
        assert (result.published is None) == bool(result.cause)
        assert result.requests >= 1
    lines = "\n".join(summary(results, shown_absent=1))
    assert lines.startswith("8 walks: ")
    assert any(result.outcome is Outcome.EXACT for result in results)


def test_no_walk_begins_after_the_time_limit() -> None:
    """The time limit holds for any number of walks."""
    assert walk_all(range(1, 1_000_000), "seed", 0.0, seconds=0.0) == []


def test_a_wrong_number_is_shown_with_what_reproduces_it() -> None:
    """The line has the number of the walk, what was published, the truth and the reading."""
    tried = trial("a/1")
    result = Result(tried, Outcome.WRONG, 3, 1, Truth(7, 2), distance=Truth(6, 1))

    assert result.line().startswith("wrong #1: 7/2; truth 1/1, off by 6/1 (video); 3 requests")
    assert "the plainest reading" in result.line()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(outcome, 1 if outcome in {Outcome.WRONG, Outcome.CRASHED} else 0) for outcome in Outcome],
)
def test_only_a_defect_fails_a_run(outcome: Outcome, status: int) -> None:
    """Numbers that are absent, ambiguous or off by what moved do not fail it."""
    results = [Result(trial("a/1"), result, 1, 1) for result in (Outcome.EXACT, outcome)]
    assert exit_status(results) == status


def test_the_seed_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A run can be made again."""
    assert main(["--seconds=0", "--seed=another"]) == 0
    assert capsys.readouterr().out.startswith("seed another\n")
