"""A request is sent as it is and nothing else; a response is read whole and never too large."""

import gzip
import socket
import threading
from contextlib import closing
from http.client import CannotSendHeader, HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from exporter import __version__
from exporter.scaleengine.deadline import _Connection
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import ProtocolError
from exporter.scaleengine.message_body import BODY_LIMIT, HttpResponse
from exporter.scaleengine.transport import Connections, Endpoint, Transport
from tests.support.fixtures import MakeTransport, SendRequest, StartFixedServer, StartServer
from tests.support.sentences import BAD_CHUNK_SIZE, CHECK_URL, LARGE_RESPONSE

BODY = b'{"status": "success"}'
HEAD = b"HTTP/1.1 200 OK\r\n"
TOO_LARGE = f"{LARGE_RESPONSE} 32 MiB: {CHECK_URL}"


def response(body: bytes = BODY, more: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """Return an HTTP response; ``more`` are lines of further headers."""
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, more, len(body), body)


class RecordingServer:
    """A server that responds to everything, and remembers each request and where it came from."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.requests: list[bytes] = []
        self.connections: set[object] = set()

    def __call__(self, sock: socket.socket, request: bytes) -> None:
        """Respond to a request."""
        self.requests.append(request)
        self.connections.add(sock.getpeername())
        sock.sendall(self.data)


def test_the_text_is_sent_as_a_form_field(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """The text is posted as the form field json, under the exporter's name and version."""
    recorder = RecordingServer(response())
    text = '{"path":"sestore4\\/a b&c=d+é","signature":"ab+\\/="}'
    found = transport(listen(recorder)).send(text, context)

    assert found == HttpResponse(200, BODY)
    head, body = recorder.requests[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /stable/ HTTP/1.1\r\n")
    assert parse_qs(body.decode()) == {"json": [text]}
    sent = dict(line.split(": ") for line in head.decode().split("\r\n")[1:])
    assert sent.pop("Host").startswith("127.0.0.1:")
    assert sent == {
        "User-Agent": f"scaleengine-exporter/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive",
        "Content-Length": str(len(body)),
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_no_password_from_netrc_is_sent(
    listen: StartServer, send: SendRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password for the host in .netrc is not ours to send."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    recorder = RecordingServer(response())
    send(listen(recorder))

    assert b"authorization" not in recorder.requests[0].lower()


def test_cookies_are_not_sent_back(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """A cookie is neither kept nor sent back."""
    recorder = RecordingServer(response(more=b"Set-Cookie: canary=1; Path=/\r\n"))
    sender = transport(listen(recorder))
    for _ in range(2):
        sender.send("{}", context)

    assert len(recorder.requests) == 2
    assert b"cookie" not in b"".join(recorder.requests).lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(listen: StartServer, send: SendRequest, status: int) -> None:
    """The server that a redirect leads to gets no request; the response is the redirect."""
    elsewhere = RecordingServer(response())
    location = b"Location: %s\r\n" % listen(elsewhere).encode()
    here = RecordingServer(response(b"Moved", location, b"%d Moved" % status))

    assert send(listen(here)) == HttpResponse(status, b"Moved")
    assert len(here.requests) == 1
    assert elsewhere.requests == []


def test_one_connection_serves_many_requests(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """Calls made one after the other use one connection."""
    recorder = RecordingServer(response())
    sender = transport(listen(recorder))
    for _ in range(20):
        sender.send("{}", context)

    assert (len(recorder.requests), len(recorder.connections)) == (20, 1)


def test_retired_connections_are_not_kept(listen: StartServer, context: RequestContext) -> None:
    """What was idle is closed at once, and what is under way or still comes after its response."""
    recorder = RecordingServer(response())
    asked, may_respond = threading.Event(), threading.Event()

    def serve(sock: socket.socket, request: bytes) -> None:
        asked.set()
        may_respond.wait(60)
        recorder(sock, request)

    connections = Connections(Endpoint(listen(serve), 60.0, 2))
    sender = Transport(connections)
    thread = threading.Thread(target=sender.send, args=("{}", context))
    thread.start()
    assert asked.wait(60)
    connections.retire()
    may_respond.set()
    thread.join(60)
    for _ in range(2):
        assert sender.send("{}", context) == HttpResponse(200, BODY)
    assert (len(recorder.requests), len(recorder.connections)) == (3, 3)


def test_head_and_body_are_sent_by_one_system_call(
    listen: StartServer,
    transport: MakeTransport,
    context: RequestContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request is sent by one system call, on a new connection and on one that was kept open."""
    pieces: list[bytes] = []
    send = HTTPConnection.send

    def record(connection: HTTPConnection, data: bytes) -> None:
        pieces.append(data)
        send(connection, data)

    monkeypatch.setattr(HTTPConnection, "send", record)
    recorder = RecordingServer(response())
    sender = transport(listen(recorder))
    for _ in range(2):
        sender.send("{}", context)
    assert pieces == recorder.requests
    assert len(recorder.connections) == 1


def test_an_unsent_head_is_forgotten_at_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is forgotten when the connection is closed, and holds back nothing of the next one."""
    connection = _Connection("127.0.0.1")
    with pytest.raises(CannotSendHeader):
        connection.endheaders()
    connection.close()
    sent: list[bytes] = []
    monkeypatch.setattr(HTTPConnection, "send", lambda _, data: sent.append(data))
    connection.send(b"CONNECT")
    assert sent == [b"CONNECT"]


def test_retired_idle_connections_are_closed_at_once(
    listen: StartServer, context: RequestContext
) -> None:
    """Their server gets the end of the connection at once."""
    ended = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(response())
        if sock.recv(1) == b"":
            ended.set()

    connections = Connections(Endpoint(listen(serve), 60.0, 2))
    Transport(connections).send("{}", context)
    assert not ended.is_set()
    connections.retire()
    assert ended.wait(60)


def test_accounts_share_connections(listen: StartServer, context: RequestContext) -> None:
    """Each account uses what another has left open, and closing one leaves it to the others."""
    recorder = RecordingServer(response())
    connections = Connections(Endpoint(listen(recorder), 60.0, 2))
    with closing(connections):
        for _ in range(10):
            with closing(Transport(connections)) as sender:
                assert sender.send("{}", context) == HttpResponse(200, BODY)

    assert (len(recorder.requests), len(recorder.connections)) == (10, 1)


def test_a_surplus_response_reaches_no_other_account(
    listen: StartServer, context: RequestContext
) -> None:
    """Given a server that sends two responses at once, then the next request gets its own one."""
    next_request, sent = threading.Event(), threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(response())
        assert next_request.wait(60)
        sock.sendall(response(b'{"status": "unrequested"}'))
        sent.set()

    connections = Connections(Endpoint(listen(serve), 60.0, 2))
    with closing(connections):
        for _ in range(3):
            assert Transport(connections).send("{}", context) == HttpResponse(200, BODY)
            next_request.set()
            assert sent.wait(60)
            next_request.clear()
            sent.clear()


def test_a_closed_connection_is_replaced(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """A server may close a connection between two requests; the second one connects again."""
    hung_up = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(response())
        sock.shutdown(socket.SHUT_RDWR)
        hung_up.set()
        raise ConnectionAbortedError

    sender = transport(listen(serve))
    for _ in range(3):
        assert sender.send("{}", context) == HttpResponse(200, BODY)
        assert hung_up.wait(60)
        hung_up.clear()


def test_concurrent_requests_have_a_connection_each(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """Calls that are made at once have a connection each, and these are kept for the next ones."""
    together = threading.Barrier(4)
    connections = set()

    def serve(sock: socket.socket, _: bytes) -> None:
        together.wait(60)
        connections.add(sock.getpeername())
        sock.sendall(response())

    sender = transport(listen(serve), connections=4)
    for _ in range(3):
        threads = [threading.Thread(target=sender.send, args=("{}", context)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert len(connections) == 4


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (response(b""), HttpResponse(200, b"")),
        (response(BODY, status=b"500 Oops"), HttpResponse(500, BODY)),
        (response(gzip.compress(BODY), b"Content-Encoding: gzip\r\n"), HttpResponse(200, BODY)),
        (HEAD + b"\r\n" + BODY, HttpResponse(200, BODY)),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, HttpResponse(200, BODY)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", HttpResponse(204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + response(), HttpResponse(200, BODY)),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n15\r\n" + BODY + b"\r\n0\r\n\r\n",
            HttpResponse(200, BODY),
        ),
    ],
)
def test_every_framing_of_a_body_is_read(
    fixed_server: StartFixedServer, send: SendRequest, data: bytes, found: HttpResponse
) -> None:
    """Every way in which HTTP carries a body is understood."""
    assert send(fixed_server(data)) == found


def test_a_body_of_32_mib_is_read(fixed_server: StartFixedServer, send: SendRequest) -> None:
    """A body of just 32 MiB is read whole."""
    found = send(fixed_server(response(b" " * BODY_LIMIT)))

    assert len(found.body) == BODY_LIMIT == 32 * 1024 * 1024


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"500 Oops"])
@pytest.mark.parametrize("more", [b"", b"Location: /elsewhere/\r\n"])
def test_larger_bodies_are_refused(
    fixed_server: StartFixedServer, send: SendRequest, status: bytes, more: bytes
) -> None:
    """A larger body is not read to its end, for any status."""
    data = response(b" " * (BODY_LIMIT + 1), more, status)
    with pytest.raises(ProtocolError) as caught:
        send(fixed_server(data))

    assert str(caught.value) == TOO_LARGE


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"\r\n", b" " * 2**20),
        (b"Content-Length: 99999999999\r\n\r\n", b" " * 2**20),
        (CHUNKED + b"\r\n", b"100000\r\n" + b" " * 2**20 + b"\r\n"),
        (CHUNKED + b"\r\nfffffffffff\r\n", b" " * 2**20),
        (b"Content-Encoding: deflate\r\n\r\n", b"\0\0\0\xff\xff" * 20_000),
    ],
)
def test_endless_bodies_are_refused_at_the_limit(
    listen: StartServer, send: SendRequest, head: bytes, piece: bytes
) -> None:
    """A body that never ends is cut off at the limit, however it is framed or compressed."""

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(HEAD + head)
        while True:
            sock.sendall(piece)

    with pytest.raises(ProtocolError) as caught:
        send(listen(serve))

    assert str(caught.value) == TOO_LARGE


def test_a_negative_chunk_size_is_refused(listen: StartServer, send: SendRequest) -> None:
    """Endless bytes behind a chunk size of -1 are not read."""
    sent = 0

    def serve(sock: socket.socket, _: bytes) -> None:
        nonlocal sent
        sock.sendall(HEAD + CHUNKED + b"\r\n-1\r\n")
        while sent < 4 * BODY_LIMIT:
            sent += sock.send(b" " * 2**20)

    with pytest.raises(ProtocolError, match=BAD_CHUNK_SIZE):
        send(listen(serve))
    assert sent < BODY_LIMIT


def test_chunks_leave_the_connection_open(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """The next request goes by the connection on which a chunked response came."""
    recorder = RecordingServer(HEAD + CHUNKED + b"\r\n15\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n")
    sender = transport(listen(recorder))
    for _ in range(5):
        assert sender.send("{}", context) == HttpResponse(200, BODY)

    assert (len(recorder.requests), len(recorder.connections)) == (5, 1)


def test_the_limit_is_that_of_the_unpacked_body(
    fixed_server: StartFixedServer, send: SendRequest
) -> None:
    """What counts is the body as it is unpacked."""
    packed = gzip.compress(b" " * (BODY_LIMIT + 1), 1)
    with pytest.raises(ProtocolError) as caught:
        send(fixed_server(response(packed, b"Content-Encoding: gzip\r\n")))

    assert str(caught.value) == TOO_LARGE
