"""Small trees under unusual readings of the API's pages, with the exact responses and the truth.

Each case answers any path and offset as its reading of the pages would, so that a walk may ask
where it wants. ``jb`` stands for ``sestore4/jb``, which is the requested path of every case.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Members: TypeAlias = dict[str, Json]
Respond: TypeAlias = "Callable[[int], Json]"
"""Gives the value of a requested folder from an offset on."""

PATH: Final = "sestore4/jb"
NOTHING: Final = object()
"""A response whose ``data`` is PHP's empty array."""


class Allowed(Enum):
    """What a walk may make of a case."""

    EXACT = auto()
    """Only the truth, of any moment."""
    ABSENT_OR_EXACT = auto()
    """The truth of any moment, or an error."""
    OFF_BY_MOVES = auto()
    """An error, or a number that is off by what moved at most."""
    UNDECIDABLE = auto()
    """Other than the truth too: the API's responses do not tell, and the documentation says so."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The files and folders below the requested path."""

    files: int
    folders: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The tree from a request on, counted from 0: its truth, and its folders by path."""

    first_request: int
    truth: Truth
    folders: Mapping[str, Callable[[int], object]]


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table.

    ``published`` is the number of files or folders that version 0.1 published, None for an error.
    ``moved`` is how many files moved between folders. ``max_requests`` is a generous limit for the
    requests of a walk.
    """

    name: str
    reading: str
    moments: tuple[Moment, ...]
    allowed: Allowed = Allowed.EXACT
    published: Truth | None = None
    moved: int = 0
    max_requests: int = 20

    @property
    def truths(self) -> tuple[Truth, ...]:
        """Return the truth of each moment, oldest first."""
        return tuple(moment.truth for moment in self.moments)

    def respond(self, path: str, offset: int, request: int = 0) -> Members:
        """Return the envelope for a path from an offset on, as the Nth request of the walk."""
        moment = next(one for one in reversed(self.moments) if one.first_request <= request)
        if path not in moment.folders:
            return {
                "message": "Path not found",
                "status": "failure",
                "handle_time": "0.0102 seconds",
            }
        value = moment.folders[path](offset)
        found: Json = [] if value is NOTHING else {path: value}  # type: ignore[dict-item]
        return {
            "data": found,
            "message": "Found Files List Data",
            "status": "success",
            "handle_time": "0.3795 seconds",
        }

    def body(self, path: str, offset: int, request: int = 0) -> bytes:
        """Return the same as the body of an HTTP response."""
        return json.dumps(self.respond(path, offset, request)).encode()


def names(count: int, prefix: str = "f", first: int = 0) -> list[str]:
    """Return file names in order: ``f000.mp4`` and so on."""
    return [f"{prefix}{number:03}.mp4" for number in range(first, first + count)]


@dataclass(frozen=True, slots=True)
class Sub:
    """A sub-folder, which holds files only."""

    name: str
    files: Sequence[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one response shows of the entries of a folder; ``reached`` counts from the first."""

    files: list[str]
    whole: list[Sub]
    cut: list[Sub]
    unreached: list[str]
    reached: int
    full: bool


def show(entries: Sequence[str | Sub], offset: int, room: int = 100) -> Shown:
    """Cut the entries of a folder from an offset on; ``cut`` holds the files that fit."""
    shown = Shown([], [], [], [], min(offset, len(entries)), full=False)
    reached = shown.reached
    for entry in entries[offset:]:
        if isinstance(entry, str):
            if room:
                shown.files.append(entry)
                room -= 1
                reached += 1
        elif not room:
            shown.unreached.append(entry.name)
        else:
            fits = len(entry.files) <= room
            part = entry if fits else Sub(entry.name, entry.files[:room])
            (shown.whole if fits else shown.cut).append(part)
            room -= len(part.files)
            reached += 1
    return Shown(shown.files, shown.whole, shown.cut, shown.unreached, reached, full=not room)


def folder(**members: Json) -> Json:
    """Return a folder in the form of the published sample: a list of one object."""
    return [{f"__{key}": value for key, value in members.items()}]


COMPLETE: Final[Members] = {"__is_loaded": 1}
SKIPPED: Final[Json] = [{"__is_loaded": 0}]


def whole(files: Sequence[str]) -> Json:
    """Return a folder that is complete."""
    return [{"__files": files, **COMPLETE} if files else COMPLETE]


def partial(files: Sequence[str], offset: int, file_count: int) -> Json:
    """Return a folder that is partially loaded."""
    return [{"__files": files, **unfinished(offset, file_count)}]


def unfinished(offset: int, file_count: int) -> Members:
    """Return the members of a folder that is partially loaded."""
    return {"__is_loaded": -1, "__offset": offset, "__file_count": file_count}


def own(files: Sequence[str]) -> Members:
    """Return the member for a folder's own files; it is omitted where there are none."""
    return {"__files": files} if files else {}


def pages(files: Sequence[str], room: int = 100, *, flagged: bool = True) -> Respond:
    """Answer for a folder of files only, whose offset counts them."""

    def respond(offset: int) -> Json:
        shown = files[offset : offset + room]
        if not flagged:
            return [own(shown)] if shown else []
        if offset + room < len(files):
            return partial(shown, offset + room, len(files))
        return whole(shown)

    return respond


def _still(truth: Truth, folders: Mapping[str, Callable[[int], object]]) -> tuple[Moment, ...]:
    return (Moment(0, truth, folders),)


def _fixed(value: object) -> Callable[[int], object]:
    """Answer the same at any offset: for a response that is not followed up."""
    return lambda _: value


def _unflagged(entries: Sequence[str | Sub]) -> Respond:
    """Answer for a requested folder without flag and offset, whose offset counts its entries."""

    def respond(offset: int) -> Json:
        shown = show(entries, offset)
        members: Members = {sub.name: whole(sub.files) for sub in shown.whole}
        for sub in shown.cut:
            total = next(one for one in entries if isinstance(one, Sub) and one.name == sub.name)
            members[sub.name] = partial(sub.files, len(sub.files), len(total.files))
        members |= own(shown.files)
        members |= dict.fromkeys(shown.unreached, SKIPPED)
        return [members] if members else []

    return respond


# W1a, W1b: a guess at the offset that passes over a file.
_A50 = Sub("a", names(50, "a"))
W1A: Final = Case(
    "W1a",
    "requested folder without flag and offset, full, offset counts own entries, listed by name",
    _still(
        Truth(111, 2),
        {
            PATH: _unflagged([_A50, *names(60), Sub("z", ["z000.mp4"])]),
            f"{PATH}/a": pages(_A50.files, flagged=False),
            f"{PATH}/z": pages(["z000.mp4"], flagged=False),
        },
    ),
    published=Truth(110, 2),
)


def _w1b(offset: int) -> Json:
    """Answer where the offset counts own files and folders are listed first.

    A folder is repeated where there is room: it has no place of its own among the files.
    """
    room = 100
    members: Members = {}
    if offset == 0:
        members["a"] = whole(_A50.files)
        room -= 50
    members |= own(names(60)[offset : offset + room])
    return [members] if members else []


W1B: Final = Case(
    "W1b",
    "requested folder without flag and offset, full, offset counts own files, folders first",
    _still(Truth(110, 1), {PATH: _w1b, f"{PATH}/a": pages(_A50.files, flagged=False)}),
    published=Truth(109, 1),
)

# W2a to W2c: a page that does not look full.
W2A: Final = Case(
    "W2a",
    "requested folder without flag and offset, at most 50 files in a response",
    _still(Truth(60, 0), {PATH: pages(names(60), 50, flagged=False)}),
    published=Truth(50, 0),
)

_FORTY = [f"d{number:02}" for number in range(40)]


def _w2b(offset: int) -> Json:
    """Answer where a hundred entries are listed, folders first, and the offset counts entries."""
    entries = [*_FORTY, *names(70)][offset : offset + 100]
    members: Members = {entry: [] for entry in entries if not entry.endswith(".mp4")}
    members |= own([entry for entry in entries if entry.endswith(".mp4")])
    return [members] if members else []


W2B: Final = Case(
    "W2b",
    "requested folder without flag and offset, the hundred counts folders too",
    _still(Truth(70, 40), {PATH: _w2b, **{f"{PATH}/{name}": _fixed([]) for name in _FORTY}}),
    published=Truth(60, 40),
)


def _w2c(offset: int) -> Json:
    """Answer from a scan of a hundred files of which two in five are videos."""
    scanned = range(200)[offset : offset + 100]
    shown = [f"f{number:03}.mp4" for number in scanned if number % 5 < 2]
    return [own(shown)] if shown else []


W2C: Final = Case(
    "W2c",
    "requested folder without flag and offset, a hundred are scanned, the type filters afterwards",
    _still(Truth(80, 0), {PATH: _w2c}),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(40, 0),
)

# W3, W4: object and list forms that look alike.
W3: Final = Case(
    "W3",
    "requested folder an object, sub-folders lists of one object",
    _still(
        Truth(1, 1),
        {
            PATH: lambda offset: (
                {"a": whole(["x"]), **COMPLETE}
                if offset == 0
                else ({"a": whole([]), **COMPLETE} if offset == 1 else dict(COMPLETE))
            ),
            f"{PATH}/a": lambda offset: {**own(["x"][offset:]), **COMPLETE},
        },
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(1, 2),
)
W4: Final = Case(
    "W4",
    "object form without flags, nothing but a folder named 0",
    _still(
        Truth(1, 1),
        {
            PATH: lambda offset: [{"__files": ["x"]}] if offset == 0 else [],
            f"{PATH}/0": lambda offset: {"__files": ["x"]} if offset == 0 else [],
        },
    ),
    Allowed.UNDECIDABLE,
    published=Truth(1, 0),
)


def _w5(offset: int) -> Json:
    """Answer where every offset counts files from the requested path on, at any depth."""
    own_files, below = names(60)[offset:], names(50, "a")[max(0, offset - 60) :]
    room = 100 - len(own_files)
    fits = len(below) <= room
    a = whole(below) if fits else partial(below[:room], offset + 100, room)
    return [{**own(own_files), "a": a, **COMPLETE}]


W5: Final = Case(
    "W5",
    "a sub-folder's __offset counts from the requested path",
    _still(Truth(110, 1), {PATH: _w5, f"{PATH}/a": pages(names(50, "a"))}),
    published=Truth(100, 1),
)

# W6 to W8: members and names that look alike.
W6: Final = Case(
    "W6",
    "an API member that is an empty list",
    _still(
        Truth(1, 0),
        {
            PATH: lambda offset: {
                **({"__files": ["x"]} if offset == 0 else {}),
                **COMPLETE,
                "__errors": [],
            }
        },
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(1, 1),
)
W7: Final = Case(
    "W7",
    "one name twice in one response: two names that PHP prints alike",
    _still(Truth(2, 0), {PATH: pages(["\ufffd.mp4", "\ufffd.mp4"])}),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(1, 0),
)
W8: Final = Case(
    "W8",
    "an empty folder named __files",
    _still(Truth(0, 1), {PATH: _fixed({**COMPLETE, "__files": []}), f"{PATH}/__files": _fixed([])}),
    Allowed.UNDECIDABLE,
    published=Truth(0, 0),
)


def _w9(offset: int) -> Json:
    shown = show([Sub("a", names(120, "a")), Sub("b", names(30, "b"))], offset)
    members: Members = {sub.name: partial(sub.files, 100, 120) for sub in shown.cut}
    members |= {sub.name: whole(sub.files) for sub in shown.whole}
    return [{**members, **COMPLETE}]


W9: Final = Case(
    "W9",
    "siblings not listed although the parent is flagged 1: all files in it have been returned",
    _still(
        Truth(150, 2),
        {PATH: _w9, f"{PATH}/a": pages(names(120, "a")), f"{PATH}/b": pages(names(30, "b"))},
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(120, 1),
)


def _w10(offset: int) -> Json:
    shown = names(230)[offset : offset + 100]
    if len(shown) == 100:
        end = {**COMPLETE} if offset == 130 else unfinished(offset + 100, 231)
        return [{"__files": shown, "a": SKIPPED, **end}]
    return [{**own(shown), "a": whole(names(50, "a")[offset:]), **COMPLETE}]


W10: Final = Case(
    "W10",
    "the offset is skipped in every folder of the response",
    _still(Truth(280, 1), {PATH: _w10, f"{PATH}/a": pages(names(50, "a"))}),
    published=Truth(230, 1),
)


# P1 to P4: trees that change after the first response.
def _in_response(entries: Sequence[str | Sub]) -> Respond:
    """Answer with siblings behind the offset; ``__file_count`` counts what the response shows."""

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


def _skipping(a: Sequence[str]) -> Callable[[int], object]:
    """Answer with a folder a that is complete and a folder b that is skipped."""

    def respond(offset: int) -> Json:
        if offset == 0:
            return [{"a": whole(a), "b": SKIPPED, **COMPLETE}]
        return [{**({"b": SKIPPED} if offset == 1 else {}), **COMPLETE}]

    return respond


def _a_and_b(a: int, b: int) -> tuple[Truth, Mapping[str, Callable[[int], object]]]:
    return (
        Truth(a + b, 2),
        {
            PATH: _skipping(names(a, "a")),
            f"{PATH}/a": pages(names(a, "a")),
            f"{PATH}/b": pages(names(b, "b")),
        },
    )


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
    _changing(_a_and_b(99, 2), _a_and_b(100, 1)),
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
    """Answer for a folder whose only entry is the folder z."""
    return [{**({"z": whole(names(100, "a"))} if offset == 0 else {}), **COMPLETE}]


P4B: Final = Case(
    "P4b",
    "a folder that was seen is renamed into one that was not, and counts twice",
    _changing(
        (
            Truth(100, 2),
            {
                PATH: _skipping(names(100, "a")),
                f"{PATH}/a": pages(names(100, "a")),
                f"{PATH}/b": _fixed([COMPLETE]),
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


# A1 to A6: what 0.1 refused.
def _a1(offset: int) -> Json:
    shown = names(101)[offset : offset + 100]
    return partial(shown, offset + 100, 104) if offset == 0 else whole(shown)


A1: Final = Case(
    "A1",
    "__file_count counts files of all types: 101 videos and 3 others",
    _still(Truth(101, 0), {PATH: _a1}),
)
A2: Final = Case(
    "A2",
    'nothing of the type: "data" is []',
    _still(Truth(0, 0), {PATH: _fixed(NOTHING)}),
)


def _a3(offset: int) -> object:
    return [{"__files": names(100)[offset:]}] if offset < 100 else NOTHING


A3: Final = Case(
    "A3",
    'nothing of the type behind exactly 100 files: "data" is []',
    _still(Truth(100, 0), {PATH: _a3}),
)


def _a4(offset: int) -> Json:
    entries = [Sub("a", names(150, "a")), Sub("b", names(20, "b"))]
    shown = show(entries, offset)
    members: Members = {sub.name: partial(sub.files, 100, 150) for sub in shown.cut}
    members |= {sub.name: whole(sub.files) for sub in shown.whole}
    return [{**members, **(unfinished(offset, 2) if shown.cut else COMPLETE)}]


A4: Final = Case(
    "A4",
    "the parent's offset stays at the sub-folder that was cut",
    _still(
        Truth(170, 2),
        {PATH: _a4, f"{PATH}/a": pages(names(150, "a")), f"{PATH}/b": pages(names(20, "b"))},
    ),
)


def _a5(offset: int) -> Json:
    shown = [f"a{number:04}.mp4" for number in range(3000)[offset : offset + 100]]
    if not shown:
        return []
    is_end = offset + 100 >= 3000
    return [{"a": whole(shown) if is_end else partial(shown, offset + 100, 3000)}]


def _a5_below(offset: int) -> Json:
    shown = [f"a{number:04}.mp4" for number in range(3000)[offset : offset + 100]]
    return [own(shown)] if shown else []


A5: Final = Case(
    "A5",
    "requested folder without flag and offset, offsets count files at any depth",
    _still(Truth(3000, 1), {PATH: _a5, f"{PATH}/a": _a5_below}),
    published=Truth(3000, 1),
    max_requests=40,
)


def _with_members(**members: Json) -> tuple[Moment, ...]:
    """Answer with two files and these members in the requested folder, in list form."""

    def respond(offset: int) -> Json:
        return [{**own(names(2)[offset:]), **members}]

    return _still(Truth(2, 0), {PATH: respond})


def _a6b(offset: int) -> Json:
    shown = names(110)[offset : offset + 100]
    if offset + 100 < 110:
        bare: Json = {"__is_loaded": 0}
        return [{"__files": shown, "a": bare, **unfinished(offset + 100, 111)}]
    if len(shown) == 100:
        return [{"__files": shown, "a": {"__is_loaded": 0}, **COMPLETE}]
    below: Members = {"a": whole(["x"])} if offset <= 110 else {}
    return [{**own(shown), **below, **COMPLETE}]


A6: Final = (
    Case(
        "A6a",
        "list form, an empty folder is {}",
        _still(
            Truth(1, 1),
            {
                PATH: lambda offset: [
                    {
                        **own(["x"][offset:]),
                        **({"empty": {}} if offset < 2 else {}),
                        **COMPLETE,
                    }
                ],
                f"{PATH}/empty": _fixed({}),
            },
        ),
    ),
    Case(
        "A6b",
        "list form, a skipped folder is a bare object",
        _still(Truth(111, 1), {PATH: _a6b, f"{PATH}/a": pages(["x"])}),
    ),
    Case(
        "A6c",
        "__offset null on a complete folder",
        _with_members(__is_loaded=1, __offset=None),
    ),
    Case(
        "A6d",
        "__offset 0 on a complete folder",
        _with_members(__is_loaded=1, __offset=0),
        published=Truth(2, 0),
    ),
    Case("A6e", "__offset 0 on a complete folder without flag", _with_members(__offset=0)),
    Case("A6f", "a scalar member", _with_members(__is_loaded=1, __size=4096)),
)

CASES: Final[tuple[Case, ...]] = (
    *(W1A, W1B, W2A, W2B, W2C, W3, W4, W5, W6, W7, W8, W9, W10),
    *(P1, P2, P3, P4A, P4B),
    *(A1, A2, A3, A4, A5, *A6),
)
