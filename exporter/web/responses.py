"""Send a body that may be large: to whom it fits, in pieces, and not for ever."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from aiohttp import hdrs, web

PIECE: Final = 32 * 1024
"""Bytes that are handed to a connection at once; a slow reader holds no more than that."""

_PATIENCE: Final = 30.0
_WEIGHT: Final = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
HEADERS: Final[Mapping[str, str]] = {
    # No versions: they help nobody but those who look for old ones.
    hdrs.SERVER: "scaleengine-exporter",
    # The pages are text and links. A number or a state out of a cache would be a wrong one.
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SendableBody(Protocol):
    """Bytes in parts, to be written one after another."""

    @property
    def parts(self) -> Iterable[bytes]:
        """Return the parts."""

    @property
    def length(self) -> int:
        """Return the number of bytes in all parts: the Content-Length."""


def accepts_gzip(accepted: str | None) -> bool:
    """Return whether gzip is wanted, by an Accept-Encoding header (RFC 9110, 12.5.3)."""
    weights = dict(map(_weighted, (accepted or "").lower().split(",")))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


async def send(
    request: web.Request, body: SendableBody, headers: dict[str, str]
) -> web.StreamResponse:
    """Answer with the body, within thirty seconds; a reader that is gone or too slow is cut off."""
    response = web.StreamResponse(headers=headers)
    response.content_length = body.length
    try:
        async with asyncio.timeout(_PATIENCE):
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                for piece in pieces(body.parts):
                    await response.write(piece)
                    await request.writer.drain()  # aiohttp's write would take 64 KiB more
            await response.write_eof()
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    return response


def pieces(parts: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Return the same bytes in pieces: small parts joined, large ones cut without a copy."""
    waiting = bytearray()
    for part in parts:
        if len(waiting) + len(part) > PIECE and waiting:
            yield bytes(waiting)
            waiting.clear()
        if len(part) > PIECE:
            whole = memoryview(part)
            yield from (whole[start : start + PIECE] for start in range(0, len(whole), PIECE))
        else:
            waiting += part
    if waiting:
        yield bytes(waiting)


def _weighted(element: str) -> tuple[str, float]:
    """Return a coding and its weight; one whose weight cannot be read is not wanted."""
    coding, _, parameter = element.partition(";")
    if not parameter:
        return coding.strip(), 1.0
    found = _WEIGHT.fullmatch(parameter.strip())
    return coding.strip(), float(found[1]) if found else 0.0


async def add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    """Give an answer that is about to be sent the headers; one that sets its own keeps it."""
    answer.headers.pop(hdrs.SERVER, None)  # aiohttp's, with its version and Python's
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
