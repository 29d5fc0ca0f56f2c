"""The folders of a run: what is not complete is there, and nowhere else.

The rows and the text are in a folder next to the file that is to be written, such as
``history.om.partial``. The blocks are made in one inside of the folder for blocks. So moving what
is complete is one step of the file system, also where the two are on different ones.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exporter.backfill.options import Destination

_SUFFIX: Final = ".partial"
_IN_TSDB: Final = "scaleengine-backfill.partial"
_BLOCKS_IN_TSDB: Final = "scaleengine-blocks.partial"
_LOCK: Final = "lock"
_ROWS: Final = "rows.sqlite"


class OutputError(Exception):
    """The history cannot be written where it should go; the text says why, and the next step."""


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """The folders of a run, and what is in them.

    ``path`` has the rows and the text, ``tsdb_path`` what promtool makes; they can be the same.
    """

    path: Path
    tsdb_path: Path

    @property
    def rows(self) -> Path:
        """Return the file of the rows: what a resumed run needs."""
        return self.path / _ROWS

    @property
    def text(self) -> Path:
        """Return the file of the OpenMetrics text."""
        return self.path / "history.om"

    @property
    def blocks(self) -> Path:
        """Return the folder of the blocks."""
        return self.tsdb_path / "blocks"

    def remove_results(self) -> None:
        """Remove everything but the rows."""
        for folder in {self.path, self.tsdb_path}:
            # SQLite has a journal next to its file, named after it.
            _remove_entries(folder, keep=(_LOCK, _ROWS))

    def remove_rows(self) -> None:
        """Remove the rows of an earlier run."""
        _remove_entries(self.path, keep=(_LOCK,))

    def remove(self) -> None:
        """Remove the folders and everything in them.

        The rows are removed last, in one step: until then a run can be continued.
        """
        self.remove_results()
        self.rows.unlink(missing_ok=True)
        for folder in {self.path, self.tsdb_path}:
            shutil.rmtree(folder, ignore_errors=True)


def follow_link(destination: Destination) -> Destination:
    """Return the destination with the file that its name leads to: a link is not replaced."""
    if destination.file is None or not destination.file.is_symlink():
        return destination
    return replace(destination, file=Path(os.path.realpath(destination.file)))


@contextmanager
def lock_work_folder(destination: Destination) -> Iterator[WorkFolder]:
    """Make the folders of a file or of blocks, or take those of an incomplete run.

    No other run can take them before the ``with`` ends. The rows and the text stay after it, so
    that the run can be continued. Raises OutputError, and ValueError for a stream.
    """
    file, tsdb = destination.file, destination.tsdb
    with ExitStack() as stack:
        blocks = None
        if tsdb is not None:
            with _report_output_errors(tsdb):
                tsdb.mkdir(exist_ok=True)
            if file is not None:
                blocks = _take(tsdb / _BLOCKS_IN_TSDB, stack)
                stack.callback(shutil.rmtree, blocks, ignore_errors=True)
        if file is not None:
            path = _take(file.parent / f"{file.name}{_SUFFIX}", stack)
        elif tsdb is not None:
            path = _take(tsdb / _IN_TSDB, stack)
        else:
            raise ValueError("a stream needs no folder")
        yield WorkFolder(path, blocks or path)


def check_file(destination: Destination) -> None:
    """Raise OutputError where the file exists and may not be replaced."""
    file = destination.file
    if file is None or not os.path.lexists(file):
        return
    if not file.is_file():
        raise OutputError(f"{file} is no regular file: name another one, or write --output=-")
    if not destination.overwrite:
        raise OutputError(f"{file} exists: name another file, or set --overwrite")


def place_file(text: Path, destination: Destination, file: Path) -> None:
    """Move the text to its place in one step; raises OutputError."""
    try:
        with text.open("rb") as written:
            os.fsync(written.fileno())
        if destination.overwrite or not _try_to_link(text, file):
            check_file(destination)
            text.replace(file)
    except FileExistsError:
        raise OutputError(
            f"{file} exists now: set --overwrite and --resume, or name another file"
        ) from None
    except OSError as error:
        raise build_unwritable_error(file, error) from None


def build_unwritable_error(path: Path | str, error: OSError) -> OutputError:
    """Return the error for a path that cannot be written."""
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}): "
        "make it writable or make room, or name another place"
    )


def _try_to_link(text: Path, file: Path) -> bool:
    """Return the text its place as a link, which replaces nothing; some file systems have none."""
    try:
        os.link(text, file)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _take(folder: Path, stack: ExitStack) -> Path:
    """Make a folder where there is none, and lock it; raises OutputError."""
    with _report_output_errors(folder.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = stack.enter_context((folder / _LOCK).open("wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another backfill works in {folder}: wait for its end, or name another place"
            ) from None
    return folder


@contextmanager
def _report_output_errors(path: Path) -> Iterator[None]:
    """Raise OutputError where the path cannot be written."""
    try:
        yield
    except OSError as error:
        raise build_unwritable_error(path, error) from None


def _remove_entries(folder: Path, keep: tuple[str, ...]) -> None:
    """Remove what is in a folder, if it is there, but for names that begin as those to keep."""
    for entry in folder.glob("*"):
        if not entry.name.startswith(keep):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
