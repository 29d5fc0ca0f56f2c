"""What the first response lets foresee of a full poll."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from exporter.accounts import Dependencies, build_accounts
from exporter.check.poll_estimate import PollEstimate, estimate_poll
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.follow_ups import accept_response, decide_next_step
from exporter.polling.walk import WalkLimits, walk
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.file_listing import (
    FolderListing,
    Listing,
    LoadState,
    list_files,
)
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.simulator import Behaviour, FileType, SimulatedAccount, Simulator
from exporter.simulator import Folder as Stored
from tests.support.api_variants import ApiVariant, Unreached
from tests.support.fixtures import DescribeAccount, MakeSettings
from tests.support.random_trees import random_wide_tree

WHOLE, SKIPPED, PARTLY = LoadState.COMPLETE, LoadState.SKIPPED, LoadState.PARTIAL


def files(number: int) -> tuple[str, ...]:
    return tuple(f"{index}.mp4" for index in range(number))


CASES = {
    "nothing": (Listing(FolderListing(loaded=WHOLE)), PollEstimate(0, 0, 1)),
    "nothing, and nothing said of it": (Listing(FolderListing()), PollEstimate(0, 0, 1)),
    "all of it": (
        Listing(
            FolderListing(
                files(2),
                {"a": FolderListing(files(3), {"b": FolderListing(loaded=WHOLE)}, WHOLE)},
                WHOLE,
            )
        ),
        PollEstimate(5, 2, 3),
    ),
    "a full response that is flagged as complete": (
        Listing(FolderListing(files(100), loaded=WHOLE)),
        PollEstimate(100, 0, 3),
    ),
    "a full response without a flag": (
        Listing(FolderListing(files(100))),
        PollEstimate(100, 0, 3),
    ),
    "the next offset alone": (
        Listing(FolderListing(files(50), next_offset=50)),
        PollEstimate(50, 0, 4),
    ),
    "a part of many": (
        Listing(FolderListing(files(100), loaded=PARTLY, next_offset=100, entries=1001)),
        PollEstimate(100, 0, 13),
    ),
    "a part, and the number is that of this response": (
        Listing(FolderListing(files(100), loaded=PARTLY, next_offset=100, entries=100)),
        PollEstimate(100, 0, 4),
    ),
    "skipped folders": (
        Listing(
            FolderListing(files(1), {name: FolderListing(loaded=SKIPPED) for name in "abc"}, WHOLE)
        ),
        PollEstimate(1, 3, 4),
    ),
    "a part of a folder below": (
        Listing(FolderListing((), {"a": FolderListing(files(100), {}, PARTLY, 100, 250)}, WHOLE)),
        PollEstimate(100, 1, 5),
    ),
}


@pytest.mark.parametrize(("listing", "foreseen"), CASES.values(), ids=CASES.keys())
def test_folders_that_were_cut_take_further_requests(
    listing: Listing, foreseen: PollEstimate
) -> None:
    """Each folder that was not shown whole takes further requests, by what is said of it."""
    folder, traits = FolderProgress("sestore4/jb"), WalkTraits()
    traits.observe(listing, 0)
    assert accept_response(folder, listing, traits)
    decide_next_step(folder, listing, listing.entries, traits)

    assert estimate_poll(listing, is_end=folder.is_complete) == foreseen


def test_a_tree_deeper_than_the_stack_is_estimated() -> None:
    """A tree may be deeper than Python's stack."""
    folder = FolderListing(files(1), loaded=WHOLE)
    for _ in range(5000):
        folder = FolderListing(folders={"a": folder}, loaded=WHOLE)

    assert estimate_poll(Listing(folder), is_end=True) == PollEstimate(1, 5000, 1)


Walk = Callable[[Stored, ApiVariant], list[Listing]]


@pytest.fixture
def walked(account: SimulatedAccount, settings: MakeSettings, main: DescribeAccount) -> Walk:
    """Return a function that walks a tree, and returns the responses that this took."""

    def walk_over(tree: Stored, variant: ApiVariant) -> list[Listing]:
        storage = Stored(folders={"sestore4": Stored(folders={"jb": tree})})
        with Simulator([replace(account, storage=storage)], Behaviour(variant=variant)) as running:
            timestamps = TimestampAllocator(threading.Event().wait)
            dependencies = Dependencies(Clock(), timestamps, lambda _: None, lambda *_: None)
            polled = build_accounts(settings(running.url, main()), dependencies).accounts["main"]
            known = Credentials(account.api_key, account.api_secret)
            responses: list[Listing] = []

            async def ask(path: str, offset: int) -> Listing:
                responses.append(list_files(polled.client, known, path, "video", offset))
                return responses[-1]

            # Requests are so far apart that only their number counts.
            limits = WalkLimits(max_concurrency=1, max_requests=5000, gap=3600.0)
            asyncio.run(walk("sestore4/jb", ask, limits, FolderCounts(None)))
            polled.client.close()
        return responses

    return walk_over


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 200, 201, 450])
def test_a_folder_without_sub_folders_is_estimated_to_one_request(
    walked: Walk, number: int
) -> None:
    """How many requests a folder without sub-folders takes is foreseen, to one more or less."""
    responses = walked(Stored(files=dict.fromkeys(files(number), FileType.VIDEO)), ApiVariant())

    foreseen = estimate_poll(responses[0], is_end=number == 0).requests
    assert abs(foreseen - len(responses)) <= 1


@pytest.mark.parametrize("unreached", Unreached)
@pytest.mark.parametrize("files_per_folder", [1, 30, 60, 150])
def test_many_folders_take_more_than_one_request(
    walked: Walk, files_per_folder: int, unreached: Unreached
) -> None:
    """Where there are many folders, more than one request is foreseen."""
    names = dict.fromkeys(files(files_per_folder), FileType.VIDEO)
    tree = Stored(folders={str(number): Stored(files=names) for number in range(12)})
    responses = walked(tree, ApiVariant(unreached=unreached))

    assert estimate_poll(responses[0], is_end=False).requests > 1
    assert len(responses) > 1


@pytest.mark.parametrize(("number", "files_per_folder"), [(60, 5), (30, 30), (12, 45), (12, 80)])
def test_the_estimate_follows_the_walk(walked: Walk, number: int, files_per_folder: int) -> None:
    """The estimate follows the walk, which requests a folder again instead of its sub-folders."""
    names = dict.fromkeys(files(files_per_folder), FileType.VIDEO)
    tree = Stored(folders={f"{name:03}": Stored(files=names) for name in range(number)})
    responses = walked(tree, ApiVariant())
    foreseen = estimate_poll(responses[0], is_end=True).requests
    assert abs(foreseen - len(responses)) <= 1 + len(responses) // 3


@pytest.mark.parametrize("seed", range(4))
def test_one_request_is_enough_exactly_where_the_estimate_is_one(walked: Walk, seed: int) -> None:
    """One request is enough exactly where that is foreseen."""
    tree = random_wide_tree(Random(seed), 100)
    responses = walked(tree, ApiVariant())
    folder, traits = FolderProgress("sestore4/jb"), WalkTraits()
    traits.observe(responses[0], 0)
    accept_response(folder, responses[0], traits)
    decide_next_step(folder, responses[0], responses[0].entries, traits)
    foreseen = estimate_poll(responses[0], is_end=folder.is_complete).requests
    assert (foreseen == 1) is (len(responses) == 1)
