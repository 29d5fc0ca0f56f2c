"""Problems of a file: where each one is, and a sentence that says what to write."""

import re
from collections.abc import Collection
from dataclasses import dataclass

Loc = tuple[str | int, ...]
"""The way from the top of the file to a value: `("accounts", 0, "cdn")`."""

Finding = tuple[Loc, str]
"""What a rule found: the way to a value, and a sentence about it."""

_LIKE_A_KEY = re.compile(r"[A-Z]?[a-z_-]{1,23}")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the file's text, both numbers counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or one thing to think about.

    `line` and `column` count from 1 and are None when the file could not be read at all.
    `where` names the key (`accounts[0].cdn`) and is empty for the file as a whole.
    `str()` gives `config.yaml:12:7: accounts[0].cdn: must be a whole number`.
    """

    file: str
    line: int | None
    column: int | None
    where: str
    sentence: str

    def __str__(self) -> str:
        """Give the problem as one line."""
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        return ": ".join(part for part in (place, self.where, self.sentence) if part)


class ConfigError(Exception):
    """A file of the operator cannot be used; `problems` holds each mistake, in the file's order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Give one line for each problem."""
        return "\n".join(map(str, self.problems))


class Report:
    """The problems found so far in one file; `known` are keys that hide no secret, if unusual."""

    def __init__(self, file: str, known: Collection[str] = ()) -> None:
        self._file = file
        self._known = known
        self._problems: list[Problem] = []
        self._seen: set[tuple[Loc, Place | None]] = set()

    def add(self, loc: Loc, place: Place | None, sentence: str) -> None:
        """Note a problem of the value at `loc`, which stands at `place`."""
        line, column = (None, None) if place is None else (place.line, place.column)
        self._problems.append(Problem(self._file, line, column, where(loc, self._known), sentence))
        self._seen.add((loc, place))

    def has(self, loc: Loc, place: Place) -> bool:
        """Tell whether a problem of the value at `loc`, with this place, is noted already."""
        return (loc, place) in self._seen

    def problems(self) -> tuple[Problem, ...]:
        """Give every problem, in the order of the places in the file."""
        return tuple(sorted(self._problems, key=lambda one: (one.line or 0, one.column or 0)))


def where(loc: Loc, known: Collection[str] = ()) -> str:
    """Write a way into the file as an operator would: `accounts[0].files.paths[2].path`.

    A key that may be a secret in the wrong place is a question mark, unless it is one of `known`.
    """
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if step in known or _LIKE_A_KEY.fullmatch(step) else "?"
            text += f".{shown}" if text else shown
    return text
