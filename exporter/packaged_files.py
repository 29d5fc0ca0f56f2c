"""The files that come with the program: an example, rules, a dashboard, a manual page.

The wheel has those from outside of the package in ``exporter/files``; in a clone of the repository
they are where their sources are. There is one source of each.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO


class FilesError(Exception):
    """A file cannot be written; the message says which one, and what to do."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file of the package: its name, what it is for, and its path in the repository."""

    name: str
    help: str
    source: str


PACKAGED: Final = (
    PackagedFile(
        "config.example.yaml",
        "the configuration: every key, with its default",
        "config.example.yaml",
    ),
    PackagedFile(
        "config.schema.json",
        "JSON Schema of the configuration, for editors",
        "exporter/config/schema.json",
    ),
    PackagedFile("scaleengine-alerts.yml", "alert rules for Prometheus", "monitoring/alerts.yml"),
    PackagedFile(
        "scaleengine-dashboard.json", "dashboard for Grafana", "monitoring/dashboard.json"
    ),
    PackagedFile(
        "scaleengine-exporter.service",
        "unit for systemd",
        "deploy/systemd/scaleengine-exporter.service",
    ),
    PackagedFile(
        "scaleengine-exporter.socket",
        "unit for a socket on which systemd listens, optional",
        "deploy/systemd/scaleengine-exporter.socket",
    ),
)
MANUAL: Final = "scaleengine-exporter.1"
NAMES: Final = (*(packaged.name for packaged in PACKAGED), MANUAL)

Manual = Callable[[], str]


def print_file_list(output: TextIO) -> None:
    """Write the name of each file, and what it is for."""
    help_texts = {packaged.name: packaged.help for packaged in PACKAGED}
    help_texts[MANUAL] = "manual page, for man"
    width = max(map(len, help_texts)) + 2
    output.writelines(f"{name:{width}}{help_text}\n" for name, help_text in help_texts.items())


def print_files(names: Iterable[str], build_manual: Manual, output: TextIO) -> None:
    """Write the files one after the other to a stream."""
    output.writelines(read_file(name, build_manual) for name in names)


def write_files(
    names: Sequence[str], folder: Path, build_manual: Manual, *, overwrite: bool
) -> None:
    """Write the files into a folder, which is made if it is missing, and print their paths.

    Without ``overwrite``, none is written where one of them exists with other contents. Raises
    FilesError.
    """
    texts = {folder / name: read_file(name, build_manual) for name in names}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            if not overwrite and path.exists() and path.read_bytes() != text.encode():
                raise FilesError(
                    f"{path}: exists and differs; move it away, or replace it with --overwrite"
                )
        for path, text in texts.items():
            _replace(path, text)
            sys.stdout.write(f"{path}\n")
    except OSError as error:
        where = error.filename or folder
        raise FilesError(f"{where}: {os.strerror(error.errno or 0).lower()}") from error


def read_file(name: str, build_manual: Manual) -> str:
    """Return the text of a file of the package."""
    if name == MANUAL:
        return build_manual()
    (source,) = (packaged.source for packaged in PACKAGED if packaged.name == name)
    package = Path(__file__).parent
    installed = package / "files" / name
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    return (package.parent / source).read_text(encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    # Loaded here: --version needs none of what this loads.
    from tempfile import NamedTemporaryFile  # noqa: PLC0415

    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(text.encode())
            file.flush()
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise
