"""One gzip member (RFC 1952) of parts that were compressed separately.

A part begins with an empty window and ends at a whole byte, so that it may follow any other part in
a deflate stream (RFC 1951, 3.2.3). The checksum of the whole text is computed from those of the
parts: the time it takes does not depend on their size.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

_LEVEL: Final = 6
_RAW: Final = -15  # the largest window, with neither gzip's header nor its trailer
_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, any system
_LAST_BLOCK: Final = b"\x03\0"  # empty, and the end of a deflate stream (RFC 1951, 3.2.3)
_SIZE_MASK: Final = 2**32 - 1

# CRC-32 is arithmetic with polynomials over GF(2), modulo this one (RFC 1952, 8). The highest bit
# is the coefficient of x^0.
_POLYNOMIAL: Final = 0xEDB88320
_ONE: Final = 1 << 31
_X_TO_8: Final = 1 << 23
_SIZE_BITS: Final = 48

_idle: Final[list["zlib._Compress"]] = []


@dataclass(frozen=True, slots=True)
class Part:
    """A text, compressed: ``size`` and ``checksum`` (CRC-32) are those of the text."""

    deflated: bytes
    size: int
    checksum: int


def compress(text: bytes) -> Part:
    """Return a text as a part of any member."""
    return Part(deflate(text), len(text), zlib.crc32(text))


def deflate(text: bytes) -> bytes:
    """Return blocks of deflate that refer to nothing before them and end at a whole byte.

    Any thread may call it. A compressor is used again, since to make one takes longer than to
    compress a few hundred bytes.
    """
    try:
        compressor = _idle.pop()
    except IndexError:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    deflated = compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)
    _idle.append(compressor)
    return deflated


def join(parts: Sequence[Part]) -> Part:
    """Return the texts of the parts, one after another, as one part."""
    size, checksum = _measure(parts)
    return Part(b"".join(part.deflated for part in parts), size, checksum)


def gzip_member(parts: Sequence[Part]) -> tuple[bytes, ...]:
    """Return the member of the parts, in pieces that are to be sent one after another."""
    size, checksum = _measure(parts)
    trailer = struct.pack("<LL", checksum, size & _SIZE_MASK)
    return (_HEADER, *(part.deflated for part in parts if part.size), _LAST_BLOCK + trailer)


def combine_checksums(first: int, second: int, second_size: int) -> int:
    """Return the CRC-32 of two texts one after the other, from those of each.

    It is zlib's ``crc32_combine``, which Python's zlib lacks. ``second_size`` is in bytes.
    """
    return _multiply(_raise_x_to(second_size), first) ^ second


def _measure(parts: Iterable[Part]) -> tuple[int, int]:
    """Return the size and the checksum of the texts of all parts."""
    size = checksum = 0
    for part in parts:
        checksum = combine_checksums(checksum, part.checksum, part.size)
        size += part.size
    return size, checksum


def _multiply(left: int, right: int) -> int:
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = (left << 1) & _SIZE_MASK
        right = (right >> 1) ^ _POLYNOMIAL if right & 1 else right >> 1
    return product


def _iter_powers() -> Iterator[int]:
    power = _X_TO_8
    while True:
        yield power
        power = _multiply(power, power)


_POWERS: Final = tuple(islice(_iter_powers(), _SIZE_BITS))
"""x to the power of 8, of 16, of 32 and so on."""


@lru_cache(maxsize=1024)
def _raise_x_to(size: int) -> int:
    """Return x to the power of ``size`` times 8."""
    result = _ONE
    for bit in range(size.bit_length()):
        if size >> bit & 1:
            result = _multiply(_POWERS[bit], result)
    return result
