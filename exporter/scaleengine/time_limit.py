"""Limit the whole of one call in time.

The timeouts of ``requests`` bound each wait for the network, not their sum: a server that sends a
byte now and then would hold a call for ever. Here a call has one limit for everything, and when it
is over the call's connection is shut down under it, whether it is being made, shaking hands,
waiting for the first byte or reading. Only the resolver, asked for a name, cannot be interrupted.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from requests.adapters import HTTPAdapter
from urllib3 import (
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError, NewConnectionError

from exporter.scaleengine.connecting import Address, AddressMemory, connect_first, resolve
from exporter.scaleengine.deadlines import DEADLINES
from exporter.scaleengine.response_head import TolerantResponse


class TimeLimit:
    """The limit of one call, in seconds, over all that the call does inside the ``with``.

    ``addresses`` remembers which addresses of the name work. ``tried`` are those that the call has
    begun to connect to, ``connected`` is the one of the connection that it uses, and ``malformed``
    are the lines of the response's header that were left out.
    """

    def __init__(self, seconds: float, addresses: AddressMemory) -> None:
        self.seconds = seconds
        self.addresses = addresses
        self.over = False
        self.tried: list[Address] = []
        self.connected: Address | None = None
        self.malformed: tuple[bytes, ...] = ()
        self._closed = False
        self._connecting: set[socket.socket] = set()
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._left = seconds

    def __enter__(self) -> Self:
        """Start the clock; connections of this thread now obey the limit."""
        self._start()
        self._outer = _limit.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the clock and let go of the connection, which stays open for the next call."""
        _limit.reset(self._outer)
        self._deadline.cancel()
        with self._lock:
            self._closed = True
            self._let_go()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass meanwhile: the call waits for this process, not for the server."""
        self._deadline.cancel()
        self._left = self._deadline.moment - time.monotonic()
        try:
            yield
        finally:
            self._start()

    def watch(self, sock: socket.socket) -> None:
        """Shut down a socket that connects when the limit is over, until ``unwatch``.

        Raises TimeoutError when it is over already.
        """
        with self._lock:
            if self.over:
                raise TimeoutError
            self._connecting.add(sock)

    def unwatch(self, sock: socket.socket) -> None:
        """Leave the socket alone from now on, so that it can be closed."""
        with self._lock:
            self._connecting.discard(sock)

    def hold(self, line: socket.socket, address: Address) -> None:
        """Take note of the connection that the call uses from now on, and of its address.

        Raises TimeoutError when the limit is over.
        """
        with self._lock:
            if self.over:
                raise TimeoutError
            self._let_go()
            # A descriptor of our own: TLS replaces the socket object while it shakes hands.
            self._line = socket.socket(fileno=os.dup(line.fileno()))
            self.connected = address

    def end(self) -> None:
        """End the call now: it fails with whatever its connection makes of being shut down."""
        with self._lock:
            if self._closed:
                return
            self.over = True
            for sock in self._connecting:
                _shut_down(sock)
            if self._line is not None:
                _shut_down(self._line)

    def _start(self) -> None:
        self._deadline = DEADLINES.add(self._left, self.end)

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _shut_down(line: socket.socket) -> None:
    with suppress(OSError):  # it is closed already: nothing is left to end
        line.shutdown(socket.SHUT_RDWR)


_limit: Final[ContextVar[TimeLimit]] = ContextVar("limit")


class _Response(TolerantResponse):
    def begin(self) -> None:
        super().begin()
        _limit.get().malformed = self.malformed


class _Connection(HTTPConnection):
    response_class = _Response
    _address: Address | None = None

    def _new_conn(self) -> socket.socket:
        """Connect to an address of the name; see ``connect_first``.

        urllib3 would show the socket only when it is connected, and wait in full for each address.
        """
        limit = _limit.get()
        try:
            addresses = resolve(self._dns_host, self.port)
        except UnicodeError:
            raise LocationParseError(self.host) from None
        if limit.over:  # nothing interrupts the resolver
            raise TimeoutError
        limit.tried = limit.addresses.sort(addresses)
        try:
            self._address, line = connect_first(
                limit.tried, limit.seconds, limit, self.socket_options or ()
            )
        except OSError as error:
            raise NewConnectionError(self, "no address of the name can be reached") from error
        try:
            line.settimeout(self.timeout)
            limit.hold(line, self._address)
        except OSError:
            line.close()
            raise
        return line

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,  # noqa: FBT001, FBT002 - the parameters are those of urllib3
        skip_accept_encoding: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Let a connection that was kept open obey the limit of this call."""
        if self.sock is not None and self._address is not None:
            _limit.get().hold(self.sock, self._address)
        super().putrequest(method, url, skip_host, skip_accept_encoding)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class LimitedAdapter(HTTPAdapter):
    """An adapter for ``requests`` whose connections obey the TimeLimit of the calling thread.

    It keeps up to ``connections`` of them open for the next call.
    """

    def __init__(self, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        _limit_pools(self.poolmanager)

    def cert_verify(
        self,
        conn: HTTPConnectionPool,
        url: str,
        verify: bool | str,  # noqa: FBT001 - the parameters are those of requests
        cert: str | tuple[str, str] | None,
    ) -> None:
        """Have the certificate verified wherever TLS is spoken.

        ``requests`` judges by the URL alone, and would trust every proxy in ``https://``.
        """
        seen = "https://" if isinstance(conn, HTTPSConnectionPool) else url
        super().cert_verify(conn, seen, verify, cert)  # type: ignore[no-untyped-call]

    def proxy_manager_for(self, proxy: str, **settings: object) -> ProxyManager:
        """Return the pool for a proxy, of connections that obey."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **settings)
        _limit_pools(manager)
        return manager


def _limit_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
