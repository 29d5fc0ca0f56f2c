"""From a file to a web configuration, or to every reason why it is none."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.documents.document import read_document
from exporter.documents.models import read_model
from exporter.documents.problems import ConfigError, Report
from exporter.documents.text import read_text
from exporter.web.config_file.client_certificates import plain_names
from exporter.web.config_file.rate_limit import RateLimit
from exporter.web.config_file.rules import broken_rules
from exporter.web.config_file.settings import WebConfigFile
from exporter.web.config_file.wording import KNOWN_KEYS, WORDING


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file asks for.

    `context` is None for plain HTTP. `allowed_sans` are the names of which a client's certificate
    must have one, unless there are none. `users` gives each user's bcrypt hash; without users,
    everybody is let in. `files` are all that it was read from.
    """

    context: ssl.SSLContext | None
    allowed_sans: frozenset[str]
    headers: Mapping[str, str]
    users: Mapping[str, bytes] = field(repr=False)
    rate_limit: RateLimit | None
    files: tuple[Path, ...]


def load_web_config(path: Path) -> WebConfig:
    """Read a web configuration file, and the certificates and keys that it names.

    An empty file asks for plain HTTP. Raises ConfigError with every mistake at once; nothing of a
    key or a hash is in it, in its cause or in its traceback's text.
    """
    report = Report(str(path), KNOWN_KEYS)
    config = _load(path, report)
    if config is None:
        raise ConfigError(report.problems())
    return config


def _load(path: Path, report: Report) -> WebConfig | None:
    # A pipe gives its text only once, and the file is read again whenever it changes.
    text = read_text(path, "the web configuration file", report, stream=False)
    document = None if text is None else read_document(text, report)
    if document is None:
        return None
    file = read_model(
        WebConfigFile, document.value, document, path.absolute().parent, report, WORDING
    )
    for loc, rule in broken_rules(document):
        if not report.has(loc, document.place(loc)):
            report.add(loc, document.key_place(loc), rule)
    return None if file is None or report.problems() else _config(file, path)


def _config(file: WebConfigFile, path: Path) -> WebConfig:
    tls, limit = file.tls_server_config, file.rate_limit
    headers = file.http_server_config.headers
    return WebConfig(
        context=tls.context if tls else None,
        allowed_sans=plain_names(tls.client_allowed_sans if tls else ()),
        headers={name: value for name, value in headers.model_dump(by_alias=True).items() if value},
        users=file.basic_auth_users,
        rate_limit=RateLimit(limit.interval, limit.burst) if limit and limit.interval else None,
        files=(path, *(tls.files() if tls else ())),
    )
