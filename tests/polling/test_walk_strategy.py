"""When a walk requests a parent again, and when each of its sub-folders."""

from collections import deque
from dataclasses import replace

import pytest

from exporter.polling.folder_progress import FolderProgress
from exporter.polling.siblings import ParentOffset, SiblingRun
from exporter.polling.walk_strategy import (
    MAX_COST,
    ChildRequests,
    ParentRequest,
    StrategyMemory,
    WalkStrategy,
)
from exporter.scaleengine.file_listing import FolderListing

RATE_LIMITED = 0.2
"""Seconds between requests: then only their number counts."""


def make_run(left: int = 50, files: int = 5, known: int = 10) -> SiblingRun:
    """Return a run of ``left`` sub-folders, behind ``known`` ones with ``files`` files each."""
    parent = FolderProgress("s")
    parent.finish()
    queue = deque(FolderProgress(f"f{number}", parent) for number in range(left))
    anchor = FolderListing([f"{number}.mp4" for number in range(files)])
    return SiblingRun(
        parent,
        queue,
        100,
        index=known - 1,
        files_before=(known - 1) * files,
        before=[("anchor", anchor)],
        seen_folders=known,
        seen_files=known * files,
    )


def no_end() -> int:
    return 1000


def choose(run: SiblingRun, strategy: WalkStrategy | None = None) -> ParentRequest | ChildRequests:
    return (strategy or WalkStrategy(4, RATE_LIMITED)).choose(run, 1, no_end)


def request_for(run: SiblingRun, strategy: WalkStrategy) -> ParentRequest:
    choice = choose(run, strategy)
    assert isinstance(choice, ParentRequest)
    return choice


@pytest.mark.parametrize(
    ("run", "is_parent"),
    [
        (make_run(), True),
        (make_run(files=30), True),
        (make_run(files=45), False),
        (make_run(left=2), False),
        (make_run(left=3), True),
        (make_run(left=30_000), True),
        (make_run(left=30_000, files=30, known=100), False),
    ],
)
def test_number_and_size_of_sub_folders_decide(run: SiblingRun, *, is_parent: bool) -> None:
    """Their number, and how many files are in one."""
    assert isinstance(choose(run), ParentRequest) is is_parent


@pytest.mark.parametrize(
    ("gap", "concurrency", "files", "is_parent"),
    [
        (0.0, 4, 5, True),
        (0.0, 4, 30, False),
        (0.0, 1, 30, True),
        (0.2, 4, 30, True),
    ],
)
def test_concurrency_decides_without_a_rate_limit(
    gap: float, concurrency: int, files: int, *, is_parent: bool
) -> None:
    """Without a rate limit, sub-folders are requested at the same time, a parent in turn."""
    strategy = WalkStrategy(concurrency, gap)
    strategy.record_time(0.1, is_parent=False)
    assert isinstance(choose(make_run(files=files), strategy), ParentRequest) is is_parent


def test_as_many_parents_as_requests_are_requested_in_turn() -> None:
    """As many parents as requests in flight lose nothing by taking turns."""
    strategy = WalkStrategy(4)
    strategy.record_time(0.1, is_parent=False)
    run = make_run(files=30)
    assert isinstance(strategy.choose(run, 1, no_end), ChildRequests)
    assert isinstance(strategy.choose(run, 4, no_end), ParentRequest)


def test_a_slow_parent_response_is_not_worth_it() -> None:
    """A response that repeats many sub-folders may take longer than it saves."""
    strategy = WalkStrategy(1)
    strategy.record_time(0.1, is_parent=False)
    strategy.record_time(5.0, is_parent=True)
    assert isinstance(choose(make_run(), strategy), ChildRequests)


def test_a_try_keeps_within_the_request_limit() -> None:
    """A walk that just fits goes on to fit; one that does not has nothing to lose."""
    strategy = WalkStrategy(4, RATE_LIMITED)
    assert isinstance(strategy.choose(make_run(), 1, lambda: 0), ChildRequests)
    assert isinstance(strategy.choose(make_run(), 1, lambda: 1), ParentRequest)
    assert isinstance(strategy.choose(make_run(), 1, lambda: -10), ParentRequest)


def test_each_way_to_count_is_tried_once() -> None:
    memory = StrategyMemory()
    strategy, run = WalkStrategy(4, RATE_LIMITED, memory), make_run()
    run.parent.file_count = 3
    offsets = []
    while isinstance(choice := choose(run, strategy), ParentRequest):
        offsets.append(choice.offset)
        strategy.record_misfit(choice)
    assert offsets == [12, 9, 45]
    assert choice == ChildRequests(50)
    assert strategy.has_given_up
    assert memory == StrategyMemory(None, is_known=True)


def test_equal_offsets_are_tried_once() -> None:
    """Without files of its own, the offset of a folder counts the same in two ways."""
    strategy, run = WalkStrategy(4, RATE_LIMITED), make_run()
    for offset in (9, 45):
        request = request_for(run, strategy)
        assert request.offset == offset
        strategy.record_misfit(request)
    assert choose(run, strategy) == ChildRequests(1, finds_anchor=True)


def test_no_other_way_is_tried_after_a_fit() -> None:
    """A misfit after a fit is a change of the tree: no other way to count is tried."""
    strategy, run = WalkStrategy(4, RATE_LIMITED), make_run()
    run.parent.file_count = 3
    request = request_for(run, strategy)
    strategy.record_fit(request, 10)
    strategy.record_misfit(request_for(run, strategy))
    assert choose(run, strategy) == ChildRequests(1, finds_anchor=True)
    run.tried.clear()
    assert request_for(run, strategy).counted is request.counted


def test_a_response_that_completes_nothing_costs_a_request() -> None:
    """It is not made again, and after three of them the walk gives up."""
    strategy, run = WalkStrategy(4, RATE_LIMITED), make_run()
    for _ in range(MAX_COST):
        run.tried.clear()
        request = request_for(run, strategy)
        strategy.record_fit(request, 0)
        assert request.offset in run.tried
    assert strategy.has_given_up


def test_the_account_keeps_what_has_fitted() -> None:
    """The next walk tries first what has fitted; where nothing has, it tries once."""
    memory = StrategyMemory()
    first = WalkStrategy(4, RATE_LIMITED, memory)
    run = make_run()
    request = replace(request_for(run, first), counted=ParentOffset.FILES)
    first.record_fit(request, 3)
    assert memory.strategy == "parent_files"
    second = WalkStrategy(4, RATE_LIMITED, memory)
    assert request_for(make_run(), second).counted is ParentOffset.FILES
    memory.offset = None
    assert memory.strategy == "children"
    third, run = WalkStrategy(4, RATE_LIMITED, memory), make_run()
    third.record_misfit(request_for(run, third))
    assert isinstance(choose(run, third), ChildRequests)
    assert third.has_given_up


def test_batches_grow_with_each_response() -> None:
    """What follows may be smaller, so the parent is considered again and again."""
    run = make_run(left=100, files=50)
    assert [choose(run), choose(run)] == [ChildRequests(16), ChildRequests(32)]


def test_a_late_fit_is_left_to_the_next_walk() -> None:
    """To confirm it takes a request more than may be wasted; the next walk begins with it."""
    memory = StrategyMemory()
    strategy, run = WalkStrategy(4, RATE_LIMITED, memory), make_run()
    run.parent.file_count = 3
    can_afford = []
    for _ in range(MAX_COST):
        request = request_for(run, strategy)
        can_afford.append(strategy.can_afford_comparison)
        strategy.postpone_comparison(request)
        strategy.record_misfit(request)
    assert can_afford == [True, True, False]
    assert strategy.has_given_up
    following, run = WalkStrategy(4, RATE_LIMITED, memory), make_run()
    run.parent.file_count = 3
    request = request_for(run, following)
    assert request.counted is ParentOffset.FILES
    assert following.can_afford_comparison
    assert memory.postponed is None
