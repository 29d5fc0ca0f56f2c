"""Small trees under unusual readings of the API's pages, with the exact responses and the truth.

Each case responds to any path and offset as its reading of the pages would, so that a walk may ask
where it wants. ``jb`` stands for ``sestore4/jb``, which is the requested path of every case.
"""

from typing import Final

from tests.polling.fidelity_changes import CHANGES
from tests.polling.scripted_api import (
    COMPLETE,
    NOTHING,
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
    names,
    own,
    pages,
    partial,
    show,
    still,
    unfinished,
    unflagged,
    whole,
)

__all__ = ["CASES", "PATH", "Allowed", "Case", "Truth"]

# W1a, W1b: a guess at the offset that passes over a file.
_A50 = Sub("a", names(50, "a"))
W1A: Final = Case(
    "W1a",
    "requested folder without flag and offset, full, offset counts own entries, listed by name",
    still(
        Truth(111, 2),
        {
            PATH: unflagged([_A50, *names(60), Sub("z", ["z000.mp4"])]),
            f"{PATH}/a": pages(_A50.files, flagged=False),
            f"{PATH}/z": pages(["z000.mp4"], flagged=False),
        },
    ),
    published=Truth(110, 2),
)


def _w1b(offset: int) -> Json:
    """Respond where the offset counts own files and folders are listed first.

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
    still(Truth(110, 1), {PATH: _w1b, f"{PATH}/a": pages(_A50.files, flagged=False)}),
    published=Truth(109, 1),
)

# W2a to W2c: a page that does not look full.
W2A: Final = Case(
    "W2a",
    "requested folder without flag and offset, at most 50 files in a response",
    still(Truth(60, 0), {PATH: pages(names(60), 50, flagged=False)}),
    published=Truth(50, 0),
)

_FORTY = [f"d{number:02}" for number in range(40)]


def _w2b(offset: int) -> Json:
    """Respond where a hundred entries are listed, folders first, and the offset counts entries."""
    entries = [*_FORTY, *names(70)][offset : offset + 100]
    members: Members = {entry: [] for entry in entries if not entry.endswith(".mp4")}
    members |= own([entry for entry in entries if entry.endswith(".mp4")])
    return [members] if members else []


W2B: Final = Case(
    "W2b",
    "requested folder without flag and offset, the hundred counts folders too",
    still(Truth(70, 40), {PATH: _w2b, **{f"{PATH}/{name}": fixed([]) for name in _FORTY}}),
    published=Truth(60, 40),
    max_requests=60,  # forty folders without a flag are requested by themselves
)


def _w2c(offset: int) -> Json:
    """Respond from a scan of a hundred files of which two in five are videos."""
    scanned = range(200)[offset : offset + 100]
    shown = [f"f{number:03}.mp4" for number in scanned if number % 5 < 2]
    return [own(shown)] if shown else []


W2C: Final = Case(
    "W2c",
    "requested folder without flag and offset, a hundred are scanned, the type filters afterwards",
    still(Truth(80, 0), {PATH: _w2c}),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(40, 0),
)

# W3, W4: object and list forms that look alike.
W3: Final = Case(
    "W3",
    "requested folder an object, sub-folders lists of one object",
    still(
        Truth(1, 1),
        {
            PATH: lambda offset: {**({} if offset else {"a": whole(["x"])}), **COMPLETE},
            f"{PATH}/a": lambda offset: {**own(["x"][offset:]), **COMPLETE},
        },
    ),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(1, 2),
)
W4: Final = Case(
    "W4",
    "object form without flags, nothing but a folder named 0",
    still(
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
    """Respond where every offset counts files from the requested path on, at any depth."""
    own_files, below = names(60)[offset:], names(50, "a")[max(0, offset - 60) :]
    room = 100 - len(own_files)
    fits = len(below) <= room
    a = whole(below) if fits else partial(below[:room], offset + 100, room)
    return [{**own(own_files), "a": a, **COMPLETE}]


W5: Final = Case(
    "W5",
    "a sub-folder's __offset counts from the requested path",
    still(Truth(110, 1), {PATH: _w5, f"{PATH}/a": pages(names(50, "a"))}),
    published=Truth(100, 1),
)

# W6 to W8: members and names that look alike.
W6: Final = Case(
    "W6",
    "an API member that is an empty list",
    still(
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
    still(Truth(2, 0), {PATH: pages(["\ufffd.mp4", "\ufffd.mp4"])}),
    Allowed.ABSENT_OR_EXACT,
    published=Truth(1, 0),
)
W8: Final = Case(
    "W8",
    "an empty folder named __files",
    still(Truth(0, 1), {PATH: fixed({**COMPLETE, "__files": []}), f"{PATH}/__files": fixed([])}),
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
    still(
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
    still(Truth(280, 1), {PATH: _w10, f"{PATH}/a": pages(names(50, "a"))}),
    published=Truth(230, 1),
)


def _w11(offset: int) -> Json:
    """Respond with four entries at most, three of them from before the offset, at any depth."""
    files, below = names(5), names(4, "a")
    first = max(0, offset - 3)
    window = [*files, "a", *below, "b"][first : first + 4]
    members: Members = own([name for name in window if name in files])
    shown = [name for name in window if name in below]
    if "a" in window or shown:
        is_cut = below[-1] not in window
        members["a"] = partial(shown, first + 4, len(shown)) if is_cut else whole(shown)
        if not shown:
            members["a"] = SKIPPED
    if "b" in window:
        members["b"] = whole([])
    is_cut = files[-1] not in window and first < 5
    return [{**members, **(unfinished(first + 4, 4) if is_cut else COMPLETE)}]


W11: Final = Case(
    "W11",
    "a folder cut before its first file is skipped and counts, the one behind it is not listed",
    still(
        Truth(9, 2),
        {PATH: _w11, f"{PATH}/a": pages(names(4, "a")), f"{PATH}/b": pages([])},
    ),
    published=Truth(9, 1),
    max_requests=40,
)


_W12: Final[dict[str, list[str]]] = {
    PATH: [*names(2), "a"],
    f"{PATH}/a": [*names(3, "a"), "b"],
    f"{PATH}/a/b": [*names(5, "b"), "c"],
    f"{PATH}/a/b/c": names(1, "c"),
}

_CUT: Final = unfinished(0, 0).keys()


def _w12_folder(path: str, first: int, room: int) -> tuple[Members, int]:
    """List a folder from an entry on, and what is below it from the same place on."""
    files = [name for name in _W12[path] if name.endswith(".mp4")]
    shown = files[first : first + room]
    room -= len(shown)
    members = own(shown)
    if len(files) > first + len(shown):
        return members | unfinished(first + len(shown), len(shown)), room
    for name in _W12[path][len(files) :] if first <= len(files) else []:
        below, room = _w12_folder(f"{path}/{name}", first, room) if room else (None, 0)
        members[name] = SKIPPED if below is None or below.keys() == _CUT else [below]
    return members | COMPLETE, room


def _w12(path: str) -> Respond:
    """Respond with four files at most, two of them from before the offset."""
    file_count = sum(name.endswith(".mp4") for name in _W12[path])
    return lambda offset: [
        _w12_folder(path, max(0, offset - 2) if offset <= file_count else offset, 4)[0]
    ]


W12: Final = Case(
    "W12",
    "the offset is skipped in every folder, but a follow-up that overlaps skips nothing at first",
    still(Truth(11, 3), {path: _w12(path) for path in _W12}),
    published=Truth(10, 3),
    max_requests=30,
)


# A1 to A6: what 0.1 refused.
def _a1(offset: int) -> Json:
    shown = names(101)[offset : offset + 100]
    return partial(shown, offset + 100, 104) if offset == 0 else whole(shown)


A1: Final = Case(
    "A1",
    "__file_count counts files of all types: 101 videos and 3 others",
    still(Truth(101, 0), {PATH: _a1}),
)
A2: Final = Case(
    "A2",
    'nothing of the type: "data" is []',
    still(Truth(0, 0), {PATH: fixed(NOTHING)}),
)


def _a3(offset: int) -> object:
    return [{"__files": names(100)[offset:]}] if offset < 100 else NOTHING


A3: Final = Case(
    "A3",
    'nothing of the type behind exactly 100 files: "data" is []',
    still(Truth(100, 0), {PATH: _a3}),
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
    still(
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
    still(Truth(3000, 1), {PATH: _a5, f"{PATH}/a": _a5_below}),
    published=Truth(3000, 1),
    max_requests=40,
)


def _with_members(**members: Json) -> tuple[Moment, ...]:
    """Respond with two files and these members in the requested folder, in list form."""

    def respond(offset: int) -> Json:
        return [{**own(names(2)[offset:]), **members}]

    return still(Truth(2, 0), {PATH: respond})


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
        still(
            Truth(1, 1),
            {
                PATH: lambda offset: [
                    {
                        **own(["x"][offset:]),
                        **({"empty": {}} if offset < 2 else {}),
                        **COMPLETE,
                    }
                ],
                f"{PATH}/empty": fixed({}),
            },
        ),
    ),
    Case(
        "A6b",
        "list form, a skipped folder is a bare object",
        still(Truth(111, 1), {PATH: _a6b, f"{PATH}/a": pages(["x"])}),
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
    *(W1A, W1B, W2A, W2B, W2C, W3, W4, W5, W6, W7, W8, W9, W10, W11, W12),
    *CHANGES,
    *(A1, A2, A3, A4, A5, *A6),
)
