"""What the configuration file calls its things, for sentences about mistakes in it."""

from collections.abc import Mapping
from typing import Final

from exporter.config.credentials import NAMES
from exporter.config.fields import FILE_TYPES
from exporter.config.model import Config
from exporter.documents.models import section_keys
from exporter.documents.sentences import Wording

EMPTY: Final = "the file is empty; begin with 'accounts:' as config.example.yaml does"

_IN_FILES: Mapping[tuple[str, ...], list[str]] = {("accounts",): [f"{name}_file" for name in NAMES]}

WORDING: Final = Wording(
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
    kinds={"literal_error": f"is not a file type; write one of {', '.join(FILE_TYPES)}"},
)
