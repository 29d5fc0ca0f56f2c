"""An account at a simulator, raw peers that break the rules, and functions that send requests."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import BinaryIO, Self

import pytest

from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.connecting import PeerAddress
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator, steady_usage
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import (
    FindDroppingAddress,
    MakeClient,
    MakeTransport,
    SendRequest,
    SetAddresses,
    StartFixedServer,
    StartServer,
)
from tests.support.resolver import resolve_to

NOW = 1415700000
"""2014-11-11 10:00 UTC."""


Serve = Callable[[socket.socket, bytes], object]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxies, certificates and passwords out of the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")


@pytest.fixture
def credentials() -> Credentials:
    """Return the published key and secret."""
    return Credentials(KEY, SECRET)


@pytest.fixture
def context() -> RequestContext:
    """Return what a response belongs to, with the published key and secret to be hidden."""
    return RequestContext("main", "disk.usage", secrets=(KEY, SECRET))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator for an account with two CPU users and a small tree."""
    tree = Folder(
        files={"b.mp4": FileType.VIDEO, "a.mp4": FileType.VIDEO, "song.mp3": FileType.AUDIO},
        folders={
            "empty": Folder(),
            "season 1": Folder(files={"1.mp4": FileType.VIDEO, "2.mp4": FileType.VIDEO}),
            "2014": Folder(folders={"é": Folder(files={"7": FileType.VIDEO})}),
        },
    )
    account = SimulatedAccount(
        cdn=158,
        api_key=KEY,
        api_secret=SECRET,
        usage=steady_usage({"": 1024, "17": 2048}),
        storage=Folder(folders={"sestore4": Folder(folders={"jb": tree})}),
    )
    with Simulator([account], clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def exchanges() -> list[Exchange]:
    """Return the exchanges that were observed, oldest first."""
    return []


@pytest.fixture
def connect(transport: MakeTransport, exchanges: list[Exchange]) -> MakeClient:
    """Return a function that makes a client for a URL.

    Its time of day is a second later after each call, which took a quarter of a second.
    """
    quarters = count()
    clock = Clock(now=lambda: NOW + 0.5 + len(exchanges), monotonic=lambda: next(quarters) / 4)
    steady = Clock(now=clock.now, monotonic=lambda: float(len(exchanges)))

    def client(url: str, timeout: float = 60.0) -> Client:
        timestamps, time = TimestampAllocator(lambda _: False), ServerTime(steady)
        return Client(
            "main", 158, transport(url, timeout), timestamps, clock, time, exchanges.append
        )

    return client


@pytest.fixture
def transport() -> Iterator[MakeTransport]:
    """Return a function that makes a transport, which is closed at the end."""
    with ExitStack() as at_the_end:

        def make(
            url: str, timeout: float = 60.0, connections: int = 2, ca_file: Path | None = None
        ) -> Transport:
            made = Transport(Endpoint(url, timeout, connections, ca_file))
            at_the_end.callback(made.close)
            return made

        yield make


@pytest.fixture
def send(transport: MakeTransport, context: RequestContext) -> SendRequest:
    """Return a function that sends one request to a URL."""

    def send_to(url: str, timeout: float = 60.0, ca_file: Path | None = None) -> HttpResponse:
        return transport(url, timeout, ca_file=ca_file).send("{}", context)

    return send_to


@pytest.fixture
def listen() -> Iterator[StartServer]:
    """Return a function that starts a raw server and returns its URL.

    ``serve(line, request)`` is called for every request that was read from a connection; an OSError
    from it ends the connection. With an SSLContext the connections shake hands first.
    """
    with _Peers() as peers:
        yield peers.listen


@pytest.fixture
def fixed_server(listen: StartServer) -> StartFixedServer:
    """Return a function that starts a server that sends some bytes, and then closes or resets."""

    def start(data: bytes, *, reset: bool = False) -> str:
        def serve(sock: socket.socket, _: bytes) -> None:
            sock.sendall(data)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionAbortedError

        return listen(serve)

    return start


@pytest.fixture
def silent() -> Iterator[str]:
    """Return ``127.0.0.1:PORT`` where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed() -> Iterator[str]:
    """Return ``127.0.0.1:PORT`` where connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def dropping() -> Iterator[FindDroppingAddress]:
    """Return a function that returns an address where attempts to connect get no response.

    Nothing accepts there and the queue is full, so the kernel drops the packets. Every address of
    127.0.0.0/8 drops them at the same port; with AF_INET6 it is ::1.
    """
    with ExitStack() as sockets:

        def make(family: int = socket.AF_INET) -> PeerAddress:
            listener = sockets.enter_context(socket.socket(family))
            listener.bind(("::1" if family == socket.AF_INET6 else "", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            for _ in range(4):
                queued = sockets.enter_context(socket.socket(family))
                queued.settimeout(0)
                queued.connect_ex((host, port))
            target = (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
            return PeerAddress(family, target)

        yield make


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> SetAddresses:
    """Return a function that says which addresses every name has from now on."""

    def say(*addresses: PeerAddress) -> None:
        resolve_to(monkeypatch, addresses)

    return say


class _Peers:
    """Raw servers on loopback, each connection in a thread; all of them end with the ``with``."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with suppress(OSError):  # it has ended already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def listen(
        self, serve: Serve, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> str:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, 0), family=family)
        self._sockets.append(listener)
        self._start(partial(self._accept, listener, serve, context))
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if context else 'http'}://{shown}:{listener.getsockname()[1]}/stable/"

    def _accept(
        self, listener: socket.socket, serve: Serve, context: ssl.SSLContext | None
    ) -> None:
        while True:
            line, _ = listener.accept()
            self._sockets.append(line)
            self._start(partial(self._converse, line, serve, context))

    def _converse(self, sock: socket.socket, serve: Serve, context: ssl.SSLContext | None) -> None:
        with sock if context is None else context.wrap_socket(sock, server_side=True) as open_line:
            self._sockets.append(open_line)
            with closing(_requests(open_line)) as requests:
                for request in requests:
                    serve(open_line, request)

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            with suppress(OSError):  # the other side has left, or the test is over
                work()

        thread = threading.Thread(target=run, name="raw peer", daemon=True)
        self._threads.append(thread)
        thread.start()


def _requests(sock: socket.socket) -> Generator[bytes]:
    with sock.makefile("rb") as stream:
        while request := _request(stream):
            yield request


def _request(stream: BinaryIO) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        row = stream.readline()
        if not row:
            return b""
        head += row
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    return head + stream.read(int(length[1]) if length else 0)
