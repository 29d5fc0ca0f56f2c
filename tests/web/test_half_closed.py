"""Clients that close their side of the connection after their requests."""

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from structlog.typing import EventDict

from tests.support.http import read_to_end

if TYPE_CHECKING:
    from tests.web.conftest import Site

LONG = 60.0
READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOWLY = READY.replace(b"/-/ready", b"/metrics?name[]=files")  # by a thread of its own


@pytest.fixture(autouse=True)
def _long_idle_time(site: "Site") -> None:
    site.timeouts.keepalive = LONG


@pytest.mark.parametrize(
    ("sent", "responses"),
    [
        (READY, 1),
        (READY * 3, 3),
        (b"GET /-/ready HTTP/1.0\r\n\r\n", 1),
        (SLOWLY, 1),
        (READY + SLOWLY + READY, 3),
    ],
)
def test_a_half_closed_connection_gets_its_responses(
    site: "Site", events: list[EventDict], sent: bytes, responses: int
) -> None:
    """As ``nc -N`` does: each request gets its response, and the connection is closed at once."""

    def visit() -> tuple[bytes, float]:
        with closing(site.connect()) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            return read_to_end(sock), time.monotonic() - began

    received, seconds = site.serve_while(visit)
    assert received.count(b" 200 OK\r\n") == responses
    assert seconds < LONG / 2  # less than an idle connection has
    assert events == []


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", READY])
def test_a_half_closed_connection_without_requests_is_closed(
    site: "Site", events: list[EventDict], sent: bytes
) -> None:
    """Given no whole request without a response, then the end of one side is that of both."""

    def visit() -> float:
        with closing(site.connect()) as sock:
            sock.sendall(sent)
            if sent == READY:
                assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
            sock.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert read_to_end(sock) == b""
            return time.monotonic() - began

    assert site.serve_while(visit) < LONG / 2  # less than an idle connection has
    assert events == []
