"""What careless and hostile clients get, and that the log stays quiet about it."""

import logging
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.http import Response, read_to_end
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web.conftest import Site

READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = READY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
TLS_HELLO = bytes.fromhex("16030102000100 01fc0303") + bytes(64)
NO_REQUESTS = {
    "tls": TLS_HELLO,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "smtp": b"EHLO scanner.example\r\n",
    "redis": b"*1\r\n$4\r\nINFO\r\n",
    "zeros": bytes(100),
    "one word": b"GET\r\n\r\n",
    "http9": b"GET / HTTP/9.9\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "zero in a name": b"GET / HTTP/1.1\r\nHost: x\r\nName\0: x\r\n\r\n",
    "secret": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Y2FuYXJ5\0\r\n\r\n",
    "negative length": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "long method": b"G" * 9000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "empty lines": b"\r\n" * 20_000,
}
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
TOO_LARGE = {
    "url": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "query": (414, b"GET /?" + b"a" * 1_000_000),
    "value": (431, HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n"),
    "value without end": (431, HEAD + b"X: " + b"a" * 1_000_000),
    "name": (431, HEAD + b"a" * 9000 + b": x\r\n\r\n"),
    "many headers": (431, HEAD + b"X: y\r\n" * 70 + b"\r\n"),
    "all headers": (431, HEAD + b"".join(b"X%d: %08000d\r\n" % (n, n) for n in range(5))),
    "trailer": (
        431,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
        + b"a" * 9000
        + b"\r\n\r\n",
    ),
}


def exchange(site: "Site", sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the other side closes."""
    with closing(site.connect()) as sock:
        sock.sendall(sent)
        return read_to_end(sock)


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_an_invalid_request_gets_400(site: "Site", events: list[EventDict], sent: bytes) -> None:
    """It gets a bare 400, which repeats nothing of it, and the next client is served."""
    refused, next_one = site.serve_while(lambda: (exchange(site, sent), site.ask("/-/ready")))
    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n"))
    assert body == b"400 Bad Request\n"
    assert b"\r\nServer: scaleengine-exporter\r\n" in head + b"\r\n"
    assert next_one.status == 200
    assert [set(event) for event in events] == [{"event", "peer", "fault", "log_level"}]
    assert "Y2FuYXJ5" not in str(events)


@pytest.mark.parametrize(("status", "sent"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_url_or_header_that_is_too_large_is_refused(
    site: "Site", events: list[EventDict], status: int, sent: bytes
) -> None:
    """A URL over 8 KiB gets 414, and headers over 8 KiB, over 64 or over 32 KiB in all 431."""
    refused, next_one = site.serve_while(lambda: (exchange(site, sent), site.ask("/-/ready")))
    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 %d " % status)
    assert body.startswith(b"%d " % status)
    assert next_one.status == 200
    assert [event["event"] for event in events] == ["malformed HTTP request"]


def test_a_url_and_a_header_of_8_kib_are_accepted(site: "Site") -> None:
    """A URL and a header of 8 KiB each are taken."""
    url = b"/" + b"a" * 8189
    sent = b"GET %s HTTP/1.1\r\nHost: x\r\nX: %08190d\r\nConnection: close\r\n\r\n" % (url, 1)
    assert site.serve_while(lambda: exchange(site, sent)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //[/%00%zz?name[]=%ff&%=%& HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET /metrics?name[]=%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nExpect: <b>canary</b>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\0",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_an_odd_request_is_not_repeated_in_the_response(
    site: "Site", events: list[EventDict], sent: bytes
) -> None:
    """They get a response that repeats nothing of them; none is a defect of the exporter's."""

    def visit() -> tuple[bytes, Response]:
        with closing(site.connect()) as sock:
            sock.sendall(sent)
            return sock.recv(65536), site.ask("/-/ready")

    received, next_one = site.serve_while(visit)
    assert re.match(rb"HTTP/1.[01] (200|400|404|405|417) ", received)
    assert b"canary" not in received
    assert b"\r\nServer: scaleengine-exporter\r\n" in received
    assert next_one.status == 200
    assert all(event["event"] == "malformed HTTP request" for event in events)


STARTS = st.sampled_from([b"GET ", b"HEAD ", b"POST ", b"OPTIONS "])
PATHS = st.sampled_from([b"/metrics", b"/-/ready", b"/", b"?name[]=", b"%", b"*", b"//[", b":"])
VERSIONS = st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"])
HEADERS = st.sampled_from(
    [
        b"Host: x\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: Upgrade\r\nUpgrade: x\r\n",
        b"Accept-Encoding: gzip;q=\r\n",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b"0\r\n\r\n"])
REQUESTS = st.lists(
    st.one_of(STARTS, PATHS, VERSIONS, HEADERS, ENDS, st.binary(max_size=5))
    | st.tuples(STARTS, PATHS, VERSIONS, HEADERS, HEADERS, ENDS).map(b"".join),
    max_size=10,
).map(b"".join)


def test_any_bytes_leave_the_server_running(site: "Site", events: list[EventDict]) -> None:
    """For any bytes, the next client is served, and nothing is logged."""

    @settings(max_examples=150, deadline=None)
    @given(REQUESTS)
    def send(sent: bytes) -> None:
        with closing(site.connect()) as sock:
            with suppress(OSError):  # it may be refused and ended before
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
            assert b"\r\nServer: Python" not in read_to_end(sock)
        assert site.ask("/-/ready").status == 200

    site.serve_while(send)
    assert all(event["event"] == "malformed HTTP request" for event in events)


@pytest.mark.parametrize(
    ("version", "field", "status"),
    [
        (b"HTTP/1.1", b"Expect: \xff", 417),
        (b"HTTP/1.1", b"Expect: <canary>", 417),
        (b"HTTP/1.1", b"Expect: 100-continue, canary", 417),
        (b"HTTP/1.1", b"Expect: 100-continue\r\nexpect: canary", 417),
        (b"HTTP/1.1", b"Expect: 100-Continue", 200),
        (b"HTTP/1.1", b"Expect: 100-continue\r\nExpect: 100-continue", 200),
        (b"HTTP/1.1", b"Expect:", 200),
        (b"HTTP/1.0", b"Expect: \xff", 200),
    ],
)
@pytest.mark.parametrize("page", [b"/-/ready", b"/nowhere"])
def test_unknown_expectations_are_refused(
    site: "Site", events: list[EventDict], page: bytes, version: bytes, field: bytes, status: int
) -> None:
    """What is expected beyond 100-continue is refused and not repeated; 100 is never sent."""
    sent = b"GET %s %s\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n" % (page, version, field)
    received = site.serve_while(lambda: exchange(site, sent))
    if page == b"/nowhere" and status == 200:
        status = 404
    assert received.startswith(b"%s %d " % (version, status))
    assert received.count(b"HTTP/1.") == 1
    assert b"\r\nServer: scaleengine-exporter\r\n" in received
    assert b"canary" not in received
    assert events == []


def test_a_client_that_waits_for_100_gets_the_response(
    site: "Site", events: list[EventDict]
) -> None:
    """A client that waits for 100 with its body gets the response, and the connection is closed."""
    sent = b"GET /-/ready HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    received = site.serve_while(lambda: exchange(site, sent))
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in received
    assert events == []


@pytest.mark.parametrize("host", [b"xn--", b"x.xn--", b"xn--.x:80"])
def test_an_invalid_host_gets_400(site: "Site", events: list[EventDict], host: bytes) -> None:
    """A target whose host IDNA cannot read gets 400, and the task does not end."""
    sent = b"GET http://%s/-/ready HTTP/1.1\r\nHost: x\r\n\r\n" % host
    received = site.serve_while(lambda: exchange(site, sent))
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert events == []


@pytest.mark.parametrize(
    "name",
    [
        *(b"Host", b"Content-Length", b"Transfer-Encoding", b"Authorization", b"Origin"),
        *(b"Proxy-Authorization", b"Sec-Fetch-Site", b"Referer", b"Range", b"User-Agent"),
        *(b"If-Range", b"If-Modified-Since", b"Content-Type", b"Max-Forwards"),
    ],
)
def test_a_duplicate_header_gets_400(site: "Site", events: list[EventDict], name: bytes) -> None:
    """Where it comes twice, the server does not choose one: it responds with 400."""
    value = {b"Content-Length": b"0", b"Transfer-Encoding": b"chunked"}.get(name, b"x")
    host = b"" if name == b"Host" else b"Host: x\r\n"
    lines = b"%s: %s\r\n%s: %s\r\n" % (name, value, name.lower(), value)
    sent = b"GET /-/ready HTTP/1.1\r\n%s%s\r\n0\r\n\r\n" % (host, lines)
    received = site.serve_while(lambda: exchange(site, sent))
    assert re.match(rb"HTTP/1.[01] 400 Bad Request\r\n", received)
    assert {event["event"] for event in events} <= {"malformed HTTP request"}


def test_a_list_header_may_come_in_several_lines(site: "Site") -> None:
    """Headers whose lines make one list may come in several."""
    lines = b"Accept: a\r\nAccept: b\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n"
    sent = LAST.replace(b"Connection", lines + b"Connection")
    assert site.serve_while(lambda: exchange(site, sent)).startswith(b"HTTP/1.1 200 ")


def test_a_defect_is_logged_once_a_minute(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that makes a page fail cannot be used to fill the log."""
    monkeypatch.setattr(site.registry, "collect", lambda: 1 / 0)
    with capture_logs() as events:
        site.serve_while(lambda: [site.ask("/metrics") for _ in range(3)])
    assert [event["log_level"] for event in events] == ["error", "debug", "debug"]
    assert "exc_info" not in events[1]


def test_a_defect_of_a_page_gets_500_without_traceback(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that fails is a bare 500 without a traceback, which is in the log."""

    def fail() -> str:
        raise ValueError("canary")

    monkeypatch.setattr(site.registry, "collect", fail)
    with capture_logs() as events:
        failed, next_one = site.serve_while(lambda: (site.ask("/metrics"), site.ask("/-/ready")))
    assert (failed.status, failed.body) == (500, b"500 Internal Server Error\n")
    assert failed.headers["Server"] == "scaleengine-exporter"
    assert next_one.status == 200
    (event,) = events
    assert (event["event"], event["page"]) == ("request handler failed", "/metrics")
    assert str(event["exc_info"]) == "canary"


def test_a_defect_in_the_middle_of_a_page_cuts_the_body(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that breaks off is shorter than its length, so no client takes it for a whole one."""

    def break_off(_: object) -> Iterator[bytes]:
        yield b"files"
        raise ValueError("canary")

    monkeypatch.setattr("exporter.web.responses.CHUNK_SIZE", 0)  # no body is small
    monkeypatch.setattr("exporter.web.responses.iter_chunks", break_off)
    with capture_logs() as events:
        received = site.serve_while(lambda: exchange(site, READY.replace(b"/-/ready", b"/metrics")))
    assert received.endswith(b"\r\n\r\nfiles")
    assert [event["event"] for event in events] == ["request handler failed"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /-/ready\n\r\n",
        b"GET /-/ready HTTP/0.9\r\n\r\n",
        b"GET /nowhere HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\nExpect: x\r\n\r\n",
    ],
)
def test_other_http_versions_get_no_response(
    site: "Site", events: list[EventDict], sent: bytes
) -> None:
    """HTTP/0.9 and 2.0 in the form of 1.1 get no response: such a client can read none."""
    assert site.serve_while(lambda: exchange(site, sent)) == b""
    assert events == []


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["plain", "expecting"])
def test_clients_that_leave_early_leave_nothing(
    site: "Site", events: list[EventDict], more: bytes
) -> None:
    """Two hundred who ask for the metrics and are gone leave nothing behind."""
    site.max_connections = 1000  # all may be open before the server sees that the first is gone
    sent = b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"

    def visit() -> int:
        for number in range(200):
            with closing(site.connect()) as sock:
                if number % 2:  # by a reset, not a farewell
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(sent)
        return site.ask("/-/ready").status

    assert site.serve_while(visit) == 200
    assert events == []


def test_pipelined_requests_get_responses_in_order(site: "Site") -> None:
    """Requests that do not wait for responses get them in the order of asking."""
    pages = [b"/-/ready", b"/nowhere", b"/-/healthy"] * 20
    sent = b"".join(READY.replace(b"/-/ready", page) for page in pages) + LAST
    received = site.serve_while(lambda: exchange(site, sent))
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", received)
    assert statuses == [b"200", b"404", b"200"] * 20 + [b"200"]


@pytest.mark.parametrize(
    "piece",
    [b"X-%d: " + b"a" * 4000 + b"\r\n", READY.replace(b"\r\n\r\n", b"\r\nX: %d\r\n\r\n")],
    ids=["one header without end", "requests without end"],
)
def test_a_client_that_sends_without_reading_is_cut_off(
    site: "Site", events: list[EventDict], piece: bytes
) -> None:
    """Who sends without end and reads nothing is cut off before it takes memory."""
    site.timeouts.flush = 0.1

    def visit() -> int:
        with closing(site.connect()) as connection:
            connection.sendall(
                b"GET /metrics HTTP/1.1\r\nHost: x\r\n" if b"GET" not in piece else b""
            )
            sent = 0
            try:
                while sent < 50_000_000:
                    sent += connection.send(piece % sent)
            except OSError:
                return sent
        return sent

    assert site.serve_while(visit) < 20_000_000
    assert {event["event"] for event in events} <= {"malformed HTTP request"}


def test_a_large_body_gets_405_at_once(site: "Site", events: list[EventDict]) -> None:
    """A large body gets 405 at once, and is not read to its end."""
    head = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n"

    def visit() -> bytes:
        with closing(site.connect()) as sock:
            sock.sendall(head + b"x" * 1000)
            return read_to_end(sock)

    assert site.serve_while(visit).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert events == []


def test_silent_slow_and_idle_connections_are_closed(site: "Site", events: list[EventDict]) -> None:
    """The silent, the slow and the idle are cut off when their time, all in all, is over."""
    site.timeouts.keepalive = 0.3

    def connect_and_get_a_response() -> tuple[socket.socket, bytes]:
        while True:
            sock = site.connect()
            with suppress(ConnectionError):  # a request that comes late gets no response
                sock.sendall(READY)
                if received := sock.recv(65536):
                    return sock, received
            sock.close()

    def visit() -> list[bytes]:
        idle, received = connect_and_get_a_response()
        silent, slow = site.connect(), site.connect()
        with silent, idle, slow:
            slow.settimeout(0.05)
            with suppress(ConnectionError):
                slow.sendall(READY.removesuffix(b"\r\n") + b"X: ")
            deadline = time.monotonic() + TIMEOUT
            while time.monotonic() < deadline:
                try:
                    ended = slow.recv(1)
                except TimeoutError:
                    with suppress(ConnectionError):  # the end has come meanwhile
                        slow.send(b"x")
                except ConnectionResetError:  # what is sent after the end is reset
                    return [b"", read_to_end(silent), received + read_to_end(idle)]
                else:
                    return [ended, read_to_end(silent), received + read_to_end(idle)]
        return []

    of_slow, of_silent, of_idle = site.serve_while(visit)
    assert (of_slow, of_silent) == (b"", b"")
    assert of_idle.endswith(b"\r\n\r\nReady.\n")
    assert events == []


def test_log_events_of_libraries_are_limited(
    site: "Site", caplog: pytest.LogCaptureFixture
) -> None:
    """What asyncio logs of a response to a client who has left is dropped; the rest is limited."""
    asyncio_log = logging.getLogger("asyncio")

    def visit() -> None:
        asyncio_log.warning("SSL connection is closed")
        asyncio_log.warning("socket.send() raised exception.")
        for number in range(3):
            asyncio_log.warning("something else, at 0x%x", number)
        logging.getLogger("aiohttp.server").error("something else, at 0x%x", 0)

    site.serve_while(visit)
    assert [record.message for record in caplog.records] == ["something else, at 0x0"] * 2
    assert asyncio_log.filters == []
