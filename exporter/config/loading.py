"""From files to a configuration, or to every reason why they are none."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exporter.config.cautions import cautions
from exporter.config.credentials import read_credentials
from exporter.config.model import Config
from exporter.config.pieces import Piece, PieceModel, find_conflicts, has_accounts, join
from exporter.config.rules import broken_rules
from exporter.config.sources import Fingerprint, compute_fingerprint, list_files, read_state
from exporter.config.substitution import substitute
from exporter.config.wording import EMPTY, KNOWN_KEYS, MESSAGES, NAMED
from exporter.yamlfile.document import read_document
from exporter.yamlfile.files import absolute_folder, read_text
from exporter.yamlfile.models import read_model
from exporter.yamlfile.problems import ConfigError, ErrorCollector, Problem

_NAME: Final = "the configuration file"
_MAX_READS: Final = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, what the operator should know, and where it is from."""

    config: Config
    warnings: tuple[Problem, ...]
    fingerprint: Fingerprint


def load(
    path: Path, environ: Mapping[str, str], wall_clock: Callable[[], float] = time.time
) -> Loaded:
    """Read a configuration from one file, or from the files of a folder, as `load_files` does."""
    return load_files((path,), environ, wall_clock)


def load_files(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    wall_clock: Callable[[], float] = time.time,
) -> Loaded:
    """Read a configuration from files, with `${NAME}` filled in from `environ`.

    A folder stands for its `*.yaml` files in the order of their names. Each file adds its accounts;
    every other section may be in one file only. What the files name (secrets, certificates) is
    read, too. `wall_clock` gives the seconds since 1970.

    Raises ConfigError with every mistake at once; nothing of a secret is in it, in its cause or in
    its traceback's text. Files that were changed while they were read are read again, so that no
    configuration is made of old and new ones.
    """
    for _ in range(_MAX_READS):
        before = read_state(paths)
        try:
            config, warnings = _load(paths, environ, wall_clock())
        except ConfigError:
            if read_state(paths) == before:
                raise
            continue
        if read_state(paths) == before:
            return Loaded(config, warnings, compute_fingerprint(before, config))
    raise ConfigError(
        (
            Problem(
                str(paths[0]),
                None,
                None,
                "",
                f"the configuration files changed during each of {_MAX_READS} reads; reload when "
                "they are no longer being written",
            ),
        )
    )


def take_fingerprint(paths: Sequence[Path], config: Config) -> Fingerprint:
    """Return the fingerprint that a configuration from these files has, were it read now.

    ``config`` is the one that was read last, for the files that it names.
    """
    return compute_fingerprint(read_state(paths), config)


def _load(
    paths: Sequence[Path], environ: Mapping[str, str], now: float
) -> tuple[Config, tuple[Problem, ...]]:
    files, problems = list_files(paths)
    reports = [ErrorCollector(str(file), KNOWN_KEYS, NAMED) for file in files]
    pieces = [
        _read_piece(file, environ, report) for file, report in zip(files, reports, strict=True)
    ]
    read = [piece for piece in pieces if piece is not None]
    for piece, loc, message in find_conflicts(read):
        piece.report.add(loc, piece.document.position(loc), message)
    has_none = len(read) == len(files) and not any(map(has_accounts, read))
    parts = [
        part
        for index, piece in enumerate(read)
        if (part := _read_part(piece, needs_accounts=has_none and index == 0)) is not None
    ]
    problems += [problem for report in reports for problem in report.problems()]
    if problems:
        raise ConfigError(tuple(problems))
    config = join(parts)
    return config, tuple(_find_warnings(read, parts, now))


def _read_piece(path: Path, environ: Mapping[str, str], report: ErrorCollector) -> Piece | None:
    text = read_text(path, _NAME, report, stream=True)
    if text is None:
        return None
    warnings = ErrorCollector(str(path), KNOWN_KEYS, NAMED)
    interpolate = partial(substitute, environ=environ)
    document = read_document(text, report, interpolate, warnings, EMPTY)
    folder = None if document is None else absolute_folder(path, _NAME, report)
    if document is None or folder is None:
        return None
    return Piece(str(path), document, folder, report, warnings)


def _read_part(piece: Piece, *, needs_accounts: bool) -> Config | None:
    document, report = piece.document, piece.report
    value = read_credentials(document, piece.folder, report)
    for loc, rule in broken_rules(document):
        report.add(loc, document.position(loc), rule)
    model = Config if needs_accounts or has_accounts(piece) else PieceModel
    return read_model(model, value, document, piece.folder, report, MESSAGES)


def _find_warnings(
    pieces: Sequence[Piece], parts: Sequence[Config], now: float
) -> Iterator[Problem]:
    for piece, part in zip(pieces, parts, strict=True):
        for loc, caution in cautions(part, piece.document, now):
            piece.warnings.add(piece.document.nearest(loc), piece.document.position(loc), caution)
        yield from piece.warnings.problems()
