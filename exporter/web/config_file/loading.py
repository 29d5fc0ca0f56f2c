"""From a file to a web configuration, or to every reason why it is none."""

import hashlib
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.documents.certificates import find_validity_problems, read_certificates
from exporter.documents.document import read_document
from exporter.documents.models import read_model
from exporter.documents.problems import ConfigError, Finding, Problem, Report
from exporter.documents.text import absolute_folder, read_text
from exporter.web.config_file.client_certificates import plain_names
from exporter.web.config_file.passwords import MAX_QUICK_COST, cost_of
from exporter.web.config_file.rate_limit import RateLimit
from exporter.web.config_file.rules import broken_rules
from exporter.web.config_file.settings import WebConfigFile
from exporter.web.config_file.tls import TlsServer
from exporter.web.config_file.wording import KNOWN_KEYS, WORDING
from exporter.web.config_file.zero_values import drop_zero_values, empty_sections

_NAME: Final = "the web configuration file"


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file asks for.

    `context` is None for plain HTTP. `allowed_sans` are the names of which a client's certificate
    must have one, unless there are none. `client_authorities` are the certificates, in DER, that
    may have signed it; None stands for the system's. `users` gives each user's bcrypt hash; without
    users, everybody is let in. `files` are all that it was read from, and `digest` is a hash of
    what was in them; `sets_nothing` is true where the file has no key with a value. `warnings` are
    what is allowed and seldom meant.
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

    An empty file asks for plain HTTP. `wall_clock` gives the seconds since 1970.
    Raises ConfigError with every mistake at once; nothing of a key or a hash is in it, in its
    cause or in its traceback's text.
    """
    report = Report(str(path), KNOWN_KEYS)
    config = _load(path, wall_clock(), report)
    if config is None:
        raise ConfigError(report.problems())
    return config


def _load(path: Path, now: float, report: Report) -> WebConfig | None:
    # A pipe gives its text only once, and the file is read again whenever it changes.
    text = read_text(path, _NAME, report, stream=False)
    if text is None:
        return None
    # As for Go, the type of a value is that of its key: `X-XSS-Protection: 0` is a text.
    document = read_document(text, report, only_texts=True)
    if document is None:
        return None
    folder = absolute_folder(path, _NAME, report)
    if folder is None:
        return None
    value = drop_zero_values(document)
    file = read_model(WebConfigFile, value, document, folder, report, WORDING)
    for loc, rule in broken_rules(value):
        if not report.has(loc, document.place(loc)):
            report.add(loc, document.key_place(loc), rule)
    if file is None or report.problems():
        return None
    warnings = Report(str(path), KNOWN_KEYS)
    for loc, warning in empty_sections(document, value):
        warnings.add(loc, document.key_place(loc), warning)
    for loc, warning in _oddities(file, now):
        warnings.add(loc, document.place(loc), warning)
    return _config(file, path, text, warnings.problems(), sets_nothing=not value)


def _oddities(file: WebConfigFile, now: float) -> Iterator[Finding]:
    tls, limit = file.tls_server_config, file.rate_limit
    for key, pem in tls.certificates() if tls else ():
        for problem in find_validity_problems(pem.content, now):
            yield ("tls_server_config", key), pem.said(problem)
    for user, hashed in file.basic_auth_users.items():
        cost = cost_of(hashed)
        if cost > MAX_QUICK_COST:
            sentence = f"has a cost of {cost}: checking a password takes seconds; 10 is usual"
            yield ("basic_auth_users", user), sentence
    if file.http_server_config.http2:
        yield ("http_server_config", "http2"), "has no effect: HTTP/1.1 is spoken; leave it out"
    if limit and limit.interval and not limit.burst:
        yield ("rate_limit", "burst"), "is 0: every request is refused"


def _digest(contents: Iterable[bytes]) -> bytes:
    digests = (hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(b"".join(digests)).digest()


def _config(
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
        allowed_sans=plain_names(tls.client_allowed_sans if tls else ()),
        client_authorities=_authorities(tls),
        headers={name: value for name, value in headers.model_dump(by_alias=True).items() if value},
        users=file.basic_auth_users,
        rate_limit=RateLimit(limit.interval, limit.burst) if limit and limit.interval else None,
        files=(path, *(pem.file for pem in pems if pem.file)),
        digest=_digest((text.encode(), *(pem.content for pem in pems))),
        sets_nothing=sets_nothing,
        warnings=warnings,
    )


def _authorities(tls: TlsServer | None) -> frozenset[bytes] | None:
    pem = tls and (tls.client_ca or tls.client_ca_file)
    return frozenset(read_certificates(pem.content)) if pem else None
