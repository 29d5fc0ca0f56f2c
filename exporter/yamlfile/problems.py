"""Problems of a file: where each one is, and a message that says what to write."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

Loc = tuple[str | int, ...]
"""The way from the top of the file to a value: ``("accounts", 0, "cdn")``."""

LocatedMessage = tuple[Loc, str]
"""What a rule found: the way to a value, and a message about it."""

MERGE_KEY: Final = "<<"
"""A key that YAML 1.1 merges mappings with."""

_LIKE_A_KEY: Final = re.compile(r"[A-Z]?[a-z_-]{1,23}")
_PLAIN_KEY: Final = re.compile(r"[\w*/<-]+")
_STORE_PATH: Final = re.compile(r"sestore[0-9]+(/|$)")
_MIN_SIMILARITY: Final = 0.75


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the file's text, both numbers counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or one thing to think about.

    ``line`` and ``column`` count from 1 and are None when the file could not be read at all.
    ``where`` names the key (``accounts[0].cdn``) and is empty for the file as a whole.
    ``str()`` gives ``config.yaml:12:7: accounts[0].cdn: must be a whole number``.
    """

    file: str
    line: int | None
    column: int | None
    where: str
    message: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        position = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        return ": ".join(part for part in (position, self.where, self.message) if part)


class ConfigError(Exception):
    """A file of the operator is invalid; ``problems`` has each error, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return one line for each problem."""
        return "\n".join(map(str, self.problems))


class ErrorCollector:
    """The problems found so far in one file.

    ``known`` are keys that hide no secret, if unusual; the keys below ``named`` are names that the
    operator gave to things.
    """

    def __init__(self, file: str, known: Collection[str] = (), named: Collection[str] = ()) -> None:
        self._file = file
        self._known = known
        self._named = named
        self._problems: list[Problem] = []
        self._seen: set[tuple[Loc, Position | None]] = set()

    def add(self, loc: Loc, position: Position | None, message: str) -> None:
        """Add a problem of the value at ``loc``, which is at ``position``."""
        line, column = (None, None) if position is None else (position.line, position.column)
        self._problems.append(Problem(self._file, line, column, self._format_path(loc), message))
        self._seen.add((loc, position))

    def _format_path(self, loc: Loc) -> str:
        return format_path(loc, self._known, self._named)

    def has(self, loc: Loc, position: Position) -> bool:
        """Return whether a problem of the value at ``loc``, at this place, was added already."""
        return (loc, position) in self._seen

    def problems(self) -> tuple[Problem, ...]:
        """Return every problem, in the order of the places in the file."""
        return tuple(
            sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0))
        )


def format_path(loc: Loc, known: Collection[str] = (), named: Collection[str] = ()) -> str:
    """Write a way into the file as an operator would: ``accounts[0].files.paths[2].path``.

    A key that may be a secret in the wrong place is a question mark. That is none which is one of
    ``known`` or looks much like one, is directly below one of ``named``, or is a path.
    """
    text = ""
    above: str | int | None = None
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = _quote_key(step) if above in named or _is_harmless(step, known) else "?"
            text += f".{shown}" if text else shown
        above = step
    return text


def _is_harmless(key: str, known: Collection[str]) -> bool:
    if key in known or key == MERGE_KEY or _LIKE_A_KEY.fullmatch(key) or is_store_path(key):
        return True
    return bool(get_close_matches(key.lower(), known, n=1, cutoff=_MIN_SIMILARITY))


def is_store_path(key: str) -> bool:
    """Return whether a key is a path in ScaleEngine's storage, which belongs into a list."""
    return _STORE_PATH.match(key) is not None


def _quote_key(key: str) -> str:
    """Return a key as it is, or in quotes and escaped where that is needed to read it."""
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=not key.isprintable())
