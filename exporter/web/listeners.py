"""Where to listen: addresses as an operator writes them, and the sockets they become."""

import errno
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final, TypeAlias

BACKLOG: Final = 4096
"""Connections that may wait to be accepted. A client that finds the queue full retries after a
second (RFC 6298), and with it a scrape; they wait in the kernel, and take no descriptors there. It
is the default of ``net.core.somaxconn``, above which nothing has an effect (listen(2))."""

UNIX_MODE: Final = 0o660
"""Who may connect to a socket in the file system: its owner and its group."""

_TCP: Final = re.compile(r"(\[(?P<v6>[\w:.%]+)\]|(?P<host>[\w.-]*)):(?P<port>[0-9]{1,5})")
_MAX_PORT: Final = 65535
_UNSUPPORTED: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_MAX_UNIX_BYTES: Final = 107  # sun_path of unix(7), and the NUL at its end

_CAUSES: Final[Mapping[int, str]] = {
    errno.EADDRINUSE: "it is taken: another process listens there; stop it or choose another "
    "address",
    errno.EACCES: "no right to: choose a port above 1023, or a folder that may be written",
    errno.EADDRNOTAVAIL: "this machine has no such address: write one that it has, or :port for "
    "all",
    errno.ENOENT: "the folder is missing: make it, or choose another path",
    errno.EEXIST: "a file that is no socket is in the way: remove it, or choose another path",
}


class AddressError(Exception):
    """An invalid address; its text is a message for an operator."""


class ListenError(Exception):
    """An address that cannot be listened on; its text is a message for an operator."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; no host means every address of this machine, IPv4 and IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as it is written."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system, to which its owner and its group may connect."""

    path: Path

    def __str__(self) -> str:
        """Return the address as it is written."""
        return f"unix:{self.path}"


ListenAddress: TypeAlias = TcpAddress | UnixAddress
_Place: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]  # getaddrinfo's


def parse_address(text: str) -> ListenAddress:
    """Read ``host:port``, ``[v6]:port``, ``:port`` or ``unix:/path``; raises AddressError."""
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute():
            raise AddressError(f"{text!r} is no address: write the whole path, as unix:/run/x.sock")
        if len(os.fsencode(path)) > _MAX_UNIX_BYTES:
            raise AddressError(
                f"{text!r} is too long for a socket: write a path of {_MAX_UNIX_BYTES} bytes at "
                "most"
            )
        return UnixAddress(path)
    match = _TCP.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT or not _can_be_a_host(match):
        raise AddressError(
            f"{text!r} is no address to listen on: write host:port, [IPv6]:port, :port for every "
            "address of this machine, or unix:/path"
        )
    return TcpAddress(match["v6"] or match["host"], int(match["port"]))


def _can_be_a_host(match: re.Match[str]) -> bool:
    try:
        if match["v6"]:
            IPv6Address(match["v6"])
        else:
            match["host"].encode("idna")  # as the resolver will
    except ValueError:
        return False
    return True


def listen(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
    """Return sockets that listen on all of the addresses; raises ListenError."""
    sockets: list[socket.socket] = []
    owners: dict[socket.socket, ListenAddress] = {}
    for address in addresses:
        try:
            sockets.extend(_listen(address))  # keeps those that came before a failure
        except OSError as error:
            other = _overlapping(address, owners) if error.errno == errno.EADDRINUSE else None
            close(sockets)
            cause = _describe_error(error) if other is None else _describe_overlap(address, other)
            raise ListenError(f"cannot listen on {address}: {cause}") from None
        owners.update(dict.fromkeys(sockets[len(owners) :], address))
    return sockets


def close(sockets: Iterable[socket.socket]) -> None:
    """Close the sockets, and remove what they left in the file system."""
    for sock in sockets:
        remove_file(sock)
        sock.close()


class _UnixSocket(socket.socket):
    """A socket whose file was made here, and so is removed here."""


def remove_file(listening: socket.socket) -> None:
    """Remove the file that ``listen`` has made for a socket that is still open, if any."""
    if isinstance(listening, _UnixSocket):
        with suppress(OSError):  # what stays there is replaced when it is listened on again
            Path(listening.getsockname()).unlink()


def format_address(listening: socket.socket) -> str:
    """Return where a socket listens, as an operator would write it."""
    name = listening.getsockname()
    if isinstance(name, bytes):  # an inherited one without a file: unix(7), abstract
        return f"unix:@{os.fsdecode(name[1:])}"
    if listening.family == socket.AF_UNIX:
        return str(UnixAddress(Path(name)))
    return str(TcpAddress("" if _is_everywhere(listening) else name[0], name[1]))


def format_url(listening: socket.socket, *, tls: bool) -> str:
    """Return what a browser on this machine opens to see what a TCP socket serves."""
    host, port = listening.getsockname()[:2]
    if host in {"::", "0.0.0.0"}:  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"{'https' if tls else 'http'}://{TcpAddress(host, port)}"


def _is_everywhere(listening: socket.socket) -> bool:
    """Return whether a socket takes IPv4 and IPv6 on every address of this machine."""
    return (
        listening.family == socket.AF_INET6
        and listening.getsockname()[0] == "::"
        and not listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    )


def _listen(address: ListenAddress) -> Iterator[socket.socket]:
    if isinstance(address, UnixAddress):
        yield _listen_unix(address.path)
        return
    if not address.host:
        yield _listen_dual_stack(address.port)
        return
    yield from _listen_where_possible(_resolve(address))


def _resolve(address: TcpAddress) -> set[tuple[int, _Place]]:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return {(family, where) for family, _, _, _, where in found}


def _listen_where_possible(places: Iterable[tuple[int, _Place]]) -> Iterator[socket.socket]:
    """Listen on the addresses of one name that this machine has, of which there must be one.

    In many containers ``localhost`` is ``::1`` too, though there is no IPv6.
    """
    lacking = None
    found = False
    for family, where in sorted(places, key=str):
        try:
            listening = socket.create_server(where, family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            lacking = error
        else:
            found = True
            yield listening
    if lacking and not found:
        raise lacking


def _listen_dual_stack(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4 with one socket, or on IPv4 alone where there is no IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


def _listen_unix(path: Path) -> socket.socket:
    """Listen on a path; a socket that a dead process left there is replaced."""
    if path.exists() and not path.is_socket():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    listening = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        listening.bind(str(path))
        path.chmod(UNIX_MODE)  # before a client can connect
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _is_left_over(path: Path) -> bool:
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.settimeout(0)
        try:
            visitor.connect(str(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:  # somebody listens, and has no time for visitors
            return False
    return False


def _overlapping(
    address: ListenAddress, owners: Mapping[socket.socket, ListenAddress]
) -> ListenAddress | None:
    """Return the address of the first socket that takes connections to ``address`` already."""
    for sock, owner in owners.items():
        if isinstance(address, UnixAddress):
            if isinstance(owner, UnixAddress) and _is_same_file(address.path, owner.path):
                return owner
        elif isinstance(owner, TcpAddress) and _does_share(sock, address):
            return owner
    return None


def _does_share(sock: socket.socket, address: TcpAddress) -> bool:
    """Return whether a TCP socket takes some of the connections to ``address``."""
    host, port = sock.getsockname()[:2]
    if port != address.port:
        return False
    if not address.host or _is_everywhere(sock):
        return True
    own = ip_address(host)
    others = [ip_address(where[0]) for _, where in _resolve(address)]
    return any(
        own == other
        or (own.version == other.version and (own.is_unspecified or other.is_unspecified))
        for other in others
    )


def _is_same_file(first: Path, second: Path) -> bool:
    with suppress(OSError):
        return first.samefile(second)
    return False


def _describe_overlap(address: ListenAddress, other: ListenAddress) -> str:
    if address == other:
        return "--web.listen-address names it twice: remove one"
    return f"it overlaps with {other}, which --web.listen-address names too: remove one of the two"


def _describe_error(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the name is not known: check it, or write an IP address"
    if error.errno is None:
        return str(error)
    return _CAUSES.get(error.errno, os.strerror(error.errno).lower())
