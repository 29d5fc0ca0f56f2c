"""Leave out what is not set: in the exporter-toolkit, Go's zero values mean that.

For Go, a key without a value is a key that is not there, and so is an empty text where a text
belongs. https://pkg.go.dev/gopkg.in/yaml.v2#Unmarshal
"""

import re
from collections.abc import Iterator
from typing import Final

from exporter.documents.document import Document, Value
from exporter.documents.problems import Finding
from exporter.documents.sentences import Section
from exporter.web.config_file.wording import WORDING

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
    "basic_auth_users": "names no user: everybody is let in",
}


def drop_zero_values(document: Document) -> Value:
    """Return the document's value without the keys that are not set; keys that are unknown stay."""
    if document.value is None:
        return {}
    top = _without_unset(document.value, ())
    if not isinstance(top, dict):
        return top
    if top.get(_TLS) == {}:
        del top[_TLS]
    if _is_no_limit(top.get(_RATE_LIMIT)):
        del top[_RATE_LIMIT]
    return top


def empty_sections(document: Document, value: Value) -> Iterator[Finding]:
    """Find the sections that are there and protect nothing, given the value without zero values."""
    if isinstance(document.value, dict) and isinstance(value, dict):
        for name, consequence in _CONSEQUENCES.items():
            if name in document.value and not value.get(name):
                yield (name,), consequence


def _without_unset(value: Value, section: Section) -> Value:
    if not isinstance(value, dict) or section not in WORDING.sections:
        return value
    known = WORDING.sections[section]
    return {
        key: _without_unset(item, (*section, key))
        for key, item in value.items()
        if key not in known or not (item is None or (key in _TEXTS and item == ""))
    }


def _is_no_limit(limit: Value) -> bool:
    if not isinstance(limit, dict):
        return False
    known = WORDING.sections[(_RATE_LIMIT,)]
    return all(
        key in known and isinstance(value, str) and _ZERO.fullmatch(value)
        for key, value in limit.items()
    )
