"""The whole web configuration file as models, in the exporter-toolkit's format.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.web.config_file.basic_auth import parse_hash
from exporter.web.config_file.go_values import Switch
from exporter.web.config_file.tls import TlsServer
from exporter.yamlfile.models import FieldError, StrictModel, build_duration_parser
from exporter.yamlfile.units import DURATION_FORMAT


def _parse_whole_number(value: object) -> object:
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _parse_header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise FieldError("must hold only ASCII characters, and no line breaks")
    return text.strip(" ")


def _parse_interval(value: object) -> float:
    """Return the seconds of a duration as Go or Prometheus write it, or of a plain zero."""
    if not isinstance(value, str):
        raise FieldError(DURATION_FORMAT)
    if _ZERO.fullmatch(value):
        return 0.0
    if _GO_DURATION.fullmatch(value):
        parts = _GO_PART.findall(value)
        seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
        if seconds <= _MAX_INTERVAL_SECONDS:
            return seconds
    return build_duration_parser("0s", "1d")(value)


_DIGITS = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_ZERO = re.compile(r"[-+]?0(\.0*)?")
# https://pkg.go.dev/time#ParseDuration
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_GO_PART = re.compile(rf"([0-9]{{1,18}}\.?[0-9]{{0,18}}|\.[0-9]{{1,18}})({'|'.join(_GO_UNITS)})")
_GO_DURATION = re.compile(f"({_GO_PART.pattern})+")
_MAX_INTERVAL_SECONDS = 86_400.0

_Header = Annotated[str, AfterValidator(_parse_header)]


class Headers(StrictModel):
    """The headers that responses may be given; an empty text means none."""

    content_security_policy: _Header = Field("", alias="Content-Security-Policy")
    x_frame_options: Literal["deny", "sameorigin", ""] = Field("", alias="X-Frame-Options")
    x_content_type_options: Literal["nosniff", ""] = Field("", alias="X-Content-Type-Options")
    x_xss_protection: _Header = Field("", alias="X-XSS-Protection")
    strict_transport_security: _Header = Field("", alias="Strict-Transport-Security")


class HttpServer(StrictModel):
    """How responses are sent."""

    http2: Switch = False
    """Whether HTTP/2 is wanted, which is the default of Go's exporters: it is not spoken here."""

    headers: Headers = Headers()
    """What is added to every response."""


class RateLimitSection(StrictModel):
    """How many requests are accepted."""

    interval: Annotated[float, BeforeValidator(_parse_interval)]
    """The time for one request, in seconds; zero means no limit."""

    burst: Annotated[int, Field(ge=0), BeforeValidator(_parse_whole_number)]
    """How many requests may come at once after a pause; zero means none at all."""


def _check_user(name: str) -> str:
    if ":" in name or any(unicodedata.category(char) == "Cc" for char in name):
        raise FieldError("names a user that no client can; a name has no ':' or control characters")
    return name


def _hash(text: object) -> bytes:
    if not isinstance(text, str):
        raise FieldError("must be text: a bcrypt hash")
    return parse_hash(text)


_User = Annotated[str, AfterValidator(_check_user)]
_Hash = Annotated[bytes, BeforeValidator(_hash)]


class WebConfigFile(StrictModel):
    """The sections of the file, all of which may be left out."""

    tls_server_config: TlsServer | None = None
    """TLS; without it, plain HTTP is served."""

    http_server_config: HttpServer = HttpServer()
    """HTTP."""

    basic_auth_users: dict[_User, _Hash] = Field(default_factory=dict, repr=False)
    """Each user's bcrypt hash; without any, no password is required."""

    rate_limit: RateLimitSection | None = None
    """The limit of requests that have the right password; without it, there is none."""
