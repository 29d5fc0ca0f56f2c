"""A deadline for a whole request.

The timeouts of ``requests`` limit each wait for the network, not their sum: a server that sends one
byte at a time could delay a request without end. Here each request has one deadline. When it
expires, the connection is shut down, whether it connects, shakes hands, waits or reads. Only the
DNS resolver cannot be interrupted.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import LocationParseError, NewConnectionError
from urllib3.util.ssltransport import SSLTransport

from exporter.scaleengine.connecting import AddressMemory, PeerAddress, connect_first, resolve
from exporter.scaleengine.response_head import TolerantResponse
from exporter.scaleengine.timers import TIMERS


class RequestAttempt:
    """One attempt to send a request; its deadline is ``seconds`` after the ``with`` begins.

    ``addresses`` remembers which addresses of the name work. ``tried`` has those that the request
    has begun to connect to, ``connected`` the one of the connection in use, and ``malformed`` the
    lines of the response's header that were ignored.
    """

    def __init__(self, seconds: float, addresses: AddressMemory) -> None:
        self.seconds = seconds
        self.addresses = addresses
        self.is_over = False
        self.tried: list[PeerAddress] = []
        self.connected: PeerAddress | None = None
        self.malformed: tuple[bytes, ...] = ()
        self._closed = False
        self._connecting: set[socket.socket] = set()
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()
        self._left = seconds

    def __enter__(self) -> Self:
        """Start the timer; it applies to the connections of this thread."""
        self._start()
        self._outer = _current.set(self)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the timer and release the connection, which stays open for the next request."""
        _current.reset(self._outer)
        self._timer.cancel()
        with self._lock:
            self._closed = True
            self._detach()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the timer meanwhile: the request waits for this process, not for the server."""
        self._timer.cancel()
        self._left = self._timer.moment - time.monotonic()
        try:
            yield
        finally:
            self._start()

    def watch(self, sock: socket.socket) -> None:
        """Shut down a connecting socket at the deadline, until ``unwatch``.

        Raises TimeoutError if it has expired already.
        """
        with self._lock:
            if self.is_over:
                raise TimeoutError
            self._connecting.add(sock)

    def unwatch(self, sock: socket.socket) -> None:
        """Do not shut down the socket at the deadline: it is going to be closed."""
        with self._lock:
            self._connecting.discard(sock)

    def attach(self, sock: socket.socket, address: PeerAddress) -> None:
        """Set the connection that the request uses from now on, and its address.

        Raises TimeoutError if the deadline has expired.
        """
        with self._lock:
            if self.is_over:
                raise TimeoutError
            self._detach()
            # A duplicate descriptor: TLS replaces the socket object during the handshake.
            self._sock = socket.socket(fileno=os.dup(sock.fileno()))
            self.connected = address

    def abort(self) -> None:
        """End the request now, by shutting down its connection."""
        with self._lock:
            if self._closed:
                return
            self.is_over = True
            for sock in self._connecting:
                _shut_down(sock)
            if self._sock is not None:
                _shut_down(self._sock)

    def _start(self) -> None:
        self._timer = TIMERS.add(self._left, self.abort)

    def _detach(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_RDWR)


_current: Final[ContextVar[RequestAttempt]] = ContextVar("attempt")


class _Response(TolerantResponse):
    def begin(self) -> None:
        super().begin()
        _current.get().malformed = self.malformed


class _Connection(HTTPConnection):
    """A connection for requests that have a body: the head is sent in one piece with it."""

    response_class = _Response
    _address: PeerAddress | None = None
    _is_head_next = False
    _head = b""

    @property
    def is_connected(self) -> bool:
        """Return whether this may be kept open: nothing has arrived since the last response.

        Otherwise the next response would be one to no request. urllib3 looks at the
        socket only, not at what TLS has received with the last response and holds.
        """
        return super().is_connected and not _holds_unread_bytes(self.sock)

    def _new_conn(self) -> socket.socket:
        """Connect to an address of the name; see ``connect_first``.

        urllib3 returns the socket only when it is connected, and waits the whole timeout for each
        address.
        """
        attempt = _current.get()
        try:
            addresses = resolve(self._dns_host, self.port)
        except UnicodeError:
            raise LocationParseError(self.host) from None
        if attempt.is_over:  # nothing interrupts the resolver
            raise TimeoutError
        attempt.tried = attempt.addresses.sort(addresses)
        try:
            self._address, sock = connect_first(
                attempt.tried, attempt.seconds, attempt, self.socket_options or ()
            )
        except OSError as error:
            raise NewConnectionError(self, "no address of the name can be reached") from error
        try:
            sock.settimeout(self.timeout)
            attempt.attach(sock, self._address)
        except OSError:
            sock.close()
            raise
        return sock

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,  # noqa: FBT001, FBT002 - the parameters are those of urllib3
        skip_accept_encoding: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Apply the deadline of this request to a connection that was kept open."""
        if self.sock is not None and self._address is not None:
            _current.get().attach(self.sock, self._address)
        self._head = b""  # of a request that failed before it was sent
        super().putrequest(method, url, skip_host, skip_accept_encoding)

    def endheaders(  # type: ignore[override] # urllib3 sends the body itself
        self, message_body: bytes | None = None, *, encode_chunked: bool = False
    ) -> None:
        """Hold the head back until the body is sent."""
        self._is_head_next = True
        super().endheaders(message_body, encode_chunked=encode_chunked)

    def close(self) -> None:
        """Close the connection, and drop a head that was held back."""
        self._is_head_next, self._head = False, b""
        super().close()

    def send(self, data: bytes) -> None:  # type: ignore[override] # all that is sent here
        """Send the data; the head of a request is sent with the next data."""
        if self._is_head_next:
            self._is_head_next, self._head = False, data
            return
        head, self._head = self._head, b""
        super().send(head + data)


def _holds_unread_bytes(sock: socket.socket | SSLTransport | None) -> bool:
    """Return whether TLS has received bytes that were not read: that of the proxy, too."""
    if isinstance(sock, SSLTransport):
        holds = sock.incoming.pending > 0 or sock.sslobj.pending() > 0
        return holds or _holds_unread_bytes(sock.socket)
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
    knows_trust = False


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
    knows_trust = False


class DeadlineAdapter(HTTPAdapter):
    """An adapter for ``requests`` that applies the deadline of the calling thread.

    It keeps up to ``connections`` connections open for the next request. All requests are for the
    same server, with the same proxy and trusted certificates.
    """

    def __init__(self, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        _set_pool_classes(self.poolmanager)
        self._pool: ConnectionPool | None = None
        self._lock = threading.Lock()

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001 - the parameters are those of requests
        proxies: Mapping[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> ConnectionPool:
        """Return the pool of connections, which is looked up for the first request only.

        ``requests`` would parse the URL three times to find it. After ``close`` it is another one.
        """
        with self._lock:
            if self._pool is None:
                self._pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            return self._pool

    def close(self) -> None:
        """Close the connections that are kept open; those in use are closed after their request."""
        with self._lock:
            self._pool = None
            super().close()

    def cert_verify(
        self,
        conn: HTTPConnectionPool,
        url: str,
        verify: bool | str,  # noqa: FBT001 - the parameters are those of requests
        cert: str | tuple[str, str] | None,
    ) -> None:
        """Verify the certificate of every TLS connection.

        ``requests`` looks at the URL only, and would trust every proxy in ``https://``. It would
        look for the trusted certificates at each request: the same pool always has the same.
        When they change, ``close`` makes another pool.
        """
        if isinstance(conn, _Pool | _TlsPool) and conn.knows_trust:
            return
        seen = "https://" if isinstance(conn, HTTPSConnectionPool) else url
        super().cert_verify(conn, seen, verify, cert)  # type: ignore[no-untyped-call]
        if isinstance(conn, _Pool | _TlsPool):
            conn.knows_trust = True

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """Return the response, without its cookies: none is ever sent."""
        response = Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.request, response.url, response.raw = req, req.url or "", resp
        return response

    def proxy_manager_for(self, proxy: str, **settings: object) -> ProxyManager:
        """Return the pool for a proxy, with connections that have a deadline."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **settings)
        _set_pool_classes(manager)
        return manager


def _set_pool_classes(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
