"""What the configuration file calls its things, for sentences about mistakes in it."""

from collections.abc import Mapping
from typing import Final

from exporter.config.credentials import NAMES
from exporter.config.fields import FILE_TYPES
from exporter.config.model import Config
from exporter.yamlfile.models import MessageCatalog, section_keys

EMPTY: Final = "the file is empty; begin with 'accounts:' as config.example.yaml does"

_IN_FILES: Mapping[tuple[str, ...], list[str]] = {("accounts",): [f"{name}_file" for name in NAMES]}

_LISTEN: Final = tuple((key,) for key in ("listen", "listen_address", "address", "host", "port"))
_TELEMETRY_PATH: Final = tuple((key,) for key in ("telemetry_path", "metrics_path"))
NAMED: Final = ("quotas", "labels")
"""Keys whose own keys are names: of CPU users and of labels."""

MESSAGES: Final = MessageCatalog(
    sections={
        section: [*keys, *_IN_FILES.get(section, [])]
        for section, keys in section_keys(Config).items()
    },
    missing={
        "accounts": "is missing; name at least one account under it",
        "cdn": "is missing; write the CDN number of the account",
        "path": "is missing; write the path to count, such as sestore4/jb",
    },
    top="must begin with a key, as config.example.yaml does: with 'accounts:' or 'api:'",
    other="cannot stand here; config.example.yaml shows what can",
    elsewhere={
        **dict.fromkeys(_LISTEN, "the flag --web.listen-address sets the address"),
        **dict.fromkeys(_TELEMETRY_PATH, "the flag --web.telemetry-path sets the path"),
        ("web",): "the flags --web.listen-address and --web.config.file say how to serve",
        ("tls",): "the file of the flag --web.config.file sets TLS",
        ("log", "format"): "the flag --log.format sets the format",
        ("log_level",): "write level below log, or use the flag --log.level",
        ("log_format",): "the flag --log.format sets the format",
    },
    kinds={"literal_error": f"is not a file type; write one of {', '.join(FILE_TYPES)}"},
)

KNOWN_KEYS: Final = frozenset(key for keys in MESSAGES.sections.values() for key in keys)
