"""How a walk reads responses: what it follows, what it confirms, what it refuses."""

import asyncio
import functools
import tracemalloc

import pytest

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.walk import WalkLimits, walk
from exporter.scaleengine.errors import ApiError, IncompleteError, LimitReachedError, NetworkError
from exporter.scaleengine.file_listing import (
    FolderEncoding,
    FolderListing,
    Listing,
    LoadState,
)
from tests.polling.scripted_walk import Script, ScriptedApi, walk_script
from tests.support.sentences import MORE_AFTER_END

COMPLETE, SKIPPED, PARTIAL = LoadState.COMPLETE, LoadState.SKIPPED, LoadState.PARTIAL


def files(*numbers: int) -> list[str]:
    return [f"{number}.mp4" for number in numbers]


def complete(*numbers: int, **below: FolderListing) -> FolderListing:
    return FolderListing(files(*numbers), below, COMPLETE)


def partial(*numbers: int, offset: int | None, **below: FolderListing) -> FolderListing:
    return FolderListing(files(*numbers), below, PARTIAL, offset)


ELSEWHERE = FolderListing(loaded=COMPLETE)
walked = functools.partial(walk_script, elsewhere=ELSEWHERE)


@pytest.mark.parametrize("flag", [COMPLETE, None])
def test_an_empty_folder_takes_one_request(flag: LoadState | None) -> None:
    """A folder in which nothing is shown takes one request."""
    counts, api = walked({("s", 0): FolderListing(loaded=flag)})
    assert (counts.files, counts.folders, api.requested) == (0, 0, [("s", 0)])


@pytest.mark.parametrize("flag", [COMPLETE, None])
def test_the_end_is_confirmed(flag: LoadState | None) -> None:
    """Where nothing proves the end, two requests do: for the last file, and from behind it."""
    shown = [FolderListing(files(*numbers), {}, flag) for numbers in [(1, 2, 3), (3,)]]
    counts, api = walked({("s", 0): shown[0], ("s", 2): shown[1]})
    assert counts.files == 3
    assert api.requested == [("s", 0), ("s", 2), ("s", 5)]


def test_skipped_folders_prove_the_end() -> None:
    """Where a full response lists what it does not reach, a list of sub-folders is complete."""
    below = {name: FolderListing(loaded=SKIPPED) for name in "ab"}
    responses = {
        ("s", 0): complete(1, 2, **below),
        ("s/a", 0): complete(1),
        ("s/b", 0): complete(1),
    }
    counts, api = walked(responses)
    assert (counts.files, counts.folders) == (4, 2)
    assert api.requested == [("s", 0), ("s/a", 0), ("s/b", 0)]


def test_follow_ups_overlap() -> None:
    """A follow-up begins one entry earlier, and what comes again is counted once."""
    responses = {("s", 0): partial(1, 2, 3, offset=3), ("s", 2): complete(3, 4, 5)}
    counts, api = walked({**responses, ("s", 4): complete(5)})
    assert counts.files == 5
    assert api.requested[:3] == [("s", 0), ("s", 2), ("s", 4)]


def test_a_follow_up_repeats_the_last_sub_folder() -> None:
    """Behind the own files it is the last sub-folder that has to come again."""
    a = complete(1, 2)
    responses = {
        ("s", 0): partial(1, offset=2, a=a),
        ("s", 1): complete(a=a, b=complete(1)),
        ("s/a", 1): complete(2),
        ("s/a", 0): a,
    }
    counts, _ = walked({**responses, ("s", 2): complete(b=complete(1))})
    assert (counts.files, counts.folders) == (4, 2)


CHANGED = {
    "a file": {
        ("s", 0): partial(1, 2, 3, offset=3),
        ("s", 2): complete(4, 5),
        ("s", 3): complete(),
    },
    "a file that was moved to the front": {
        ("s", 0): partial(1, 2, 3, offset=3),
        ("s", 2): complete(9, 4),
    },
    "a sub-folder": {
        ("s", 0): partial(1, offset=2, a=complete(1, 2)),
        ("s", 1): complete(b=complete(1)),
    },
}


@pytest.mark.parametrize("responses", CHANGED.values(), ids=CHANGED.keys())
def test_a_changed_listing_fails_the_walk(responses: Script) -> None:
    """Where the last entry does not come again, something was moved, and there is no count."""
    with pytest.raises(IncompleteError, match="has changed while it was read"):
        walked(responses)


def test_an_offset_may_count_files_of_other_types() -> None:
    """Where the offset counts files of other types too, the last file is behind its own number."""
    responses = {
        ("s", 0): partial(1, 2, offset=100),
        ("s", 99): FolderListing(loaded=COMPLETE),
        ("s", 1): partial(2, 3, 4, offset=101),
        ("s", 100): FolderListing(loaded=COMPLETE),
        ("s", 3): complete(4),
    }
    assert walked(responses)[0].files == 4


def test_a_parent_offset_that_stays_is_stepped_over() -> None:
    """Where a parent's offset stays at the sub-folder that was cut, the walk steps over that."""
    cut = partial(1, 2, offset=2)
    responses = {
        ("s", 0): partial(offset=0, a=cut),
        ("s", 1): complete(b=complete(7)),
        ("s/a", 1): complete(2, 3),
        ("s/a", 2): complete(3),
        ("s/b", 0): complete(7),
    }
    counts, _ = walked(responses)
    assert (counts.files, counts.folders) == (4, 2)


def test_children_behind_an_offset_are_requested_again() -> None:
    """An offset may skip as much in every folder, so a child behind it is requested on its own."""
    responses = {
        ("s", 0): partial(1, 2, 3, offset=3),
        ("s", 2): complete(3, a=FolderListing(loaded=COMPLETE)),
        ("s/a", 0): complete(1, 2),
        ("s/a", 1): complete(2),
    }
    counts, api = walked(responses)
    assert counts.files == 5
    assert ("s/a", 0) in api.requested


@pytest.mark.parametrize("first", [1, 3])
def test_a_sub_folder_that_begins_later_proves_the_offset(first: int) -> None:
    """A sub-folder that begins later at an offset, and as it was shown, proves that it is whole."""
    shown = complete(*range(first, 5))
    responses = {
        ("s", 0): partial(1, 2, 3, offset=3),
        ("s", 2): complete(3, a=shown, b=complete(*range(first, 4))),
        ("s/a", 0): complete(1, 2, 3, 4),
        ("s/a", 1): complete(2, 3, 4),
        ("s/a", 2): complete(3, 4),
        ("s/a", 3): complete(4),
        ("s/b", 0): complete(1, 2, 3),
        ("s/b", 1): complete(2, 3),
        ("s/b", 2): complete(3),
    }
    counts, api = walked(responses)
    assert counts.files == 10
    assert (("s/b", 0) in api.requested) is (first != 1)


def test_a_folder_is_requested_behind_what_was_shown() -> None:
    """A sub-folder of which a part was shown goes on at its last file, for any offset."""
    responses = {
        ("s", 0): complete(
            1,
            a=partial(1, 2, 3, offset=77),
            b=FolderListing(loaded=SKIPPED),
            c=FolderListing(loaded=SKIPPED),
        ),
        ("s/a", 2): complete(3, 4),
    }
    counts, api = walked(responses)
    assert counts.files == 5
    assert api.requested == [("s", 0), ("s/a", 2), ("s/b", 0), ("s/c", 0)]


def test_a_member_with_two_underscores_may_be_a_folder() -> None:
    """A member that begins with two underscores is a folder if it can be listed on its own."""
    gone = ApiError("files.list", "no such path", "look")
    shown = complete(1, __real=FolderListing(), __errors=FolderListing())
    responses: Script = {
        ("s", 0): shown,
        ("s", 1): complete(**dict(shown.folders)),
        ("s", 2): complete(),
        ("s/__real", 0): FolderListing(),
        ("s/__errors", 0): gone,
    }
    counts, _ = walked(responses)
    assert (counts.files, counts.folders) == (1, 1)


def test_sub_folders_are_requested_in_the_order_of_the_response() -> None:
    """Sub-folders are requested in the order in which they were listed."""
    names = ["c", "a", "b"]
    responses: dict[tuple[str, int], FolderListing | Exception] = {
        ("s", 0): complete(1, **{name: FolderListing(loaded=SKIPPED) for name in names})
    }
    responses |= {(f"s/{name}", 0): complete() for name in names}
    _, api = walked(responses)
    assert api.requested == [("s", 0), *((f"s/{name}", 0) for name in names)]


REFUSED = [
    (
        {("s", 0): FolderListing(loaded=SKIPPED)},
        "'s' could not be seen whole: it comes back skipped",
    ),
    ({("s", 0): partial(1, offset=0)}, "its offset does not move on from 0"),
    (
        {("s", 0): partial(1, 2, offset=5), ("s", 4): partial(2, offset=4)},
        "its offset does not move on from 4",
    ),
    ({("s", 0): FolderListing((), {}, PARTIAL)}, "it goes on, but nothing says where"),
    (
        {("s", 0): complete(1, 2), ("s", 1): complete(2), ("s", 3): complete(7)},
        MORE_AFTER_END,
    ),
    (
        {("s", 0): partial(1, 2, offset=2), ("s", 1): complete(2, 1)},
        "a file comes again behind the last one",
    ),
    (
        {
            ("s", 0): complete(a=FolderListing(loaded=SKIPPED), b=FolderListing(loaded=SKIPPED)),
            ("s/a", 0): ApiError("files.list", "no such path", "look"),
        },
        "'s/a' could not be seen whole: it cannot be requested separately (no such path)",
    ),
]


@pytest.mark.parametrize(("responses", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_responses_without_progress_fail_the_walk(responses: Script, words: str) -> None:
    """A walk that cannot get on fails as a whole, and says at which folder and why."""
    with pytest.raises(IncompleteError) as caught:
        walked(responses)
    assert words in caught.value.cause


@pytest.mark.parametrize(
    "error", [ApiError("files.list", "no", "look"), NetworkError("files.list", "no", "look")]
)
def test_a_failure_of_the_first_request_fails_the_walk(error: Exception) -> None:
    """What the very first request fails with is what the walk fails with."""
    with pytest.raises(type(error)):
        walked({("s", 0): error})


def test_the_request_limit_may_be_reached() -> None:
    """The limit of requests is one that may be reached."""
    responses = {
        ("s", 0): complete(a=FolderListing(loaded=SKIPPED), b=FolderListing(loaded=SKIPPED)),
        ("s/a", 0): complete(),
        ("s/b", 0): complete(),
    }
    assert walked(responses, max_requests=3)[0].folders == 2
    with pytest.raises(IncompleteError, match=r"raise api\.max_requests_per_poll"):
        walked(responses, max_requests=2)


def test_responses_of_two_encodings_fail_the_walk() -> None:
    """A response that is written in another way than those before could be misread: no count."""
    responses = [
        Listing(complete(a=FolderListing(loaded=SKIPPED)), FolderEncoding.LIST_OF_OBJECTS),
        Listing(complete(1), FolderEncoding.OBJECT),
    ]

    async def request(_: str, __: int) -> Listing:
        return responses.pop(0)

    with pytest.raises(IncompleteError, match="another form"):
        asyncio.run(
            walk("s", request, WalkLimits(max_concurrency=1, max_requests=9), FolderCounts(None))
        )


@pytest.mark.parametrize("limit", [3, 4])
def test_too_many_folders_fail_the_walk(limit: int) -> None:
    """A walk that finds one folder too many has no count, and says which setting allows more."""
    below = {name: FolderListing(loaded=COMPLETE) for name in "abc"}
    api = ScriptedApi({("s", 0): complete(folder=FolderListing([], below, COMPLETE))}, ELSEWHERE)
    limits = WalkLimits(max_concurrency=1, max_requests=50, snapshot=SnapshotLimits(folders=limit))
    if limit == 4:
        asyncio.run(walk("s", api.request, limits, FolderCounts(None)))
        return
    with pytest.raises(LimitReachedError) as caught:
        asyncio.run(walk("s", api.request, limits, FolderCounts(None)))
    assert str(caught.value) == (
        "'s' has more than 3 folders: raise limits.folders_per_path, or configure smaller paths"
    )


@pytest.mark.parametrize(("levels", "depth"), [(0, 2), (15, None), (15, 20)])
def test_a_response_with_many_skipped_folders_takes_little_memory(
    levels: int, depth: int | None
) -> None:
    """Five thousand skipped folders take three megabytes, however long their paths are."""
    listing = FolderListing(
        [], {f"{number}": FolderListing(loaded=SKIPPED) for number in range(5_000)}, COMPLETE
    )
    for _ in range(levels):
        listing = FolderListing([], {"x" * 255: listing}, COMPLETE)
    tracemalloc.start()
    try:
        with pytest.raises(IncompleteError, match="more than 50 requests"):
            walked({("s", 0): listing}, depth=depth)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
