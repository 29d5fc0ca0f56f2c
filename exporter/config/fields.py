"""The kinds of value that the configuration knows, each read strictly.

A value given as ``${NAME}`` comes as text, so numbers, durations and truth values may be text too.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from exporter.config.secrets import Secret
from exporter.yamlfile.files import FileError, read_bytes
from exporter.yamlfile.models import (
    FieldError,
    build_duration_parser,
    require_plain_text,
    resolve_path,
)
from exporter.yamlfile.units import (
    DURATION_PATTERN,
    SIZE_FORMAT,
    SIZE_PATTERN,
    SizeError,
    format_prometheus_duration,
    parse_size,
)

MAX_CA_FILE_BYTES = 4 * 1024 * 1024
"""Bytes; the bundle with which systems come has a quarter of a megabyte."""

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
_STORE = re.compile(r"sestore[0-9]+")
_BOOLEANS = {"true": True, "false": False}
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

RESERVED_LABELS = ("account", "cdn", "job", "instance")
"""Labels that ``scaleengine_account_info`` has already, or that Prometheus adds to each sample."""

MAX_LABELS = 20
MAX_LABEL_LENGTH = 1024
"""Characters."""

FileType = Literal["video", "audio", "smil", "valid", "invalid", "includeinvalid", "deleted"]
"""The types that ``files.list`` knows (ScaleEngine's page of ``files.list``)."""

FILE_TYPES: tuple[FileType, ...] = get_args(FileType)

LOG_LEVELS = ("debug", "info", "warn", "error")


def _parse_whole_number(value: object) -> object:
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


def _parse_number(value: object) -> object:
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _parse_boolean(value: object) -> object:
    return _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value


def _log_level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise FieldError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text


def _parse_size_or_number(value: object) -> object:
    """Return the bytes of a size; what is neither a text nor a number is refused later."""
    if isinstance(value, str):
        try:
            value = parse_size(value)
        except SizeError as error:
            raise FieldError(str(error)) from None
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1:
        raise FieldError("must be at least 1 byte")
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(SIZE_FORMAT)
    return value


def _store_path(text: str) -> str:
    if text.startswith("/"):
        raise FieldError("must not begin with a slash; write sestore4/jb for a folder jb")
    store, *folders = text.split("/")
    if not _STORE.fullmatch(store):
        raise FieldError(
            "must begin with sestore and its number; write sestore4/jb for a folder jb"
        )
    if "." in folders or ".." in folders:
        raise FieldError("must not hold '.' or '..'; write the path itself, such as sestore4/jb")
    if "" in folders:
        plain = "/".join([store, *filter(None, folders)])
        raise FieldError(f"must not end with a slash or hold two together; write {plain}")
    return text


def _check_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise FieldError("must be a URL such as https://api.scaleengine.net/stable/") from None
    if parts.scheme not in ("https", "http"):
        raise FieldError("must begin with https://")
    if not parts.hostname or port == 0 or any(char.isspace() for char in text):
        raise FieldError("must be a URL such as https://api.scaleengine.net/stable/")
    if "@" in parts.netloc:
        raise FieldError("must hold no user and password; write the host alone after https://")
    if "?" in text or "#" in text:
        raise FieldError("must end with the path; remove what begins with '?' or '#'")
    return text


def _resolve_beside_the_file(value: object, info: ValidationInfo[Path | None]) -> object:
    return resolve_path(info.context or Path(), value)


def _check_certificates(file: Path | None) -> Path | None:
    if file is None:
        return None
    try:
        read_bytes(file, MAX_CA_FILE_BYTES)
        ssl.create_default_context(cafile=file)
    except FileError as error:
        raise FieldError(f"names a file that {error}") from None
    except (ssl.SSLError, OSError):
        raise FieldError("names a file that holds no certificate in PEM form") from None
    return file


def _default_to_three_intervals(value: object, info: ValidationInfo[Path | None]) -> object:
    if value is not None:
        return build_duration_parser("1s", "10y")(value)
    interval: float = info.data.get("interval", 1.0)
    return 3 * interval


def _build_optional_duration_parser(minimum: str, maximum: str) -> Callable[[object], float | None]:
    parse_duration = build_duration_parser(minimum, maximum)
    return lambda value: None if value is None else parse_duration(value)


def _write_optional_duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_prometheus_duration(seconds)


def _label_name(text: str) -> str:
    if not _LABEL_NAME.fullmatch(text):
        raise FieldError(
            "is not the name of a label; write letters, digits and '_', with no digit first"
        )
    if text.startswith("__") or text in RESERVED_LABELS:
        raise FieldError("is a label that Prometheus or the exporter sets; write another name")
    return text


def _label_value(value: object) -> object:
    if not isinstance(value, str):
        raise FieldError("must be text; put it in quotes")
    if len(value) > MAX_LABEL_LENGTH:
        raise FieldError(f"must have at most {MAX_LABEL_LENGTH} characters")
    return require_plain_text(value)


def _check_label_count(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > MAX_LABELS:
        raise FieldError(f"must be at most {MAX_LABELS} labels")
    return labels


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": DURATION_PATTERN + r"$|\$\{",
    "examples": ["90s", "1h30m", "1d"],
}

Positive = Annotated[int, Field(ge=1), BeforeValidator(_parse_whole_number)]
Concurrency = Annotated[int, Field(ge=1, le=64), BeforeValidator(_parse_whole_number)]
Workers = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_parse_whole_number)]
Rate = Annotated[float, Field(gt=0, le=1000), BeforeValidator(_parse_number)]
Bool = Annotated[bool, BeforeValidator(_parse_boolean)]
Text = Annotated[str, AfterValidator(require_plain_text), Field(json_schema_extra={"minLength": 1})]
StorePath = Annotated[
    Text,
    AfterValidator(_store_path),
    Field(json_schema_extra={"pattern": r"^sestore[0-9]+(/[^/]+)*$|\$\{"}),
]
Url = Annotated[
    Text,
    AfterValidator(_check_url),
    Field(json_schema_extra={"pattern": r"^https?://[^?#@]+$|\$\{"}),
]
CaFile = Annotated[
    Path | None,
    BeforeValidator(_resolve_beside_the_file),
    AfterValidator(_check_certificates),
    WithJsonSchema({"type": ["string", "null"], "minLength": 1}),
]
_AS_TEXT = PlainSerializer(format_prometheus_duration, return_type=str, when_used="json")
Interval = Annotated[
    float,
    BeforeValidator(build_duration_parser("1s", "1y")),
    _AS_TEXT,
    WithJsonSchema(_DURATION_SCHEMA),
]
Timeout = Annotated[
    float,
    BeforeValidator(build_duration_parser("1ms", "10m")),
    _AS_TEXT,
    WithJsonSchema(_DURATION_SCHEMA),
]
StaleAfter = Annotated[
    float,
    BeforeValidator(_default_to_three_intervals),
    _AS_TEXT,
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"type": "null"}], "default": None}),
]
_OPTIONAL_DURATION_SCHEMA = WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"type": "null"}]})
_AS_OPTIONAL_TEXT = PlainSerializer(
    _write_optional_duration, return_type=str | None, when_used="json"
)
OptionalInterval = Annotated[
    float | None,
    BeforeValidator(_build_optional_duration_parser("1s", "1y")),
    _AS_OPTIONAL_TEXT,
    _OPTIONAL_DURATION_SCHEMA,
]
OptionalStaleAfter = Annotated[
    float | None,
    BeforeValidator(_build_optional_duration_parser("1s", "10y")),
    _AS_OPTIONAL_TEXT,
    _OPTIONAL_DURATION_SCHEMA,
]
Labels = Annotated[
    Mapping[
        Annotated[str, AfterValidator(_label_name)],
        Annotated[str, BeforeValidator(_label_value)],
    ],
    AfterValidator(_check_label_count),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_LABELS,
            "propertyNames": {
                "pattern": "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$",
                "not": {"enum": list(RESERVED_LABELS)},
            },
            "additionalProperties": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_LABEL_LENGTH,
            },
        }
    ),
]
LogLevel = Annotated[
    Text, AfterValidator(_log_level), Field(json_schema_extra={"enum": list(LOG_LEVELS)})
]
Size = Annotated[
    int,
    BeforeValidator(_parse_size_or_number),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SIZE_PATTERN + r"|\$\{"},
                {"type": "integer", "minimum": 1},
            ]
        }
    ),
]
HiddenSecret = Annotated[
    Secret,
    PlainSerializer(lambda _: "***", return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
