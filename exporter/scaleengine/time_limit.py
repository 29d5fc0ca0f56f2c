"""Limit the whole of one call in time.

The timeouts of ``requests`` bound each wait for the network, not their sum: a server that sends a
byte now and then would hold a call for ever. Here a call has one limit for everything, and when it
is over the call's connection is shut down under it, whether it is being made, shaking hands,
waiting for the first byte or reading. Only the resolver, asked for a name, cannot be interrupted.
"""

import errno
import os
import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self, TypeAlias

from requests.adapters import HTTPAdapter
from urllib3 import (
    HTTPConnectionPool,
    HTTPResponse,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError, NewConnectionError
from urllib3.util import wait_for_write

_Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


class TimeLimit:
    """The limit of one call, in seconds, over all that the call does inside the ``with``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self._closed = False
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self.end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the clock; connections of this thread now obey the limit."""
        self._timer.start()
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
        self._timer.cancel()
        with self._lock:
            self._closed = True
            self._let_go()

    def hold(self, line: socket.socket) -> None:
        """Take note of the connection that the call uses from now on.

        Raises TimeoutError when the limit is over.
        """
        with self._lock:
            if self.over:
                raise TimeoutError
            self._let_go()
            # A descriptor of our own: TLS replaces the socket object while it shakes hands.
            self._line = socket.socket(fileno=os.dup(line.fileno()))

    def end(self) -> None:
        """End the call now: it fails with whatever its connection makes of being shut down."""
        with self._lock:
            if self._closed:
                return
            self.over = True
            if self._line is not None:
                _shut_down(self._line)

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _shut_down(line: socket.socket) -> None:
    with suppress(OSError):  # it is closed already: nothing is left to end
        line.shutdown(socket.SHUT_RDWR)


_limit: Final[ContextVar[TimeLimit | None]] = ContextVar("limit", default=None)


def _hold(line: socket.socket | None) -> None:
    limit = _limit.get()
    if limit is not None and line is not None:
        limit.hold(line)


def _reach(line: socket.socket, address: _Address, timeout: float | None) -> None:
    """Connect; raises OSError, and TimeoutError after the timeout in seconds."""
    line.settimeout(0)
    with suppress(BlockingIOError):  # it has begun, and can be shut down from now on
        line.connect(address)
    _hold(line)
    if not wait_for_write(line, timeout):
        raise TimeoutError
    failure = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        raise OSError(failure, os.strerror(failure))
    line.settimeout(timeout)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect to the first address of the name that can be reached.

        urllib3 would show the socket only when it is connected, and wait in full for each address.
        """
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise LocationParseError(self.host) from None
        failure = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for family, kind, protocol, _, address in addresses:
            try:
                return self._connected(socket.socket(family, kind, protocol), address)
            except OSError as error:
                failure = error
        raise NewConnectionError(self, "no address of the name can be reached") from failure

    def _connected(self, line: socket.socket, address: _Address) -> socket.socket:
        try:
            for option in self.socket_options or ():
                line.setsockopt(*option)
            _reach(line, address, self.timeout)
        except OSError:
            line.close()
            raise
        return line

    def getresponse(  # type: ignore[override] # urllib3 returns its own kind of response
        self,
    ) -> HTTPResponse:
        _hold(self.sock)
        return super().getresponse()


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

    def proxy_manager_for(self, proxy: str, **settings: object) -> ProxyManager:
        """Return the pool for a proxy, of connections that obey."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **settings)
        _limit_pools(manager)
        return manager


def _limit_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
