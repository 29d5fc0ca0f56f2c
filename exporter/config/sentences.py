"""pydantic's errors as sentences for an operator, who knows YAML and not pydantic."""

import difflib
from collections.abc import Callable, Mapping

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from exporter.config.credentials import NAMES
from exporter.config.document import UNUSABLE
from exporter.config.fields import FILE_TYPES
from exporter.config.model import Account, Api, Config, CountedPath, DiskUsage, Files
from exporter.config.problems import Loc

FOLLOWS = "default_factory_not_called"
"""pydantic's error for a default that waits for a value with an error of its own."""

_SECTIONS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): Config,
    ("api",): Api,
    ("accounts",): Account,
    ("accounts", "disk_usage"): DiskUsage,
    ("accounts", "files"): Files,
    ("accounts", "files", "paths"): CountedPath,
}

_SHORTEST_NEAR = 3

_MISSING = {
    "accounts": "is missing; name at least one account under it",
    "cdn": "is missing; write the CDN number of the account",
    "path": "is missing; write the path to count, such as sestore4/jb",
}

_TYPES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "is_instance_of": "must be text",
    "tuple_type": "must be a list; begin each item with '- '",
    "model_type": "must be keys with their values",
}


def sentence(error: ErrorDetails) -> str:
    """Say what to write in place of what pydantic refused."""
    kind = error["type"]
    if not error["loc"]:
        return "must begin with a key, as config.example.yaml does: with 'accounts:' or 'api:'"
    if kind in _TYPES:
        return _TYPES[kind] + _hint(kind, error["input"])
    if kind in _KEYS:
        return _KEYS[kind](error["loc"])
    if kind in _VALUES:
        return _VALUES[kind](error["ctx"])
    return "cannot stand here; config.example.yaml shows what can"


def _hint(kind: str, given: object) -> str:
    if given is None:
        return "; it is empty here, so write it or leave its key out"
    if kind in ("int_type", "float_type") and given is UNUSABLE:
        return " in plain digits"
    is_scalar = not isinstance(given, tuple | dict)
    return "; put it in quotes" if kind in ("string_type", "is_instance_of") and is_scalar else ""


def _missing_key(loc: Loc) -> str:
    return _MISSING[str(loc[-1])]


def _unknown_key(loc: Loc) -> str:
    *above, key = (step for step in loc if isinstance(step, str))
    if key == "<<":
        return "merging with '<<' is not known here; write the keys out"
    known = _keys(tuple(above))
    homes = [
        f"under {section[-1]}" if section else "at the top"
        for section in _SECTIONS
        if key in _keys(section)
    ]
    if homes:
        return f"is not a known key here; it belongs {' or '.join(homes)}; check its indentation"
    near = _nearest(key.lower().replace("-", "_"), known)
    if near:
        return f"is not a known key; did you mean '{near}'?"
    return f"is not a known key; the keys here are {', '.join(known)}"


def _nearest(key: str, known: list[str]) -> str | None:
    if len(key) < _SHORTEST_NEAR:
        return None
    parts = [one for one in known if key in one or one in key]
    return next(iter(parts or difflib.get_close_matches(key, known, n=1)), None)


def _keys(section: tuple[str, ...]) -> list[str]:
    keys = list(_SECTIONS[section].model_fields)
    return keys + [f"{name}_file" for name in NAMES] if section == ("accounts",) else keys


_KEYS: Mapping[str, Callable[[Loc], str]] = {
    "missing": _missing_key,
    "extra_forbidden": _unknown_key,
}

_VALUES: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "value_error": lambda context: str(context["error"]),
    "literal_error": lambda _: f"is not a file type; write one of {', '.join(FILE_TYPES)}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
}
