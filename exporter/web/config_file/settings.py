"""The whole web configuration file as models, in the exporter-toolkit's format.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.documents.fields import FieldError, duration, given
from exporter.documents.models import Section
from exporter.web.config_file.passwords import hashed
from exporter.web.config_file.tls import TlsServer


def _no_http2(value: object) -> object:
    if value is True:
        raise FieldError("is not offered here; write false or leave the key out for HTTP/1.1")
    return value


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise FieldError("must hold only ASCII characters, and no line breaks")
    return text.strip(" ")


def _interval(value: object) -> float:
    is_nought = value == 0 and not isinstance(value, bool)
    return 0.0 if is_nought else duration("0s", "1d")(value)


_Header = Annotated[str, AfterValidator(_header)]


class Headers(Section):
    """The headers that answers may be given; an empty text means none."""

    content_security_policy: _Header = Field("", alias="Content-Security-Policy")
    x_frame_options: Literal["deny", "sameorigin", ""] = Field("", alias="X-Frame-Options")
    x_content_type_options: Literal["nosniff", ""] = Field("", alias="X-Content-Type-Options")
    x_xss_protection: _Header = Field("", alias="X-XSS-Protection")
    strict_transport_security: _Header = Field("", alias="Strict-Transport-Security")


class HttpServer(Section):
    """How answers are given."""

    http2: Annotated[bool, BeforeValidator(_no_http2)] = False
    """Whether HTTP/2 is spoken: never here."""

    headers: Headers = Headers()
    """What is added to every answer."""


class RateLimitSection(Section):
    """How many requests are answered."""

    interval: Annotated[float, BeforeValidator(_interval)]
    """The time for one request; nought means no limit."""

    burst: Annotated[int, Field(ge=1)]
    """How many requests may come at once after a pause."""


def _user(name: str) -> str:
    if ":" in name or any(unicodedata.category(char) == "Cc" for char in name):
        raise FieldError("names a user that no client can; a name has no ':' or control characters")
    return name


def _hash(text: object) -> bytes:
    if not isinstance(text, str):
        raise FieldError("must be text: a bcrypt hash")
    return hashed(text)


_User = Annotated[str, AfterValidator(_user)]
_Hash = Annotated[bytes, BeforeValidator(_hash)]
_Given = BeforeValidator(given)


class WebConfigFile(Section):
    """The sections of the file, all of which may be left out."""

    tls_server_config: Annotated[TlsServer | None, _Given] = None
    """TLS; without it, plain HTTP is served."""

    http_server_config: HttpServer = HttpServer()
    """HTTP."""

    basic_auth_users: dict[_User, _Hash] = Field(default_factory=dict, repr=False)
    """Each user's bcrypt hash; without any, everybody is let in."""

    rate_limit: Annotated[RateLimitSection | None, _Given] = None
    """The limit of requests; without it, there is none."""
