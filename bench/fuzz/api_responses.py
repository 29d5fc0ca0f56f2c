"""The reader of API responses against any bytes: only ScaleEngineError comes out.

Once the content, after HTTP (envelope, listings, disk usage), with a bound on the memory that it
takes; once whole HTTP responses over a real socket.
"""

import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import Final, Self, cast

from hypothesis import strategies as st
from structlog.testing import capture_logs

from bench.fuzz.target import Target
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import request_disk_usage
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport

_NOW: Final = 1_415_700_000.0
_PATH: Final = "sestore4/jb"
_KEY: Final = "c4n4ryK3y0123456789"
_SECRET: Final = "c4n4ryS3cret0123456789"  # noqa: S105 - it opens nothing
_CREDENTIALS: Final = Credentials(_KEY, _SECRET)
_MIB: Final = 1024 * 1024
_FIXED_BYTES: Final = 16 * _MIB
_BYTES_FOR_BYTE: Final = 150
"""Memory that a byte of a response may take: an empty folder has eight, and takes about 500."""
_TIMEOUT: Final = 10.0

_NAMES: Final = [
    *("status", "message", "code", "handle_time", "usage", "data", "summary_date", "cpu_user"),
    *("bytes_total", _PATH, "__files", "__is_loaded", "__offset", "__file_count", "__x", "0", "1"),
    *("a", "é", "\ud800", "n" * 300, "debug", _KEY),
]
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            *("success", "failure", "0001", "1000", "5.000", "1e3", "2014-11-10", "9999-12-31", ""),
            *(
                "0000-00-00",
                "2014-11-10T00:00:00Z",
                "a.mp4",
                _KEY,
                _SECRET,
                "\ud800",
                10**30,
                2**63,
            ),
            *(-1, 0, 1, 100, 1.5, 1e308, "x" * 5000),
        ]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)
    ),
    max_leaves=40,
)
_ROWS = st.lists(
    st.fixed_dictionaries({"summary_date": _SCALARS, "cpu_user": _SCALARS, "bytes_total": _SCALARS})
    | _VALUES,
    max_size=8,
)
_FOLDERS = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=8)
_CONTENTS = st.one_of(
    _VALUES,
    st.fixed_dictionaries({"status": st.just("success"), "usage": _ROWS}),
    st.fixed_dictionaries(
        {"status": st.just("success"), "data": st.fixed_dictionaries({_PATH: _FOLDERS})}
    ),
    st.fixed_dictionaries({"status": st.just("success"), _PATH: st.lists(_FOLDERS, max_size=3)}),
    st.fixed_dictionaries({"status": st.just("failure"), "code": _SCALARS, "message": _SCALARS}),
)
_PIECES = st.sampled_from(
    ["[]", "{}", "1.5", '""', '{"a":0}', "[[]]", '"é"', "null", '{"__files":["a"]}', '["a"]', "1e9"]
)
_START: Final = '{"status":"success","data":{"sestore4/jb":{'


@st.composite
def _large(draw: st.DrawFn) -> str:
    """Draw a response of many equal parts, as a list, as folders, or inside of each other."""
    piece, number = draw(_PIECES), draw(st.integers(1, 8000))
    match draw(st.integers(0, 4)):
        case 0:
            return f'{{"status":"success","usage":[{",".join([piece] * number)}]}}'
        case 1:
            folders = ",".join(f'"f{index}":{piece}' for index in range(number))
            return _START + f'"{"n" * draw(st.sampled_from([1, 255, 30_000]))}":{{{folders}}}}}}}}}'
        case 2:
            opening = draw(st.sampled_from(["[", '{"a":', '[{"a":']))
            return '{"status":"success","usage":' + opening * number
        case 3:
            depth = draw(st.integers(1, 300))
            return _START + f'"n":{f"{{{chr(34)}d{chr(34)}:" * depth}{piece}{"}" * depth}}}}}}}'
    return f'{{"status":"failure","message":"{draw(st.text(max_size=3))}{"é" * number}"}}'


_BODIES = st.one_of(
    st.binary(max_size=200),
    _CONTENTS.map(json.dumps).map(str.encode),
    _large().map(lambda text: text.encode(errors="surrogatepass")),
)


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """Draw a body of which some bytes may be changed, removed or added."""
    body = bytearray(draw(_BODIES))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


class _Given:
    """Replaces the transport, and returns what it is given."""

    closed = False
    timeout = 60.0

    def __init__(self) -> None:
        self.response = HttpResponse(200, b"")

    def send(self, *_: object) -> HttpResponse:
        """Return the response."""
        return self.response


@contextmanager
def api_content() -> Iterator[Target[tuple[int, bytes]]]:
    """Read the content of responses as both commands."""
    given = _Given()
    seconds = count()
    # A second passes at each look, also once the time of a response is used: a request never has
    # the time of the one before, for which it would wait without end.
    clock = Clock(lambda: _NOW + next(seconds), lambda: float(next(seconds)))
    client = Client(
        *(
            "main",
            158,
            cast("Transport", given),
            TimestampAllocator(lambda _: False),
            clock,
            ServerTime(clock),
        ),
        observe=lambda _: None,
    )

    def check(drawn: tuple[int, bytes]) -> None:
        status, body = drawn
        given.response = HttpResponse(status, body, date=_NOW)
        tracemalloc.start()  # here only: it makes the making of inputs slow
        try:
            read_both()
            _, taken = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        allowed = _FIXED_BYTES + _BYTES_FOR_BYTE * len(body)
        if taken > allowed:
            raise AssertionError(f"{len(body)} bytes took {taken / _MIB:.0f} MiB of memory")

    def read_both() -> None:
        for read in (
            lambda: request_disk_usage(client, _CREDENTIALS, ()),
            lambda: list_files(client, _CREDENTIALS, _PATH, "video", 0),
        ):
            try:
                read()
            except ScaleEngineError as error:
                _check(error)

    statuses = st.sampled_from([*[200] * 6, 204, 301, 401, 404, 429, 500, 503, 999])
    yield Target(st.tuples(statuses, _spoilt()), check)


def _check(error: ScaleEngineError) -> None:
    text = str(error)
    if not text.isprintable() or len(text) > 1000:  # noqa: PLR2004 - a log line, not a page
        raise AssertionError(f"no short line of text: {text[:2000]!r}")
    if _KEY in text or _SECRET in text:
        raise AssertionError("an error shows a secret")


_STATUS_LINES = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 6,
        *(b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue", b"HTTP/1.1 301 Moved", b"HTTP/1.1 204 x"),
        *(b"HTTP/1.1 -1 x", b"HTTP/9.9 200 OK", b"HTTP/1.1 200", b"ICY 200", b"", b"\xff" * 70_000),
    ]
)
_FIELDS = st.sampled_from(
    [
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Content-Length: 5"),
        *(b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: x"),
        *(
            b"Content-Encoding: gzip",
            b"Content-Encoding: deflate",
            b"Content-Encoding: br, gzip, x",
        ),
        *(b"Date: x", b"Date: Tue, 11 Nov 2014 10:00:00 GMT", b"Retry-After: " + b"9" * 5000),
        *(
            b"Retry-After: -1",
            b"Location: http://[",
            b"Set-Cookie: \xff",
            b": x",
            b" x",
            b"x",
            b"\0: \0",
        ),
        *(b"Content-Type: \xff; charset=\xff", b"Connection: keep-alive", b"X: " + b"a" * 70_000),
        b"\r\n".join([b"X: y"] * 200),
    ]
)
_FRAMED = st.sampled_from(
    [
        *(
            b"-1\r\n" + b"a" * 9000,
            b"-5\r\nabcde\r\n",
            b"+5\r\nabcde\r\n0\r\n\r\n",
            b"0x5\r\nabcde\r\n",
        ),
        *(
            b"5\r\n{}{}{\r\n0\r\n\r\n",
            b"5;" + b"x" * 70_000,
            b"f" * 30 + b"\r\n",
            b"\r\n\r\n",
            b"5",
        ),
        *(
            b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
            b"2\r\n{}xx0\r\n\r\n",
            b"1_0\r\n" + b"a" * 20,
            b" 2 \r\n{}\r\n0\r\n\r\n",
        ),
        *(b"0\r\n" + b"X: y\r\n" * 2000, b"\x1f\x8b\x08" + b"\0" * 20, b'{"status":"success"}'),
    ]
)


@st.composite
def _responses(draw: st.DrawFn) -> bytes:
    """Draw a response that is more or less HTTP."""
    lines = [draw(_STATUS_LINES), *draw(st.lists(_FIELDS, max_size=4)), b""]
    sent = bytearray(b"\r\n".join(lines) + b"\r\n" + draw(_FRAMED | st.binary(max_size=50)))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        start = draw(st.integers(0, len(sent)))
        sent[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(sent)


@contextmanager
def api_http() -> Iterator[Target[bytes]]:
    """Read whole responses over a socket."""
    with (
        capture_logs(),  # a malformed header line is worth a warning, not a failure
        _Peer() as peer,
        closing(Transport(Endpoint(peer.url, _TIMEOUT, 1))) as transport,
    ):
        context = RequestContext("main", "disk.usage", secrets=(_KEY, _SECRET))

        def check(response: bytes) -> None:
            peer.response = response
            try:
                transport.send("{}", context)
            except ScaleEngineError as error:
                _check(error)

        yield Target(_responses() | st.binary(max_size=300), check)


class _Peer:
    """Sends ``response`` to each connection, and closes it."""

    def __init__(self) -> None:
        self.response = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/stable/"
        self._thread = threading.Thread(target=self._serve, name="API peer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_TIMEOUT)
                connection.recv(65536)
                connection.sendall(self.response)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):  # else its unread rest would reset the connection
                    pass
