"""The door: who comes in, how many at once, and who has to go.

A connection costs a descriptor and some memory, and anybody may open one. The door takes every
newcomer in, and when there are too many connections, it closes one of those that hold most of them
(see `OpenConnections`). Slow and silent clients displace each other, while a scrape, which sends
its request at once, gets its answer.
aiohttp itself knows no limit, and asyncio's server stops to accept when descriptors run out.
"""

import asyncio
import errno
import os
import resource
import socket
import ssl
from asyncio import sslproto
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final, TypeAlias, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from exporter.process.free_memory import release_free_memory
from exporter.process.resource_limits import find_resource_limit
from exporter.web.connection import Connection, break_cycles, check_version
from exporter.web.log_limit import LogLimit
from exporter.web.open_connections import OpenConnections, Phase, peer_of
from exporter.web.request_checks import check_request

log: Final = structlog.get_logger(__name__)

Connections: TypeAlias = OpenConnections[Connection]

_AT_ONCE: Final = 16  # newcomers that are taken before those inside have their turn
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 35.0  # for one answer: a large one has a limit of its own, thirty seconds
_LOOK_SECONDS: Final = 1.0
_SHARE: Final = 16  # one connection in 16 is closed when the system has no room
_CROWD: Final = 64  # from this many connections on, memory is given back when they have left
_CLOSING: Final = "too many connections, closing some"
_MOST_CONNECTIONS: Final = 512  # each takes 10 KB, by TLS 100 KB, most of it in OpenSSL
_RESERVE: Final = 4  # a quarter of them is for polling, files and the log
_TIMEOUT_SECONDS: Final = 5.0
_SHUTDOWN_SECONDS: Final = 1.0
_RECORD_BYTES: Final = 16 * 1024  # the most that a TLS record holds (RFC 8446, 5.1)


def watched(connections: Connections, log_limit: LogLimit) -> Middleware:
    """Return what tells which connections are answered just now; it goes round all else.

    It answers nothing in a version of HTTP that is not spoken here, and refuses what
    `check_request` refuses. Where this process has no thread or memory left for a request, the
    answer is 503.
    """

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_version(request)
        connection = cast("Connection", request.protocol)  # the door lets in no others
        for excess in connections.move(connection, Phase.RESPONSE):
            excess.hang_up()
        try:
            refusal = check_request(request)
            response = await handler(request) if refusal is None else refusal
        except (OSError, RuntimeError, MemoryError) as error:
            limit = find_resource_limit(error)
            if limit is None:
                raise
            if log_limit.is_due("request not answered"):
                log.warning("request not answered", cause=limit.cause, advice=limit.advice)
            raise web.HTTPServiceUnavailable(text="Out of resources.\n") from None
        else:
            if response.status < HTTPStatus.BAD_REQUEST and connection.connected:
                connections.note_served(connection)
            return response
        finally:
            connections.move(connection, Phase.REQUEST)

    return watch


class Door:
    """Lets connections in to a server, by TLS if there is an ``ssl_context``."""

    def __init__(
        self,
        server: web.Server,
        connections: Connections,
        ssl_context: ssl.SSLContext | None,
        log_limit: LogLimit,
    ) -> None:
        self._server = server
        self._connections = connections
        self._ssl_context = ssl_context
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._sockets: Sequence[socket.socket] = ()
        self._empty = asyncio.Event()
        self._closed = False
        self._log_limit = log_limit

    def open(self, sockets: Sequence[socket.socket]) -> None:
        """Let in whoever connects to one of the sockets, which listen."""
        self._sockets = sockets
        for each in sockets:
            each.settimeout(0)
            self._loop.add_reader(each, self._accept, each)

    async def watch(self) -> None:
        """End what nothing else has ended in time, and give its memory back, until cancelled."""
        peak = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for connection in self._connections.take_overdue(_MOST_SECONDS):
                connection.hang_up()
            self._close_excess(self._connections.take_surplus(), "the limit has been lowered")
            peak = max(peak, len(self._connections))
            if peak >= _CROWD > len(self._connections):
                peak = 0
                release_free_memory()

    async def close(self, runner: web.AppRunner, seconds: float) -> None:
        """Let nobody in any more; let the answers under way finish, then hang up on the rest."""
        self._closed = True
        for each in self._sockets:
            self._loop.remove_reader(each)
        last_call = self._loop.call_later(seconds, self._hang_up_on_all)
        for connection in self._connections.all():
            if not connection.connected:  # what its TLS handshake leads to, nobody will need
                connection.hang_up()
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=seconds)
        await runner.cleanup()
        # What has been answered is on its way still, as long as the reader takes it.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        last_call.cancel()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Linux tells of an error of the newcomer here too (accept(2)): the next may do.
                if error.errno in _EXHAUSTED:
                    self._pause(listening, error)
                    return
                continue
            self._let_in(accepted, peer_of(address))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Stop to accept for a moment: something else than connections has used all up."""
        cause = f"the system has no room ({os.strerror(error.errno or 0).lower()})"
        self._close_excess(self._connections.take_share(_SHARE), cause)
        self._warn(_CLOSING, cause)  # there may have been none to close
        self._loop.remove_reader(listening)
        self._loop.call_later(_PAUSE_SECONDS, self._go_on, listening)

    def _go_on(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening, self._accept, listening)

    def _let_in(self, accepted: socket.socket, peer: str) -> None:
        connection = Connection(
            self._server, accepted, self._gone, self._connections.note_progress, self._log_limit
        )
        phase = Phase.REQUEST if self._ssl_context is None else Phase.HANDSHAKE
        excess = self._connections.add(connection, peer, phase)
        self._close_excess(excess, "more than there is room for")
        task = self._loop.create_task(self._connect(connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, connection: Connection) -> None:
        try:
            if self._ssl_context is None:
                await self._loop.connect_accepted_socket(lambda: connection, connection.accepted)
            else:
                await begin_tls(connection, self._ssl_context)
                self._connections.move(connection, Phase.REQUEST)
        except OSError as error:
            fault = _fault_of_certificate(error)
            if fault:  # the client is told nothing: asyncio hangs up before OpenSSL's alert is sent
                self._warn("client certificate refused", fault)
            log.debug("no TLS", fault=type(error).__name__, cause=str(error))
            connection.connection_lost(error)
            break_cycles(error)

    def _hang_up_on_all(self) -> None:
        for connection in self._connections.all():
            connection.hang_up()

    def _gone(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if not self._connections:
            self._empty.set()

    def _close_excess(self, excess: Sequence[Connection], cause: str) -> None:
        for connection in excess:
            connection.hang_up()
        if excess:
            self._warn(_CLOSING, cause)

    def _warn(self, event: str, cause: str) -> None:
        """Log an event once a minute at most: whoever connects must not fill the log."""
        if self._log_limit.is_due(event):
            log.warning(event, cause=cause)


def _fault_of_certificate(error: OSError) -> str | None:
    """Return why a client's certificate was refused, if that is why there is no TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "there is none, and client_auth_type asks for one"
    return None


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one.

    It is low for the sake of select(2), which nothing here uses.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for_connections() -> int:
    """Return how many connections may be open: three quarters of the descriptors, 512 at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, soft - soft // _RESERVE))


class _TlsProtocol(sslproto.SSLProtocol):
    """asyncio's TLS with buffers of one record.

    asyncio allocates 256 KiB for each connection, reads 256 KiB ahead, and lets as much wait to be
    sent. Nothing but its constructor takes part in that, and it is not documented: a test shows
    that the sizes below are still those that count.
    """

    max_size = _RECORD_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._set_read_buffer_limits(_RECORD_BYTES)  # type: ignore[attr-defined] # not in typeshed
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=1)  # what it holds, the layer above need not
        super().connection_made(transport)

    def resume_writing(self) -> None:
        """Send what waits, as soon as the transport has finished what it does now.

        It calls this while it sends. Were there another error in between, it would end twice, which
        asyncio logs with a traceback.
        """
        self._loop.call_soon(self._resume_writing)

    def _resume_writing(self) -> None:
        if self._transport is not None:
            super().resume_writing()


async def begin_tls(connection: Connection, context: ssl.SSLContext) -> None:
    """Make the handshake, five seconds at most, and let the connection begin then.

    Raises OSError if there is no TLS; the socket is closed then.
    """
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    protocol = _TlsProtocol(
        loop,
        connection,
        context,
        finished,
        server_side=True,
        ssl_handshake_timeout=_TIMEOUT_SECONDS,  # type: ignore[arg-type] # typeshed: whole ones
        ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await loop.connect_accepted_socket(lambda: protocol, connection.accepted)
    await finished
