"""The real server on a real socket, and a client that sends given bytes only."""

import asyncio
import http.client
import logging
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.metrics.exposition import Exposition, build_empty_layer, expose, render_process_layer
from exporter.web.app import AppState, build_app
from exporter.web.connection import Timeouts
from exporter.web.connection_tracker import ConnectionLimits
from exporter.web.listeners import TcpAddress, listen
from exporter.web.server import serve
from tests.support.http import Response, connect, send_request
from tests.support.observed import status_source
from tests.support.waiting import TIMEOUT

T = TypeVar("T")


def rendered(registry: CollectorRegistry) -> Exposition:
    """Return an exposition of what a registry holds now."""
    return expose(build_empty_layer(()), render_process_layer(registry.collect()))


class Site:
    """An exporter's pages with one metric; what else they show is for the test to set.

    No publisher runs here: each scrape renders the registry, unless a test sets ``exposition``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Gauge("files", "Files.", ("path",), registry=self.registry).labels("sestore4/é").set(3)
        self.exposition: Callable[[], Exposition | None] = lambda: rendered(self.registry)
        self.telemetry_path = "/metrics"
        self.status = status_source()
        self.dead_threads: Sequence[str] = ()
        self.pending_targets: Sequence[str] = ()
        self.reload: Callable[[], Future[Sequence[str]]] | None = None
        self.tls: ssl.SSLContext | None = None
        self.max_connections = 100
        self.limits = ConnectionLimits(lambda: self.max_connections)
        # On a busy machine, no client is cut off that is not meant to be.
        self.timeouts = Timeouts(keepalive=TIMEOUT, handshake=TIMEOUT)
        self.max_wait = 25.0
        self.sockets = listen([TcpAddress("127.0.0.1", 0)])

    @property
    def port(self) -> int:
        """The port of the first socket."""
        port: int = self.sockets[0].getsockname()[1]
        return port

    def ask(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Make one request at the first socket."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        return send_request(connection, path, method, headers)

    def connect(self, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """Connect to the first socket from an address of loopback, and send bytes."""
        return connect(self.port, sent, source)

    def build(self) -> web.Application:
        """Build the application as it is set now."""
        return build_app(
            AppState(
                self.exposition,
                self.telemetry_path,
                self.status,
                lambda: self.dead_threads,
                lambda: self.pending_targets,
                self.reload,
                self.max_wait,
            )
        )

    async def serve(self, listening: asyncio.Event, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; ``listening`` is set when connections are accepted."""
        await serve(
            *(self.build(), self.sockets, listening.set, stop),
            *(self.tls, self.limits, self.timeouts),
        )

    def serve_while(self, visit: Callable[[], T]) -> T:
        """Serve in the main thread while ``visit`` runs in another; then stop."""

        async def until_visited() -> T:
            listening, stop = asyncio.Event(), asyncio.Event()
            serving = asyncio.create_task(self.serve(listening, stop))
            await listening.wait()
            try:
                return await asyncio.to_thread(visit)
            finally:
                stop.set()
                await serving

        return asyncio.run(until_visited())


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site that listens on a free port."""
    own = Site()
    yield own
    for sock in own.sockets:
        sock.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Return the context of a server with a certificate of its own making."""
    key, certificate = tmp_path / "x.key", tmp_path / "x.pem"
    subprocess.run(  # noqa: S603 - the arguments are the test's own
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=x", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Iterator[list[EventDict]]:
    """Return what is logged; nothing of it may be above the level debug when the test is over."""
    with capture_logs() as logged:
        yield logged
    assert [event for event in logged if event["log_level"] != "debug"] == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
