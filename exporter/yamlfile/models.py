"""From plain values to models, with every mistake in the report."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from exporter.yamlfile.document import Document, UnusableScalar
from exporter.yamlfile.files import TYPOGRAPHIC_QUOTES, find_first_invisible, has_control_characters
from exporter.yamlfile.problems import MERGE_KEY, ErrorCollector, Loc, is_store_path
from exporter.yamlfile.units import DURATION_FORMAT, parse_duration


class FieldError(ValueError):
    """An invalid value; the message is for the operator.

    ``key`` names the key below the value that the message is about, if it is not the value itself.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def require_plain_text(text: str) -> str:
    """Return a text of one line, or raise FieldError."""
    if not text:
        raise FieldError("must not be empty")
    if has_control_characters(text):
        raise FieldError("must not hold control characters or line breaks")
    return text


def require_items(items: tuple[object, ...]) -> tuple[object, ...]:
    """Return the list, or raise FieldError when nothing is in it."""
    if not items:
        raise FieldError("must not be an empty list; name at least one")
    return items


def resolve_path(folder: Path, value: object) -> object:
    """Return the path that a text names, relative to ``folder``; return anything else unchanged.

    Raises FieldError for what no path can be.
    """
    return folder / require_plain_text(value) if isinstance(value, str) else value


def build_duration_parser(minimum: str, maximum: str) -> Callable[[object], float]:
    """Return a validator that turns a duration from ``minimum`` to ``maximum`` into seconds.

    It raises FieldError or DurationError.
    """
    lowest, highest = parse_duration(minimum), parse_duration(maximum)

    def validate(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise FieldError(DURATION_FORMAT)
        seconds = parse_duration(value)
        if not lowest <= seconds <= highest:
            raise FieldError(f"must be from {minimum} to {maximum}")
        return seconds

    return validate


SectionPath = tuple[str, ...]
"""The way to a section, without the numbers of lists: ``("accounts", "files")``."""
_CONSEQUENTIAL_ERROR = "default_factory_not_called"
"""pydantic's error for a default that waits for a value with an error of its own."""


@dataclass(frozen=True, slots=True)
class MessageCatalog:
    """What one kind of file calls its things.

    ``sections`` holds the keys of each section; ``missing`` says by key what to write where it is
    missing; ``top`` is said of a file that does not begin with a key, ``other`` of a value that is
    refused for an unforeseen reason; ``by_type`` replaces messages, by pydantic's name
    of the error. ``elsewhere`` says of an unknown key, with the section that it is in, where its
    setting is.
    """

    sections: Mapping[SectionPath, Sequence[str]]
    missing: Mapping[str, str]
    top: str
    other: str
    by_type: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[SectionPath, str] = field(default_factory=dict)


_MIN_SIMILAR_LENGTH = 3
_TYPOGRAPHIC = re.compile(f"[{TYPOGRAPHIC_QUOTES}]")

_NUMBERS = ("int_type", "float_type")
_OCTAL = "; remove the zero at its beginning, which can mean an octal number"
_PLAIN_DIGITS = " in plain digits"
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_DIGIT_FIRST = re.compile(r"[-+]?\.?[0-9]")

_TYPES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "is_instance_of": "must be text",
    "tuple_type": "must be a list; begin each item with '- '",
    "dict_type": "must be keys with their values",
    "model_type": "must be keys with their values",
}


def choose_message(error: ErrorDetails, messages: MessageCatalog) -> str:
    """Return what to write in place of what pydantic refused."""
    error_type = error["type"]
    if not error["loc"]:
        return messages.top
    if error_type in messages.by_type:
        return messages.by_type[error_type]
    if error_type in _TYPES:
        return _TYPES[error_type] + _choose_hint(error_type, error["input"])
    if error_type in _KEYS:
        return _KEYS[error_type](error["loc"], messages)
    if error_type in _VALUES:
        return _VALUES[error_type](error["ctx"])
    return messages.other


def _choose_hint(error_type: str, value: object) -> str:
    if value is None:
        return "; it is empty here, so write it or leave its key out"
    if error_type in _NUMBERS:
        return _choose_number_hint(value)
    is_scalar = not isinstance(value, tuple | dict)
    return (
        "; put it in quotes"
        if error_type in ("string_type", "is_instance_of") and is_scalar
        else ""
    )


def _choose_number_hint(value: object) -> str:
    if value is UnusableScalar.OCTAL:
        return _OCTAL
    if isinstance(value, UnusableScalar):
        return _PLAIN_DIGITS
    if not isinstance(value, str):
        return ""
    if _LEADING_ZERO.fullmatch(value):
        return _OCTAL
    if invisible := find_first_invisible(value):
        return f"; remove the invisible character in it ({invisible})"
    return _PLAIN_DIGITS if _DIGIT_FIRST.match(value) else ""


def _describe_missing_key(loc: Loc, messages: MessageCatalog) -> str:
    return messages.missing[str(loc[-1])]


def _describe_unknown_key(loc: Loc, messages: MessageCatalog) -> str:
    *above, key = (step for step in loc if isinstance(step, str))
    return (
        _describe_misread_key(key)
        or _describe_misplaced_key(key, above, messages)
        or _describe_misspelt_key(key, messages.sections[tuple(above)])
    )


def _describe_misread_key(key: str) -> str | None:
    if key == MERGE_KEY:
        return "merging with '<<' is not known here; write the keys out"
    if quoted := _TYPOGRAPHIC.search(key):
        mark = f"U+{ord(quoted[0]):04X}"
        return f"is not a known key; it holds typographic quotes ({mark}), write it without"
    return None


def _describe_misplaced_key(key: str, above: Sequence[str], messages: MessageCatalog) -> str | None:
    if is_store_path(key):
        return "is not a known key; a path is an item of a list: write it below files.paths"
    if setting := messages.elsewhere.get((*above, _normalize(key))):
        return f"is not a known key; {setting}"
    homes = [
        f"under {section[-1]}" if section else "at the top"
        for section, keys in messages.sections.items()
        if section and key in keys
    ]
    if not homes:
        return None
    return f"is not a known key here; it belongs {' or '.join(homes)}; check its indentation"


def _describe_misspelt_key(key: str, known: Sequence[str]) -> str:
    if invisible := find_first_invisible(key):
        return f"is not a known key; it holds an invisible character ({invisible})"
    near = _find_nearest(_normalize(key), {_normalize(name): name for name in known})
    if near:
        return f"is not a known key; did you mean '{near}'?"
    return f"is not a known key; the keys here are {', '.join(known)}"


def _normalize(key: str) -> str:
    return key.lower().strip().replace("-", "_").replace(" ", "_")


def _find_nearest(key: str, known: Mapping[str, str]) -> str | None:
    if len(key) < _MIN_SIMILAR_LENGTH:
        return None
    parts = [name for name in known if key in name or name in key]
    near = next(iter(parts or difflib.get_close_matches(key, known, n=1)), None)
    return None if near is None else known[near]


_KEYS: Mapping[str, Callable[[Loc, MessageCatalog], str]] = {
    "missing": _describe_missing_key,
    "extra_forbidden": _describe_unknown_key,
}

_VALUES: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "value_error": lambda context: str(context["error"]),
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
}


class StrictModel(BaseModel):
    """What all parts of a file have in common: strict, frozen, no unknown keys."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


Model = TypeVar("Model", bound=StrictModel)


def list_section_keys(model: type[StrictModel]) -> dict[tuple[str, ...], list[str]]:
    """Return the keys of each section that ``model`` reads, by the keys that lead to the section.

    Items of a list add nothing to the way: the keys of an account are at ``("accounts",)``.
    """
    keys: dict[tuple[str, ...], list[str]] = {(): []}
    for name, key_field in model.model_fields.items():
        key = key_field.alias or name
        keys[()].append(key)
        for section in _list_sections(key_field.annotation):
            keys |= {(key, *way): inner for way, inner in list_section_keys(section).items()}
    return keys


def _list_sections(annotation: object) -> Iterator[type[StrictModel]]:
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        yield annotation
    for part in get_args(annotation):
        yield from _list_sections(part)


def read_model(
    model: type[Model],
    value: object,
    document: Document,
    folder: Path,
    report: ErrorCollector,
    messages: MessageCatalog,
) -> Model | None:
    """Read a document's value as a model whose validators get ``folder`` as their context.

    Returns None when the value is none; every reason is in the report.
    """
    try:
        return model.model_validate(value, context=folder)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        _report_mistake(mistake, document, report, messages)
    return None


def _report_mistake(
    mistake: ErrorDetails, document: Document, report: ErrorCollector, messages: MessageCatalog
) -> None:
    loc, error_type = mistake["loc"], mistake["type"]
    fault = mistake.get("ctx", {}).get("error")
    if isinstance(fault, FieldError) and fault.key:
        loc = (*loc, fault.key)
    nearest = document.nearest(loc)
    if error_type == "missing":
        report.add(loc, document.key_position(nearest), choose_message(mistake, messages))
    elif error_type == "extra_forbidden":
        report.add(loc, document.key_position(loc), choose_message(mistake, messages))
    elif error_type != _CONSEQUENTIAL_ERROR and not report.has(nearest, document.position(nearest)):
        report.add(nearest, document.position(nearest), choose_message(mistake, messages))
