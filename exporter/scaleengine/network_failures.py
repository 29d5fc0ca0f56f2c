"""Say in an operator's words what went wrong on the network.

``requests`` wraps the cause in several layers, whose texts hold addresses of objects and of
proxies; the innermost error says what is wrong.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from typing import Final

from urllib3.exceptions import (
    DecodeError,
    InvalidHeader,
    LocationParseError,
    ProxyError,
)
from urllib3.exceptions import ProtocolError as BodyError
from urllib3.exceptions import SSLError as Urllib3SslError

from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.deadline import RequestAttempt
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import (
    NetworkError,
    ProtocolError,
    RequestTimeoutError,
    ResourceLimitError,
    ResponseTooLargeError,
    ScaleEngineError,
)
from exporter.scaleengine.message_body import BODY_LIMIT, BodyTooLargeError, FramingError
from exporter.scaleengine.response_head import HeadError
from exporter.scaleengine.route import CA_FILE, URL, Route

_CHECK_URL: Final = "check {url}, and any proxy on the way"
_CHECK_NETWORK: Final = "check {peer}, the network and any firewall"
_BROKEN_OFF: Final = "it may be temporary; if it lasts, check the network and any proxy"
_TOO_LARGE: Final = f"the response is larger than {BODY_LIMIT // 2**20} MiB"

# From the particular to the general: the first that fits speaks. The settings are filled in.
_ERROR_MAP: Final[Sequence[tuple[type[Exception], type[ScaleEngineError], str, str]]] = (
    (
        ssl.SSLCertVerificationError,
        NetworkError,
        "the certificate is not trusted",
        "check {peer} and {trust}",
    ),
    (ssl.SSLError, NetworkError, "TLS failed", "check {peer}, {trust} and any proxy"),
    (socket.gaierror, NetworkError, "the name was not resolved", "check {peer} and the DNS"),
    (LocationParseError, NetworkError, "the name cannot be one of a host", "check {peer}"),
    (TimeoutError, RequestTimeoutError, "no response came in time", _CHECK_NETWORK),
    (ConnectionRefusedError, NetworkError, "the connection was refused", _CHECK_NETWORK),
    (ConnectionError, NetworkError, "the connection broke off", _BROKEN_OFF),
    (BodyTooLargeError, ResponseTooLargeError, _TOO_LARGE, _CHECK_URL),
    (IncompleteRead, NetworkError, "the response broke off", _BROKEN_OFF),
    (HTTPException, ProtocolError, "the response is not HTTP", _CHECK_URL),
    (InvalidHeader, ProtocolError, "the response is not HTTP", _CHECK_URL),
    (BodyError, NetworkError, "the response broke off", _BROKEN_OFF),
    (DecodeError, ProtocolError, "the response cannot be decompressed", _CHECK_URL),
)
_LISTED: Final = 4
"""Addresses that a message names."""
_TUNNEL_STATUS: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
"""The message of ``http.client`` where a proxy responds to CONNECT with another status than 200."""


def translate_error(error: Exception, context: RequestContext, route: Route) -> ScaleEngineError:
    """Return our error for one of the libraries, for a request by a route."""
    layers = list(_iter_causes(error))
    limit = next(filter(None, map(find_resource_limit, layers)), None)
    if limit is not None:
        return context.build_error(ResourceLimitError, limit.cause, limit.advice)
    if any(isinstance(layer, (ssl.SSLError, Urllib3SslError)) for layer in layers):
        fault = route.trust.find_fault()
        if fault is not None:
            return context.build_error(NetworkError, fault.cause, fault.advice)
    by_proxy = route.proxy is not None and _is_of_the_peer(layers)
    settings = {
        "peer": route.peer_setting if by_proxy else URL,
        "trust": _describe_trust_setting(route),
        "url": URL,
    }
    where = "at the proxy, " if by_proxy else ""
    for layer in reversed(layers):
        for exception_type, error_type, cause, advice in _ERROR_MAP:
            if isinstance(layer, exception_type):
                return context.build_error(
                    error_type,
                    f"{where}{cause}{_describe_detail(layer)}",
                    advice.format(**settings),
                )
    if by_proxy:
        return build_proxy_error(_tunnel_status(layers), context, route)
    cause = f"the request could not be sent{_describe_detail(layers[-1])}"
    return context.build_error(NetworkError, cause, _CHECK_NETWORK.format(**settings))


def build_timeout_error(
    attempt: RequestAttempt, context: RequestContext, route: Route
) -> ScaleEngineError:
    """Return the error for a request whose time is over, by what it was waiting for."""
    within = f"within {attempt.seconds:g} s"
    where = "at the proxy, " if route.proxy else ""
    if attempt.connected:
        cause = f"no complete response came {within}"
        advice = "it may be temporary; if it lasts, raise api.timeout"
    elif attempt.tried:
        hosts = [address.host for address in attempt.tried]
        listed = ", ".join(hosts[:_LISTED]) + (" and others" if len(hosts) > _LISTED else "")
        cause = f"{where}no connection to {listed} was made {within}"
        advice = _CHECK_NETWORK.format(peer=route.peer_setting)
    else:
        cause = f"{where}the name was not resolved {within}"
        advice = f"check {route.peer_setting} and the DNS"
    return context.build_error(RequestTimeoutError, cause, advice)


def build_proxy_error(
    status: int | None, context: RequestContext, route: Route
) -> ScaleEngineError:
    """Return the error for a proxy that does not let a request through, with its HTTP status."""
    shown = f" (HTTP {status})" if status else ""
    advice = f"check {route.peer_setting} and NO_PROXY in the environment"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        advice = f"put the proxy's user and password into {route.peer_setting}"
    return context.build_error(
        NetworkError, f"at the proxy, the request was not let through{shown}", advice
    )


def _describe_trust_setting(route: Route) -> str:
    trust = route.trust
    ignored = f" ({trust.ignored} is not read)" if trust.ignored else ""
    return f"{trust.setting or CA_FILE}{ignored}"


def _is_of_the_peer(layers: Sequence[BaseException]) -> bool:
    """Return whether a failure is one of the host that the connection was made to."""
    return any(isinstance(layer, (ProxyError, LocationParseError)) for layer in layers)


def _tunnel_status(layers: Sequence[BaseException]) -> int | None:
    for layer in layers:
        found = _TUNNEL_STATUS.search(str(layer)) if type(layer) is OSError else None
        if found:
            return int(found[1])
    return None


def _iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__ or _get_wrapped(error)


def _get_wrapped(error: BaseException) -> BaseException | None:
    """Return the error that another one is about, as urllib3 says it of TLS inside a tunnel."""
    return next((about for about in error.args if isinstance(about, BaseException)), None)


def _describe_detail(error: BaseException) -> str:
    """Return what an error adds that is safe to show: never a text that came from outside."""
    match error:
        case ssl.SSLCertVerificationError():
            return f" ({error.verify_message})"
        case ssl.SSLError(reason=str(reason)):
            return f" ({reason})"
        case HeadError() | FramingError():
            return f" ({error})"
        case HTTPException():
            return f" ({type(error).__name__})"
        case OSError(errno=int(number)) if type(error) in (OSError, PermissionError):
            return f" ({os.strerror(number)})"
    return ""
