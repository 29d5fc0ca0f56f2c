"""Accept connections, with and without TLS, and limit how many are open.

A connection costs a descriptor and some memory, and any client may open one. Each new connection is
accepted. When there are too many, one of the peer with most connections is closed (see
``ConnectionTracker``): slow and silent clients evict each other, and a scrape gets its response.
aiohttp has no limit, and asyncio's server stops accepting when it runs out of descriptors.
"""

import asyncio
import errno
import gc
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

from exporter.process.log_limit import LogLimit
from exporter.process.memory import release_free_memory
from exporter.process.resource_limits import find_resource_limit
from exporter.web.connection import Connection, Timeouts, break_cycles, check_version
from exporter.web.connection_tracker import ConnectionTracker, Phase, find_peer
from exporter.web.request_checks import check_request

log: Final = structlog.get_logger(__name__)

ConnectionTable: TypeAlias = ConnectionTracker[Connection]

_MAX_ACCEPTS: Final = 16  # before requests of open connections are handled
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS: Final = 0.1
_CLOSED_SHARE: Final = 16  # one connection in 16 is closed when the system runs out of resources
_OUT_OF_RESOURCES: Final = "request rejected, out of resources"
_TOO_MANY: Final = "too many connections, closing some"
_MAX_CONNECTIONS: Final = 512  # each takes 10 KB, by TLS 100 KB, most of it in OpenSSL
_RESERVED_SHARE: Final = 4  # a quarter of them is for polling, files and the log
_LOOK_SECONDS: Final = 0.01
_TLS_RECORD_BYTES: Final = 16 * 1024  # the most that a TLS record holds (RFC 8446, 5.1)


def track_requests(connections: ConnectionTable, log_limit: LogLimit) -> Middleware:
    """Return the outermost middleware, which records the phase of each connection.

    It closes connections of an unsupported version of HTTP, and rejects what ``check_request``
    rejects. Where this process has no thread or memory left for a request, the response is 503.
    """

    @web.middleware
    async def track(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)  # the acceptor creates no others
        connection.is_new = False
        check_version(request)
        for excess in connections.move(connection, Phase.RESPONSE):
            excess.abort()
        try:
            refusal = check_request(request)
            response = await handler(request) if refusal is None else refusal
        except (OSError, RuntimeError, MemoryError) as error:
            limit = find_resource_limit(error)
            if limit is None:
                raise
            if log_limit.is_due(_OUT_OF_RESOURCES):
                log.warning(_OUT_OF_RESOURCES, cause=limit.cause, advice=limit.advice)
            raise web.HTTPServiceUnavailable(text="Out of resources.\n") from None
        else:
            if response.status < HTTPStatus.BAD_REQUEST and connection.connected:
                connections.record_served(connection)
            return response
        finally:
            connections.move(connection, Phase.REQUEST)

    return track


class Acceptor:
    """Accepts connections to a server, with TLS if there is an ``ssl_context``."""

    def __init__(
        self,
        server: web.Server,
        connections: ConnectionTable,
        ssl_context: ssl.SSLContext | None,
        log_limit: LogLimit,
        timeouts: Timeouts,
    ) -> None:
        self._server = server
        self._connections = connections
        self._ssl_context = ssl_context
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sockets: Sequence[socket.socket] = ()
        self._empty = asyncio.Event()
        self._closed = False
        self._log_limit = log_limit
        self._timeouts = timeouts

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Start accepting connections on the listening sockets."""
        self._sockets = sockets
        for listener in sockets:
            listener.settimeout(0)
            self._loop.add_reader(listener, self._on_readable, listener)

    async def reap_overdue(self) -> None:
        """Abort overdue connections and release free memory after a peak, until cancelled."""
        peak, threshold = 0, self._connections.limits.release_threshold
        while True:
            await asyncio.sleep(self._timeouts.reap_interval)
            for connection in self._connections.pop_overdue(self._timeouts.response):
                connection.abort()
            self._abort_excess(self._connections.pop_surplus(), "the limit has been lowered")
            peak = max(peak, len(self._connections))
            if peak >= threshold > len(self._connections):
                peak = 0
                gc.collect()  # connections that were closed early wait in cycles
                release_free_memory()

    async def close(self, runner: web.AppRunner) -> None:
        """Stop accepting, finish responses, and abort what is left after ``timeouts.shutdown``.

        Where systemd listens, clients that connect from now on wait for the next process. Those
        that this one has accepted cannot, so their first request is waited for.
        """
        self._closed = True
        seconds = self._timeouts.shutdown
        for listener in self._sockets:
            self._loop.remove_reader(listener)
        abort_timer = self._loop.call_later(seconds, self._abort_all)
        await self._wait_for_first_requests(min(seconds, self._timeouts.first_request))
        for connection in self._connections.all():
            if not connection.connected:  # its TLS handshake is of no use any more
                connection.abort()
        if self._connecting:
            await asyncio.wait(self._connecting, timeout=seconds)
        await runner.cleanup()
        # Responses that are written may still be on their way to slow readers.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        abort_timer.cancel()

    async def _wait_for_first_requests(self, seconds: float) -> None:
        end = self._loop.time() + seconds
        while any(connection.is_new for connection in self._connections.all()):
            if self._loop.time() >= end:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _on_readable(self, listener: socket.socket) -> None:
        for _ in range(_MAX_ACCEPTS):
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Linux also reports network errors of the new connection here (accept(2)).
                if error.errno in _EXHAUSTED:
                    self._pause(listener, error)
                    return
                continue
            self._start_connection(accepted, find_peer(address))

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Stop accepting for a moment: something other than connections has used up a resource."""
        cause = f"the system has no room ({os.strerror(error.errno or 0).lower()})"
        self._abort_excess(self._connections.pop_share(_CLOSED_SHARE), cause)
        self._warn(_TOO_MANY, cause)  # also where there was none to close
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listener, self._on_readable, listener)

    def _start_connection(self, accepted: socket.socket, peer: str) -> None:
        connection = Connection(
            self._server,
            accepted,
            self._on_closed,
            self._connections.record_progress,
            self._log_limit,
            self._timeouts,
        )
        phase = Phase.REQUEST if self._ssl_context is None else Phase.HANDSHAKE
        excess = self._connections.add(connection, peer, phase)
        self._abort_excess(excess, "more than there is room for")
        task = self._loop.create_task(self._connect(connection, peer))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: Connection, peer: str) -> None:
        try:
            if self._ssl_context is None:
                await self._loop.connect_accepted_socket(lambda: connection, connection.accepted)
            else:
                await start_tls(connection, self._ssl_context, self._timeouts)
                self._connections.move(connection, Phase.REQUEST)
        except OSError as error:
            fault = _find_certificate_fault(error)
            # The client gets no alert: asyncio closes before OpenSSL sends it.
            if fault and self._log_limit.is_due(f"client certificate rejected {peer}"):
                log.warning("client certificate rejected", peer=peer, cause=fault)
            log.debug(
                "TLS handshake failed", peer=peer, fault=type(error).__name__, cause=str(error)
            )
            connection.connection_lost(error)
            break_cycles(error)

    def _abort_all(self) -> None:
        for connection in self._connections.all():
            connection.abort()

    def _on_closed(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if not self._connections:
            self._empty.set()

    def _abort_excess(self, excess: Sequence[Connection], cause: str) -> None:
        for connection in excess:
            connection.abort()
        if excess:
            self._warn(_TOO_MANY, cause)

    def _warn(self, event: str, cause: str) -> None:
        """Log an event at most once a minute: clients must not fill the log."""
        if self._log_limit.is_due(event):
            log.warning(event, cause=cause)


def _find_certificate_fault(error: OSError) -> str | None:
    """Return why a client's certificate was rejected, or None for any other error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "there is none, and client_auth_type asks for one"
    return None


def raise_fd_limit() -> None:
    """Raise the soft limit of descriptors to the hard one.

    It is low for the sake of select(2), which nothing here uses.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def find_max_connections() -> int:
    """Return how many connections may be open: three quarters of the descriptors, 512 at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(1, min(_MAX_CONNECTIONS, soft - soft // _RESERVED_SHARE))


class _TlsProtocol(sslproto.SSLProtocol):
    """asyncio's TLS with buffers of one record.

    asyncio allocates 256 KiB for each connection, reads 256 KiB ahead, and lets as much wait to be
    sent. Nothing but its constructor takes part in that, and it is not documented: a test shows
    that the sizes below are still those that count.
    """

    max_size = _TLS_RECORD_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._set_read_buffer_limits(_TLS_RECORD_BYTES)  # type: ignore[attr-defined]
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


async def start_tls(connection: Connection, context: ssl.SSLContext, timeouts: Timeouts) -> None:
    """Make the TLS handshake within ``timeouts.handshake`` seconds, and start the connection.

    Raises OSError if the handshake fails; the socket is closed then.
    """
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    protocol = _TlsProtocol(
        loop,
        connection,
        context,
        finished,
        server_side=True,
        ssl_handshake_timeout=timeouts.handshake,  # type: ignore[arg-type] # typeshed: whole ones
        ssl_shutdown_timeout=timeouts.tls_close,
    )
    await loop.connect_accepted_socket(lambda: protocol, connection.accepted)
    await finished
