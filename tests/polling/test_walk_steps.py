"""Each kind of step that a walk makes: what leads to it, and what it requests."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.follow_ups import accept_response, decide_next_step
from exporter.polling.steps import Start, Step, StepKind, has_skipped, repeats_expected
from exporter.polling.walk import WalkLimits, walk
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.errors import ApiError, IncompleteError, NetworkError
from exporter.scaleengine.file_listing import (
    FolderListing,
    Listing,
    LoadState,
)
from tests.polling.scripted_walk import Script, walk_script
from tests.support.sentences import MORE_AFTER_END

WHOLE, SKIPPED, PARTLY = LoadState.COMPLETE, LoadState.SKIPPED, LoadState.PARTIAL
EMPTY = FolderListing()
NO_PATH = ApiError("files.list", "no such path", "look")


def files(*numbers: int) -> list[str]:
    return [f"{number}.mp4" for number in numbers]


def many(first: int, behind: int) -> list[str]:
    return files(*range(first, behind))


def whole(names: Sequence[str] = (), **below: FolderListing) -> FolderListing:
    return FolderListing(names, below, WHOLE)


def partly(names: Sequence[str], offset: int | None, **below: FolderListing) -> FolderListing:
    return FolderListing(names, below, PARTLY, offset)


def skipped() -> FolderListing:
    return FolderListing(loaded=SKIPPED)


walked = partial(walk_script, elsewhere=EMPTY)


WALKS: dict[str, tuple[Script, tuple[int, int], list[tuple[str, int]]]] = {
    "an empty folder takes one request": ({("s", 0): EMPTY}, (0, 0), [("s", 0)]),
    "a single file is found in its place again": (
        {("s", 0): whole(files(1))},
        (1, 0),
        [("s", 0), ("s", 1), ("s", 0), ("s", 2)],
    ),
    "a place that counts something else: on from the own files": (
        {
            ("s", 0): partly(files(1, 2, 3), 90),
            ("s", 89): whole(files(7)),
            ("s", 2): whole(files(3, 4)),
        },
        (4, 0),
        [("s", 0), ("s", 89), ("s", 2), ("s", 5)],
    ),
    "an offset without the flag says that there is more": (
        {
            ("s", 0): FolderListing(files(1, 2), next_offset=2),
            ("s", 1): whole(files(2, 3)),
            ("s", 2): whole(files(3)),
        },
        (3, 0),
        [("s", 0), ("s", 1), ("s", 2), ("s", 4)],
    ),
    "offsets that count files at any depth: a leap to the last file": (
        {
            ("s", 0): FolderListing(folders={"a": FolderListing(many(0, 100))}),
            ("s", 99): FolderListing(folders={"a": FolderListing(many(99, 150))}),
            ("s/a", 0): FolderListing(many(0, 100)),
            ("s/a", 99): FolderListing(many(99, 150)),
            ("s/a", 149): FolderListing(many(149, 150)),
        },
        (150, 1),
        [("s", 0), ("s", 99), ("s", 100), ("s", 99), ("s", 200), ("s/a", 149), ("s/a", 249)],
    ),
    "no offset has an effect on the sub-folders": (
        {
            ("s", offset): FolderListing(folders={"a": FolderListing(files(1))})
            for offset in (0, 1, 1001)
        }
        | {("s/a", 0): FolderListing(files(1))},
        (1, 1),
        [("s", 0), ("s", 1), ("s", 1001), ("s/a", 0), ("s/a", 1), ("s/a", 0), ("s/a", 2)],
    ),
    "an offset that counts files of all types: the end is farther": (
        {
            ("s", offset): FolderListing(
                files(*[place for place in (0, 1, 7, 8, 9) if place >= offset][:3])
            )
            for offset in range(10)
        },
        (5, 0),
        [("s", 0), ("s", 2), ("s", 4), ("s", 6), ("s", 8), ("s", 9), ("s", 12)],
    ),
    "a name of the API's with a flag is a folder": (
        {("s", 0): FolderListing(files(1, 2), {"__x": whole()}, WHOLE), ("s", 1): whole(files(2))},
        (2, 1),
        [("s", 0), ("s", 1), ("s", 3), ("s/__x", 0)],
    ),
    "some files before the offset come again": (
        {
            ("s", 0): partly(files(1, 2, 3, 4), 4),
            ("s", 3): partly(files(3, 4, 5, 6), 6),
            ("s", 5): whole(files(5, 6, 7)),
        },
        (7, 0),
        [("s", 0), ("s", 3), ("s", 5), ("s", 9)],
    ),
}


@pytest.mark.parametrize(("script", "found", "requested"), WALKS.values(), ids=WALKS.keys())
def test_each_rule_makes_these_requests(
    script: Script, found: tuple[int, int], requested: list[tuple[str, int]]
) -> None:
    """Each rule leads to the right count, by these requests."""
    counts, api = walked(script)
    assert (counts.files, counts.folders) == found, api.requested
    assert api.requested == requested


def walk_over(*responses: Listing) -> None:
    """Walk with these responses, one after the other, for any request."""
    left = iter(responses)

    async def request(_: str, __: int) -> Listing:
        return next(left)

    asyncio.run(
        walk("s", request, WalkLimits(max_concurrency=1, max_requests=9), FolderCounts(None))
    )


def test_a_file_that_has_moved_fails_the_walk() -> None:
    """Where the end is empty, the first entry must still be in its place: here one was removed."""
    first, end, again = (Listing(whole(names)) for names in (files(1), (), files(2)))
    with pytest.raises(IncompleteError, match="its listing has changed while it was read"):
        walk_over(first, end, again)


def test_a_folder_that_is_shown_only_behind_the_end_fails_the_walk() -> None:
    """A folder that is listed behind the end only shows that a server hides what it passes over."""
    script = {("s", 0): whole(files(1, 2)), ("s", 1): whole(files(2)), ("s", 3): whole(a=whole())}
    with pytest.raises(IncompleteError, match=MORE_AFTER_END):
        walked(script)


KNOWN = whole(a=whole(files(1)))


def behind_the_end() -> FolderProgress:
    """Return a folder that waits for a response from behind its end."""
    folder = FolderProgress("s")
    folder.add_child("a").is_requested_separately = True
    folder.step = Step(9, StepKind.GAP)
    return folder


@pytest.mark.parametrize("shown", [FolderListing(), whole(), whole(__errors=EMPTY)])
def test_an_empty_response_behind_the_end_proves_it(shown: FolderListing) -> None:
    """It proves the end, also with a member of the API that looks like a folder."""
    folder = behind_the_end()
    folder.add_child("__errors")
    accept_response(folder, Listing(shown), WalkTraits(max_files=3))
    assert folder.is_complete


def test_a_repeating_response_behind_the_end_proves_nothing() -> None:
    """It proves no end: what follows may be hidden, so the requests go on, a response farther."""
    folder, traits = behind_the_end(), WalkTraits(max_files=3)
    accept_response(folder, Listing(KNOWN), traits)
    assert (folder.step.kind, folder.step.offset) == (StepKind.SAME, 1009)
    accept_response(folder, Listing(whole()), traits)
    for offset in (12, 15):
        assert folder.step == Step(offset, StepKind.GAP)
        accept_response(folder, Listing(KNOWN), traits)
    with pytest.raises(IncompleteError, match=MORE_AFTER_END):
        accept_response(folder, Listing(whole(b=whole())), traits)


@pytest.mark.parametrize("first", [KNOWN, whole(a=whole(files(1, 2)))])
def test_the_same_response_far_behind_the_end_hides_nothing(first: FolderListing) -> None:
    """What is shown far behind the end is shown everywhere, and hides nothing."""
    folder, traits = behind_the_end(), WalkTraits(max_files=3)
    for shown in (first, KNOWN):
        accept_response(folder, Listing(shown), traits)
    if not folder.is_complete:
        assert folder.step == Step(12, StepKind.GAP)
        accept_response(folder, Listing(KNOWN), traits)
    assert folder.is_complete


@pytest.mark.parametrize(
    ("root", "has_room"),
    [
        (whole(files(1, 2)), True),
        (whole(files(1, 2, 3)), False),
        (whole(files(1), a=skipped()), False),
        (whole(files(1), a=whole(b=skipped())), False),
    ],
)
def test_a_response_with_a_skipped_folder_has_no_room(
    root: FolderListing, *, has_room: bool
) -> None:
    """A response that skips a folder was cut there, however few entries it shows."""
    assert WalkTraits(max_files=3).has_room(Listing(root)) is has_room


@pytest.mark.parametrize(
    ("start", "shown", "skipped_something"),
    [
        (("1.mp4", "a"), whole(files(1), a=EMPTY), False),
        (("1.mp4", "a"), whole(files(2), a=EMPTY), True),
        (("1.mp4", None), whole(files(1), a=EMPTY), False),
        ((None, "a"), whole(files(1), a=EMPTY), False),
        ((None, "a"), whole(files(1), b=EMPTY), True),
        ((None, None), whole(files(1), a=EMPTY), False),
    ],
)
def test_skipped_entries_are_noticed_in_a_first_response(
    start: Start, shown: FolderListing, *, skipped_something: bool
) -> None:
    """A first response may be cut before the sub-folders, or before the files."""
    assert has_skipped(start, shown) is skipped_something


KNOWN_CHILD = whole(files(1, 2), x=whole(files(3)), y=EMPTY)


@pytest.mark.parametrize(
    ("shown", "is_shown_again"),
    [
        (KNOWN_CHILD, True),
        (whole(files(2, 4)), True),
        (whole(x=whole(files(3)), z=whole(files(5))), True),
        (EMPTY, True),
        (whole(x=EMPTY, z=skipped()), True),
        (whole(files(4)), False),
        (whole(x=whole(files(4))), False),
        (whole(z=whole(files(5))), False),
        (whole(x=EMPTY, z=EMPTY), False),
    ],
)
def test_a_repeated_sub_folder_needs_the_same_files(
    shown: FolderListing, *, is_shown_again: bool
) -> None:
    """Its name is not enough: other files in it may have moved to the place of those known."""
    step = Step(1, child="a", child_shown=KNOWN_CHILD)
    assert repeats_expected(whole(a=shown), step) is is_shown_again


def test_files_that_move_under_a_leap_are_noticed() -> None:
    """A removed folder lets others slide under the offset, and the last one shows no known file."""
    script: Script = {
        ("s", 0): partly((), None, a=whole(many(0, 98)), b=partly((), None, x=whole(files(1, 2)))),
        ("s", 99): whole(),
        ("s", 1): whole(b=whole(z=whole(files(7)))),
        ("s/b/z", 0): whole(files(7)),
        ("s/b/x", 1): whole(files(2)),
    }
    with pytest.raises(IncompleteError, match="has changed while it was read"):
        walked(script)


FOLDER_BY_FOLDER: Script = {
    ("s", 0): FolderListing(files(1, 2, 3), {"a": whole(files(7)), "b": whole(files(8))}),
    ("s", 2): FolderListing(files(1, 2, 3), {"c": whole(files(9))}),
}


def test_an_offset_that_skips_only_sub_folders_fails_the_walk() -> None:
    """A follow-up at the last file would pass over as many sub-folders."""
    with pytest.raises(IncompleteError, match="skips its sub-folders, but not its files"):
        walked(FOLDER_BY_FOLDER)


@pytest.mark.parametrize("is_same", [True, False])
def test_an_offset_that_skips_nothing_in_a_folder_is_compared(*, is_same: bool) -> None:
    """The folder is requested from its start, where all its sub-folders are shown."""
    cut = partly(files(1, 2), None)
    shown = whole(files(1, 2), a=whole(files(3)))
    script: Script = {
        ("s", 0): whole(files(4, 5), x=cut, y=skipped(), z=skipped()),
        ("s/x", 1): shown,
        ("s/x", 0): shown if is_same else whole(files(1, 2), b=whole(), a=whole(files(3))),
        ("s/y", 0): whole(),
        ("s/z", 0): whole(),
    }
    counts, _ = walked(script)
    assert (counts.files, counts.folders) == (5, 4 if is_same else 5)


def test_the_next_request_leaps_to_a_file_of_a_sub_folder() -> None:
    """A folder's own file behind its sub-folders may be shown at any offset."""
    traits, folder = WalkTraits(), FolderProgress("s")
    listing = Listing(FolderListing(files(1), {"a": whole(many(10, 110))}, PARTLY, files_last=True))
    traits.observe(listing, 0)
    assert accept_response(folder, listing, traits)
    folder.add_files(listing.root.files)
    decide_next_step(folder, listing, listing.entries, traits)
    step = folder.step
    assert (step.kind, step.offset, step.child, step.file) == (StepKind.LEAP, 99, "a", "109.mp4")


def test_a_folder_without_a_flag_at_the_cut_is_requested_again() -> None:
    """A server may have scanned files of other types, so that fewer files than usual are shown."""
    script: Script = {
        ("s", 0): FolderListing(many(1, 11)),
        ("s", 9): FolderListing(files(10), {"a": FolderListing(many(20, 25))}),
        ("s", 10): FolderListing((), {"a": FolderListing(many(20, 25))}),
        ("s/a", 0): FolderListing(many(20, 25)),
        ("s/a", 4): FolderListing(files(24, 25, 26)),
        ("s/a", 6): FolderListing(files(26)),
    }
    assert walked(script)[0].files == 17


def test_a_member_of_the_api_is_no_place_in_a_listing() -> None:
    """It is in every response, so it does not show that the files before it have not moved."""
    script: Script = {
        ("s", 0): partly(files(1, 2, 3), 3, __errors=EMPTY),
        ("s", 2): whole(__errors=EMPTY, a=whole(files(7))),
        ("s/__errors", 0): NO_PATH,
        ("s/a", 0): whole(files(7)),
    }
    with pytest.raises(IncompleteError, match="has changed while it was read"):
        walked(script)


def test_a_complete_folder_with_more_files_later_fails_the_walk() -> None:
    """It was not complete, or has changed: there is no count."""
    folder = FolderProgress("s")
    child = folder.add_child("a")
    child.add_files(files(1))
    folder.check_complete(Listing(FolderListing(folders={"a": FolderListing(files(1, 2))})))
    child.finish()
    folder.check_complete(Listing(FolderListing(files(1, 2), {"a": FolderListing(files(1))})))
    with pytest.raises(IncompleteError, match=r"'s/a' .* shows 2 files where 1 were all"):
        folder.check_complete(Listing(FolderListing(folders={"a": FolderListing(files(1, 2))})))


def test_a_complete_folder_with_more_folders_later_fails_the_walk() -> None:
    """The same holds for its sub-folders, whether they are still held or not."""
    two = Listing(FolderListing(folders={"a": EMPTY, "b": EMPTY}))
    folder = FolderProgress("s")
    folder.add_child("a")
    folder.finish()
    for _ in range(2):
        folder.check_complete(Listing(FolderListing(folders={"a": EMPTY})))
        with pytest.raises(IncompleteError, match="shows 2 sub-folders where 1 were all"):
            folder.check_complete(two)
        folder.take_children()


def test_more_behind_the_end_of_a_folder_fails_the_walk() -> None:
    """A folder that responses for the one above could not use ends like any other."""
    folder = FolderProgress("s")
    folder.is_requested_separately = True
    folder.step = Step(3, StepKind.GAP)
    with pytest.raises(IncompleteError, match=MORE_AFTER_END):
        accept_response(folder, Listing(whole(a=whole())), WalkTraits())


@pytest.mark.parametrize(
    ("root", "is_counted"),
    [
        (FolderListing(files(1), {"a": partly((), 89), "b": whole()}), False),
        (FolderListing(files(1), {"a": partly((), 2), "b": whole()}), True),
        (whole(files(1), a=partly((), 89), b=whole()), True),
    ],
)
def test_an_offset_of_unlisted_files_needs_the_flags_of_folders(
    root: FolderListing, *, is_counted: bool
) -> None:
    """An offset beyond all that is shown: then a folder without any flag may go on unseen."""
    follow_up = FolderListing((), root.folders, root.loaded)
    script: Script = {
        ("s", 0): root,
        ("s", 1): root,
        ("s", 2): follow_up,
        ("s/a", 0): whole(files(7, 8)),
        ("s/a", 1): whole(files(8)),
        ("s/b", 0): whole(),
    }
    if is_counted:
        assert walked(script)[0].files == 3
    else:
        with pytest.raises(IncompleteError, match="counts files that it does not list"):
            walked(script)


def test_a_failing_member_of_the_api_fails_the_walk() -> None:
    """A failure that does not say that there is no such folder fails the walk."""
    network = NetworkError("files.list", "no", "look")
    script: Script = {
        ("s", 0): whole(files(1, 2), __x=EMPTY),
        ("s", 1): whole(files(2), __x=EMPTY),
        ("s/__x", 0): network,
    }
    with pytest.raises(NetworkError):
        walked(script)


def test_leaps_are_tried_three_times() -> None:
    """After three misfits no walk leaps again: an offset counts the entries of one folder."""
    traits = WalkTraits()
    tried = []
    for _ in range(5):
        folder = FolderProgress("s")
        listing = Listing(FolderListing(folders={"a": FolderListing(many(0, 100))}))
        traits.observe(listing, 0)
        assert accept_response(folder, listing, traits)
        decide_next_step(folder, listing, listing.entries, traits)
        tried.append(folder.step.kind)
        if folder.step.kind is StepKind.LEAP:
            assert (folder.step.offset, folder.step.file) == (99, "99.mp4")
            assert not accept_response(folder, Listing(EMPTY), traits)
            assert folder.step.offset == 1
    assert tried == [StepKind.LEAP] * 3 + [StepKind.NEXT] * 2


def test_an_empty_folder_at_the_end_of_a_full_response_is_requested() -> None:
    """A folder without flag is empty only if the response has not ended in it."""
    script: Script = {
        ("s", 0): whole(many(0, 10)),
        ("s", 9): whole(many(9, 10), a=whole(many(20, 29), b=EMPTY)),
        ("s/a", 0): whole(many(20, 29), b=whole(files(7))),
        ("s/a", 8): whole(files(28), b=whole(files(7))),
        ("s/a/b", 0): whole(files(7)),
    }
    assert walked(script)[0].files == 20
