"""From a file to a web configuration, or to every reason why it is none."""

import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.web.config_file.basic_auth import MAX_QUICK_COST, parse_cost
from exporter.web.config_file.go_values import (
    IF_GIVEN,
    NONE,
    REQUIRED,
    TLS_13_SUITES,
    VERSIONS,
    normalize_names,
)
from exporter.web.config_file.sections import WebConfigFile
from exporter.web.config_file.tls import TlsServer
from exporter.yamlfile.certificates import find_validity_problems, read_certificates
from exporter.yamlfile.document import Document, YamlValue, read_document
from exporter.yamlfile.files import find_absolute_folder, read_text
from exporter.yamlfile.models import MessageCatalog, SectionPath, list_section_keys, read_model
from exporter.yamlfile.problems import ConfigError, ErrorCollector, LocatedMessage, Problem

_NAME: Final = "the web configuration file"
_TLS: Final = "tls_server_config"
_RATE_LIMIT: Final = "rate_limit"
_TEXTS: Final = frozenset(
    {
        *("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file"),
        *("client_auth_type", "min_version", "max_version"),
    }
)
_ZERO: Final = re.compile(r"0+(\.0*)?[a-zµμ]*")
# What is served where a section is there and nothing in it is set.
_CONSEQUENCES: Final = {
    _TLS: "sets nothing: plain HTTP is served",
    "basic_auth_users": "names no user: no password is required",
}
MESSAGES: Final = MessageCatalog(
    sections=list_section_keys(WebConfigFile),
    missing={
        "interval": "is missing; write the time for one request, such as 1s",
        "burst": "is missing; write how many requests may come at once",
    },
    top="must begin with a key: tls_server_config, http_server_config, basic_auth_users or "
    "rate_limit",
    other="is not valid here; see docs/web-configuration.md of the exporter-toolkit",
)

KNOWN_KEYS: Final = frozenset(key for keys in MESSAGES.sections.values() for key in keys)
"""The keys that an error may show: none of them is a secret in the wrong place."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request in ``interval`` seconds, and ``burst`` of them at once after a pause."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file sets.

    ``context`` is None for plain HTTP. ``allowed_sans`` are the names of which a client's
    certificate must have one, unless there are none. ``client_authorities`` are the certificates,
    in DER, that may have signed it; None means the system's. ``users`` gives each user's bcrypt
    hash; without users, no password is required. ``files`` are all that it was read from, and
    ``digest`` is a hash of what was in them; ``sets_nothing`` is true where the file has no key
    with a value. ``warnings`` are what is allowed and seldom meant.
    """

    context: ssl.SSLContext | None
    allowed_sans: frozenset[str]
    client_authorities: frozenset[bytes] | None
    headers: Mapping[str, str]
    users: Mapping[str, bytes] = field(repr=False)
    rate_limit: RateLimit | None
    files: tuple[Path, ...]
    digest: bytes = field(repr=False)
    sets_nothing: bool
    warnings: tuple[Problem, ...]


def load_web_config(path: Path, wall_clock: Callable[[], float] = time.time) -> WebConfig:
    """Read a web configuration file, and the certificates and keys that it names.

    An empty file means plain HTTP. ``wall_clock`` gives the seconds since 1970.
    Raises ConfigError with every mistake at once; nothing of a key or a hash is in it, in its
    cause or in its traceback's text.
    """
    report = ErrorCollector(str(path), KNOWN_KEYS)
    config = _load(path, wall_clock(), report)
    if config is None:
        raise ConfigError(report.problems())
    return config


def _load(path: Path, now: float, report: ErrorCollector) -> WebConfig | None:
    # A pipe gives its text only once, and the file is read again whenever it changes.
    text = read_text(path, _NAME, report, stream=False)
    if text is None:
        return None
    # As for Go, the type of a value is that of its key: ``X-XSS-Protection: 0`` is a text.
    document = read_document(text, report, only_texts=True)
    if document is None:
        return None
    folder = find_absolute_folder(path, _NAME, report)
    if folder is None:
        return None
    value = drop_zero_values(document)
    file = read_model(WebConfigFile, value, document, folder, report, MESSAGES)
    for loc, rule in find_broken_web_rules(value):
        if not report.has(loc, document.position(loc)):
            report.add(loc, document.key_position(loc), rule)
    if file is None or report.problems():
        return None
    warnings = ErrorCollector(str(path), KNOWN_KEYS)
    for loc, warning in find_sections_without_effect(document, value):
        warnings.add(loc, document.key_position(loc), warning)
    for loc, warning in _find_warnings(file, now):
        warnings.add(loc, document.position(loc), warning)
    return _build_config(file, path, text, warnings.problems(), sets_nothing=not value)


def _find_warnings(file: WebConfigFile, now: float) -> Iterator[LocatedMessage]:
    tls, limit = file.tls_server_config, file.rate_limit
    for key, pem in tls.certificates() if tls else ():
        for problem in find_validity_problems(pem.content, now):
            yield ("tls_server_config", key), pem.describe(problem)
    for user, hashed in file.basic_auth_users.items():
        cost = parse_cost(hashed)
        if cost > MAX_QUICK_COST:
            warning_text = f"has a cost of {cost}: checking a password takes seconds; 10 is usual"
            yield ("basic_auth_users", user), warning_text
    if file.http_server_config.http2:
        yield ("http_server_config", "http2"), "has no effect: HTTP/1.1 is spoken; leave it out"
    if limit and limit.interval and not limit.burst:
        yield ("rate_limit", "burst"), "is 0: every request is refused"


def _digest(contents: Iterable[bytes]) -> bytes:
    digests = (hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(b"".join(digests)).digest()


def _build_config(
    file: WebConfigFile,
    path: Path,
    text: str,
    warnings: tuple[Problem, ...],
    *,
    sets_nothing: bool,
) -> WebConfig:
    tls, limit = file.tls_server_config, file.rate_limit
    headers = file.http_server_config.headers
    pems = tls.named_files() if tls else ()
    return WebConfig(
        context=tls.context if tls else None,
        allowed_sans=normalize_names(tls.client_allowed_sans if tls else ()),
        client_authorities=_read_authorities(tls),
        headers={name: value for name, value in headers.model_dump(by_alias=True).items() if value},
        users=file.basic_auth_users,
        rate_limit=RateLimit(limit.interval, limit.burst) if limit and limit.interval else None,
        files=(path, *(pem.file for pem in pems if pem.file)),
        digest=_digest((text.encode(), *(pem.content for pem in pems))),
        sets_nothing=sets_nothing,
        warnings=warnings,
    )


def _read_authorities(tls: TlsServer | None) -> frozenset[bytes] | None:
    pem = tls and (tls.client_ca or tls.client_ca_file)
    return frozenset(read_certificates(pem.content)) if pem else None


def find_broken_web_rules(top: YamlValue) -> Iterator[LocatedMessage]:
    """Find each rule that the file's value breaks: the way to the place, and a message."""
    tls = top.get(_TLS) if isinstance(top, dict) else None
    if not isinstance(tls, dict):
        return
    for name in ("cert", "key", "client_ca"):
        if name in tls and f"{name}_file" in tls:
            yield (_TLS, f"{name}_file"), f"conflicts with {name}; keep one of them"
    for name in ("cert", "key"):
        if name not in tls and f"{name}_file" not in tls:
            yield (
                (_TLS, name),
                f"is missing; write it, or {name}_file with the path of a file that holds it",
            )
    yield from _check_client_certificates(tls)
    yield from _check_versions(tls)


def _check_client_certificates(tls: dict[str, YamlValue]) -> Iterator[LocatedMessage]:
    policy = tls.get("client_auth_type", NONE)
    for name in ("client_ca", "client_ca_file"):
        if name in tls and policy == NONE:
            yield (_TLS, name), f"needs client_auth_type: {REQUIRED} or {IF_GIVEN}"
    if "client_allowed_sans" in tls and policy in (NONE, IF_GIVEN):
        yield (
            (_TLS, "client_allowed_sans"),
            f"needs client_auth_type: {REQUIRED}, or clients without a certificate come in",
        )


def _check_versions(tls: dict[str, YamlValue]) -> Iterator[LocatedMessage]:
    order = list(VERSIONS)
    oldest, newest = tls.get("min_version", order[0]), tls.get("max_version", order[-1])
    if oldest not in order or newest not in order:
        return
    if order.index(oldest) > order.index(newest):
        yield (_TLS, "max_version"), f"is below min_version, {oldest}"
    yield from _check_suites(tls.get("cipher_suites"), takes_12=oldest == order[0])


def _check_suites(names: YamlValue, *, takes_12: bool) -> Iterator[LocatedMessage]:
    if not isinstance(names, tuple):
        return
    of_13 = {name for name in names if isinstance(name, str) and name in TLS_13_SUITES}
    if of_13 and of_13 != TLS_13_SUITES:
        yield (
            (_TLS, "cipher_suites"),
            "names some suites of TLS 1.3, but all three are always offered; name all or none",
        )
    elif of_13 and takes_12 and len(of_13) == len(names):
        yield (
            (_TLS, "cipher_suites"),
            "names no suite of TLS 1.2; name one, or write min_version: TLS13",
        )


def drop_zero_values(document: Document) -> YamlValue:
    """Return the document's value without the keys that are not set; keys that are unknown stay."""
    if document.value is None:
        return {}
    top = _drop_unset(document.value, ())
    if not isinstance(top, dict):
        return top
    if top.get(_TLS) == {}:
        del top[_TLS]
    if _is_no_limit(top.get(_RATE_LIMIT)):
        del top[_RATE_LIMIT]
    return top


def find_sections_without_effect(document: Document, value: YamlValue) -> Iterator[LocatedMessage]:
    """Return a warning for each section that is there and protects nothing.

    ``value`` is that of the document without its zero values.
    """
    if isinstance(document.value, dict) and isinstance(value, dict):
        for name, consequence in _CONSEQUENCES.items():
            if name in document.value and not value.get(name):
                yield (name,), consequence


def _drop_unset(value: YamlValue, section: SectionPath) -> YamlValue:
    if not isinstance(value, dict) or section not in MESSAGES.sections:
        return value
    known = MESSAGES.sections[section]
    return {
        key: _drop_unset(item, (*section, key))
        for key, item in value.items()
        if key not in known or not (item is None or (key in _TEXTS and item == ""))
    }


def _is_no_limit(limit: YamlValue) -> bool:
    if not isinstance(limit, dict):
        return False
    known = MESSAGES.sections[(_RATE_LIMIT,)]
    return all(
        key in known and isinstance(value, str) and _ZERO.fullmatch(value)
        for key, value in limit.items()
    )
