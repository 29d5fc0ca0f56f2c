"""An HTTP client that takes almost no time itself, so that the server is what is measured."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from types import TracebackType
from typing import Final, Self

_BUFFER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Response:
    """A response: its status, its headers by lower-case name, and its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeptAlive:
    """A connection that is kept from request to request, or made again where the server closes it.

    ``timeout`` is how many seconds each step may take. Use it in a ``with``, in one thread.
    """

    def __init__(self, address: str, timeout: float) -> None:
        host, _, port = address.partition(":")
        self._address = (host, int(port))
        self._timeout = timeout
        self._open: tuple[socket.socket, BufferedReader] | None = None

    def __enter__(self) -> Self:
        """Do nothing yet: the connection is made by the first request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._close()

    def get(self, path: str, headers: Mapping[str, str]) -> Response:
        """Ask for a path and read the whole response. Raises OSError."""
        sending, stream = self._connection()
        lines = [f"GET {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        sending.sendall("\r\n".join([*lines, "\r\n"]).encode())
        protocol, status, *_ = stream.readline().decode().split(" ", 2)
        received = _headers(stream)
        body = _body(stream, received)
        if protocol == "HTTP/1.0" or received.get("connection", "").lower() == "close":
            self._close()
        return Response(int(status), received, body)

    def _connection(self) -> tuple[socket.socket, BufferedReader]:
        if self._open is None:
            sending = socket.create_connection(self._address, self._timeout)
            sending.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open = sending, BufferedReader(socket.SocketIO(sending, "r"), _BUFFER)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            sending, stream = self._open
            stream.close()
            sending.close()
            self._open = None


def _headers(stream: BufferedReader) -> Mapping[str, str]:
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _body(stream: BufferedReader, headers: Mapping[str, str]) -> bytes:
    """Read a body of a known length, in chunks, or to the end (RFC 9112, 6.3)."""
    if "content-length" in headers:
        return stream.read(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return stream.read()
    chunks = []
    while size := int(stream.readline(), 16):
        chunks.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(chunks)
