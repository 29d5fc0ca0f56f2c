"""What is checked of every request before a page or a password check sees it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeAlias

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_Build: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "asyncio.Task[None]"],
    web.BaseRequest,
]

_FETCH_SITE: Final = "Sec-Fetch-Site"
_SINGLE: Final = frozenset(
    name.lower().encode()
    for name in (
        hdrs.ACCESS_CONTROL_REQUEST_METHOD,
        hdrs.AUTHORIZATION,
        hdrs.CONTENT_LENGTH,
        hdrs.CONTENT_LOCATION,
        hdrs.CONTENT_RANGE,
        hdrs.CONTENT_TYPE,
        hdrs.DATE,
        hdrs.FROM,
        hdrs.HOST,
        hdrs.IF_MODIFIED_SINCE,
        hdrs.IF_RANGE,
        hdrs.IF_UNMODIFIED_SINCE,
        hdrs.MAX_FORWARDS,
        hdrs.ORIGIN,
        hdrs.PROXY_AUTHORIZATION,
        hdrs.RANGE,
        hdrs.REFERER,
        hdrs.TRANSFER_ENCODING,
        hdrs.USER_AGENT,
        "Sec-Fetch-Dest",
        "Sec-Fetch-Mode",
        _FETCH_SITE,
        "Sec-Fetch-User",
    )
)
"""Headers that a sender must not repeat, since they are no lists (RFC 9110, 5.3; RFC 6454; Fetch).

Transfer-Encoding is one, but no request needs two. Where a header is repeated, a proxy and this
exporter may each follow another value. aiohttp refuses some of these itself; which ones depends on
its version.
"""

_EXPECT: Final = hdrs.EXPECT.lower().encode()
_CONTINUE: Final = b"100-continue"
_NO_TARGET: Final = web.RequestKey("no target", bool)


def build_requests(build: _Build) -> _Build:
    """Return what builds requests as ``build`` does, but leaves no work to be done before checks.

    aiohttp handles ``Expect`` before any middleware. Its response repeats the header, and fails
    where that is not UTF-8. So the header is removed; ``check_request`` still finds it in
    ``raw_headers``. A target that cannot be read would end aiohttp's task without a response;
    ``check_request`` refuses it.
    """

    def build_request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if hdrs.EXPECT in message.headers:
            headers = CIMultiDict(message.headers)
            del headers[hdrs.EXPECT]
            message = message._replace(headers=CIMultiDictProxy(headers))
        try:
            return build(message, payload, protocol, writer, task)
        except ValueError:  # a name of a host that IDNA does not know, for instance
            message = message._replace(url=URL("/"))
        request = build(message, payload, protocol, writer, task)
        request[_NO_TARGET] = True
        return request

    return build_request


def check_request(request: web.BaseRequest) -> web.Response | None:
    """Return the response that refuses a request, or None where it is accepted.

    It is 400 where the target cannot be read, or where a header is repeated that must be single.
    It is 417 for an expectation other than ``100-continue`` (RFC 9110, 10.1.1), which HTTP/1.0 does
    not have. No page reads a body, so the response itself is what ``100-continue`` waits for.
    """
    names = [name.lower() for name, _ in request.raw_headers]
    if _NO_TARGET in request or _repeats_single_header(names):
        return _refuse(HTTPStatus.BAD_REQUEST)
    if _EXPECT in names and request.version == HttpVersion11:
        values = (value for name, value in request.raw_headers if name.lower() == _EXPECT)
        members = {member.strip().lower() for value in values for member in value.split(b",")}
        if members - {_CONTINUE, b""}:
            return _refuse(HTTPStatus.EXPECTATION_FAILED)
    return None


def _repeats_single_header(names: Sequence[bytes]) -> bool:
    """Return whether a header that must be single is repeated."""
    if len(frozenset(names)) == len(names):
        return False
    return any(count > 1 and name in _SINGLE for name, count in Counter(names).items())


def is_from_web_page(headers: Mapping[str, str]) -> bool:
    """Return whether a web page made a browser send a request with these headers.

    Browsers add ``Origin`` to each such POST, and newer ones ``Sec-Fetch-Site``: ``none`` there
    means that the user alone made the request, in the developer tools for instance. A page of the
    ``same-origin`` counts as any other. No page of this exporter sends requests. A page elsewhere
    can have the same origin, where its name is made to lead to this machine (DNS rebinding).
    Source: the Fetch standard, and W3C's Fetch Metadata Request Headers.
    """
    return hdrs.ORIGIN in headers or headers.get(_FETCH_SITE, "none").strip() != "none"


def _refuse(status: HTTPStatus) -> web.Response:
    response = web.Response(status=status, text=f"{status} {status.phrase}\n")
    response.force_close()
    return response
