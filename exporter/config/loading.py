"""From a file to a configuration, or to every reason why it is none."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exporter.config.cautions import cautions
from exporter.config.credentials import read_credentials
from exporter.config.model import Config
from exporter.config.rules import broken_rules
from exporter.config.substitution import substitute
from exporter.config.wording import EMPTY, WORDING
from exporter.documents.document import read_document
from exporter.documents.models import read_model
from exporter.documents.problems import ConfigError, Problem, Report
from exporter.documents.text import absolute_folder, read_text

_NAME: Final = "the configuration file"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what the operator should know about it."""

    config: Config
    warnings: tuple[Problem, ...]


def load(
    path: Path, environ: Mapping[str, str], wall_clock: Callable[[], float] = time.time
) -> Loaded:
    """Read a configuration file, with `${NAME}` filled in from `environ`.

    The files that it names (secrets, certificates) are read, too. `wall_clock` gives the seconds
    since 1970. Raises ConfigError with every mistake at once; nothing of a secret is in it, in its
    cause or in its traceback's text.
    """
    report = Report(str(path))
    loaded = _load(path, environ, wall_clock(), report)
    if loaded is None:
        raise ConfigError(report.problems())
    return loaded


def _load(path: Path, environ: Mapping[str, str], now: float, report: Report) -> Loaded | None:
    text = read_text(path, _NAME, report, stream=True)
    if text is None:
        return None
    warnings = Report(str(path))
    interpolate = partial(substitute, environ=environ)
    document = read_document(text, report, interpolate, warnings, EMPTY)
    if document is None:
        return None
    folder = absolute_folder(path, _NAME, report)
    if folder is None:
        return None
    value = read_credentials(document, folder, report)
    for loc, rule in broken_rules(document):
        report.add(loc, document.place(loc), rule)
    config = read_model(Config, value, document, folder, report, WORDING)
    if config is None or report.problems():
        return None
    for loc, caution in cautions(config, document, now):
        warnings.add(document.nearest(loc), document.place(loc), caution)
    return Loaded(config, warnings.problems())
