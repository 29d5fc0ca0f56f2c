"""From plain values to models, with every mistake in the report."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from exporter.documents.document import Document
from exporter.documents.fields import FieldError
from exporter.documents.problems import ErrorCollector
from exporter.documents.sentences import MessageCatalog, message_for

_CONSEQUENTIAL_ERROR = "default_factory_not_called"
"""pydantic's error for a default that waits for a value with an error of its own."""


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


def section_keys(model: type[StrictModel]) -> dict[tuple[str, ...], list[str]]:
    """Give the keys of each section of the file that ``model`` reads, by the keys that lead to it.

    Items of a list add nothing to the way: the keys of an account are at ``("accounts",)``.
    """
    keys: dict[tuple[str, ...], list[str]] = {(): []}
    for name, field in model.model_fields.items():
        key = field.alias or name
        keys[()].append(key)
        for section in _sections(field.annotation):
            keys |= {(key, *way): inner for way, inner in section_keys(section).items()}
    return keys


def _sections(annotation: object) -> Iterator[type[StrictModel]]:
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def read_model(
    model: type[Model],
    value: object,
    document: Document,
    folder: Path,
    report: ErrorCollector,
    messages: MessageCatalog,
) -> Model | None:
    """Read a document's value as a model whose validators get `folder` as their context.

    Gives None when the value is none; every reason stands in the report.
    """
    try:
        return model.model_validate(value, context=folder)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        _note(mistake, document, report, messages)
    return None


def _note(
    mistake: ErrorDetails, document: Document, report: ErrorCollector, messages: MessageCatalog
) -> None:
    loc, kind = mistake["loc"], mistake["type"]
    fault = mistake.get("ctx", {}).get("error")
    if isinstance(fault, FieldError) and fault.key:
        loc = (*loc, fault.key)
    nearest = document.nearest(loc)
    if kind == "missing":
        report.add(loc, document.key_position(nearest), message_for(mistake, messages))
    elif kind == "extra_forbidden":
        report.add(loc, document.key_position(loc), message_for(mistake, messages))
    elif kind != _CONSEQUENTIAL_ERROR and not report.has(nearest, document.position(nearest)):
        report.add(nearest, document.position(nearest), message_for(mistake, messages))
