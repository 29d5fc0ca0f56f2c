"""The folder of a run: what is not complete is there, and nowhere else.

It is beside the file that is to be written (``history.om.partial``), or in the folder for blocks,
so that moving what is complete is one step of the file system.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.backfill.options import Destination

_SUFFIX: Final = ".partial"
_IN_TSDB: Final = "scaleengine-backfill.partial"


class FolderError(Exception):
    """The file system refuses something; the text says what, and the next step."""


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """The folder of a run, and what is in it."""

    path: Path

    @property
    def rows(self) -> Path:
        """Return the file of the rows: what a resumed run needs."""
        return self.path / "rows.sqlite"

    @property
    def text(self) -> Path:
        """Return the file of the OpenMetrics text."""
        return self.path / "history.om"

    @property
    def blocks(self) -> Path:
        """Return the folder of the blocks."""
        return self.path / "blocks"

    def remove_results(self) -> None:
        """Remove what is made of the rows."""
        self.text.unlink(missing_ok=True)
        shutil.rmtree(self.blocks, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def open_work_folder(destination: Destination) -> Iterator[WorkFolder]:
    """Make the folder, or take the one that an incomplete run has left behind.

    The folder of a stream is removed at the end. Raises FolderError.
    """
    try:
        folder = WorkFolder(_make(destination))
    except OSError as error:
        raise unwritable(_parent(destination), error) from None
    try:
        yield folder
    finally:
        if destination.stream:
            folder.remove()


def check_file(destination: Destination) -> None:
    """Raise FolderError where the file exists and may not be replaced."""
    file = destination.file
    if file is None or not os.path.lexists(file):
        return
    if not file.is_file():
        raise FolderError(f"{file} is no regular file: name another one, or write --output=-")
    if not destination.overwrite:
        raise FolderError(f"{file} exists: name another file, or set --overwrite")


def place_file(text: Path, destination: Destination, file: Path) -> None:
    """Move the text to its place in one step; raises FolderError."""
    try:
        with text.open("rb") as written:
            os.fsync(written.fileno())
        if destination.overwrite or not _link(text, file):
            check_file(destination)
            text.replace(file)
    except FileExistsError:
        raise FolderError(
            f"{file} exists now: set --overwrite and --resume, or name another file"
        ) from None
    except OSError as error:
        raise unwritable(file, error) from None


def _link(text: Path, file: Path) -> bool:
    """Give the text its place as a link, which replaces nothing; some file systems have none."""
    try:
        os.link(text, file)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def unwritable(place: Path | str, error: OSError) -> FolderError:
    """Return the error for a place that cannot be written."""
    return FolderError(f"{place} cannot be written ({error.strerror or error}): free or change it")


def _make(destination: Destination) -> Path:
    if destination.stream:
        return Path(tempfile.mkdtemp(prefix="scaleengine-backfill-"))
    parent = _parent(destination)
    if destination.file is not None:
        path = parent / f"{destination.file.name}{_SUFFIX}"
    else:
        path = parent / _IN_TSDB
        parent.mkdir(exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _parent(destination: Destination) -> Path:
    if destination.file is not None:
        return destination.file.parent
    return destination.tsdb or Path(tempfile.gettempdir())
