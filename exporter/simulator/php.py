"""JSON as PHP reads and prints it.

The real server is PHP. What is an array there has one kind only, so an empty mapping is printed as
``[]`` and keys 0, 1, 2... in order make a list; and ``json_encode`` escapes ``/`` and everything
beyond ASCII, but not U+007F.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

PhpValue: TypeAlias = (
    "bool | int | float | str | Sequence[PhpValue] | Mapping[str, PhpValue] | None"
)
"""A JSON value, as ``decode`` returns it and ``encode`` takes it."""

_BEYOND_ASCII = re.compile("[^\x00-\x7f]")
_NO_UTF8 = re.compile("[\udc80-\udcff]")


class PhpObject(dict[str, PhpValue]):
    """What is an object in PHP, no array: it is printed as ``{}`` when it is empty."""


def encode(value: PhpValue) -> str:
    """Return the JSON text that PHP's ``json_encode`` prints for a value.

    Each byte that is no UTF-8, held as Python's surrogateescape does it, is printed as U+FFFD.
    """
    text = json.dumps(_as_php_array(value), ensure_ascii=False, separators=(",", ":"))
    text = text.replace("/", "\\/")
    if text.isascii():
        return text
    return _BEYOND_ASCII.sub(_escape_as_utf16, _NO_UTF8.sub("\ufffd", text))


def decode(text: str) -> PhpValue:
    """Return the value of a JSON text; raises ValueError where PHP's ``json_decode`` gives null."""
    try:
        value: PhpValue = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None
    return value


def with_gaps(values: Sequence[PhpValue]) -> dict[str, PhpValue]:
    """Return the values as PHP prints a list from which items were removed: by index, with gaps.

    The indexes are odd, so that they never are 0, 1, 2... in order.
    """
    return {str(2 * index + 1): value for index, value in enumerate(values)}


def whole_number(value: PhpValue) -> int | None:
    """Return a number or a text of digits as PHP's loose typing takes it; None for all else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def _as_php_array(value: PhpValue) -> PhpValue:
    if isinstance(value, PhpObject):
        return {key: _as_php_array(member) for key, member in value.items()}
    if isinstance(value, Mapping):
        members = {key: _as_php_array(member) for key, member in value.items()}
        is_list = all(key == str(index) for index, key in enumerate(members))
        return list(members.values()) if is_list else members
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_php_array(item) for item in value]
    return value


def _escape_as_utf16(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
