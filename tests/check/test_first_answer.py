"""What the first answer lets foresee of a full poll."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest

from exporter.accounts import Surroundings, roster
from exporter.check.first_answer import FirstAnswer, first_answer
from exporter.plan import Plan
from exporter.polling.folder_counts import FolderCounts
from exporter.polling.walk import Limits, walk
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.file_listing import Folder, Listing, Loaded, list_files
from exporter.scaleengine.stamps import Stamps
from exporter.simulator import Account, Behaviour, FileType, Readings, Simulator, Unreached
from exporter.simulator import Folder as Stored

WHOLE, SKIPPED, PARTLY = Loaded.WHOLE, Loaded.SKIPPED, Loaded.PARTLY


def files(number: int) -> tuple[str, ...]:
    return tuple(f"{each}.mp4" for each in range(number))


CASES = {
    "nothing": (Listing(Folder(loaded=WHOLE), full=False), FirstAnswer(0, 0, 1)),
    "nothing, and nothing said of it": (Listing(Folder(), full=False), FirstAnswer(0, 0, 1)),
    "all of it": (
        Listing(
            Folder(files(2), {"a": Folder(files(3), {"b": Folder(loaded=WHOLE)}, WHOLE)}, WHOLE),
            full=False,
        ),
        FirstAnswer(5, 2, 1),
    ),
    "a full answer that says it is all": (
        Listing(Folder(files(100), loaded=WHOLE), full=True),
        FirstAnswer(100, 0, 1),
    ),
    "a full answer that says nothing": (
        Listing(Folder(files(100)), full=True),
        FirstAnswer(100, 0, 2),
    ),
    "the next offset alone": (
        Listing(Folder(files(50), next_offset=50), full=False),
        FirstAnswer(50, 0, 2),
    ),
    "a part of many": (
        Listing(Folder(files(100), loaded=PARTLY, next_offset=100, entries=1001), full=True),
        FirstAnswer(100, 0, 11),
    ),
    "a part, and the number is that of this answer": (
        Listing(Folder(files(100), loaded=PARTLY, next_offset=100, entries=100), full=True),
        FirstAnswer(100, 0, 2),
    ),
    "skipped folders": (
        Listing(
            Folder(files(1), {name: Folder(loaded=SKIPPED) for name in "abc"}, WHOLE), full=False
        ),
        FirstAnswer(1, 3, 4),
    ),
    "a part of a folder below": (
        Listing(
            Folder((), {"a": Folder(files(100), {}, PARTLY, 100, 250)}, WHOLE),
            full=True,
        ),
        FirstAnswer(100, 1, 3),
    ),
}


@pytest.mark.parametrize(("listing", "foreseen"), CASES.values(), ids=CASES.keys())
def test_requests_of_a_poll(listing: Listing, foreseen: FirstAnswer) -> None:
    """Each folder that was not shown whole takes further requests, by what is said of it."""
    assert first_answer(listing) == foreseen


def test_a_tree_deeper_than_the_stack() -> None:
    """A tree may be deeper than Python's stack."""
    folder = Folder(files(1), loaded=WHOLE)
    for _ in range(5000):
        folder = Folder(folders={"a": folder}, loaded=WHOLE)

    assert first_answer(Listing(folder, full=False)) == FirstAnswer(1, 5000, 1)


Walk = Callable[[Stored, Readings], list[Listing]]


@pytest.fixture
def walked(account: Account, plan: Callable[..., Plan], main: Callable[..., object]) -> Walk:
    """Return a function that walks a tree, and returns the answers that this took."""

    def walk_over(tree: Stored, readings: Readings) -> list[Listing]:
        storage = Stored(folders={"sestore4": Stored(folders={"jb": tree})})
        with Simulator(
            [replace(account, storage=storage)], Behaviour(readings=readings)
        ) as running:
            stamps = Stamps(threading.Event().wait)
            around = Surroundings(Clock(), stamps, lambda _: None, lambda *_: None)
            polled = roster(plan(running.url, main()), around).accounts["main"]
            known = polled.credentials()
            answers: list[Listing] = []

            def ask(path: str, offset: int) -> Future[Listing]:
                answers.append(list_files(polled.client, known, path, "video", offset))
                answer: Future[Listing] = Future()
                answer.set_result(answers[-1])
                return answer

            walk("sestore4/jb", ask, Limits(at_once=1, in_all=5000), FolderCounts(None))
            polled.client.close()
        return answers

    return walk_over


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 200, 201, 450])
def test_a_folder_without_others(walked: Walk, number: int) -> None:
    """How many requests a folder without sub-folders takes is foreseen exactly."""
    answers = walked(Stored(files=dict.fromkeys(files(number), FileType.VIDEO)), Readings())

    assert first_answer(answers[0]).requests == len(answers)


@pytest.mark.parametrize("unreached", Unreached)
@pytest.mark.parametrize("each", [1, 30, 60, 150])
def test_many_folders(walked: Walk, each: int, unreached: Unreached) -> None:
    """Where there are many folders, one request is foreseen only if one is enough."""
    names = dict.fromkeys(files(each), FileType.VIDEO)
    tree = Stored(folders={str(number): Stored(files=names) for number in range(12)})
    answers = walked(tree, Readings(unreached=unreached))

    assert (first_answer(answers[0]).requests == 1) is (len(answers) == 1)
