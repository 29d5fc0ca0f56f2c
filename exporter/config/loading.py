"""From a file to a configuration, or to every reason why it is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.cautions import cautions
from exporter.config.credentials import read_credentials
from exporter.config.document import Document, read_document
from exporter.config.files import FileError, read_bytes
from exporter.config.model import Config
from exporter.config.problems import ConfigError, Place, Problem, Report
from exporter.config.rules import broken_rules
from exporter.config.sentences import FOLLOWS, sentence

LARGEST_CONFIG = 4 * 1024 * 1024
"""Bytes; a thousand accounts need less than one megabyte."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what the operator should know about it."""

    config: Config
    warnings: tuple[Problem, ...]


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read a configuration file, with `${NAME}` filled in from `environ`.

    The files that it names (secrets, certificates) are read, too. Raises ConfigError with every
    mistake at once; nothing of a secret is in it, in its cause or in its traceback's text.
    """
    report = Report(str(path))
    loaded = _load(path, environ, report)
    if loaded is None:
        raise ConfigError(report.problems())
    return loaded


def _load(path: Path, environ: Mapping[str, str], report: Report) -> Loaded | None:
    text = _text(path, report)
    document = None if text is None else read_document(text, environ, report)
    if document is None:
        return None
    folder = path.absolute().parent
    value = read_credentials(document, folder, report)
    for loc, rule in broken_rules(document):
        report.add(loc, document.place(loc), rule)
    config = _config(value, folder, document, report)
    if config is None or report.problems():
        return None
    warnings = Report(str(path))
    for loc, caution in cautions(config, document):
        warnings.add(document.nearest(loc), document.place(loc), caution)
    return Loaded(config, warnings.problems())


def _text(path: Path, report: Report) -> str | None:
    try:
        content = read_bytes(path, LARGEST_CONFIG, stream=True)
    except FileError as error:
        report.add((), None, f"the configuration file {error}")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        report.add((), place, "is not UTF-8 here; save the file as UTF-8")
        return None


def _config(value: object, folder: Path, document: Document, report: Report) -> Config | None:
    try:
        return Config.model_validate(value, context=folder)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        _report(mistake, document, report)
    return None


def _report(mistake: ErrorDetails, document: Document, report: Report) -> None:
    loc, kind = mistake["loc"], mistake["type"]
    nearest = document.nearest(loc)
    if kind == "missing":
        report.add(loc, document.key_place(nearest), sentence(mistake))
    elif kind == "extra_forbidden":
        report.add(loc, document.key_place(loc), sentence(mistake))
    elif kind != FOLLOWS and not report.has(nearest, document.place(nearest)):
        report.add(nearest, document.place(nearest), sentence(mistake))
