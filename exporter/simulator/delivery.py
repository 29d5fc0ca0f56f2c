"""Sending an answer over HTTP, well or with a fault on the way."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TypeAlias

from aiohttp import web

from exporter.simulator.answers import Answer
from exporter.simulator.faults import Fault
from exporter.simulator.service import ELSEWHERE, Decision

_BOMB_BYTES = 64 * 2**20
_ENDLESS_BYTES = 2**30
_PIECE = b" " * 2**16

Headers: TypeAlias = Mapping[str, str]
Send: TypeAlias = Callable[[web.BaseRequest, Decision, Headers], Awaitable[web.StreamResponse]]


async def deliver(request: web.BaseRequest, decision: Decision, now: float) -> web.StreamResponse:
    """Send an answer; its Date header tells ``now``, unix seconds."""
    headers = _headers(decision.answer, now)
    send = _FAULTY.get(decision.fault) if isinstance(decision.fault, Fault) else None
    if send is None:
        answer = decision.answer
        return web.Response(body=answer.body, status=answer.status, headers=headers)
    try:
        return await send(request, decision, headers)
    except ConnectionError:
        # The client has left, as it should: nobody is there to be answered.
        return web.Response()


def _headers(answer: Answer, now: float) -> dict[str, str]:
    headers = {"Date": formatdate(now, usegmt=True), "Content-Type": answer.content_type}
    if answer.retry_after is not None:
        headers["Retry-After"] = answer.retry_after
    return headers


def _head(headers: Headers, answer: Answer) -> bytes:
    """Return the first line and the headers for the cases in which aiohttp must not send them."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    length = f"Content-Length: {len(answer.body)}"
    return "\r\n".join((f"HTTP/1.1 {answer.status} OK", *lines, length, "", "")).encode()


async def _hang(_: web.BaseRequest, __: Decision, ___: Headers) -> web.StreamResponse:
    never: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
    return await never


async def _reset_before(request: web.BaseRequest, _: Decision, __: Headers) -> web.StreamResponse:
    _reset(request)
    return web.Response()


async def _reset_in_body(
    request: web.BaseRequest, decision: Decision, headers: Headers
) -> web.StreamResponse:
    body = decision.answer.body
    _transport(request).write(_head(headers, decision.answer) + body[: len(body) // 2])
    # A turn of the loop lets the bytes leave.
    await asyncio.sleep(0)
    _reset(request)
    return web.Response()


async def _slow_headers(
    request: web.BaseRequest, decision: Decision, headers: Headers
) -> web.StreamResponse:
    for byte in _head(headers, decision.answer) + decision.answer.body:
        _transport(request).write(bytes([byte]))
        await asyncio.sleep(decision.behaviour.drip)
    _transport(request).close()
    return web.Response()


async def _slow_body(
    request: web.BaseRequest, decision: Decision, headers: Headers
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_length = len(decision.answer.body)
    await response.prepare(request)
    for byte in decision.answer.body:
        await response.write(bytes([byte]))
        await asyncio.sleep(decision.behaviour.drip)
    return response


async def _endless_body(
    request: web.BaseRequest, _: Decision, headers: Headers
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for __ in range(_ENDLESS_BYTES // len(_PIECE)):
        await response.write(_PIECE)
    return response


async def _gzip_bomb(
    _: web.BaseRequest, decision: Decision, headers: Headers
) -> web.StreamResponse:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    spaces = b"".join(packer.compress(_PIECE) for _ in range(_BOMB_BYTES // len(_PIECE)))
    packed = spaces + packer.compress(decision.answer.body) + packer.flush()
    return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})


async def _redirect(_: web.BaseRequest, __: Decision, headers: Headers) -> web.StreamResponse:
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
