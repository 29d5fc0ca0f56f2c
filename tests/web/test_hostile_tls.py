"""What careless and hostile clients of a TLS port get, and what is logged of them."""

import ssl
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.http import read_to_end
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web.conftest import Site

READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = READY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def securely(site: "Site", sent: bytes) -> bytes:
    """Make one request by TLS, which verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(site.connect()) as sock:
        sock.sendall(sent)
        return read_to_end(sock)


def test_clients_without_tls_are_cut_off(
    site: "Site", events: list[EventDict], tls: ssl.SSLContext
) -> None:
    """On a TLS port the silent are cut off in time, others at once; a scrape gets through."""
    site.timeouts.handshake = TIMEOUT
    site.tls = tls

    def visit() -> tuple[bytes, bytes, bytes]:
        with closing(site.connect()), closing(site.connect()) as plain:
            plain.sendall(READY)
            of_plain, served = read_to_end(plain), securely(site, LAST)
        site.timeouts.handshake = 0.1
        with closing(site.connect()) as silent:
            return of_plain, served, read_to_end(silent)

    plain, served, of_silent = site.serve_while(visit)
    assert b"HTTP" not in plain
    assert served.startswith(b"HTTP/1.1 200 OK\r\n")
    assert of_silent == b""
    assert {event["event"] for event in events} == {"TLS handshake failed"}


def test_a_refused_client_certificate_is_logged_once(site: "Site", tls: ssl.SSLContext) -> None:
    """The client gets no reason, so the log has one, once and not for each attempt."""
    tls.verify_mode = ssl.CERT_REQUIRED
    site.tls = tls

    def visit() -> None:
        for _ in range(3):
            with suppress(OSError):
                assert securely(site, LAST) == b""

    with capture_logs() as logged:
        site.serve_while(visit)
    warnings = [event for event in logged if event["log_level"] == "warning"]
    assert [(event["event"], event["cause"]) for event in warnings] == [
        ("client certificate rejected", "there is none, and client_auth_type asks for one")
    ]


def test_a_client_that_leaves_before_its_responses_is_closed(
    site: "Site", events: list[EventDict], tls: ssl.SSLContext
) -> None:
    """Given requests by TLS and at once its end, then none stays open or is logged."""
    site.timeouts.shutdown = 0.1
    site.tls = tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def visit() -> bytes:
        for _ in range(20):
            with context.wrap_socket(site.connect()) as sock:
                sock.sendall(READY * 60)
        return securely(site, LAST)

    assert site.serve_while(visit).startswith(b"HTTP/1.1 200 OK\r\n")
    assert events == []


def test_a_handshake_does_not_delay_the_stop(site: "Site", tls: ssl.SSLContext) -> None:
    """SIGTERM does not wait for a handshake that hangs."""
    site.tls = tls
    silent = site.serve_while(lambda: (site.connect(), securely(site, LAST))[0])
    with closing(silent):
        assert read_to_end(silent) == b""
