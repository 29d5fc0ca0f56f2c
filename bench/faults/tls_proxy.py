"""A proxy between the exporter and the simulator that can close, with TLS and a name of its own."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.support.authority import Authority

HOST: Final = "127.0.0.1"
_TIMEOUT: Final = 60.0
_LAST_TURNS: Final = 0.05


class TlsProxy:
    """Passes connections on to a port of this machine, as long as it is open.

    It keeps its own port from the first opening on.
    """

    def __init__(self, behind: int) -> None:
        self.port = 0
        self._behind = behind
        self._context: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()

    def open(self, certificate: Path | None = None) -> None:
        """Accept connections; with a certificate they have to use TLS."""
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._do(self._open())

    def shut(self) -> None:
        """Refuse connections, and break off those that there are."""
        self._do(self._shut())

    def stop(self) -> None:
        """Close, and end the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT)

    async def _open(self) -> None:
        # Without ``ssl``: nothing could end the handshakes in progress when it stops.
        self._server = await asyncio.start_server(self._pass_on, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None and self._server.is_serving():
            for sock in self._server.sockets:
                self._loop.remove_reader(sock.fileno())
            # asyncio leaks a connection that it accepts while its server is closed.
            for _ in range(3):
                await asyncio.sleep(0)
            self._server.close()
        passing = tuple(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _end(self) -> None:
        # What was accepted a moment ago, or is being closed, takes a few turns of the loop more.
        for _ in range(2):
            await self._shut()
            await asyncio.sleep(_LAST_TURNS)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)
        try:
            if self._context is not None:
                await writer.start_tls(self._context)
            behind_reader, behind_writer = await asyncio.open_connection(HOST, self._behind)
            try:
                await asyncio.gather(_pump(reader, behind_writer), _pump(behind_reader, writer))
            finally:
                behind_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            return  # one side has left, or the proxy has closed: the other side is closed, too
        finally:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


class Certificates:
    """Certificates of an authority that only the exporter trusts.

    They are files with the key in them; ``authority`` is what the exporter trusts. Without openssl
    there are none: FileNotFoundError.
    """

    def __init__(self, folder: Path) -> None:
        own = Authority(folder)
        self.authority = own.certificate
        self.good = own.issue("good", f"IP:{HOST}", days=2)
        self.expired = own.issue("expired", f"IP:{HOST}", days=-1)
        self.wrong_name = own.issue("wrong-name", "DNS:api.example", days=2)


class Names:
    """The names under ``.invalid`` that lead to this machine; the others are not to be found."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def find(self, resolve: Any, host: Any, *arguments: Any, **named: Any) -> Any:
        """Look a name up as ``socket.getaddrinfo`` does, without a request for these."""
        if isinstance(host, str) and host.endswith(".invalid"):
            if host not in self.known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = HOST
        return resolve(host, *arguments, **named)


@contextmanager
def without_proxy() -> Iterator[None]:
    """Let this process use no proxy, also where its environment names one."""
    before = os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = "*"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NO_PROXY"]
        else:
            os.environ["NO_PROXY"] = before


@contextmanager
def resolving() -> Iterator[Names]:
    """Resolve names under ``.invalid`` in this process (RFC 2606: they exist nowhere)."""
    names, resolve = Names(), socket.getaddrinfo
    socket.getaddrinfo = partial(names.find, resolve)
    try:
        yield names
    finally:
        socket.getaddrinfo = resolve
