"""From files to a configuration, or to every reason why they are none."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from exporter.config.fields import FILE_TYPES
from exporter.config.model import AccountConfig, Config
from exporter.config.rules import find_account_names, find_broken_rules
from exporter.config.secrets import NAMES, replace_secrets
from exporter.config.substitution import substitute
from exporter.config.warnings import find_warnings
from exporter.yamlfile.document import Document, read_document
from exporter.yamlfile.files import (
    MAX_FILE_BYTES,
    FileError,
    find_absolute_folder,
    read_bytes,
    read_text,
)
from exporter.yamlfile.models import MessageCatalog, list_section_keys, read_model
from exporter.yamlfile.problems import ConfigError, ErrorCollector, Loc, Problem

_ACCOUNTS: Final = "accounts"
_SECTIONS: Final = tuple(name for name in Config.model_fields if name != _ACCOUNTS)
FilesState: TypeAlias = tuple[tuple[str, str, bytes], ...]
"""The path of each file, the file that it leads to, and a digest of its content."""
EMPTY: Final = "the file is empty; begin with 'accounts:' as config.example.yaml does"

_IN_FILES: Mapping[tuple[str, ...], list[str]] = {("accounts",): [f"{name}_file" for name in NAMES]}

_LISTEN: Final = tuple((key,) for key in ("listen", "listen_address", "address", "host", "port"))
_TELEMETRY_PATH: Final = tuple((key,) for key in ("telemetry_path", "metrics_path"))
NAMED: Final = ("quotas", "labels")
"""Keys whose own keys are names: of CPU users and of labels."""

MESSAGES: Final = MessageCatalog(
    sections={
        section: [*keys, *_IN_FILES.get(section, [])]
        for section, keys in list_section_keys(Config).items()
    },
    missing={
        "accounts": "is missing; name at least one account under it",
        "cdn": "is missing; write the CDN number of the account",
        "path": "is missing; write the path to count, such as sestore4/jb",
    },
    top="must begin with a key, as config.example.yaml does: with 'accounts:' or 'api:'",
    other="is not valid here; see config.example.yaml",
    elsewhere={
        **dict.fromkeys(_LISTEN, "the flag --web.listen-address sets the address"),
        **dict.fromkeys(_TELEMETRY_PATH, "the flag --web.telemetry-path sets the path"),
        ("web",): "the flags --web.listen-address and --web.config.file say how to serve",
        ("tls",): "the file of the flag --web.config.file sets TLS",
        ("log", "format"): "the flag --log.format sets the format",
        ("log_level",): "write level below log, or use the flag --log.level",
        ("log_format",): "the flag --log.format sets the format",
    },
    by_type={"literal_error": f"is not a file type; write one of {', '.join(FILE_TYPES)}"},
)

KNOWN_KEYS: Final = frozenset(key for keys in MESSAGES.sections.values() for key in keys)
_NAME: Final = "the configuration file"
_MAX_READS: Final = 5


class PieceModel(Config):
    """What one of several files says: it may add no account."""

    accounts: tuple[AccountConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """One file as it was read: its values, its folder, and what is wrong with it."""

    file: str
    document: Document
    folder: Path
    report: ErrorCollector
    warnings: ErrorCollector


def has_accounts_key(piece: Piece) -> bool:
    """Return whether a file has the key for accounts."""
    return isinstance(piece.document.value, dict) and _ACCOUNTS in piece.document.value


def find_conflicts(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Loc, str]]:
    """Find what is in two files: the later file, the way to the value, and a message."""
    sections: dict[str, Piece] = {}
    names: dict[str, tuple[Piece, Loc]] = {}
    for piece in pieces:
        value = piece.document.value
        for section in _SECTIONS:
            if not isinstance(value, dict) or section not in value:
                continue
            first = sections.setdefault(section, piece)
            if first is not piece:
                line = first.document.key_position((section,)).line
                message = f"is in {first.file}, line {line}, too; keep it in one of the two files"
                yield piece, (section,), message
        for loc, name in find_account_names(piece.document):
            other, other_loc = names.setdefault(name, (piece, loc))
            if other is not piece:
                line = other.document.position(other_loc).line
                where = f"{other.file}, line {line}"
                message = f"names the same account as {where}; give each a name of its own"
                yield piece, loc, message


def merge_configs(parts: Sequence[Config]) -> Config:
    """Return the configuration that files without conflicts make together."""
    if len(parts) == 1:
        return parts[0]
    sections: dict[str, object] = {
        name: getattr(part, name)
        for part in parts
        for name in _SECTIONS
        if name in part.model_fields_set
    }
    accounts = tuple(account for part in parts for account in part.accounts)
    return Config.model_validate({**sections, _ACCOUNTS: accounts})


class Fingerprint(NamedTuple):
    """What a configuration was read from: digests of its files, and of the files that it names."""

    files: bytes
    named_files: bytes


def find_config_files(paths: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the files that the paths mean, and a problem for each folder that has none.

    For a folder that is its ``*.yaml`` files in the order of their names, without hidden ones.
    """
    files: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        if not is_folder(path):
            files.append(path)
            continue
        try:
            found = _list_folder(path)
        except OSError as error:
            cause = os.strerror(error.errno or 0).lower()
            message = f"the folder cannot be listed ({cause}); give the exporter the right to"
            problems.append(Problem(str(path), None, None, "", message))
            continue
        files += found
        if not found:
            message = "the folder holds no *.yaml file; add one, or name another folder"
            problems.append(Problem(str(path), None, None, "", message))
    return files, problems


def read_file_states(paths: Sequence[Path]) -> FilesState:
    """Return what changes when a file is written or replaced, also by another symbolic link."""
    return tuple((str(file), _resolve(file), _digest(file)) for file in find_config_files(paths)[0])


def list_named_files(config: Config) -> tuple[Path, ...]:
    """Return the files with certificates and secrets that a configuration names and uses."""
    secrets = [
        secret.file for account in config.accounts if account.enabled for secret in account.secrets
    ]
    return tuple(file for file in (config.api.ca_file, *secrets) if file is not None)


def list_inline_secrets(config: Config) -> tuple[str, ...]:
    """Return the keys and secrets that a configuration itself has, of disabled accounts too."""
    return tuple(
        secret.read()
        for account in config.accounts
        for secret in account.secrets
        if secret.file is None
    )


def compute_fingerprint(state: FilesState, named_files: Iterable[Path]) -> Fingerprint:
    """Return the fingerprint of a state, and of the secrets and certificates that a file names.

    It stays the same while the contents do, also where a link leads elsewhere.
    """
    return Fingerprint(
        _combine((path, digest) for path, _, digest in state),
        _combine((str(file), _digest(file)) for file in named_files),
    )


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; what cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long
        return False


def _list_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == ".yaml" and not path.name.startswith(".") and not is_folder(path)
    )


def _resolve(file: Path) -> str:
    """Return the path that a file's links lead to; nothing where that cannot be found out."""
    try:
        return os.path.realpath(file)
    except (OSError, ValueError):  # such as a working folder that was deleted
        return ""


def _digest(file: Path) -> bytes:
    """Return a digest of a file's content, or why it cannot be read; a pipe is not read."""
    try:
        return hashlib.sha256(read_bytes(file, MAX_FILE_BYTES)).digest()
    except FileError as error:
        return str(error).encode()


def _combine(digests: Iterable[tuple[str, bytes]]) -> bytes:
    return hashlib.sha256(repr(tuple(digests)).encode()).digest()


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that can be used, what the operator should know, and where it is from."""

    config: Config
    warnings: tuple[Problem, ...]
    fingerprint: Fingerprint


def load(
    path: Path, environ: Mapping[str, str], wall_clock: Callable[[], float] = time.time
) -> LoadedConfig:
    """Read a configuration from one file, or from the files of a folder, as ``load_files`` does."""
    return load_files((path,), environ, wall_clock)


def load_files(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    wall_clock: Callable[[], float] = time.time,
) -> LoadedConfig:
    """Read a configuration from files, with ``${NAME}`` filled in from ``environ``.

    For a folder that is its ``*.yaml`` files in the order of their names. Each file adds its
    accounts; every other section may be in one file only. What the files name (secrets,
    certificates) is read, too. ``wall_clock`` gives the seconds since 1970.

    Raises ConfigError with every mistake at once; nothing of a secret is in it, in its cause or in
    its traceback's text. Files that were changed while they were read are read again, so that no
    configuration is made of old and new ones.
    """
    for _ in range(_MAX_READS):
        before = read_file_states(paths)
        try:
            config, warnings = _load(paths, environ, wall_clock())
        except ConfigError:
            if read_file_states(paths) == before:
                raise
            continue
        if read_file_states(paths) == before:
            fingerprint = compute_fingerprint(before, list_named_files(config))
            return LoadedConfig(config, warnings, fingerprint)
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


def take_fingerprint(paths: Sequence[Path], named_files: Iterable[Path]) -> Fingerprint:
    """Return the fingerprint that a configuration from these files has, were it read now.

    ``named_files`` are those that the configuration which was read last names.
    """
    return compute_fingerprint(read_file_states(paths), named_files)


def _load(
    paths: Sequence[Path], environ: Mapping[str, str], now: float
) -> tuple[Config, tuple[Problem, ...]]:
    files, problems = find_config_files(paths)
    reports = [ErrorCollector(str(file), KNOWN_KEYS, NAMED) for file in files]
    pieces = [
        _read_piece(file, environ, report) for file, report in zip(files, reports, strict=True)
    ]
    read = [piece for piece in pieces if piece is not None]
    for piece, loc, message in find_conflicts(read):
        piece.report.add(loc, piece.document.position(loc), message)
    has_none = len(read) == len(files) and not any(map(has_accounts_key, read))
    parts = [
        part
        for index, piece in enumerate(read)
        if (part := _read_part(piece, needs_accounts=has_none and index == 0)) is not None
    ]
    problems += [problem for report in reports for problem in report.problems()]
    if problems:
        raise ConfigError(tuple(problems))
    config = merge_configs(parts)
    return config, tuple(_find_warnings(read, parts, now))


def _read_piece(path: Path, environ: Mapping[str, str], report: ErrorCollector) -> Piece | None:
    text = read_text(path, _NAME, report, stream=True)
    if text is None:
        return None
    warnings = ErrorCollector(str(path), KNOWN_KEYS, NAMED)
    interpolate = partial(substitute, environ=environ)
    document = read_document(text, report, interpolate, warnings, EMPTY)
    folder = None if document is None else find_absolute_folder(path, _NAME, report)
    if document is None or folder is None:
        return None
    return Piece(str(path), document, folder, report, warnings)


def _read_part(piece: Piece, *, needs_accounts: bool) -> Config | None:
    document, report = piece.document, piece.report
    value = replace_secrets(document, piece.folder, report)
    for loc, rule in find_broken_rules(document):
        report.add(loc, document.position(loc), rule)
    model = Config if needs_accounts or has_accounts_key(piece) else PieceModel
    return read_model(model, value, document, piece.folder, report, MESSAGES)


def _find_warnings(
    pieces: Sequence[Piece], parts: Sequence[Config], now: float
) -> Iterator[Problem]:
    for piece, part in zip(pieces, parts, strict=True):
        for loc, warning in find_warnings(part, piece.document, now):
            piece.warnings.add(piece.document.nearest(loc), piece.document.position(loc), warning)
        yield from piece.warnings.problems()
