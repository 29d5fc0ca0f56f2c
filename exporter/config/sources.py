"""Which files a configuration is read from, and whether they are still the same."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from exporter.config.model import Config
from exporter.yamlfile.problems import Problem

State: TypeAlias = tuple[tuple[str, str, bytes], ...]
"""The path of each file, the file that it leads to, and a digest of its content."""


class Fingerprint(NamedTuple):
    """What a configuration was read from: digests of its files, and of the files that it names."""

    files: bytes
    named_files: bytes


def list_files(paths: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the files that the paths stand for, and a problem for each folder that has none.

    A folder stands for its `*.yaml` files in the order of their names, without hidden ones.
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


def read_state(paths: Sequence[Path]) -> State:
    """Return what changes when a file is written or replaced, also by another symbolic link."""
    return tuple((str(file), _resolve(file), _digest(file)) for file in list_files(paths)[0])


def compute_fingerprint(state: State, config: Config) -> Fingerprint:
    """Return the fingerprint of a state, and of the secrets and certificates that a file names.

    It stays the same while the contents do, whatever they are linked to.
    """
    secrets = [
        secret.file
        for account in config.accounts
        if account.enabled
        for secret in (account.api_key, account.api_secret)
    ]
    named = [file for file in (config.api.ca_file, *secrets) if file is not None]
    return Fingerprint(
        _combine((path, digest) for path, _, digest in state),
        _combine((str(file), _digest(Path(file))) for file in named),
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
        return hashlib.sha256(read_bytes(file, LARGEST_FILE)).digest()
    except FileError as error:
        return str(error).encode()


def _combine(digests: Iterable[tuple[str, bytes]]) -> bytes:
    return hashlib.sha256(repr(tuple(digests)).encode()).digest()
