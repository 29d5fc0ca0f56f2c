"""Trees that change after the first response: the rows P1 to P4 of the table of shapes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.polling.scripted_api import (
    COMPLETE,
    PATH,
    SKIPPED,
    Allowed,
    Case,
    Json,
    Members,
    Moment,
    Respond,
    Sub,
    Truth,
    fixed,
    listing,
    names,
    own,
    pages,
    partial,
    show,
    unfinished,
    whole,
)


# P1 to P4: trees that change after the first response.
def _in_response(entries: Sequence[str | Sub]) -> Respond:
    """Respond with siblings behind the offset; ``__file_count`` counts what the response shows."""

    def respond(offset: int) -> Json:
        shown = show(entries, offset)
        members: Members = {}
        for sub in shown.cut:
            members[sub.name] = partial(sub.files, len(sub.files), len(sub.files))
        members |= {sub.name: whole(sub.files) for sub in shown.whole}
        entries_shown = len(shown.files) + len(shown.whole) + len(shown.cut)
        end = unfinished(shown.reached, entries_shown)
        cut = shown.reached < len(entries)
        return [{**own(shown.files), **members, **(end if cut else COMPLETE)}]

    return respond


def _changing(
    before: tuple[Truth, Mapping[str, Callable[[int], object]]],
    after: tuple[Truth, Mapping[str, Callable[[int], object]]],
) -> tuple[Moment, ...]:
    return Moment(0, *before), Moment(1, *after)


_A101, _B500 = Sub("a", names(101, "a")), Sub("b", names(500, "b"))
_P1_BELOW = {f"{PATH}/a": _in_response(_A101.files), f"{PATH}/b": _in_response(_B500.files)}
P1: Final = Case(
    "P1",
    "a removed file lets a folder of 500 slide under the offset",
    _changing(
        (Truth(602, 2), {PATH: _in_response(["r0", _A101, _B500]), **_P1_BELOW}),
        (Truth(601, 2), {PATH: _in_response([_A101, _B500]), **_P1_BELOW}),
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(102, 1),
)


def _skipping(*entries: Sub) -> Callable[[int], object]:
    """Respond for a folder of folders, of which those that are not reached are skipped."""
    listed = listing(entries)

    def respond(offset: int) -> Json:
        return [{**listed(offset), **COMPLETE}]

    return respond


def _a_and_b(a: int, b: int) -> tuple[Truth, Mapping[str, Callable[[int], object]]]:
    below = Sub("a", names(a, "a")), Sub("b", names(b, "b"))
    pages_below = {f"{PATH}/{sub.name}": pages(sub.files) for sub in below}
    return Truth(a + b, 2), {PATH: _skipping(*below), **pages_below}


P2: Final = Case(
    "P2",
    "a file moves from a folder that was seen to one that was not",
    _changing(_a_and_b(100, 1), _a_and_b(99, 2)),
    Allowed.OFF_BY_MOVES,
    published=Truth(102, 2),
    moved=1,
)
P3: Final = Case(
    "P3",
    "a file moves from a folder that was not seen to one that was",
    _changing(_a_and_b(100, 1), _a_and_b(101, 0)),
    Allowed.OFF_BY_MOVES,
    published=Truth(100, 2),
    moved=1,
)

_P4 = {"a": Sub("a", names(60, "m")), "b": Sub("b", names(40, "b")), "c": Sub("c", names(9, "c"))}
_Z = Sub("z", _P4["a"].files)
P4A: Final = Case(
    "P4a",
    "a folder is renamed behind the offset, and the one after the cut slides under it",
    _changing(
        (
            Truth(109, 3),
            {
                PATH: _in_response([_P4["a"], _P4["b"], _P4["c"]]),
                **{f"{PATH}/{name}": pages(sub.files) for name, sub in _P4.items()},
            },
        ),
        (
            Truth(109, 3),
            {
                PATH: _in_response([_P4["b"], _P4["c"], _Z]),
                f"{PATH}/b": pages(_P4["b"].files),
                f"{PATH}/c": pages(_P4["c"].files),
                f"{PATH}/z": pages(_Z.files),
            },
        ),
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(160, 3),
)


def _p4b(offset: int) -> Json:
    """Respond for a folder whose only entry is the folder z."""
    return [{**({"z": whole(names(100, "a"))} if offset == 0 else {}), **COMPLETE}]


P4B: Final = Case(
    "P4b",
    "a folder that was seen is renamed into one that was not, and counts twice",
    _changing(
        (
            Truth(100, 2),
            {
                PATH: _skipping(Sub("a", names(100, "a")), Sub("b", [])),
                f"{PATH}/a": pages(names(100, "a")),
                f"{PATH}/b": fixed([COMPLETE]),
            },
        ),
        (
            Truth(100, 2),
            {
                PATH: lambda offset: [{**({"b": SKIPPED} if offset == 0 else {}), **COMPLETE}],
                f"{PATH}/b": _p4b,
                f"{PATH}/b/z": pages(names(100, "a")),
            },
        ),
    ),
    Allowed.OFF_BY_MOVES,
    published=Truth(200, 3),
    moved=100,
)

CHANGES: Final = (P1, P2, P3, P4A, P4B)
