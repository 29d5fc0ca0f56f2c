"""What a server may send instead of a plain response: it is read without guessing, or refused."""

import gzip
import logging
import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import NetworkError, ProtocolError, ScaleEngineError
from exporter.scaleengine.json_values import JsonObject, as_int
from tests.support.fixtures import MakeClient, StartServer
from tests.support.sentences import (
    BAD_CHUNK_SIZE,
    BAD_COMPRESSION,
    FOREIGN_RESPONSE,
    NAME_TWICE,
    NO_WHOLE_NUMBER,
    NOT_HTTP,
    NOT_UTF8,
    TWO_LENGTHS,
    UNDOCUMENTED_RESPONSE,
)

Ask = Callable[[bytes], int]

BODY = b'{"status":"success","n":5}'
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
GOOD = OK + LENGTH + b"\r\n" + BODY
DATE = b"Date: Tue, 11 Nov 2014 10:00:00 GMT\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def read_number(members: JsonObject) -> int:
    """Read the number that the responses of these tests hold."""
    return as_int(members["n"])


@pytest.fixture
def ask(listen: StartServer, connect: MakeClient, credentials: Credentials) -> Ask:
    """Return a function that makes a request whose response is some bytes, and the end."""

    def call(data: bytes) -> int:
        def serve(sock: socket.socket, _: bytes) -> None:
            sock.sendall(data)
            raise ConnectionAbortedError

        return connect(listen(serve), 20.0).call(credentials, "disk.usage", {}, read_number)

    return call


def chunks(body: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Return a body in two chunks."""
    parts = (body[:7], body[7:])
    written = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return written + b"0\r\n" + trailer + b"\r\n"


def whole(*fields: bytes, body: bytes = BODY, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return a response with the length of its body, and these fields."""
    head = (status, b"Content-Length: %d" % len(body), *fields)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


READ = {
    "as it should be": GOOD,
    # RFC 9112, 2.2 and 4: lines
    "lines that end with LF alone": GOOD.replace(b"\r\n", b"\n"),
    "empty lines before": b"\r\n\r\n" + GOOD,
    "no reason phrase": whole(status=b"HTTP/1.1 200"),
    "no reason phrase, but its blank": whole(status=b"HTTP/1.1 200 "),
    "a reason phrase in Latin-1": whole(status=b"HTTP/1.1 200 Tr\xe8s bien"),
    "two blanks": whole(status=b"HTTP/1.1  200 OK"),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    "HTTP/1.0 that stays open": whole(b"Connection: keep-alive", status=b"HTTP/1.0 200 OK"),
    "a later HTTP/1": whole(status=b"HTTP/1.2 200 OK"),
    # RFC 9110, 15.2: interim responses
    "100": b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
    "102 twice": b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + GOOD,
    "103 with fields": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + GOOD,
    "103 with a length": b"HTTP/1.1 103 Early Hints\r\n" + LENGTH + b"\r\n" + GOOD,
    "100, 102 and 103": b"".join(b"HTTP/1.1 %d Wait\r\n\r\n" % n for n in (100, 102, 103)) + GOOD,
    "an unknown one": b"HTTP/1.1 199\r\nA: b\r\n\r\n" + GOOD,
    # RFC 9112, 5 and 6.3: fields and the end of the body
    "names in lower case": whole().replace(b"Content-Length", b"content-length"),
    "blanks around a value": OK + b"Content-Length: \t %d \t\r\n\r\n" % len(BODY) + BODY,
    "no blank before a value": OK + b"Content-Length:%d\r\n\r\n" % len(BODY) + BODY,
    "a blank before a colon": OK + b"Content-Length : %d\r\n\r\n" % len(BODY) + BODY,
    "a folded line": OK + b"X: a\r\n b\r\n\tc\r\n" + LENGTH + b"\r\n" + BODY,
    "a folded length": OK + b"Content-Length:\r\n %d\r\n\r\n" % len(BODY) + BODY,
    "a malformed line": OK + b"canary\r\n" + LENGTH + b"\r\n" + BODY,
    "a malformed line that is folded": OK + b"canary\r\n more\r\n" + LENGTH + b"\r\n" + BODY,
    "a folded line without a first": OK + b" canary\r\n" + LENGTH + b"\r\n" + BODY,
    "a line without a name": OK + b": canary\r\n" + LENGTH + b"\r\n" + BODY,
    "a name with a blank": OK + b"X Y: canary\r\n" + LENGTH + b"\r\n" + BODY,
    "a name in UTF-8": OK + "é: canary\r\n".encode() + LENGTH + b"\r\n" + BODY,
    "a value in UTF-8": OK + "X: é\r\n".encode() + LENGTH + b"\r\n" + BODY,
    "NUL in a value": OK + b"X: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "CR in a value": OK + b"X: a\rContent-Length: 3\r\n" + LENGTH + b"\r\n" + BODY,
    "an empty value": OK + b"X:\r\n" + LENGTH + b"\r\n" + BODY,
    "a long line": OK + b"X: " + b"x" * 60_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "many lines": OK + b"X: %d\r\n" * 98 % tuple(range(98)) + LENGTH + b"\r\n" + BODY,
    "the length twice": OK + LENGTH + LENGTH + b"\r\n" + BODY,
    "the length twice in one line": whole(b"X: x").replace(b": 26", b": 26, 26"),
    "the length with zeros": OK + b"Content-Length: 0026\r\n" + LENGTH + b"\r\n" + BODY,
    "no length": OK + b"\r\n" + BODY,
    "chunks": OK + CHUNKED + b"\r\n" + chunks(BODY),
    "chunks and a length": OK + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n" + chunks(BODY),
    "chunks in capitals": OK + b"TRANSFER-ENCODING: CHUNKED \r\n\r\n" + chunks(BODY),
    "chunks said twice": OK + CHUNKED * 2 + b"\r\n" + chunks(BODY),
    "chunks with extensions": OK + CHUNKED + b"\r\n" + chunks(BODY, b';a="b"; c'),
    "chunks without the last empty line": OK + CHUNKED + b"\r\n" + chunks(BODY)[:-2],
    "chunks of one byte": OK
    + CHUNKED
    + b"\r\n"
    + b"".join(b"001\r\n%c\r\n" % byte for byte in BODY)
    + b"0\r\n\r\n",
    "chunks with a trailer": OK + CHUNKED + b"\r\n" + chunks(BODY, trailer=b"X: y\r\n" + DATE),
    "identity as a transfer coding": whole(b"Transfer-Encoding: identity"),
    # RFC 9110, 8.3 and 8.4: type and coding of the content
    "another type": whole(b"Content-Type: text/html; charset=iso-8859-1"),
    "another character set": whole(b"Content-Type: application/json; charset=utf-16"),
    "a type of several parts": whole(b"Content-Type: multipart/mixed"),
    "a type that is none": whole(b"Content-Type: ;;="),
    "identity as a coding": whole(b"Content-Encoding: identity"),
    "a coding that is none": whole(b"Content-Encoding: utf-8"),
    "an empty coding": whole(b"Content-Encoding:"),
    "gzip": whole(b"Content-Encoding: gzip", body=gzip.compress(BODY)),
    "x-gzip": whole(b"Content-Encoding: X-GZIP", body=gzip.compress(BODY)),
    "gzip in two members": whole(
        b"Content-Encoding: gzip", body=gzip.compress(BODY[:7]) + gzip.compress(BODY[7:])
    ),
    "gzip said twice": whole(
        b"Content-Encoding: gzip", b"Content-Encoding: gzip", body=gzip.compress(BODY)
    ),
    "deflate": whole(b"Content-Encoding: deflate", body=zlib.compress(BODY)),
    "deflate without its head": whole(
        b"Content-Encoding: deflate", body=zlib.compress(BODY, wbits=-15)
    ),
    # RFC 8259: what JSON may look like
    "blanks around": whole(body=b"\r\n\t " + BODY + b" \n"),
    "a byte order mark": whole(body=b"\xef\xbb\xbf" + BODY),
    "two byte order marks": whole(body=b"\xef\xbb\xbf\n\xef\xbb\xbf" + BODY),
    "blanks inside": whole(body=b'{ "status" :\t"success" ,\n"n" : 5 }'),
    "escaped letters": whole(body=b'{"\\u0073tatus":"succes\\u0073","n":5}'),
    "NUL in a text": whole(body=b'{"status":"success","message":"\\u0000","n":5}'),
    "half of a character": whole(body=b'{"status":"success","message":"\\ud800","n":5}'),
    "a fraction": whole(body=b'{"status":"success","n":5.00}'),
    "an exponent": whole(body=b'{"status":"success","n":0.5E+1}'),
    "a text": whole(body=b'{"status":"success","n":"5.00"}'),
    "other numbers": whole(body=b'{"status":"success","n":5,"o":[-0,-0.0,1e400,1e-400]}'),
    # RFC 9110, 15: the envelope decides, for any status
    "status 203": whole(status=b"HTTP/1.1 203 Non-Authoritative Information"),
    "status 404": whole(status=b"HTTP/1.1 404 Not Found"),
    "status 500": whole(status=b"HTTP/1.1 500 Oops"),
    "status 999": whole(status=b"HTTP/1.1 999 What"),
}


@pytest.mark.parametrize("case", READ)
def test_responses_with_one_meaning_are_read(ask: Ask, case: str) -> None:
    """What has one meaning is read."""
    assert ask(READ[case]) == 5


NOT_OURS = f"{FOREIGN_RESPONSE} (HTTP {{}}): {{}}"
BROKE_OFF = "the connection broke off"
REFUSED = {
    "nothing": (b"", NetworkError, f"{BROKE_OFF} (RemoteDisconnected)"),
    "half of the status": (b"HTTP/1.1 2", ProtocolError, f"{NOT_HTTP} (BadStatusLine)"),
    "half of the head": (OK + LENGTH, NetworkError, f"{BROKE_OFF} (RemoteDisconnected)"),
    "half of a line": (OK + LENGTH[:-5], NetworkError, f"{BROKE_OFF} (RemoteDisconnected)"),
    "half of the body": (GOOD[:-1], NetworkError, "the response broke off (IncompleteRead)"),
    "an interim response alone": (
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        NetworkError,
        f"{BROKE_OFF} (RemoteDisconnected)",
    ),
    "interim responses without end": (
        b"HTTP/1.1 102 Processing\r\n\r\n" * 1000,
        ProtocolError,
        f"{NOT_HTTP} (more than 100 interim responses)",
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + BODY,
        ProtocolError,
        NOT_OURS.format(101, "it is empty"),
    ),
    "a status of two digits": (
        whole(status=b"HTTP/1.1 99 OK"),
        ProtocolError,
        f"{NOT_HTTP} (BadStatusLine)",
    ),
    "a status that is none": (
        whole(status=b"HTTP/1.1 OK"),
        ProtocolError,
        f"{NOT_HTTP} (BadStatusLine)",
    ),
    "HTTP/0.9": (BODY, ProtocolError, f"{NOT_HTTP} (BadStatusLine)"),
    "HTTP/2": (b"\0\0\x12\x04\0\0\0\0\0", ProtocolError, f"{NOT_HTTP} (BadStatusLine)"),
    "two lengths": (
        OK + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} ({TWO_LENGTHS})",
    ),
    "a length below zero": (
        OK + b"Content-Length: -1\r\n\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} (its Content-Length is no number)",
    ),
    "a length that is none": (
        OK + b"Content-Length: 1_0\r\n\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} (its Content-Length is no number)",
    ),
    "a length of many digits": (
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} (its Content-Length is no number)",
    ),
    "a length that is too small": (
        OK + b"Content-Length: 7\r\n\r\n" + BODY,
        ProtocolError,
        NOT_OURS.format(200, "it is not JSON"),
    ),
    "an unknown transfer coding": (
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks(BODY),
        ProtocolError,
        f"{NOT_HTTP} (its Transfer-Encoding is not supported)",
    ),
    "a chunk without its length": (
        OK + CHUNKED + b"\r\nxyz\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} ({BAD_CHUNK_SIZE})",
    ),
    "a chunk size in half": (
        OK + CHUNKED + b"\r\n1",
        NetworkError,
        "the response broke off (IncompleteRead)",
    ),
    "chunks without the last": (
        OK + CHUNKED + b"\r\n1a\r\n" + BODY + b"\r\n",
        NetworkError,
        "the response broke off (IncompleteRead)",
    ),
    "half of a chunk": (
        OK + CHUNKED + b"\r\n1a\r\n" + BODY[:-1],
        NetworkError,
        "the response broke off (IncompleteRead)",
    ),
    "a chunk that is longer than its size": (
        OK + CHUNKED + b"\r\n19\r\n" + BODY + b"\r\n0\r\n\r\n",
        ProtocolError,
        f"{NOT_HTTP} (a chunk is longer than its size)",
    ),
    "a chunk size without end": (
        OK + CHUNKED + b"\r\n" + b"0" * 100_000,
        ProtocolError,
        f"{NOT_HTTP} (LineTooLong)",
    ),
    "too many chunk extensions": (
        OK + CHUNKED + b"\r\n" + (b"1;" + b"x" * 50_000 + b"\r\n \r\n") * 90,
        ProtocolError,
        f"{NOT_HTTP} (more than 4 MiB of chunk sizes and trailers)",
    ),
    "trailers without end": (
        OK + CHUNKED + b"\r\n" + chunks(BODY, trailer=b"X: y\r\n" * 1000),
        ProtocolError,
        f"{NOT_HTTP} (more than 100 trailer lines)",
    ),
    **{
        f"a chunk size of {size!r}": (
            OK + CHUNKED + b"\r\n" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
            ProtocolError,
            f"{NOT_HTTP} ({BAD_CHUNK_SIZE})",
        )
        for size in (b"-1", b"-5", b"-0", b"+1a", b"0x1a", b"1_a", b" 1a", b"", b"1a x", b"0" * 17)
    },
    "many lines of header": (
        OK + b"X: %d\r\n" * 100 % tuple(range(100)) + LENGTH + b"\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} (more than 99 header lines)",
    ),
    "a large header": (
        OK + (b"X: " + b"x" * 60_000 + b"\r\n") * 5 + LENGTH + b"\r\n" + BODY,
        ProtocolError,
        f"{NOT_HTTP} (more than 256 KiB of header)",
    ),
    "large interim responses": (
        (b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 60_000 + b"\r\n\r\n") * 5 + GOOD,
        ProtocolError,
        f"{NOT_HTTP} (more than 256 KiB of header)",
    ),
    "many gzip members": (
        whole(b"Content-Encoding: gzip", body=gzip.compress(b"") * 100 + gzip.compress(BODY)),
        ProtocolError,
        f"{NOT_HTTP} (more than 100 compressed members)",
    ),
    "gzip and something else": (
        whole(b"Content-Encoding: gzip", body=gzip.compress(BODY) + b"canary"),
        ProtocolError,
        BAD_COMPRESSION,
    ),
    "two compressions": (
        whole(b"Content-Encoding: gzip, gzip", body=gzip.compress(gzip.compress(BODY))),
        ProtocolError,
        NOT_OURS.format(200, NOT_UTF8),
    ),
    "a coding that was not asked for": (
        whole(b"Content-Encoding: compress", body=b"\x1f\x9d\x90"),
        ProtocolError,
        NOT_OURS.format(200, "its Content-Encoding is 'compress'"),
    ),
    "gzip that is none": (
        whole(b"Content-Encoding: gzip"),
        ProtocolError,
        BAD_COMPRESSION,
    ),
    "gzip that is not said": (
        whole(body=gzip.compress(BODY)),
        ProtocolError,
        NOT_OURS.format(200, NOT_UTF8),
    ),
    "gzip that breaks off": (
        whole(b"Content-Encoding: gzip", body=gzip.compress(BODY)[:-12]),
        ProtocolError,
        NOT_OURS.format(200, "it is not JSON"),
    ),
    "Latin-1": (
        whole(
            b"Content-Type: application/json; charset=iso-8859-1",
            body=b'{"status":"success","message":"\xe9","n":5}',
        ),
        ProtocolError,
        NOT_OURS.format(200, NOT_UTF8),
    ),
    "UTF-16": (
        whole(body=BODY.decode().encode("utf-16")),
        ProtocolError,
        NOT_OURS.format(200, NOT_UTF8),
    ),
    "a warning of PHP before": (
        whole(body=b"<br />\n<b>Warning</b>: canary<br />\n" + BODY),
        ProtocolError,
        NOT_OURS.format(200, "it is not JSON"),
    ),
    "a name twice": (
        whole(body=b'{"status":"success","n":5,"n":5}'),
        ProtocolError,
        NOT_OURS.format(200, NAME_TWICE),
    ),
    "a number with a fraction": (
        whole(body=b'{"status":"success","n":5.5}'),
        ProtocolError,
        f"{UNDOCUMENTED_RESPONSE}: {NO_WHOLE_NUMBER} a number",
    ),
    "204": (
        b"HTTP/1.1 204 No Content\r\n\r\n",
        ProtocolError,
        NOT_OURS.format(204, "it is empty"),
    ),
    "204 with a body": (
        whole(status=b"HTTP/1.1 204 No Content"),
        ProtocolError,
        NOT_OURS.format(204, "it is empty"),
    ),
    "204 with chunks": (
        b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n" + chunks(BODY),
        ProtocolError,
        NOT_OURS.format(204, "it is empty"),
    ),
    "304 with a body": (
        whole(status=b"HTTP/1.1 304 Not Modified"),
        ProtocolError,
        NOT_OURS.format(304, "it is empty"),
    ),
}
"""Each with the class of the error and its cause."""


@pytest.mark.parametrize("case", REFUSED)
def test_responses_without_one_meaning_are_refused(ask: Ask, case: str) -> None:
    """What has no meaning, or several, is refused with its cause."""
    data, kind, cause = REFUSED[case]
    with pytest.raises(ScaleEngineError) as caught:
        ask(data)

    assert (type(caught.value), caught.value.cause) == (kind, cause)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        b"DATE: Tue, 11 Nov 2014 10:00:00 GMT\r\n",
        b"Date: Tuesday, 11-Nov-14 10:00:00 GMT\r\n",
        b"Date: Tue Nov 11 10:00:00 2014\r\n",
        DATE + DATE,
        b"Date:\r\n Tue, 11 Nov 2014\r\n 10:00:00 GMT\r\n",
        b"canary\r\n" + DATE,
    ],
)
def test_the_date_is_read_from_a_malformed_head(
    listen: StartServer, connect: MakeClient, credentials: Credentials, fields: bytes
) -> None:
    """The server's time is read in every form, also behind a malformed line."""
    client = connect(listen(lambda line, _: line.sendall(OK + fields + LENGTH + b"\r\n" + BODY)))
    client.call(credentials, "disk.usage", {}, read_number)

    assert client.time.skew == pytest.approx(0.0, abs=2)


SECOND = b'{"status":"success","n":6}'
BETWEEN = {
    "empty lines": b"\r\n\r\n",
    "a body that is longer than said": b"canary",
    "a response that was not requested": whole(body=b'{"status":"success","n":7}'),
    "a farewell": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("case", BETWEEN)
def test_surplus_bytes_are_not_the_next_response(
    listen: StartServer, connect: MakeClient, credentials: Credentials, case: str
) -> None:
    """What a server sends too much is not taken for the response to the next request."""
    bodies = iter((BODY, SECOND))
    sent = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(whole(body=next(bodies)) + BETWEEN[case])
        sent.set()

    client = connect(listen(serve), 20.0)
    assert client.call(credentials, "disk.usage", {}, read_number) == 5
    assert sent.wait(60)
    assert client.call(credentials, "disk.usage", {}, read_number) == 6


@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_closed_while_idle_is_replaced(
    listen: StartServer, connect: MakeClient, credentials: Credentials, *, reset: bool
) -> None:
    """A server may close, or reset, a connection that it said it would keep."""
    closed = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(GOOD)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(sock.detach())  # at once, though a file object refers to it
        else:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        closed.set()
        raise ConnectionAbortedError

    client = connect(listen(serve), 20.0)
    for _ in range(3):
        assert client.call(credentials, "disk.usage", {}, read_number) == 5
        assert closed.wait(60)
        closed.clear()


def test_a_body_of_a_204_does_not_change_the_next_response(
    listen: StartServer, connect: MakeClient, credentials: Credentials
) -> None:
    """The body that a 204 must not have does not change the next response."""
    responses = iter((whole(status=b"HTTP/1.1 204 No Content"), whole(body=SECOND)))
    client = connect(listen(lambda line, _: line.sendall(next(responses))), 20.0)
    with pytest.raises(ProtocolError):
        client.call(credentials, "disk.usage", {}, read_number)

    assert client.call(credentials, "disk.usage", {}, read_number) == 6


def test_a_malformed_header_is_logged_once(
    listen: StartServer,
    connect: MakeClient,
    credentials: Credentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A malformed header line is logged once, without a traceback, however often it comes."""
    data = OK + b"canary\x1b[1m " + b"x" * 100 + b"\r\n" + LENGTH + b"\r\n" + BODY
    client = connect(listen(lambda line, _: line.sendall(data)), 20.0)
    with capture_logs() as events, caplog.at_level(logging.DEBUG):
        for _ in range(3):
            assert client.call(credentials, "disk.usage", {}, read_number) == 5

    assert events == [
        {
            "event": "malformed header line ignored",
            "log_level": "warning",
            "line": repr("canary\x1b[1m " + "x" * 100),
            "advice": "report it to ScaleEngine's support; further ones are not logged",
        }
    ]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
