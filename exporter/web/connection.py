"""One connection: aiohttp's, with more limits, and with errors that reveal nothing."""

import asyncio
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web, web_protocol
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from exporter.process.log_limit import LogLimit
from exporter.web.responses import HEADERS

log: Final = structlog.get_logger(__name__)

# One byte apart, because an error of aiohttp's parser names only the limit that was exceeded.
_MAX_URL_BYTES: Final = 8190
_MAX_FIELD_BYTES: Final = 8191
_OVERSIZED: Final = b"x" * _MAX_FIELD_BYTES
_MAX_HEADERS: Final = 64
_TOO_MANY_HEADERS: Final = "Too many headers received"  # as aiohttp words it
_MAX_BYTES_WITHOUT_RESPONSE: Final = 32 * 1024  # received while no response is sent
_SEND_BUFFER_BYTES: Final = 16 * 1024
_RECEIVE_BUFFER_BYTES: Final = 32 * 1024
_USER_TIMEOUT_MILLISECONDS: Final = 10_000
_LINGER_RESET: Final = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER
_URI_TOO_LONG: Final = HTTPStatus.REQUEST_URI_TOO_LONG
_HEADERS_TOO_LARGE: Final = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_VERSIONS: Final = (HttpVersion10, HttpVersion11)

# Requests of one connection that are parsed before the response to the first is sent, instead of
# 32: each takes some kilobytes. aiohttp has no option for it.
web_protocol.MAX_MSG_QUEUE_SIZE = 4


@dataclass(slots=True)
class Timeouts:
    """How long the server waits, in seconds; a change counts for connections that come later.

    ``keepalive`` is for a complete request header and for the next request, ``handshake`` for that
    of TLS, and ``tls_close`` for its end. ``flush`` is for the response to a request that is too
    large, ``response`` to build and to send any other. ``reap_interval`` is the pause between two
    searches for overdue connections. When the server stops, ``shutdown`` is for responses in
    progress, and ``first_request`` for clients that have just connected.
    """

    keepalive: float = 5.0
    handshake: float = 5.0
    tls_close: float = 1.0
    flush: float = 1.0
    response: float = 30.0
    reap_interval: float = 1.0
    shutdown: float = 2.0
    first_request: float = 0.5


def check_version(request: web.BaseRequest) -> None:
    """Raise ConnectionError for an unsupported version of HTTP.

    The parser also accepts HTTP/0.9 and 2.0.
    """
    if request.version not in _VERSIONS:
        raise ConnectionError("unsupported version of HTTP")


class Connection(web.RequestHandler):
    """Speaks HTTP on a socket that was accepted.

    ``on_closed`` is called when it is lost, ``on_progress`` when a slow client has read all that
    was written.

    It is closed when a request is not complete, or the next does not come, within the seconds of
    ``timeouts.keepalive``; and when it sends more than 32 KiB without a response in between. The
    response to what is not HTTP is a bare 400, logged at the level debug: port scanners must not
    fill the log. A URL that is too long gets 414. Headers that are too long, too many, or too large
    in total get 431.
    """

    __slots__ = (
        "_bytes_since_response",
        "_eof_received",
        "_flush_timeout",
        "_log_limit",
        "_on_closed",
        "_on_progress",
        "_transport_made",
        "accepted",
        "is_new",
    )

    def __init__(
        self,
        server: web.Server,
        accepted: socket.socket,
        on_closed: Callable[["Connection"], None],
        on_progress: Callable[["Connection"], None],
        log_limit: LogLimit,
        timeouts: Timeouts,
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=timeouts.keepalive,
            max_line_size=_MAX_URL_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_HEADERS,
            lingering_time=0,
            auto_decompress=False,  # no page reads a body
        )
        self.accepted = accepted
        """The socket."""
        self.is_new = True
        """Whether it has not sent a complete request yet."""
        _limit_buffers(accepted)
        self._on_closed = on_closed
        self._on_progress = on_progress
        self._log_limit = log_limit
        self._flush_timeout = timeouts.flush
        self._transport_made: asyncio.Transport | None = None
        self._bytes_since_response = 0
        self._eof_received = False

    def abort(self) -> None:
        """Close it at once, even in the middle of a TLS handshake or a response."""
        if not self._is_idle():
            # Otherwise the kernel would keep unread data for a minute.
            with suppress(OSError):
                self.accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        if self._transport_made is not None:
            # A transport that has stopped to read would not notice that its socket has ended.
            self._transport_made.abort()
            return
        with suppress(OSError):  # it is closed already
            self.accepted.shutdown(socket.SHUT_RDWR)

    def force_close(self) -> None:
        """Close it after what is written has been sent."""
        if self.transport is not None and self.transport.is_closing():
            # Closed twice, asyncio's TLS transport could not be aborted any more.
            self.transport = None
        super().force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, and pause writers as soon as the client does not read everything."""
        super().connection_made(transport)
        # Kept here: aiohttp drops its reference when it asks the transport to close.
        self._transport_made = cast("asyncio.Transport", transport)
        self._transport_made.set_write_buffer_limits(high=1)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report that it is lost."""
        super().connection_lost(exc)
        self._on_closed(self)

    def resume_writing(self) -> None:
        """Continue a response that waited for its reader."""
        super().resume_writing()
        self._on_progress(self)

    def data_received(self, data: bytes) -> None:
        """Parse received data, unless it is too much."""
        super().data_received(data)
        self._bytes_since_response += len(data)
        if self._bytes_since_response > _MAX_BYTES_WITHOUT_RESPONSE and self.transport is not None:
            self.transport.pause_reading()
            if self._is_idle():  # the headers of one request are too large
                super().data_received(_OVERSIZED)  # the parser rejects it in any state
            else:
                self.close()  # earlier requests still get their responses
            asyncio.get_running_loop().call_later(self._flush_timeout, self.force_close)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's says more than aiohttp's
        """Return whether it stays open for a response: the client sends no more, as ``nc -N``."""
        self._eof_received = True
        # asyncio's TLS does not support half-closed connections.
        return not self._is_idle() and self.ssl_context is None

    def _is_idle(self) -> bool:
        """Return whether no request is complete since the last response."""
        return self._waiter is not None and not self._waiter.done()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; that of an error contains only the name of its status.

        Raises ConnectionError, which ends the connection, as ``check_version`` does.
        """
        self._bytes_since_response = 0
        check_version(request)
        if (self._eof_received and not self._messages) or not request.content.is_eof():
            resp.force_close()  # an incomplete body is not waited for
        if isinstance(resp, web.HTTPException):
            resp.text = f"{resp.status} {resp.reason}\n"
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's, and it may quote the request
    ) -> web.StreamResponse:
        """Return 400, 414 or 431 for a malformed request, and 500 for a bug in a page.

        A client can repeat a request that makes a page fail: it is logged as an error at most once
        a minute. Raises ConnectionError where no response is possible, so that aiohttp closes.
        """
        if isinstance(exc, ConnectionError):
            raise exc  # the client has closed before its request was complete
        if status < web.HTTPInternalServerError.status_code:
            # Only the type of the fault: its text may quote a header, and so a password.
            status = _find_status(exc)
            if exc is not None:
                break_cycles(exc)
            log.debug("malformed HTTP request", peer=request.remote, fault=type(exc).__name__)
        elif self._log_limit.is_due("request handler failed"):
            log.error("request handler failed", page=request.path, exc_info=exc)
        else:
            log.debug("request handler failed", page=request.path, fault=type(exc).__name__)
        if request.writer.output_size:
            raise ConnectionError("a response has started, no other can follow")
        response = web.Response(status=status, headers=HEADERS)
        response.text = f"{response.status} {response.reason}\n"
        response.force_close()
        return response


def _limit_buffers(accepted: socket.socket) -> None:
    """Limit the kernel's buffers of a connection, which may be megabytes by default (tcp(7)).

    The limit of unsent data does not count data in flight, so it makes no transfer slower. A client
    that acknowledges nothing for ten seconds, or reads so little that its window stays closed, is
    disconnected (TCP_USER_TIMEOUT, tcp(7)), even after the response is sent.
    """
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    if accepted.family == socket.AF_UNIX:
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _SEND_BUFFER_BYTES)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS)


def break_cycles(error: BaseException) -> None:
    """Release what an error's traceback refers to, and with it the references to the error.

    Frames of asyncio and aiohttp hold both the error and the connection with its buffers. Python
    frees such a cycle when its collector runs next, which may be thousands of connections later.
    """
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__


def _find_status(error: BaseException | None) -> int:
    """Return the status for what aiohttp's parser rejects (RFC 9110, 15.5.15; RFC 6585, 5)."""
    if isinstance(error, LineTooLong):
        _, limit, _ = error.args
        return _URI_TOO_LONG if limit == _MAX_URL_BYTES else _HEADERS_TOO_LARGE
    if isinstance(error, BadHttpMessage) and error.message == _TOO_MANY_HEADERS:
        return _HEADERS_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
