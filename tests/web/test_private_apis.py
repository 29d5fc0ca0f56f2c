"""What the web server uses of aiohttp and asyncio without a documented promise.

aiohttp's version is capped. When the cap is raised, these tests say whether its private state still
means what ``exporter/web/connection.py`` and ``acceptor.py`` assume.
"""

import asyncio
import inspect
import socket
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web, web_protocol
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from exporter.web.connection import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Observed(web.RequestHandler):
    """aiohttp's own handler, with the private state that the exporter reads."""

    def is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def parsed(self) -> int:
        return len(self._messages)


def test_the_versions_are_capped() -> None:
    """No version is installed whose private state was not checked."""
    pinned = Path("pyproject.toml").read_text(encoding="utf-8")
    assert '"aiohttp>=3.14.5,<3.15"' in pinned


def test_overridden_methods_have_the_same_signatures() -> None:
    """The methods that Connection overrides take what they took."""
    for name in ("finish_response", "handle_error"):
        original, ours = getattr(web.RequestHandler, name), getattr(Connection, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(original).parameters
        )
    taken = inspect.signature(web.RequestHandler).parameters.keys()
    assert taken >= {
        *("keepalive_timeout", "max_line_size", "max_field_size", "max_headers"),
        *("lingering_time", "auto_decompress"),
    }


def test_the_queue_of_requests_has_a_variable_length() -> None:
    """How many requests of a connection are parsed is a variable, which the exporter sets."""
    assert web_protocol.MAX_MSG_QUEUE_SIZE == 4
    handler = vars(web.RequestHandler)
    assert {"_waiter", "_messages"} <= set(handler["__slots__"])


def test_the_parser_error_has_the_limit() -> None:
    """An error for a long line has the limit as its second argument, one for many headers none."""
    assert LineTooLong("line", "8190", "8191").args[1] == "8190"
    assert BadHttpMessage("Too many headers received").message == "Too many headers received"


def test_the_tls_buffers_of_asyncio_can_be_made_smaller() -> None:
    """The sizes of asyncio's TLS buffers are where the exporter makes them smaller."""
    assert sslproto.SSLProtocol.max_size == 256 * 1024
    assert callable(vars(sslproto.SSLProtocol)["_set_read_buffer_limits"])


def test_the_waiter_is_that_of_an_idle_connection() -> None:
    """It waits before a request and between requests, and not while one is handled."""
    assert asyncio.run(_observe(_follow_idle)) == [True, False, True]


def test_the_messages_are_requests_that_wait() -> None:
    """Those that are parsed while another is handled are counted, that one is not."""
    assert asyncio.run(_observe(_follow_queue)) == [0, 2]


Follow = Callable[[_Observed, socket.socket, asyncio.Queue[asyncio.Event]], Awaitable[list[object]]]


async def _observe(follow: Follow) -> list[object]:
    """Return what is seen of a connection whose handler ends when the test lets it."""
    handled: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def handle(_: web.BaseRequest) -> web.Response:
        finish = asyncio.Event()
        handled.put_nowait(finish)
        await finish.wait()
        return web.Response()

    loop = asyncio.get_running_loop()
    theirs, ours = socket.socketpair()
    with theirs:
        theirs.settimeout(0)
        ours.settimeout(0)
        connection = _Observed(web.Server(handle), loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: connection, ours)
        try:
            return await follow(connection, theirs, handled)
        finally:
            transport.abort()
            await asyncio.sleep(0)


async def _until(holds: Callable[[], bool]) -> bool:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return True
            await asyncio.sleep(0)


async def _follow_idle(
    connection: _Observed, client: socket.socket, handled: asyncio.Queue[asyncio.Event]
) -> list[object]:
    seen: list[object] = [await _until(connection.is_idle)]
    client.sendall(REQUEST)
    finish = await handled.get()
    seen.append(connection.is_idle())
    finish.set()
    seen.append(await _until(connection.is_idle))
    return seen


async def _follow_queue(
    connection: _Observed, client: socket.socket, handled: asyncio.Queue[asyncio.Event]
) -> list[object]:
    client.sendall(REQUEST)
    await handled.get()
    seen: list[object] = [connection.parsed()]
    client.sendall(REQUEST * 2)
    await _until(lambda: connection.parsed() > 1)
    seen.append(connection.parsed())
    return seen
