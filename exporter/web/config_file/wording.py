"""What the web configuration calls its things, for sentences about mistakes in it."""

from typing import Final

from exporter.documents.sentences import Wording
from exporter.web.config_file.settings import Headers, HttpServer, RateLimitSection, WebConfigFile
from exporter.web.config_file.tls import TlsServer

_HEADERS: Final = [str(field.alias) for field in Headers.model_fields.values()]

WORDING: Final = Wording(
    sections={
        (): [*WebConfigFile.model_fields],
        ("tls_server_config",): [*TlsServer.model_fields],
        ("http_server_config",): [*HttpServer.model_fields],
        ("http_server_config", "headers"): _HEADERS,
        ("rate_limit",): [*RateLimitSection.model_fields],
    },
    missing={
        "interval": "is missing; write the time for one request, such as 1s",
        "burst": "is missing; write how many requests may come at once",
    },
    top="must begin with a key: tls_server_config, http_server_config, basic_auth_users or "
    "rate_limit",
    other="cannot stand here; docs/web-configuration.md of the exporter-toolkit shows what can",
)

KNOWN_KEYS: Final = frozenset(key for keys in WORDING.sections.values() for key in keys)
"""The keys that an error may show: none of them is a secret in the wrong place."""
