"""One connection: aiohttp's, with the limits and the silence that aiohttp leaves to others."""

import asyncio
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, cast

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web, web_protocol
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from exporter.web.log_limit import LogLimit
from exporter.web.responses import HEADERS

log: Final = structlog.get_logger(__name__)

# Measured: a connection that has not sent its whole header, or idles, is closed after so long.
_KEEPALIVE_SECONDS: Final = 5.0
# One byte apart, because an error of aiohttp's parser names only the limit that was exceeded.
_URL_BYTES: Final = 8190
_FIELD_BYTES: Final = 8191
_TOO_LONG: Final = b"x" * _FIELD_BYTES
_HEADERS: Final = 64
_TOO_MANY_HEADERS: Final = "Too many headers received"  # aiohttp's own words
_UNANSWERED_BYTES: Final = 32 * 1024  # of all that comes while no answer has gone out
_LAST_WORDS_SECONDS: Final = 1.0
_UNSENT_BYTES: Final = 16 * 1024
_RECEIVED_BYTES: Final = 32 * 1024
_SILENCE_MILLISECONDS: Final = 10_000
_RESET_WHEN_CLOSED: Final = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER
_URI_TOO_LONG: Final = HTTPStatus.REQUEST_URI_TOO_LONG
_HEADERS_TOO_LARGE: Final = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_VERSIONS: Final = (HttpVersion10, HttpVersion11)

# Requests of one connection that are parsed before the response to the first is sent, instead of
# 32: each takes some kilobytes. aiohttp has no option for it.
web_protocol.MAX_MSG_QUEUE_SIZE = 4


def check_version(request: web.BaseRequest) -> None:
    """Raise ConnectionError for a version of HTTP in which nothing can be answered.

    The parser takes HTTP/0.9 and 2.0 for requests too.
    """
    if request.version not in _VERSIONS:
        raise ConnectionError("no version of HTTP that is spoken here")


class Connection(web.RequestHandler):
    """Speaks HTTP on a socket that was accepted.

    ``gone`` is called when it is lost, ``progressed`` when a slow client has taken all that waited
    for it.

    It is closed when a request has not come whole, or the next has not come, within five seconds;
    and when it sends more than 32 KiB without an answer in between. What is no HTTP is answered
    with a bare 400 and noted at the level debug: whoever scans ports must not fill the log. A URL
    that is too long gets 414; headers that are too long, too many, or too much in all get 431.
    """

    __slots__ = (
        "_gone",
        "_heard_all",
        "_log_limit",
        "_opened",
        "_progressed",
        "_unanswered",
        "accepted",
    )

    def __init__(
        self,
        server: web.Server,
        accepted: socket.socket,
        gone: Callable[["Connection"], None],
        progressed: Callable[["Connection"], None],
        log_limit: LogLimit,
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_KEEPALIVE_SECONDS,
            max_line_size=_URL_BYTES,
            max_field_size=_FIELD_BYTES,
            max_headers=_HEADERS,
            lingering_time=0,
            auto_decompress=False,  # no page reads a body
        )
        self.accepted = accepted
        """The socket."""
        _limit_buffers(accepted)
        self._gone = gone
        self._progressed = progressed
        self._log_limit = log_limit
        self._opened: asyncio.Transport | None = None
        self._unanswered = 0
        self._heard_all = False

    def hang_up(self) -> None:
        """End it at once, in the middle of a TLS handshake or an answer too."""
        if not self._is_idle():
            # Otherwise the kernel would keep for a minute what the client does not read.
            with suppress(OSError):
                self.accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
        if self._opened is not None:
            # A transport that has stopped to read would not notice that its socket has ended.
            self._opened.abort()
            return
        with suppress(OSError):  # it has ended already
            self.accepted.shutdown(socket.SHUT_RDWR)

    def force_close(self) -> None:
        """End it when what has been written is on its way."""
        if self.transport is not None and self.transport.is_closing():
            # Closed twice, asyncio's TLS transport could not be aborted any more.
            self.transport = None
        super().force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and tell who sends as soon as a reader does not take all of it."""
        super().connection_made(transport)
        # Kept here, because aiohttp forgets one that it has asked to close, and that may not do so.
        self._opened = cast("asyncio.Transport", transport)
        self._opened.set_write_buffer_limits(high=1)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell that it is lost."""
        super().connection_lost(exc)
        self._gone(self)

    def resume_writing(self) -> None:
        """Go on with a response that waited for its reader."""
        super().resume_writing()
        self._progressed(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is too much."""
        super().data_received(data)
        self._unanswered += len(data)
        if self._unanswered > _UNANSWERED_BYTES and self.transport is not None:
            self.transport.pause_reading()
            if self._is_idle():  # the headers of one request are too much
                super().data_received(_TOO_LONG)  # the parser refuses whatever it is reading
            else:
                self.close()  # what was asked before is still answered
            asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self.force_close)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's says more than aiohttp's
        """Return whether it stays open for an answer to who will not ask again, as ``nc -N``."""
        self._heard_all = True
        # TLS has no half of a connection in asyncio.
        return not self._is_idle() and self.ssl_context is None

    def _is_idle(self) -> bool:
        """Return whether no request has come whole since the last response."""
        return self._waiter is not None and not self._waiter.done()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; an error says no more than its name, whatever the request held.

        Raises ConnectionError, which ends the connection, as `check_version` does.
        """
        self._unanswered = 0
        check_version(request)
        if (self._heard_all and not self._messages) or not request.content.is_eof():
            resp.force_close()  # a body that has not come whole is not waited for
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
        """Answer what is no request with 400, 414 or 431, and a defect of a page with 500.

        A request that makes a page fail can be repeated, so that is logged as an error once a
        minute.
        Raises ConnectionError where nothing can be answered, which aiohttp takes for the end.
        """
        if isinstance(exc, ConnectionError):
            raise exc  # the client has left, as some do instead of sending what they announced
        if status < web.HTTPInternalServerError.status_code:
            # No more than the kind of fault: its text may quote a header, and so a password.
            status = _status_of(exc)
            if exc is not None:
                break_cycles(exc)
            log.debug("no request", peer=request.remote, fault=type(exc).__name__)
        elif self._log_limit.is_due("a page failed"):
            log.error("a page failed", page=request.path, exc_info=exc)
        else:
            log.debug("a page failed", page=request.path, fault=type(exc).__name__)
        if request.writer.output_size:
            raise ConnectionError("an answer has begun, no other can follow")
        answer = web.Response(status=status, headers=HEADERS)
        answer.text = f"{answer.status} {answer.reason}\n"
        answer.force_close()
        return answer


def _limit_buffers(accepted: socket.socket) -> None:
    """Limit what the kernel holds of a connection: by itself it may be megabytes (tcp(7)).

    The limit of what waits to be sent does not count what is on its way to the client, so that it
    makes no transfer slower. A client that acknowledges nothing for ten seconds, or reads so little
    that there is no room for more, is cut off (TCP_USER_TIMEOUT, tcp(7)), also when the response
    has been sent and the connection closed.
    """
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
    if accepted.family == socket.AF_UNIX:
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES)
        return
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS)


def break_cycles(error: BaseException) -> None:
    """Let go of what an error's traceback keeps, and what keeps the error in turn.

    Frames of asyncio and aiohttp hold both the error and the connection with its buffers. Python
    frees such a cycle when its collector runs next, which may be thousands of connections later.
    """
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__


def _status_of(error: BaseException | None) -> int:
    """Return the status for what aiohttp's parser refuses (RFC 9110, 15.5.15; RFC 6585, 5)."""
    if isinstance(error, LineTooLong):
        _, limit, _ = error.args
        return _URI_TOO_LONG if limit == _URL_BYTES else _HEADERS_TOO_LARGE
    if isinstance(error, BadHttpMessage) and error.message == _TOO_MANY_HEADERS:
        return _HEADERS_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
