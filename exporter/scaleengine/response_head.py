"""Read the head of an HTTP response as RFC 9112 lets a client read it.

``http.client`` knows one kind of interim response, and stops at the first malformed line: the
fields behind it, such as Content-Length, are lost. Here interim responses are skipped and malformed
lines left out. What would leave open where the body ends is refused. Nothing else is at stake: the
body is JSON, and a part of it is none.
"""

import re
from http.client import HTTPException, HTTPResponse, LineTooLong, RemoteDisconnected
from io import BytesIO
from typing import IO, Final

from exporter.scaleengine.message_body import ChunkedReader, LimitedReader

_MAX_LINE: Final = 65_536
_MAX_LINES: Final = 99
"""With the empty line, as many as ``http.client`` takes."""
_MAX_INTERIM: Final = 100
_MAX_HEAD: Final = 256 * 1024
"""Bytes of the head, with all interim responses."""
_MAX_EMPTY: Final = 4
_MAX_LENGTH_DIGITS: Final = 18
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9]+\s+([1-9][0-9]{2})\s")
_SWITCHING_PROTOCOLS: Final = b"101"
"""No interim response, though it begins with a 1: HTTP ends with it."""
_BODILESS: Final = frozenset({b"101", b"204", b"304"})
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BLANKS: Final = b" \t"
_FRAMING: Final = frozenset({b"transfer-encoding", b"content-length"})

Fields = list[tuple[bytes, bytes]]


class HeadError(HTTPException):
    """The head of a response cannot be used; its text shows nothing that came from outside."""


class TolerantResponse(HTTPResponse):
    """A response whose head is read as above; ``malformed`` are the lines that were left out.

    The body is read by ``message_body``.
    """

    malformed: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """Read the head; raises HTTPException, and RemoteDisconnected where it breaks off."""
        stream = self.fp
        head_lines = _Lines(stream)
        status_line, status = _read_status_line(head_lines)
        fields, self.malformed = _parse(head_lines.read_fields() if status else [])
        framed = _judge_framing(fields, has_body=status not in _BODILESS)
        head = [status_line, *(b"%s: %s\r\n" % field for field in framed), b"\r\n"]
        # The base class is given a head that it can read; nothing but readline is used of it.
        self.fp = BytesIO(b"".join(head) if status_line else b"")  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            self.fp = stream
        if self.chunked:
            # The reader undoes the chunks: neither the base class nor urllib3 may try it again.
            self.chunked = False
            del self.headers["Transfer-Encoding"]
            self.fp = ChunkedReader(stream)  # type: ignore[assignment]
        else:
            self.fp = LimitedReader(stream)  # type: ignore[assignment]


class _Lines:
    """The lines of a head, which is bounded as a whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._size = 0

    def read(self) -> bytes:
        """Return the next line, with its end."""
        line = self._stream.readline(_MAX_LINE + 1)
        self._size += len(line)
        if len(line) > _MAX_LINE:
            raise LineTooLong("header line")
        if self._size > _MAX_HEAD:
            raise HeadError(f"more than {_MAX_HEAD // 1024} KiB of header")
        return line

    def read_fields(self) -> list[bytes]:
        """Return the lines up to the empty one."""
        lines: list[bytes] = []
        while (line := self.read()) not in {b"\r\n", b"\n"}:
            if not line:
                raise RemoteDisconnected("the head of the response broke off")
            lines.append(line)
            if len(lines) > _MAX_LINES:
                raise HeadError(f"more than {_MAX_LINES} header lines")
        return lines


def _read_status_line(lines: _Lines) -> tuple[bytes, bytes]:
    """Return the status line of the final response and the status in it, or else nothing."""
    for _ in range(_MAX_INTERIM):
        line = lines.read()
        for _ in range(_MAX_EMPTY):  # an earlier response may have had them too many
            if line not in {b"\r\n", b"\n"}:
                break
            line = lines.read()
        found = _STATUS_LINE.match(line)
        status = found[1] if found else b""
        if not status.startswith(b"1") or status == _SWITCHING_PROTOCOLS:
            return line, status
        lines.read_fields()
    raise HeadError(f"more than {_MAX_INTERIM} interim responses")


def _parse(lines: list[bytes]) -> tuple[Fields, tuple[bytes, ...]]:
    """Return the fields, each once, and the lines that are none.

    Folded lines are joined, blanks before a colon left out, and NUL and CR within a line are
    blanks (RFC 9112, 5.1 and 5.2; RFC 9110, 5.5).
    """
    fields: Fields = []
    malformed: list[bytes] = []
    after_field = False
    for line in lines:
        text = (
            line.removesuffix(b"\n").removesuffix(b"\r").replace(b"\r", b" ").replace(b"\0", b" ")
        )
        if text[:1] in {b" ", b"\t"} and after_field:
            name, value = fields.pop()
            fields.append((name, value + b" " + text.strip(_BLANKS)))
            continue
        name, colon, value = text.partition(b":")
        name = name.rstrip(_BLANKS)
        after_field = bool(colon and _TOKEN.fullmatch(name))
        if after_field:
            fields.append((name, value.strip(_BLANKS)))
        else:
            malformed.append(text)
    return list(dict.fromkeys(fields)), tuple(malformed)


def _judge_framing(fields: Fields, *, has_body: bool) -> Fields:
    """Return the fields, with at most one that says where the body ends (RFC 9112, 6.3)."""
    codings = set(_list_values(fields, b"transfer-encoding")) - {b"identity"}
    lengths = _list_values(fields, b"content-length")
    others = [field for field in fields if field[0].lower() not in _FRAMING]
    if not has_body:
        return others
    if codings == {b"chunked"}:
        return [*others, (b"Transfer-Encoding", b"chunked")]
    if codings:
        raise HeadError("its Transfer-Encoding is not supported")
    if not all(length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS for length in lengths):
        raise HeadError("its Content-Length is no number")
    numbers = set(map(int, lengths))
    if len(numbers) > 1:
        raise HeadError("its Content-Length is two numbers")
    return [*others, *((b"Content-Length", b"%d" % number) for number in numbers)]


def _list_values(fields: Fields, wanted: bytes) -> list[bytes]:
    """Return what a field lists in all of its lines, in lower case."""
    values = [value for name, value in fields if name.lower() == wanted]
    return [item.strip(_BLANKS).lower() for value in values for item in value.split(b",")]
