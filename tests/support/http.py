"""HTTP by the standard library's client, and by raw bytes on a socket."""

import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage

from tests.support.waiting import TIMEOUT


@dataclass(frozen=True, slots=True)
class Response:
    """The status, the headers and the body of a response."""

    status: int
    headers: HTTPMessage
    body: bytes


def send_request(
    connection: HTTPConnection,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one request, return the response, and close the connection."""
    with closing(connection):
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())


def connect(port: int, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """Connect to a port of loopback from one of its addresses, and send bytes."""
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT, (source, 0))
    sock.sendall(sent)
    return sock


def read_to_end(sock: socket.socket) -> bytes:
    """Return all that comes until the other side closes, or resets, the connection."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            received += piece
    return bytes(received)
