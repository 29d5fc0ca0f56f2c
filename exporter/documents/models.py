"""From plain values to models, with every mistake in the report."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from exporter.documents.document import Document
from exporter.documents.fields import FieldError
from exporter.documents.problems import Report
from exporter.documents.sentences import Wording, sentence

FOLLOWS = "default_factory_not_called"
"""pydantic's error for a default that waits for a value with an error of its own."""


class Section(BaseModel):
    """What all parts of a file have in common: strict, frozen, no unknown keys."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


Model = TypeVar("Model", bound=Section)


def read_model(
    model: type[Model],
    value: object,
    document: Document,
    folder: Path,
    report: Report,
    wording: Wording,
) -> Model | None:
    """Read a document's value as a model whose validators get `folder` as their context.

    Gives None when the value is none; every reason stands in the report.
    """
    try:
        return model.model_validate(value, context=folder)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        _note(mistake, document, report, wording)
    return None


def _note(mistake: ErrorDetails, document: Document, report: Report, wording: Wording) -> None:
    loc, kind = mistake["loc"], mistake["type"]
    fault = mistake.get("ctx", {}).get("error")
    if isinstance(fault, FieldError) and fault.key:
        loc = (*loc, fault.key)
    nearest = document.nearest(loc)
    if kind == "missing":
        report.add(loc, document.key_place(nearest), sentence(mistake, wording))
    elif kind == "extra_forbidden":
        report.add(loc, document.key_place(loc), sentence(mistake, wording))
    elif kind != FOLLOWS and not report.has(nearest, document.place(nearest)):
        report.add(nearest, document.place(nearest), sentence(mistake, wording))
