"""Narrow untrusted JSON to what the API promises: the one place where its types are judged.

The API is PHP: numbers may come as texts, a list as a mapping from index to value, a mapping as a
list of one or several mappings, an empty mapping as ``[]``. Every function accepts all forms of
its thing and raises UnexpectedError for anything else.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Members: TypeAlias = Mapping[str, Json]

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_INDEX: Final = re.compile(r"[0-9]+")
_LIMIT: Final = 2**63
_EXACT_FLOATS: Final = 2**53


class UnexpectedError(Exception):
    """A value that the API does not promise; its text says what is wrong, in a few words."""


def decode(body: bytes) -> Json:
    """Read a body as strict JSON in UTF-8: no NaN, no name twice, no bottomless nest."""
    try:
        value: Json = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except RecursionError:
        raise UnexpectedError("it is nested too deeply") from None
    except ValueError:  # of JSON, of UTF-8, or a number of thousands of digits
        raise UnexpectedError("it is not JSON") from None
    return value


def mapping(value: Json) -> Members:
    """Return a mapping; PHP prints an empty one as ``[]``."""
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise UnexpectedError(f"{kind(value)} stands where a mapping should")
    return value


def indexed(value: Json) -> Members:
    """Return a mapping; PHP prints one whose names are 0, 1, 2 and so on as a list."""
    if isinstance(value, list):
        return {str(index): member for index, member in enumerate(value)}
    return mapping(value)


def merged(value: Json) -> Members:
    """Return one mapping from a list of mappings that hold its parts."""
    if not isinstance(value, list):
        raise UnexpectedError(f"{kind(value)} stands where a list of parts should")
    members: dict[str, Json] = {}
    for part in map(indexed, value):
        if not members.keys().isdisjoint(part):
            raise UnexpectedError("two parts of a folder name the same thing")
        members.update(part)
    return members


def items(value: Json) -> Iterator[Json]:
    """Return the values of a list; PHP prints one with gaps as a mapping from index to value."""
    if isinstance(value, list):
        return iter(value)
    if isinstance(value, dict) and all(map(_INDEX.fullmatch, value)):
        return iter(value.values())
    raise UnexpectedError(f"{kind(value)} stands where a list should")


def whole_number(value: Json) -> int:
    """Return a whole number of 64 bits, given as a number or a text."""
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOATS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_LIMIT <= value < _LIMIT:
        raise UnexpectedError(f"{kind(value)} stands where a whole number should")
    return value


def name(value: Json) -> str:
    """Return a name; PHP turns names that look like whole numbers into numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UnexpectedError(f"{kind(value)} stands where a name should")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnexpectedError("a name holds half of a character") from None
    return value


def kind(value: Json) -> str:
    """Say what a value is without showing it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a mapping"


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnexpectedError("a mapping names the same thing twice")
    return members


def _no_constant(_: str) -> Json:
    raise UnexpectedError("NaN and Infinity are no JSON")
