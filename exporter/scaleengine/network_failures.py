"""Say in an operator's words what went wrong on the network.

``requests`` wraps the cause in several layers, whose texts hold addresses of objects and of
proxies; what an operator wants is the innermost error.
"""

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from http.client import HTTPException, IncompleteRead
from typing import Final

from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3.exceptions import DecodeError, InvalidHeader, ProxyError, ProxySchemeUnknown

from exporter.scaleengine.envelope import Question
from exporter.scaleengine.errors import (
    AnswerTimeoutError,
    NetworkError,
    ProtocolError,
    ScaleEngineError,
)

_CHECK_URL: Final = "check api.url, and any proxy on the way"
_CHECK_NETWORK: Final = "check api.url, the network and any firewall"
_CHECK_PROXY: Final = "check HTTPS_PROXY and NO_PROXY in the environment"
_BAD_PROXY: Final = "the address of the proxy cannot be used"

# From the particular to the general: the first that fits speaks.
_MEANINGS: Final[Sequence[tuple[type[Exception], type[ScaleEngineError], str, str]]] = (
    (
        ssl.SSLCertVerificationError,
        NetworkError,
        "the certificate is not trusted",
        "check api.url and api.ca_file",
    ),
    (ssl.SSLError, NetworkError, "TLS failed", "check api.url, api.ca_file and any proxy"),
    (socket.gaierror, NetworkError, "the name was not resolved", "check api.url and the DNS"),
    (TimeoutError, AnswerTimeoutError, "no answer came in time", _CHECK_NETWORK),
    (ConnectionRefusedError, NetworkError, "the connection was refused", _CHECK_NETWORK),
    (ConnectionError, NetworkError, "the connection broke off", "it may pass by itself"),
    (IncompleteRead, NetworkError, "the answer broke off", "it may pass by itself"),
    (HTTPException, ProtocolError, "the answer is no HTTP", _CHECK_URL),
    (InvalidHeader, ProtocolError, "the answer is no HTTP", _CHECK_URL),
    (DecodeError, ProtocolError, "the answer cannot be decompressed", _CHECK_URL),
    (InvalidProxyURL, NetworkError, _BAD_PROXY, _CHECK_PROXY),
    (InvalidSchema, NetworkError, _BAD_PROXY, _CHECK_PROXY),
    (ProxySchemeUnknown, NetworkError, _BAD_PROXY, _CHECK_PROXY),
    (ProxyError, NetworkError, "the request was not let through", _CHECK_PROXY),
)


def translated(error: Exception, question: Question) -> ScaleEngineError:
    """Return the error of ours for one that sending a request ended with."""
    layers = list(_layers(error))
    by_proxy = any(isinstance(layer, ProxyError) for layer in layers)
    for layer in reversed(layers):
        for type_, kind, cause, advice in _MEANINGS:
            if isinstance(layer, type_):
                where = "at the proxy, " if by_proxy else ""
                return question.failed(kind, f"{where}{cause}{_detail(layer)}", advice)
    cause = f"the request could not be sent{_detail(layers[-1])}"
    return question.failed(NetworkError, cause, _CHECK_NETWORK)


def _layers(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__ or _wrapped(error)


def _wrapped(error: BaseException) -> BaseException | None:
    """Return the error that another one is about, as urllib3 says it of TLS inside a tunnel."""
    return next((about for about in error.args if isinstance(about, BaseException)), None)


def _detail(error: BaseException) -> str:
    """Return what an error adds that is safe to show: never a text that came from outside."""
    match error:
        case ssl.SSLCertVerificationError():
            return f" ({error.verify_message})"
        case ssl.SSLError(reason=str(reason)):
            return f" ({reason})"
        case HTTPException():
            return f" ({type(error).__name__})"
        case OSError(errno=int(number)) if type(error) in (OSError, PermissionError):
            return f" ({os.strerror(number)})"
    return ""
