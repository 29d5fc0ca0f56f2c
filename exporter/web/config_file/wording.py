"""What the web configuration calls its things, for sentences about mistakes in it."""

from typing import Final

from exporter.documents.models import section_keys
from exporter.documents.sentences import Wording
from exporter.web.config_file.settings import WebConfigFile

WORDING: Final = Wording(
    sections=section_keys(WebConfigFile),
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
