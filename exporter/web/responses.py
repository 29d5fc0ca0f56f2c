"""Send responses: their headers, and a body in chunks.

Knows neither the pages nor where the bodies come from.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Protocol

from aiohttp import hdrs, web

CHUNK_SIZE: Final = 32 * 1024
"""Bytes that are given to a connection at once; a slow reader holds no more than that."""

_QUALITY: Final = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
HEADERS: Final[Mapping[str, str]] = {
    # No versions: they help only attackers who look for old ones.
    hdrs.SERVER: "scaleengine-exporter",
    # The pages are text and links. A number from a cache would be wrong.
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


@lru_cache(maxsize=16)
def accepts_gzip(accepted: str | None) -> bool:
    """Return whether gzip is wanted, by an Accept-Encoding header (RFC 9110, 12.5.3)."""
    weights = dict(map(_parse_coding, (accepted or "").lower().split(",")))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


async def send(
    request: web.Request, body: SendableBody, headers: dict[str, str]
) -> web.StreamResponse:
    """Respond with the body.

    It waits for a client that reads slowly. ``Timeouts.response`` limits that: the acceptor aborts
    the connection then.
    """
    response = _build_response(body, headers)
    try:
        await response.prepare(request)
        if body.length > CHUNK_SIZE and request.method != hdrs.METH_HEAD:
            for chunk in iter_chunks(body.parts):
                await response.write(chunk)
                await request.writer.drain()  # aiohttp's write would take 64 KiB more
        await response.write_eof()
    except ConnectionError:
        if request.transport is not None:
            request.transport.abort()
    return response


def _build_response(body: SendableBody, headers: dict[str, str]) -> web.StreamResponse:
    """Return the response; a small body is in it already, and is sent together with its head."""
    if 0 < body.length <= CHUNK_SIZE:  # aiohttp leaves out the length of an empty one for HEAD
        return web.Response(body=b"".join(body.parts), headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_length = body.length
    return response


def iter_chunks(parts: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Return the same bytes in chunks: small parts joined, large ones cut without a copy."""
    buffer = bytearray()
    for part in parts:
        if len(buffer) + len(part) > CHUNK_SIZE and buffer:
            yield bytes(buffer)
            buffer.clear()
        if len(part) > CHUNK_SIZE:
            large = memoryview(part)
            yield from (
                large[start : start + CHUNK_SIZE] for start in range(0, len(large), CHUNK_SIZE)
            )
        else:
            buffer += part
    if buffer:
        yield bytes(buffer)


def _parse_coding(element: str) -> tuple[str, float]:
    """Return a coding and its quality; an invalid quality counts as 0."""
    coding, _, parameter = element.partition(";")
    if not parameter:
        return coding.strip(), 1.0
    found = _QUALITY.fullmatch(parameter.strip())
    return coding.strip(), float(found[1]) if found else 0.0


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to a response that is about to be sent; existing ones are kept."""
    response.headers.pop(hdrs.SERVER, None)  # aiohttp's, with its version and Python's
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
