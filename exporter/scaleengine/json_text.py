"""Decode the body of a response into the text that is parsed, in as little memory as can be.

Python takes the width of the widest character for each character of a text. One emoji in the names
of CPU users makes a text of 22 MB one of 88 MB. So characters beyond U+FFFF are replaced by their
JSON escapes (RFC 8259, 7: a surrogate pair) where that is smaller. It means the same.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_SLICE: Final = 256 * 1024
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
    """Return the bytes that ``decode_text`` takes for the text of a body, at most."""
    return min(_estimate_sizes(body))


def decode_text(body: bytes | bytearray) -> str:
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
        end = start + _SLICE
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
