"""Read the body of an HTTP response, and count its bytes where they arrive.

``http.client`` and ``urllib3`` read a chunk size with ``int``: a size of -1 makes them read to the
end of the connection in one piece, and -5 raises ValueError. So chunks are decoded here, strictly
(RFC 9112, 7.1), and the limits apply with any framing. Compression is undone here as well:
urllib3 takes a core for empty gzip members, and memory for empty deflate blocks, without limit.
"""

import io
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead, LineTooLong
from typing import IO, Final

from urllib3.exceptions import DecodeError, HTTPError

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a body that are read at most: as they arrive, and after decompression."""

_MAX_LINE: Final = 65_536
_MAX_FRAMING: Final = 4 * 1024 * 1024
"""Bytes of chunk sizes, extensions and trailers. A chunk of one byte has five."""
_MAX_TRAILERS: Final = 100
_MAX_MEMBERS: Final = 100
_UNPACKED: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_COMPRESSIONS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_ENDS: Final = frozenset({b"\r\n", b"\n"})
_CODING: Final = re.compile(r"[a-z0-9-]{1,20}")


class FramingError(HTTPException):
    """A body whose framing is malformed; the text shows nothing that came from outside."""


class BodyTooLargeError(HTTPError):
    """More bytes have arrived for a body than are read at most."""


class LimitedReader(io.RawIOBase):
    """The bytes of one body, as ``http.client`` reads them from the connection."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._arrived = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, and b"" at the end.

        Raises BodyTooLargeError, and IncompleteRead where the body breaks off.
        """
        data = self._stream.read(BODY_LIMIT + 1 if size < 0 else size)
        self._arrived += len(data)
        if self._arrived > BODY_LIMIT:
            raise BodyTooLargeError
        return data

    def close(self) -> None:
        """Close the stream; the connection stays open."""
        self._stream.close()
        super().close()


class ChunkedReader(LimitedReader):
    """The content of a chunked body (RFC 9112, 7.1); raises FramingError where it is malformed."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self._left = 0
        self._is_at_end = False
        self._framing = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes of content, and b"" behind the last chunk."""
        content = bytearray()
        wanted = BODY_LIMIT + 1 if size < 0 else size
        while len(content) < wanted and not self._is_at_end:
            if self._left == 0:
                self._begin_chunk()
                continue
            data = super().read(min(self._left, wanted - len(content)))
            if not data:
                raise IncompleteRead(b"")
            content += data
            self._left -= len(data)
            if self._left == 0 and self._read_line() not in _LINE_ENDS:
                raise FramingError("a chunk is longer than its size")
        return bytes(content)

    def _begin_chunk(self) -> None:
        """Read the size of the next chunk, and behind the last one the trailers."""
        size = _CHUNK_SIZE.fullmatch(self._read_line())
        if size is None:
            raise FramingError("a chunk size is no number")
        self._left = int(size[1], 16)
        if self._left == 0:
            self._skip_trailers()
            self._is_at_end = True

    def _skip_trailers(self) -> None:
        """Read up to the empty line; the content is complete, so it may be missing."""
        for _ in range(_MAX_TRAILERS):
            if not self._stream_line().strip(b"\r\n"):
                return
        raise FramingError(f"more than {_MAX_TRAILERS} trailer lines")

    def _read_line(self) -> bytes:
        line = self._stream_line()
        if not line.endswith(b"\n"):
            raise IncompleteRead(b"")
        return line

    def _stream_line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE + 1)
        self._framing += len(line)
        if len(line) > _MAX_LINE:
            raise LineTooLong("chunk size")
        if self._framing > _MAX_FRAMING:
            raise FramingError(f"more than {_MAX_FRAMING // 2**20} MiB of chunk sizes and trailers")
        return line


def is_compressed(content_encoding: str) -> bool:
    """Return whether a Content-Encoding is one compression that ``decompress`` undoes.

    No coding is requested, so these are enough; several would multiply what a body unpacks to.
    """
    return content_encoding.strip().lower() in _COMPRESSIONS


def decompress(pieces: Iterable[bytes], content_encoding: str) -> Iterator[bytes]:
    """Undo a compression; each piece that comes out is of at most 64 KiB.

    A gzip body may have several members (RFC 1952, 2.2); "deflate" may lack its zlib header, as
    some servers send it (RFC 9110, 8.4.1.2). Raises urllib3's DecodeError, and FramingError for too
    many members.
    """
    is_gzip = "gzip" in content_encoding.lower()
    unpacker = None
    members = 0
    unread = b""
    for piece in pieces:
        unread += piece
        while unread:
            if unpacker is None or unpacker.eof:
                if len(unread) == 1:
                    break  # two bytes show whether there is a header
                members += 1
                if members > _MAX_MEMBERS:
                    raise FramingError(f"more than {_MAX_MEMBERS} compressed members")
                unpacker = zlib.decompressobj(_GZIP if is_gzip else _deflate_bits(unread))
            try:
                yield unpacker.decompress(unread, _UNPACKED)
            except zlib.error as error:
                raise DecodeError("malformed compression") from error
            unread = unpacker.unconsumed_tail or unpacker.unused_data
    if unpacker is not None:
        yield unpacker.flush()


def _deflate_bits(data: bytes) -> int:
    """Return what zlib needs to know of a deflate body: whether it begins with a zlib header.

    That is the method 8, and a checksum (RFC 1950, 2.2).
    """
    has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The HTTP status, the whole body, and what the headers say of time.

    ``date`` is the server's own time (``Date``, in unix time, cut to whole seconds);
    ``retry_after`` are the seconds to wait before the next try (``Retry-After``). None is what is
    not said. ``unknown_coding`` is a content coding that the body may still be in, or "".
    ``received`` is the monotonic time at which the head arrived, in seconds: that of ``date``.
    """

    status: int
    body: bytes | bytearray
    date: float | None = None
    retry_after: float | None = None
    unknown_coding: str = ""
    received: float | None = field(default=None, compare=False)


def build_http_response(
    status: int, body: bytes | bytearray, headers: Mapping[str, str], received: float | None = None
) -> HttpResponse:
    """Return the response; a header that cannot be read is ignored."""
    date = _parse_date(headers.get("Date"))
    wait = _retry_after(headers.get("Retry-After"), date)
    coding = _find_unknown_coding(headers.get("Content-Encoding"))
    return HttpResponse(status, body, date, wait, coding, received)


def _find_unknown_coding(text: str | None) -> str:
    """Return a Content-Encoding that the transport does not undo, as far as it can be shown."""
    coding = (text or "").strip().lower()
    is_known = coding == "identity" or is_compressed(coding)
    return coding if _CODING.fullmatch(coding) and not is_known else ""


def _parse_date(text: str | None) -> float | None:
    """Return what an HTTP-date (RFC 9110, 5.6.7) says, in unix time."""
    try:
        moment = parsedate_to_datetime(text or "")
        # No zone, or an unknown one, is UTC: HTTP knows no other.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _retry_after(text: str | None, date: float | None) -> float | None:
    """Return a Retry-After (RFC 9110, 10.2.3) in seconds, which it gives as such or as a date.

    A date is seen from the server's own, so that our clock may be wrong.
    """
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return _parse_finite(text)
    until = _parse_date(text)
    return None if until is None or date is None else max(0.0, until - date)


def _parse_finite(digits: str) -> float | None:
    seconds = float(digits)
    return seconds if math.isfinite(seconds) else None
