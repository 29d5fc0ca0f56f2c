"""Parts that were compressed one by one make one gzip member of the whole text."""

import gzip
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.metrics.gzip_member import combine_checksums, compress, gzip_member, join

texts = st.lists(st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"ab" * size))


def decompress(member: bytes) -> bytes:
    """Return what a client reads that knows of no second gzip member, as most do not."""
    reader = zlib.decompressobj(31)
    text = reader.decompress(member)
    assert (reader.eof, reader.unused_data, reader.unconsumed_tail) == (True, b"", b"")
    return text


@given(texts, st.sets(st.integers(0, 20)))
@example([], set())
@example([b"", b""], {1})
@example([b"a" * 40_000, b"a" * 40_000], set())
def test_every_reader_reads_the_whole_text(pieces: Sequence[bytes], cuts: set[int]) -> None:
    """For any texts, and parts that were joined anywhere: it is one member of all."""
    edges = sorted({0, len(pieces), *(cut for cut in cuts if cut < len(pieces))})
    parts = [compress(piece) for piece in pieces]
    joined = [join(parts[start:end]) for start, end in pairwise(edges)]
    for shown in (parts, joined):
        member = b"".join(gzip_member(shown))
        assert gzip.decompress(member) == decompress(member) == b"".join(pieces)


@given(st.binary(), st.binary())
@example(b"a", b"b" * 32 * 1024)
@example(b"a", b"b" * 100_000)
def test_the_checksum_of_two_texts_is_that_of_zlib(first: bytes, second: bytes) -> None:
    """It is the one that zlib computes of both."""
    combined = combine_checksums(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(first + second)


def test_a_member_keeps_the_parts_as_they_are() -> None:
    """Nothing is compressed again, and nothing copied: the parts' own bytes are sent."""
    parts = [compress(b"a"), compress(b"b" * 1000)]
    pieces = gzip_member(parts)
    assert [id(piece) for piece in pieces[1:-1]] == [id(part.deflated) for part in parts]


def test_many_threads_can_compress_at_once() -> None:
    """A compressor is used by one thread at a time."""
    sources = [bytes([number]) * 5000 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(compress, sources))
    assert decompress(b"".join(gzip_member(parts))) == b"".join(sources)
