"""An API that responds by a script: what a case is, and the pieces of its responses."""

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
    """Other than the truth too: the responses are ambiguous, and the documentation says so."""


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

    ``published`` is the number of files or folders that an earlier version published, None for an
    error.
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
        moment = next(
            moment for moment in reversed(self.moments) if moment.first_request <= request
        )
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
    """Respond for a folder of files only, whose offset counts them."""

    def respond(offset: int) -> Json:
        shown = files[offset : offset + room]
        if not flagged:
            return [own(shown)] if shown else []
        if offset + room < len(files):
            return partial(shown, offset + room, len(files))
        return whole(shown)

    return respond


def still(truth: Truth, folders: Mapping[str, Callable[[int], object]]) -> tuple[Moment, ...]:
    return (Moment(0, truth, folders),)


def fixed(value: object) -> Callable[[int], object]:
    """Return the same response at any offset: for a response that is not followed up."""
    return lambda _: value


def listing(entries: Sequence[str | Sub]) -> Callable[[int], Members]:
    """Return the members of a folder whose offset counts its entries, without its flag."""
    totals = {entry.name: len(entry.files) for entry in entries if isinstance(entry, Sub)}

    def members(offset: int) -> Members:
        shown = show(entries, offset)
        found: Members = {sub.name: whole(sub.files) for sub in shown.whole}
        for sub in shown.cut:
            found[sub.name] = partial(sub.files, len(sub.files), totals[sub.name])
        return found | own(shown.files) | dict.fromkeys(shown.unreached, SKIPPED)

    return members


def unflagged(entries: Sequence[str | Sub]) -> Respond:
    """Respond for a requested folder without flag and offset, whose offset counts its entries."""
    listed = listing(entries)

    def respond(offset: int) -> Json:
        return [listed(offset)] if listed(offset) else []

    return respond
