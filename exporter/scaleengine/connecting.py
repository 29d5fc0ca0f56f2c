"""Connect to a name that has several addresses, some of which may be dead (RFC 8305).

An address that drops packets does not refuse: it costs the whole time of a request. So the next
address is tried a moment later, in parallel; the first connection that is made wins.
``aiohappyeyeballs`` does this for asyncio alone: here it would need an event loop, with three
descriptors, in every thread that connects, and no other thread could end it.
"""

import errno
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count, zip_longest
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, TypeAlias

DELAY: Final = 0.25
"""Seconds after which the next address is tried (RFC 8305, section 5)."""

_MIN_DELAY: Final = 0.01
_SAYS_LITTLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})
"""What IPv6 fails with on a machine without IPv6; other failures say more."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
SocketOptions: TypeAlias = Iterable[tuple[int, int, int | bytes]]


class PeerAddress(NamedTuple):
    """An address to connect to: its family (AF_INET, AF_INET6), and what ``connect`` takes."""

    family: int
    target: SocketAddress

    @property
    def host(self) -> str:
        """Return the IP address as text."""
        return str(self.target[0])

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.target[1])


class SocketWatch(Protocol):
    """Ends attempts to connect from another thread, by shutting down the sockets it watches."""

    def watch(self, sock: socket.socket) -> None:
        """Watch a socket that connects; raises TimeoutError when no time is left."""

    def unwatch(self, sock: socket.socket) -> None:
        """Leave a socket alone from now on, so that it can be closed or used."""


def resolve(host: str, port: int) -> list[PeerAddress]:
    """Return the addresses of a host, in the order of the resolver; raises OSError.

    Raises UnicodeError for what cannot be the name of a host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        # Without a free descriptor the resolver says that it does not know the name.
        socket.socket().close()
        raise
    return list(dict.fromkeys(PeerAddress(family, target) for family, _, _, _, target in found))


class AddressMemory:
    """Which addresses of a name worked and which failed, for several threads at once."""

    def __init__(self) -> None:
        self._ranks: dict[PeerAddress, int] = {}
        self._counter = count(1)
        self._lock = threading.Lock()

    def sort(self, addresses: Sequence[PeerAddress]) -> list[PeerAddress]:
        """Return the addresses in the order in which to try them.

        That is the one that worked last, those that were not tried yet, IPv6 and IPv4 in turn, and
        the one that failed last.
        """
        with self._lock:
            self._ranks = {known: self._ranks[known] for known in addresses if known in self._ranks}
            ranks = self._ranks
        return sorted(_interleave(addresses), key=lambda address: ranks.get(address, 0))

    def record_success(self, address: PeerAddress) -> None:
        """Record that a request by this address got a response."""
        with self._lock:
            self._ranks = {**self._ranks, address: -next(self._counter)}

    def record_failure(self, address: PeerAddress) -> None:
        """Record that a request by this address got no response."""
        with self._lock:
            self._ranks = {**self._ranks, address: next(self._counter)}


def connect_first(
    addresses: Sequence[PeerAddress],
    seconds: float,
    watch: SocketWatch,
    options: SocketOptions = (),
) -> tuple[PeerAddress, socket.socket]:
    """Return the first connection that is made, and its address; all others are closed.

    Each address is tried in turn, a quarter of a second after the one before, or sooner where all
    would not be tried within half of ``seconds``, and at once where those before have failed. There
    is no timeout: ``watch`` ends it. Raises the most telling OSError of them all.
    """
    delay = max(_MIN_DELAY, min(DELAY, seconds / (2 * len(addresses)))) if addresses else 0.0
    waiting = deque(addresses)
    failures: list[OSError] = []
    with ConnectAttempts(watch, options) as attempts:
        while waiting or attempts:
            if waiting:
                try:
                    attempts.begin(waiting.popleft())
                except OSError as error:
                    failures.append(error)
                    continue
            for address, outcome in attempts.wait(delay if waiting else None):
                if isinstance(outcome, socket.socket):
                    return address, attempts.take(outcome)
                failures.append(outcome)
    raise choose_most_specific(failures)


class ConnectAttempts:
    """Connections that are being made at the same time; each that was not taken is closed."""

    def __init__(self, watch: SocketWatch, options: SocketOptions = ()) -> None:
        self._watch = watch
        self._options = tuple(options)
        self._socks: set[socket.socket] = set()
        self._selector = selectors.PollSelector()  # unlike epoll, it takes no descriptor

    def __enter__(self) -> Self:
        """Return the attempts."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection that was not taken."""
        for sock in tuple(self._socks):
            self._close(sock)
        self._selector.close()

    def __bool__(self) -> bool:
        """Return whether any attempt is in progress."""
        return bool(self._selector.get_map())

    def begin(self, address: PeerAddress) -> None:
        """Begin to connect to an address; raises OSError where that fails at once."""
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        self._socks.add(sock)
        try:
            for option in self._options:
                sock.setsockopt(*option)
            sock.settimeout(0)
            with suppress(BlockingIOError):  # it has begun, and can be shut down from now on
                sock.connect(address.target)
            self._watch.watch(sock)
            self._selector.register(sock, selectors.EVENT_WRITE, (address, sock))
        except OSError:
            self._close(sock)
            raise

    def wait(self, timeout: float | None) -> Iterator[tuple[PeerAddress, socket.socket | OSError]]:
        """Wait up to ``timeout`` seconds, and return what has come of attempts by then.

        That is nothing, or for each address the connection or why there is none.
        """
        for key, _ in self._selector.select(timeout):
            address, sock = key.data
            self._selector.unregister(sock)
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._close(sock)
                yield address, OSError(failure, os.strerror(failure))
            else:
                yield address, sock

    def take(self, sock: socket.socket) -> socket.socket:
        """Return a connection that was made; closing it is up to the caller."""
        self._socks.remove(sock)
        self._watch.unwatch(sock)
        return sock

    def _close(self, sock: socket.socket) -> None:
        self._socks.remove(sock)
        self._watch.unwatch(sock)
        sock.close()


def choose_most_specific(failures: Sequence[OSError]) -> OSError:
    """Return the failure that says most of why no connection was made, or one for no attempt."""
    telling = [failure for failure in failures if failure.errno not in _SAYS_LITTLE]
    nothing = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return next(reversed(telling or [nothing, *failures]))


def _interleave(addresses: Iterable[PeerAddress]) -> Iterator[PeerAddress]:
    """Return addresses so that the families take turns, beginning with the first (section 4)."""
    families: dict[int, list[PeerAddress]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    return (address for address in chain(*zip_longest(*families.values())) if address is not None)
