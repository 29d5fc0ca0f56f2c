"""What connections leave behind: nothing that waits for Python's collector of cycles."""

import gc
import socket
import ssl
import struct
from asyncio import sslproto
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from prometheus_client import Gauge
from structlog.testing import capture_logs

from exporter.web.connection import Connection, Timeouts
from tests.support.http import read_to_end
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.web.conftest import Site

READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = READY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def client_hello() -> bytes:
    """Return the first message of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def stop_half_way(site: "Site") -> None:
    """Begin a handshake, and wait until the server ends it."""
    with closing(site.connect()) as sock:
        with suppress(ConnectionError):
            sock.sendall(client_hello())
        read_to_end(sock)


def leave_half_way(site: "Site") -> None:
    """Begin a handshake, and reset the connection."""
    with closing(site.connect()) as sock, suppress(ConnectionError):  # the server may be first
        sock.sendall(client_hello())
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def speak_plainly(site: "Site") -> None:
    """Send HTTP to the port for TLS."""
    with closing(site.connect()) as sock:
        with suppress(ConnectionError):
            sock.sendall(READY)
        read_to_end(sock)


def speak_tls(site: "Site", sent: bytes) -> None:
    """Send bytes by TLS, and wait until the server has ended the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), context.wrap_socket(site.connect()) as sock:
        sock.sendall(sent)
        read_to_end(sock)


def serve_large(site: "Site") -> None:
    """Let scrapes get a response that no socket's buffer holds, rendered once."""
    Gauge("large", "x" * 20_000_000, registry=site.registry)
    exposition = site.exposition()
    site.exposition = lambda: exposition


def left_over() -> list[object]:
    """Return the connections of this test in memory, and what asyncio keeps for them."""
    return [
        found
        for found in gc.get_objects()
        if isinstance(
            found, Connection | sslproto.SSLProtocol | web.BaseRequest | web.StreamResponse
        )
    ]


def wait_for_nothing() -> int:
    """Wait until no connection is in memory; return how many are left."""
    return wait_until(lambda: len(left_over()), lambda number: not number, "none in memory")


@pytest.fixture(scope="module")
def _old_objects() -> None:
    """Let the collector leave out what other tests made: to look through it takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def _no_collector(_old_objects: None) -> Iterator[None]:
    """Switch the collector of cycles off, so that only what is in none is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


TLS_VISITS: dict[str, tuple[Callable[["Site"], None], bool]] = {
    "stop half-way": (stop_half_way, False),
    "leave half-way": (leave_half_way, False),
    "stop half-way, certificates required": (stop_half_way, True),
    "no certificate": (lambda site: speak_tls(site, LAST), True),
    "plain HTTP": (speak_plainly, False),
    "one request": (lambda site: speak_tls(site, LAST), False),
    "malformed HTTP request": (lambda site: speak_tls(site, b"x\r\n\r\n"), False),
    "idle": (lambda site: speak_tls(site, READY), False),
}


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(("visit", "verified"), TLS_VISITS.values(), ids=TLS_VISITS.keys())
def test_tls_connections_leave_nothing_behind(
    site: "Site",
    tls: ssl.SSLContext,
    visit: Callable[["Site"], None],
    *,
    verified: bool,
) -> None:
    """After any end of a connection, its buffers are freed at once."""
    site.timeouts = Timeouts(handshake=0.1, keepalive=0.1)
    site.tls = tls
    if verified:
        tls.verify_mode = ssl.CERT_REQUIRED

    def visit_often() -> int:
        for _ in range(5):
            visit(site)
        return wait_for_nothing()

    assert site.serve_while(visit_often) == 0


@pytest.mark.usefixtures("_no_collector")
def test_stalled_readers_leave_nothing_behind(site: "Site") -> None:
    """When a reader that took a part of a large response is gone, so is all that it cost."""
    serve_large(site)

    def visit_often() -> int:
        for _ in range(5):
            with closing(site.connect()) as sock:
                sock.sendall(READY.replace(b"/-/ready", b"/metrics"))
                assert sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
        return wait_for_nothing()

    assert site.serve_while(visit_often) == 0


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
def test_displaced_connections_leave_nothing_behind(
    site: "Site", tls: ssl.SSLContext, *, by_tls: bool
) -> None:
    """The same holds when it is the exporter that ends them."""
    serve_large(site)
    site.tls = tls if by_tls else None
    site.max_connections = 2
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def visit_often() -> int:
        with ExitStack() as stack:
            for _ in range(6):
                sock = stack.enter_context(site.connect())
                if by_tls:
                    sock = stack.enter_context(context.wrap_socket(sock))
                sock.sendall(READY.replace(b"/-/ready", b"/metrics"))
                assert sock.recv(9).startswith(b"HTTP/1.1")
        return wait_for_nothing()

    with capture_logs():
        assert site.serve_while(visit_often) == 0


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("sent", [LAST, READY, b"x\r\n\r\n", b""], ids=["last", "idle", "no", ""])
def test_plain_connections_leave_nothing_behind(site: "Site", sent: bytes) -> None:
    """Without TLS it is the same."""
    site.timeouts.keepalive = 0.1

    def visit_often() -> int:
        for _ in range(5):
            with closing(site.connect()) as sock:
                with suppress(OSError):  # the server may be first to end it
                    sock.sendall(sent)
                    if not sent:
                        sock.shutdown(socket.SHUT_WR)
                read_to_end(sock)  # by then it has been accepted, so that there is one to free
        return wait_for_nothing()

    assert site.serve_while(visit_often) == 0
