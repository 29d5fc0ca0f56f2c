"""How the server begins, what it bears, and how it ends."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.exposition import Body, Exposition
from exporter.web.listeners import TcpAddress, UnixAddress, listen
from tests.support.http import Response
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web.conftest import Site

READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class LargeCollector(Collector):
    """Metrics that no socket's buffers hold: some 20 MB of text."""

    def collect(self) -> Iterator[Metric]:
        """Give one metric whose text of help is all there is to it."""
        yield GaugeMetricFamily("large", "x" * 20_000_000, value=1)


def exchange(sock: socket.socket, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the other side closes."""
    with closing(sock):
        sock.settimeout(TIMEOUT)
        sock.sendall(sent)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def begin_to_read(site: "Site") -> socket.socket:
    """Ask for the metrics, and read no more than the first line of the response."""
    sock = site.connect()
    sock.sendall(READY.replace(b"/-/ready", b"/metrics"))
    assert sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    return sock


def test_several_sockets_are_served_concurrently(site: "Site", tmp_path: Path) -> None:
    """Several TCP addresses and a unix socket are served at the same time."""
    file = tmp_path / "exporter.sock"
    site.sockets += listen([TcpAddress("127.0.0.1", 0), UnixAddress(file)])
    places = [sock.getsockname() for sock in site.sockets]

    def visit_all() -> list[bytes]:
        responses = []
        for place in places:
            family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.connect(place)
            responses.append(exchange(sock, READY))
        return responses

    responses = site.serve_while(visit_all)
    assert len(responses) == 3
    for response in responses:
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert response.endswith(b"\r\n\r\nReady.\n")


def test_no_listener_and_no_socket_file_are_left(site: "Site", tmp_path: Path) -> None:
    """After the end nothing listens at the port, and the unix socket's file is gone."""
    file = tmp_path / "exporter.sock"
    site.sockets += listen([UnixAddress(file)])
    port = site.port

    assert site.serve_while(file.is_socket)

    assert not file.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), TIMEOUT)


def test_a_removed_socket_file_is_no_error(site: "Site", tmp_path: Path) -> None:
    """A unix socket whose file is gone already does not stand in the way of the end."""
    file = tmp_path / "exporter.sock"
    site.sockets += listen([UnixAddress(file)])
    site.serve_while(file.unlink)
    assert not file.exists()


def test_a_slow_reader_delays_no_other_client(site: "Site") -> None:
    """While a large response waits for its reader, the other pages respond."""
    site.registry.register(LargeCollector())

    def visit() -> Response:
        with closing(begin_to_read(site)):
            return site.ask("/-/healthy")

    assert site.serve_while(visit).status == 200


def test_a_scrape_finishes_during_the_stop(site: "Site") -> None:
    """A scrape that is under way at SIGTERM gets its whole response."""
    site.timeouts.shutdown = TIMEOUT
    site.registry.register(LargeCollector())
    with ThreadPoolExecutor(1) as scraper:

        def begin() -> "Future[bytes]":
            line = begin_to_read(site)
            ended = threading.Event()
            # It reads on only after the signal that follows when this returns.
            threading.Timer(0.2, ended.set).start()
            return scraper.submit(lambda: exchange(line, b"") if ended.wait(TIMEOUT) else b"")

        rest = site.serve_while(begin).result(TIMEOUT)

    assert rest.endswith(b"\nlarge 1.0\n")
    assert len(rest) > 20_000_000


def test_a_reader_that_takes_nothing_does_not_delay_the_stop(site: "Site") -> None:
    """A client that takes nothing of a large response is left behind when the time is over."""
    site.timeouts.shutdown = 0.1
    site.registry.register(LargeCollector())

    async def scenario() -> float:
        listening, stop = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(site.serve(listening, stop))
        await listening.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=4096)
        writer.write(READY.replace(b"/-/ready", b"/metrics"))
        assert await reader.readexactly(15) == b"HTTP/1.1 200 OK"
        stop.set()
        began = time.monotonic()
        await serving
        took = time.monotonic() - began
        writer.transport.abort()
        await asyncio.sleep(0.05)  # the other end learns of it, and closes its socket
        return took

    assert asyncio.run(scenario()) < 20  # the reader would never read


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_new_connection_is_served_during_the_stop(
    site: "Site", tls: ssl.SSLContext, *, encrypted: bool
) -> None:
    """A client that is accepted when the end begins gets a response to its first request."""
    site.timeouts.first_request = TIMEOUT
    site.timeouts.shutdown = TIMEOUT
    site.tls = tls if encrypted else None
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def scenario() -> bytes:
        listening, stop = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(site.serve(listening, stop))
        await listening.wait()
        with site.connect() as client:
            client.setblocking(False)  # noqa: FBT003 - the module's own
            for _ in range(5):
                await asyncio.sleep(0)  # the server accepts it
            stop.set()
            for _ in range(5):
                await asyncio.sleep(0)  # and begins to end
            reader, writer = await asyncio.open_connection(
                sock=client,
                ssl=trusting if encrypted else None,
                server_hostname="x" if encrypted else None,
            )
            writer.write(READY)
            response = await reader.read()
            writer.close()
        await serving
        return response

    assert asyncio.run(scenario()).endswith(b"Ready.\n")


def test_few_expositions_are_compressed_concurrently(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many filtered ones that are asked for, most wait: scrapes need the processor too."""
    site.timeouts.shutdown = 0.1
    in_flight: set[int] = set()
    most: list[int] = []

    def compress(own: Exposition, _: object) -> Body:
        in_flight.add(id(own))
        most.append(len(in_flight))
        threading.Event().wait(0.05)
        in_flight.discard(id(own))
        return own.text()

    monkeypatch.setattr(Exposition, "gzip", compress)
    sent = READY.replace(b"/-/ready", b"/metrics?name[]=x").replace(
        b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"
    )

    def visit() -> int:
        with ExitStack() as stack:
            lines = []
            for _ in range(10):
                sock = site.connect()
                lines.append(stack.enter_context(sock))
                sock.sendall(sent)
            return sum(sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK" for sock in lines)

    assert site.serve_while(visit) == 10
    assert max(most) <= 2


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nName\0: x\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"),
    ],
)
def test_an_invalid_request_closes_its_connection_only(
    site: "Site", sent: bytes, status: bytes
) -> None:
    """What is no proper request is refused and the connection closed; the next client is served."""

    def visit() -> tuple[bytes, Response]:
        sock = site.connect()
        return exchange(sock, sent), site.ask("/-/ready")

    refused, next_one = site.serve_while(visit)
    assert refused.split(b" ")[1] == status
    assert next_one.status == 200


def test_a_body_of_get_is_ignored(site: "Site") -> None:
    """A body on GET is not waited for and does no harm."""

    def visit() -> tuple[bytes, Response]:
        sock = site.connect()
        sent = READY.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000\r\n\r\n") + b"x" * 1000
        return exchange(sock, sent), site.ask("/-/ready")

    received, next_one = site.serve_while(visit)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert next_one.status == 200
