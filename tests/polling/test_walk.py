"""How a walk reads single answers: what it follows, what it merges, what it refuses."""

import tracemalloc
from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.snapshots import FileCounts
from exporter.polling.walk import Limits, walk
from exporter.scaleengine.errors import ApiError, IncompleteError, NetworkError
from exporter.scaleengine.file_listing import Folder, Form, Listing, Loaded

WHOLE, SKIPPED, PARTLY = Loaded.WHOLE, Loaded.SKIPPED, Loaded.PARTLY

Answers = Mapping[tuple[str, int], Folder | Exception]


def files(*numbers: int) -> list[str]:
    return [f"{number}.mp4" for number in numbers]


def partly(names: list[str], offset: int | None, entries: int | None, **below: Folder) -> Folder:
    return Folder(names, below, PARTLY, offset, entries)


class Api:
    """Gives scripted answers, and remembers what it was asked."""

    def __init__(self, answers: Answers, *, full: bool) -> None:
        self.answers = answers
        self.full = full
        self.asked: list[tuple[str, int]] = []

    def ask(self, path: str, offset: int) -> "Future[Listing]":
        self.asked.append((path, offset))
        answer = self.answers[path, offset]
        future: Future[Listing] = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(Listing(answer, full=self.full))
        return future


def walked(answers: Answers, *, full: bool = True, in_all: int = 50) -> tuple[FileCounts, Api]:
    api, counts = Api(answers, full=full), FolderCounts(depth=2)
    walk("s", api.ask, Limits(at_once=1, in_all=in_all), counts)
    return counts.result(max_folders=100), api


def test_one_answer_is_enough() -> None:
    """A tree that one answer shows whole takes one call."""
    tree = Folder(files(1), {"a": Folder(files(1, 2), {}, WHOLE)}, WHOLE)
    counts, api = walked({("s", 0): tree})
    assert (counts.files, counts.folders, api.asked) == (3, 1, [("s", 0)])


def test_overlapping_answers() -> None:
    """Files and folders that two answers show are counted once."""
    first = partly(files(1, 2, 3), 3, 6, a=Folder(files(1), {}, WHOLE))
    second = Folder(files(2, 3, 4, 5), {"a": Folder(files(1), {}, WHOLE)}, WHOLE)
    counts, _ = walked({("s", 0): first, ("s", 3): second})
    assert (counts.files, counts.folders) == (6, 1)


def test_a_later_page_shows_what_was_skipped() -> None:
    """A sub-folder that a page of its parent still shows is not asked for by itself."""
    first = partly(files(1), 1, 3, a=Folder(loaded=SKIPPED), b=partly(files(1), 1, 2))
    second = Folder(
        [], {"a": Folder(files(1, 2), {}, WHOLE), "b": Folder(files(2), {}, WHOLE)}, WHOLE
    )
    counts, api = walked({("s", 0): first, ("s", 1): second})
    assert counts.files == 5
    assert api.asked == [("s", 0), ("s", 1)]


def test_a_whole_folder_is_learned_once() -> None:
    """What a page shows of a folder that is whole already is not counted again."""
    below = Folder(files(1), {"deep": Folder(loaded=SKIPPED)}, WHOLE)
    again = Folder([], {"deep": Folder(files(7), {}, WHOLE), "new": Folder()}, WHOLE)
    counts, api = walked(
        {("s", 0): partly([], 1, 2, a=below), ("s", 1): Folder(files(1), {"a": again}, WHOLE)}
    )
    assert (counts.files, counts.folders) == (3, 2)
    assert len(api.asked) == 2


def test_an_older_offset_does_not_set_back() -> None:
    """Where two pages show a folder partly, the walk goes on from the farther offset."""
    first = partly([], 1, 2, a=partly(files(1, 2), 2, 4))
    second = Folder(files(1), {"a": partly(files(1), 1, 4)}, WHOLE)
    answers = {("s", 0): first, ("s", 1): second, ("s/a", 2): Folder(files(3, 4), {}, WHOLE)}
    counts, api = walked(answers)
    assert counts.files == 5
    assert ("s/a", 1) not in api.asked


def test_a_full_answer_without_flags() -> None:
    """Where a full answer does not say what is whole, each folder is asked for by itself."""
    answers = {
        ("s", 0): Folder(files(1), {"a": Folder(files(1)), "empty": Folder()}),
        ("s", 3): Folder(loaded=WHOLE),
        ("s/a", 0): Folder(files(1, 2), {}, WHOLE),
        ("s/empty", 0): Folder(loaded=WHOLE),
    }
    counts, api = walked(answers)
    assert (counts.files, counts.folders) == (3, 2)
    assert set(api.asked) == set(answers)


def test_an_answer_without_flags_that_is_not_full() -> None:
    """Where an answer had room left, what it shows without a flag is whole."""
    counts, api = walked({("s", 0): Folder(files(1), {"a": Folder(files(2))})}, full=False)
    assert (counts.files, len(api.asked)) == (2, 1)


def test_an_offset_without_the_flag() -> None:
    """An offset says that there is more, also where the flag is missing."""
    first = Folder(files(1, 2), next_offset=2)
    counts, _ = walked({("s", 0): first, ("s", 2): Folder(files(3), {}, WHOLE)}, full=False)
    assert counts.files == 3


REFUSED = [
    ({("s", 0): Folder(loaded=SKIPPED)}, "'s' could not be seen whole: it comes back skipped"),
    ({("s", 0): partly(files(1), 0, 2)}, "its offset does not move on from 0"),
    ({("s", 0): partly(files(1), 5, 9), ("s", 5): partly([], 5, 9)}, "does not move on from 5"),
    ({("s", 0): partly(files(1), 5, 9), ("s", 5): partly([], 4, 9)}, "does not move on from 5"),
    ({("s", 0): partly(files(1), None, 2)}, "it goes on, but nothing says where"),
    ({("s", 0): Folder([], {"a": partly(files(1), None, 2)}, WHOLE)}, "'s/a' could not be seen"),
    ({("s", 0): Folder()}, "does not move on from 0"),
    (
        {("s", 0): partly(files(1), 1, 9), ("s", 1): partly(files(2), 2, 8)},
        "it shrank from 9 to 8 entries",
    ),
    (
        {("s", 0): partly(files(1), 1, 3), ("s", 1): Folder(files(2), {}, WHOLE)},
        "3 entries were announced, 2 listed",
    ),
    (
        {
            ("s", 0): Folder([], {"a": Folder(loaded=SKIPPED)}, WHOLE),
            ("s/a", 0): ApiError("files.list", "no such path", "look"),
        },
        "'s/a' could not be seen whole: it cannot be asked for by itself (no such path)",
    ),
]


@pytest.mark.parametrize(("answers", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_answers_that_lead_no_further(answers: Answers, words: str) -> None:
    """A walk that cannot get on fails as a whole, and says at which folder and why."""
    with pytest.raises(IncompleteError) as caught:
        walked(answers)
    assert words in caught.value.cause


@pytest.mark.parametrize(
    "error", [ApiError("files.list", "no", "look"), NetworkError("files.list", "no", "look")]
)
def test_the_first_answer_is_a_failure(error: Exception) -> None:
    """What the very first call fails with is what the walk fails with."""
    with pytest.raises(type(error)):
        walked({("s", 0): error})


def test_an_announcement_that_counts_the_answer_only() -> None:
    """A number of entries that is no more than the answer lists announces nothing."""
    first, second = partly(files(1, 2), 2, 2), partly(files(3), 3, 1)
    counts, _ = walked({("s", 0): first, ("s", 2): second, ("s", 3): Folder(files(4), {}, WHOLE)})
    assert counts.files == 4


def test_a_folder_that_grows() -> None:
    """An announcement may grow; what was announced first has to be there."""
    first, second = partly(files(1, 2), 2, 4), partly(files(2, 3), 4, 5)
    answers = {("s", 0): first, ("s", 2): second, ("s", 4): Folder(files(4), {}, WHOLE)}
    assert walked(answers)[0].files == 4


def test_no_more_calls_than_allowed() -> None:
    """The limit of calls is one that may be reached."""
    answers = {
        ("s", 0): Folder([], {"a": Folder(loaded=SKIPPED)}, WHOLE),
        ("s/a", 0): Folder(files(1), {}, WHOLE),
    }
    assert walked(answers, in_all=2)[0].files == 1
    with pytest.raises(IncompleteError, match=r"raise api\.max_requests_per_poll"):
        walked(answers, in_all=1)


def test_answers_of_two_forms() -> None:
    """An answer whose folders have another form than those before could be misread: no count."""
    answers = [
        Listing(Folder([], {"a": Folder(loaded=SKIPPED)}, WHOLE), full=True, form=Form.PARTS),
        Listing(Folder(files(1), {}, WHOLE), full=True, form=Form.MAPPING),
    ]

    def ask(_: str, __: int) -> "Future[Listing]":
        future: Future[Listing] = Future()
        future.set_result(answers.pop(0))
        return future

    with pytest.raises(IncompleteError, match="another form"):
        walk("s", ask, Limits(at_once=1, in_all=9), FolderCounts(None))


def test_memory_of_a_crowded_answer() -> None:
    """An answer of twenty thousand skipped folders takes some ten megabytes, not a hundred."""
    crowd = {f"{number}": Folder(loaded=SKIPPED) for number in range(20_000)}
    tracemalloc.start()
    try:
        with pytest.raises(IncompleteError, match="more than 50 requests"):
            walked({("s", 0): Folder([], crowd, WHOLE)})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
