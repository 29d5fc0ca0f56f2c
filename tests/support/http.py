"""One HTTP request on a connection, and its response."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage


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
