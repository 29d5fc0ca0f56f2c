"""Which files a configuration is read from, and whether they are still the same."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from exporter.documents.problems import Problem

State: TypeAlias = tuple[tuple[str, str, int, int, int], ...]


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
            sentence = f"the folder cannot be listed ({cause}); give the exporter the right to"
            problems.append(Problem(str(path), None, None, "", sentence))
            continue
        files += found
        if not found:
            sentence = "the folder holds no *.yaml file; add one, or name another folder"
            problems.append(Problem(str(path), None, None, "", sentence))
    return files, problems


def read_state(paths: Sequence[Path]) -> State:
    """Return what changes when a file is replaced, also by a symbolic link to another folder.

    It is empty for one file alone, which is always read as a whole.
    """
    if len(paths) == 1 and not is_folder(paths[0]):
        return ()
    return tuple(_read_states(list_files(paths)[0]))


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


def _read_states(files: Iterable[Path]) -> Iterator[tuple[str, str, int, int, int]]:
    for file in files:
        try:
            status = file.stat()
        except OSError:  # gone: reading it says so
            yield str(file), "", 0, 0, 0
            continue
        if stat.S_ISREG(status.st_mode):  # a pipe changes whenever it is read
            target = os.path.realpath(file)
            yield str(file), target, status.st_ino, status.st_size, status.st_mtime_ns
