"""Estimate, before JSON is parsed, how much memory its values will take and how deep it is nested.

A body of 28 MiB of empty lists takes 860 MB when it is parsed. So its structure is counted first,
outside of strings and slice by slice, which takes about as long as parsing it and no memory worth
mentioning. The costs are those of CPython on 64 bits; each is that of the worst case, so that no
body takes more than its estimate.

The text is then decoded into as little memory as can be. Python takes the width of the widest
character for each character of a text. One emoji in the names of CPU users makes a text of 22 MB
one of 88 MB. So characters beyond U+FFFF are replaced by their JSON escapes (RFC 8259, 7: a
surrogate pair) where that is smaller. It means the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

_SLICE: Final = 1024 * 1024
_BRACKETS: Final = b"[]{}"
_OBJECT_MARKS: Final = b"{}:"
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SMALL_OBJECTS: Final = tuple(b"{" + b":" * keys + b"}" for keys in range(1, 6))

_LIST: Final = 128
_ELEMENT: Final = 9
_EMPTY_OBJECT: Final = 80
_OBJECT: Final = 208
"""With up to five keys."""
_KEY: Final = 120
"""A key of a larger object, while its table grows."""
_NAME: Final = 176
"""The text of a key without its letters, and its entry in the memory of the parser."""
_STRING: Final = 56
_WIDE_STRING: Final = 80
_LONG: Final = 4096
_GROWTH: Final = 6
"""Bytes for each letter of a long string that grows while it is read, in addition to its own."""
_NUMBER: Final = 48
"""Of 28 or 32 bytes, to which the C library adds its own: its allocator is the interpreter's."""
_DECIMAL: Final = 112
KEPT_STRINGS: Final = 65_536
"""Different strings of objects that are remembered while a text is read, to keep each once."""
_KEPT_STRING: Final = 160
"""A string of 20 letters, such as a number, and its entry."""


@dataclass(slots=True)
class JsonCost:
    """What parsing will take: ``memory`` in bytes, and the ``depth`` of lists and objects.

    The text of the whole body is included only as far as it takes more than the body itself.
    ``keys`` is the number of keys of all objects, repeated ones included.
    """

    memory: int = 0
    depth: int = 0
    keys: int = 0


@dataclass(frozen=True, slots=True)
class ConvertedObjects:
    """Objects that something smaller replaces as soon as they have been read.

    ``pattern`` matches the whole text of one, which has ``keys`` members, and ``name`` the one
    string of it that is kept, once for all objects. What replaces an object takes ``memory`` bytes
    in addition to that string and a number.
    """

    pattern: re.Pattern[bytes]
    name: re.Pattern[bytes]
    keys: int
    memory: int


@dataclass(frozen=True, slots=True)
class _Slice:
    """What is outside of strings, joined by a quote for each string, and the strings.

    ``converted`` objects are left out, with a number in their place. ``names`` are what is kept of
    them.
    """

    outside: bytes
    strings: list[bytes]
    keys: list[bytes]
    """The strings that a colon follows at once."""
    cut: int
    """The bytes of strings that go on in another slice."""
    converted: int
    names: list[bytes]


def estimate_cost(
    body: bytes | bytearray,
    max_memory: int,
    max_depth: int,
    replaced: ConvertedObjects | None = None,
) -> JsonCost:
    """Return the cost of parsing a body, or of its beginning where that is more than a maximum.

    A body that is no JSON costs at least as much as what is parsed of it before the first fault.
    """
    cost = JsonCost(memory=estimate_text_memory(body) - len(body))
    depth = strings = 0
    for part in _split_slices(body, replaced):
        cost.memory += _estimate_slice(part)
        cost.keys += part.outside.count(b":")
        strings += len(part.strings) + 3 * part.converted
        if replaced is not None:
            cost.memory += part.converted * replaced.memory + _estimate_strings(part.names)
            cost.keys += part.converted * replaced.keys
        brackets = part.outside.translate(None, _NO_BRACKETS)
        depths = [*accumulate(map(_STEPS.__getitem__, brackets), initial=depth)]
        depth = depths[-1]
        cost.depth = max(cost.depth, *depths)
        if cost.memory > max_memory or cost.depth > max_depth:
            break
    cost.memory += min(strings, KEPT_STRINGS) * _KEPT_STRING
    return cost


_ALL: Final = bytes(range(256))
_NO_BRACKETS: Final = _ALL.translate(None, _BRACKETS)
_NO_OBJECT_MARKS: Final = _ALL.translate(None, _OBJECT_MARKS)


def _split_slices(body: bytes | bytearray, replaced: ConvertedObjects | None) -> Iterator[_Slice]:
    """Return the slices of a body. A string that goes on in the next slice counts as two.

    An escaped quote or backslash is replaced by two bytes that no string can hold.
    """
    in_string = False
    held_back = b""
    for start in range(0, len(body), _SLICE):
        text = held_back + body[start : start + _SLICE]
        backslashes = len(text) - len(text.rstrip(b"\\"))
        held_back = text[len(text) - backslashes % 2 :]
        text = text[: len(text) - backslashes % 2]
        converted, names = 0, list[bytes]()
        if replaced is not None:
            names = list(set(replaced.name.findall(text)))
            text, converted = replaced.pattern.subn(b"0", text)
        if b"\\" in text:
            text = text.replace(b"\\\\", b"\0\0").replace(b'\\"', b"\0\1")
        parts = text.split(b'"')
        cut = len(parts[0]) if in_string else 0
        outside, strings = parts[in_string::2], parts[not in_string :: 2]
        behind = outside if in_string else outside[1:]
        keys = [string for string, after in zip(strings, behind, strict=False) if after[:1] == b":"]
        in_string ^= len(parts) % 2 == 0
        cut += len(parts[-1]) if in_string else 0
        yield _Slice(b'"'.join(outside), strings, keys, cut, converted, names)


def _estimate_slice(part: _Slice) -> int:
    outside, strings = part.outside, part.strings
    colons, commas, lists = outside.count(b":"), outside.count(b","), outside.count(b"[")
    names = set(part.keys)
    # Keys that are not followed by the colon at once may all be different.
    different_keys = len(names) + max(0, colons - len(part.keys))
    value_strings = max(0, len(strings) - colons)
    letters = sum(map(len, strings)) - sum(map(len, part.keys)) + sum(map(len, names))
    numbers = max(0, commas + 1 - value_strings)
    decimals = outside.count(b".") + outside.count(b"e") + outside.count(b"E")
    digits = len(outside) - len(outside.translate(None, b"0123456789"))
    return (
        _estimate_objects(outside.translate(None, _NO_OBJECT_MARKS))
        + lists * _LIST
        + commas * _ELEMENT
        + different_keys * _NAME
        + value_strings * _STRING
        + letters
        + _GROWTH * part.cut
        + _estimate_width(strings)
        + numbers * _NUMBER
        + decimals * _DECIMAL
        + digits // 2
    )


def _estimate_objects(marks: bytes) -> int:
    """Return the cost of objects without their keys and values, from their braces and colons."""
    empty = marks.count(b"{}")
    rest = marks.replace(b"{}", b"")
    small = 0
    for shape in _SMALL_OBJECTS:
        small += rest.count(shape)
        rest = rest.replace(shape, b"")
    objects = small + rest.count(b"{")
    return empty * _EMPTY_OBJECT + objects * _OBJECT + rest.count(b":") * _KEY


def _estimate_strings(strings: list[bytes]) -> int:
    return len(strings) * _STRING + sum(map(len, strings)) + _estimate_width(strings)


def _estimate_width(strings: list[bytes]) -> int:
    """Return what strings with letters beyond ASCII take more than one byte for each."""
    wide = [string for string in strings if b"\\u" in string or not string.isascii()]
    return sum(
        _WIDE_STRING - _STRING + (3 if len(string) < _LONG else _GROWTH) * len(string)
        for string in wide
    )


_TEXT_SLICE: Final = 256 * 1024
_FOUR_BYTES: Final = re.compile(
    rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
"""A character beyond U+FFFF in UTF-8 (RFC 3629, 4)."""
_FOUR_BYTE_STARTS: Final = tuple(b"\xf0\xf1\xf2\xf3\xf4")
_AFTER_BACKSLASH: Final = re.compile(rb"\\[\xf0-\xf4]")
"""Whether the backslash escapes the character or is escaped itself would have to be counted."""
_BEYOND_LATIN_1: Final = re.compile(rb"[\xc4-\xef]")
_ESCAPES_BYTES: Final = 12
_CONTINUATION: Final = range(0x80, 0xC0)
_MAX_CONTINUATIONS: Final = 3


def estimate_text_memory(body: bytes | bytearray) -> int:
    """Return the bytes that ``decode_and_empty`` takes for the text of a body, at most."""
    return min(_estimate_sizes(body))


def decode_and_empty(body: bytes | bytearray) -> str:
    """Return a text whose JSON means the same as that of the body.

    A body that can be emptied is emptied. Raises UnicodeDecodeError where it is not in UTF-8.
    """
    plain, escaped = _estimate_sizes(body)
    if escaped >= plain:
        text = body.decode()
        if isinstance(body, bytearray):
            body.clear()
        return text
    parts = [_FOUR_BYTES.sub(_escape_match, part).decode() for part in _split_characters(body)]
    if isinstance(body, bytearray):
        body.clear()
    return "".join(parts)


def _estimate_sizes(body: bytes | bytearray) -> tuple[int, int]:
    """Return the bytes of the text as it is and with escapes, at most; equal without escapes.

    The bytes that ``_FOUR_BYTES`` does not match are no UTF-8: decoding fails with them.
    """
    size = len(body)
    if body.isascii():
        return size, size
    width = 2 if _BEYOND_LATIN_1.search(body) else 1
    count = sum(body.count(start) for start in _FOUR_BYTE_STARTS)
    if not count:
        return width * size, width * size
    plain = max(size, 4 * (size - 3 * count))
    if _AFTER_BACKSLASH.search(body):
        return plain, plain
    return plain, width * (size + (_ESCAPES_BYTES - 4) * count)


def _split_characters(body: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Return the slices of a body, none of which ends within a character."""
    start = 0
    while start < len(body):
        end = start + _TEXT_SLICE
        for _ in range(_MAX_CONTINUATIONS):
            if end < len(body) and body[end] in _CONTINUATION:
                end += 1
        yield body[start:end]
        start = end


def _escape_match(match: re.Match[bytes]) -> bytes:
    return _escape(match[0])


@lru_cache(maxsize=4096)
def _escape(character: bytes) -> bytes:
    """Return the escapes of the two halves of a character beyond U+FFFF."""
    offset = ord(character.decode()) - 0x10000
    return b"\\u%04x\\u%04x" % (0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF))
