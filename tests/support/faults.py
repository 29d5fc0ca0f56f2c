"""Faults that a simulator injects: bad content, refusals, and failures of the network."""

import asyncio
import socket
import struct
import threading
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias

from aiohttp import web

from exporter.simulator.api import ELSEWHERE, PlannedResponse
from exporter.simulator.commands import ResponseContext, SimulatedResponse, build_refusal
from exporter.simulator.php import PhpValue, encode
from exporter.simulator.published import PARTIAL, SKIPPED, ListedFolder

_NUMBERS = frozenset({"bytes_total", "__is_loaded", "__offset", "__file_count"})
_NOT_A_NUMBER = "(a number)"
_DEPTH = 100_000
_HTML = "<html><head><title>Service</title></head><body><h1>Service unavailable</h1></body></html>"
_BOMB_BYTES = 64 * 2**20
_ENDLESS_BYTES = 2**30
_PIECE = b" " * 2**16

Headers: TypeAlias = Mapping[str, str]
Send: TypeAlias = Callable[
    [web.BaseRequest, PlannedResponse, Headers], Awaitable[web.StreamResponse]
]


class _Unchanged:
    """A fault that changes nothing: what the others have in common."""

    status: int | None = None

    def replace_response(self, context: ResponseContext) -> SimulatedResponse | None:
        return None

    def change_listing(self, listed: ListedFolder, offset: int) -> ListedFolder:
        return listed

    def change_content(self, content: Mapping[str, PhpValue]) -> Mapping[str, PhpValue]:
        return content

    def encode(self, envelope: Mapping[str, PhpValue]) -> bytes:
        return encode(envelope).encode()

    async def send(
        self, request: web.BaseRequest, planned: PlannedResponse, headers: Headers
    ) -> web.StreamResponse | None:
        return None


class Held(_Unchanged):
    """The right response, held back until ``release``, or until ``count`` of them are held back."""

    name = "held"

    def __init__(self, count: int | None = None) -> None:
        self._count = count
        self._held = 0
        self._is_released = threading.Event()

    def release(self) -> None:
        """Let all responses go, also those to come."""
        self._is_released.set()

    async def send(
        self, request: web.BaseRequest, planned: PlannedResponse, headers: Headers
    ) -> web.StreamResponse | None:
        self._held += 1
        if self._held == self._count:
            self.release()
        while not self._is_released.is_set():  # noqa: ASYNC110 - another thread releases it
            await asyncio.sleep(0.005)
        return None


class TimesOut(_Unchanged):
    """No response: the time for it is over, which ``expire`` brings about, when the request comes.

    With ``in_body`` the first half of the body is sent before.
    """

    name = "times out"

    def __init__(self, expire: Callable[[], object], *, in_body: bool = False) -> None:
        self._expire = expire
        self._in_body = in_body

    async def send(
        self, request: web.BaseRequest, planned: PlannedResponse, headers: Headers
    ) -> web.StreamResponse | None:
        body = planned.response.body
        if self._in_body:
            _transport(request).write(_head(headers, planned.response) + body[: len(body) // 2])
        self._expire()
        return await _hang(request, planned, headers)


class Fault(Enum):
    """One way in which a response is bad; a code or an HTTP status are Refusal and HttpError."""

    STUCK_OFFSET = auto()
    """The requested folder is partial, and its ``__offset`` is the one that was asked for."""
    ALWAYS_SKIPPED = auto()
    """The requested folder comes back skipped."""
    SHRINKING = auto()
    """A follow-up response is complete and empty, as though the rest had been deleted."""
    OTHER_PATH = auto()
    """The listing is that of another path than the requested one."""

    NOT_ROWS = auto()
    """Rows, or file names, that are numbers, texts, null and lists."""
    NOT_A_FOLDER = auto()
    """The requested folder, or the list of rows, is a text."""
    NAN = auto()
    """Numbers are ``NaN``, which is no JSON."""
    HUGE_NUMBER = auto()
    """Numbers have ten thousand digits."""
    LONE_SURROGATE = auto()
    """A file name, or a CPU user, holds half of a surrogate pair: no text that UTF-8 can hold."""

    HTML_PAGE = auto()
    EMPTY_BODY = auto()
    TRUNCATED = auto()
    """The first half of the JSON text, as a whole HTTP body."""
    NULL = auto()
    A_LIST = auto()
    DEEP_NESTING = auto()
    """The envelope holds a hundred thousand brackets."""
    DUPLICATE_KEYS = auto()
    """The content stands twice in the envelope, the second time empty."""
    BAD_UTF8 = auto()
    """The body holds bytes that are no UTF-8."""

    GZIP_BOMB = auto()
    """A small gzip body that unpacks to 64 MiB of spaces before the response."""
    ENDLESS_BODY = auto()
    """A body that goes on until the client leaves; it ends after a GiB all the same."""
    HANG = auto()
    """No response until the client leaves or the simulator stops."""
    SLOW_HEADERS = auto()
    """The right response, one byte of its headers at a time."""
    SLOW_BODY = auto()
    """The right response, one byte of its body at a time."""
    RESET = auto()
    """The connection is reset before the response."""
    RESET_IN_BODY = auto()
    """The connection is reset after half of the body."""
    REDIRECT = auto()
    """HTTP 307 to ``/elsewhere/``, which responds as usual and is recorded as another route."""

    @property
    def status(self) -> int | None:
        return 307 if self is Fault.REDIRECT else None

    def replace_response(self, context: ResponseContext) -> SimulatedResponse | None:
        return None

    def change_listing(self, listed: ListedFolder, offset: int) -> ListedFolder:
        return spoil_listing(listed, offset, self)

    def change_content(self, content: Mapping[str, PhpValue]) -> Mapping[str, PhpValue]:
        return spoil_content(content, self)

    def encode(self, envelope: Mapping[str, PhpValue]) -> bytes:
        return spoil_text(envelope, self)

    async def send(
        self, request: web.BaseRequest, planned: PlannedResponse, headers: Headers
    ) -> web.StreamResponse | None:
        send = _FAULTY.get(self)
        return None if send is None else await send(request, planned, headers)


@dataclass(frozen=True)
class Refusal(_Unchanged):
    """The API's failure envelope, for any request; ``code`` has four digits, or is None."""

    code: str | None
    message: str = "Request refused"

    @property
    def name(self) -> str:
        return f"code {self.code}" if self.code else "no code"

    def replace_response(self, context: ResponseContext) -> SimulatedResponse | None:
        return build_refusal(self, context)


@dataclass(frozen=True)
class HttpError(_Unchanged):
    """An HTTP status with an HTML page; ``retry_after`` is the header's text, seconds or a date."""

    status: int
    retry_after: str | None = None

    @property
    def name(self) -> str:
        return f"HTTP {self.status}"

    def replace_response(self, context: ResponseContext) -> SimulatedResponse | None:
        page = f"<html><body><h1>HTTP {self.status}</h1></body></html>".encode()
        return SimulatedResponse(page, self.status, "text/html", self.retry_after)


BUSY = Refusal("1000", "Our servers are busy, please try again in a few minutes")
FAILING = Refusal("0004", "An unexpected error occurred")
NOT_FOUND = Refusal(None, "Path not found")
"""As the simulator responds to a path that does not exist; the real API's code is not known."""


def spoil_listing(listed: ListedFolder, offset: int, fault: Fault) -> ListedFolder:
    """Return the listing under a fault; ``offset`` is the one that was asked for."""
    match fault:
        case Fault.STUCK_OFFSET:
            return replace(listed, loaded=PARTIAL, offset=offset, file_count=offset + 1)
        case Fault.ALWAYS_SKIPPED:
            return ListedFolder(loaded=SKIPPED)
        case Fault.SHRINKING if offset > 0:
            return ListedFolder()
        case _:
            return listed


def spoil_content(content: Mapping[str, PhpValue], fault: Fault) -> Mapping[str, PhpValue]:
    """Return a response's content, a mapping of one member, under a fault."""
    name, value = next(iter(content.items()))
    if fault is Fault.OTHER_PATH:
        return {f"{name}-other": value}
    if fault is Fault.NOT_A_FOLDER:
        return {name: "text"}
    if fault in (Fault.NAN, Fault.HUGE_NUMBER):
        return {name: _without_numbers(value)}
    if fault is Fault.NOT_ROWS:
        items: PhpValue = (7, "row", None, [])
        return {name: items if name == "usage" else {"__files": items, "__is_loaded": 1}}
    if fault is Fault.LONE_SURROGATE:
        row: PhpValue = {"summary_date": "2014-11-10", "cpu_user": "\ud800", "bytes_total": 1024}
        folder: PhpValue = {"__files": ["\ud800.mp4"], "__is_loaded": 1, "\ud800": []}
        return {name: [row] if name == "usage" else folder}
    return content


_TEXTS: Mapping[Fault, Callable[[str], str]] = {
    Fault.NAN: lambda text: text.replace(f'"{_NOT_A_NUMBER}"', "NaN"),
    Fault.HUGE_NUMBER: lambda text: text.replace(f'"{_NOT_A_NUMBER}"', "9" * 10_000),
    Fault.HTML_PAGE: lambda _: _HTML,
    Fault.EMPTY_BODY: lambda _: "",
    Fault.TRUNCATED: lambda text: text[: len(text) // 2],
    Fault.NULL: lambda _: "null",
    Fault.A_LIST: lambda text: f"[{text}]",
    Fault.DEEP_NESTING: lambda text: f'{text[:-1]},"extra":{"[" * _DEPTH}{"]" * _DEPTH}}}',
    Fault.BAD_UTF8: lambda text: f'{text[:-1]},"extra":"\udcff\udcfe"}}',
}


def spoil_text(envelope: Mapping[str, PhpValue], fault: Fault) -> bytes:
    """Return the body of a response under a fault."""
    text = encode(envelope)
    if fault is Fault.DUPLICATE_KEYS:
        text = f"{text[:-1]},{encode(next(iter(envelope)))}:[]}}"
    elif fault in _TEXTS:
        text = _TEXTS[fault](text)
    # Bytes that are no UTF-8 are held in a text as Python does it elsewhere, by surrogateescape.
    return text.encode("utf-8", "surrogateescape")


def _without_numbers(value: PhpValue) -> PhpValue:
    if isinstance(value, Mapping):
        return {
            name: _NOT_A_NUMBER if name in _NUMBERS else _without_numbers(member)
            for name, member in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_numbers(item) for item in value]
    return value


def _head(headers: Headers, response: SimulatedResponse) -> bytes:
    """Return the first line and the headers for the cases in which aiohttp must not send them."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    length = f"Content-Length: {len(response.body)}"
    return "\r\n".join((f"HTTP/1.1 {response.status} OK", *lines, length, "", "")).encode()


async def _hang(_: web.BaseRequest, __: PlannedResponse, ___: Headers) -> web.StreamResponse:
    never: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
    return await never


async def _reset_before(
    request: web.BaseRequest, _: PlannedResponse, __: Headers
) -> web.StreamResponse:
    _reset(request)
    return web.Response()


async def _reset_in_body(
    request: web.BaseRequest, planned: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    body = planned.response.body
    _transport(request).write(_head(headers, planned.response) + body[: len(body) // 2])
    # A turn of the loop lets the bytes leave.
    await asyncio.sleep(0)
    _reset(request)
    return web.Response()


async def _slow_headers(
    request: web.BaseRequest, planned: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    for byte in _head(headers, planned.response) + planned.response.body:
        _transport(request).write(bytes([byte]))
        await asyncio.sleep(planned.behaviour.drip)
    _transport(request).close()
    return web.Response()


async def _slow_body(
    request: web.BaseRequest, planned: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_length = len(planned.response.body)
    await response.prepare(request)
    for byte in planned.response.body:
        await response.write(bytes([byte]))
        await asyncio.sleep(planned.behaviour.drip)
    return response


async def _endless_body(
    request: web.BaseRequest, _: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for __ in range(_ENDLESS_BYTES // len(_PIECE)):
        await response.write(_PIECE)
    return response


async def _gzip_bomb(
    _: web.BaseRequest, planned: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    spaces = b"".join(packer.compress(_PIECE) for _ in range(_BOMB_BYTES // len(_PIECE)))
    packed = spaces + packer.compress(planned.response.body) + packer.flush()
    return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})


async def _redirect(
    _: web.BaseRequest, __: PlannedResponse, headers: Headers
) -> web.StreamResponse:
    return web.Response(status=307, headers={**headers, "Location": ELSEWHERE})


_FAULTY: Mapping[Fault, Send] = {
    Fault.HANG: _hang,
    Fault.RESET: _reset_before,
    Fault.RESET_IN_BODY: _reset_in_body,
    Fault.SLOW_HEADERS: _slow_headers,
    Fault.SLOW_BODY: _slow_body,
    Fault.ENDLESS_BODY: _endless_body,
    Fault.GZIP_BOMB: _gzip_bomb,
    Fault.REDIRECT: _redirect,
}


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    """Return the connection; raise ConnectionError when the client has left."""
    if request.transport is None:
        raise ConnectionError("the client has left")
    return request.transport


def _reset(request: web.BaseRequest) -> None:
    """Close the connection with RST instead of FIN: a linger time of 0 does that."""
    transport = _transport(request)
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
