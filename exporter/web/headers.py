"""Headers that every answer has, a refusal too: what a browser may do with a page, and the name."""

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

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


async def add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    """Give an answer that is about to be sent the headers; one that sets its own keeps it."""
    answer.headers.pop(hdrs.SERVER, None)  # aiohttp's, with its version and Python's
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
