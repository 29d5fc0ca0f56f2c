"""The format of responses: the plainest reading of the API's pages, and the hook for others.

The pages leave much open, see docs/api-notes.md. Tests and benchmarks bring the other readings:
``tests/support/api_variants.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Final, Protocol

from exporter.simulator.php import PhpValue
from exporter.simulator.simulated_accounts import Row, Usage, list_rows, list_thirty_days
from exporter.simulator.storage import Folder

COMPLETE: Final = 1
SKIPPED: Final = 0
PARTIAL: Final = -1

_FILES_PER_RESPONSE: Final = 100


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """One folder of a response.

    ``offset`` is set when the folder is partial. So is ``file_count``; some variants set that on
    complete folders, too.
    """

    files: tuple[str, ...] = ()
    folders: tuple[tuple[str, "ListedFolder"], ...] = ()
    loaded: int = COMPLETE
    offset: int = 0
    file_count: int = 0

    def file_total(self) -> int:
        """Return how many files the response shows of this folder, at any depth."""
        return len(self.files) + sum(folder.file_total() for _, folder in self.folders)


class ResponseFormat(Protocol):
    """What a response shows, and how it is written: a reading of the API's pages."""

    @property
    def content_type(self) -> str:
        """Return the Content-Type of every response."""

    def find_status(self, code: str | None) -> int:
        """Return the HTTP status of a failure with a code."""

    def list_rows(
        self,
        usage: Usage,
        cpu_users: Sequence[str],
        first: date,
        *,
        today: date,
        random: Random,
    ) -> list[Row]:
        """Return the rows of thirty days from the first; no CPU users means all."""

    def write_rows(self, rows: Sequence[Row], odd: Sequence[PhpValue]) -> PhpValue:
        """Return the rows of disk.usage, and after them the ``odd`` ones unchanged."""

    def list_folder(self, folder: Folder, file_type: str, offset: int) -> ListedFolder:
        """Return what one response shows of a folder, from an offset on."""

    def write_listing(self, path: str, listed: ListedFolder) -> Mapping[str, PhpValue]:
        """Return the content of a response of files.list."""

    def write_success(
        self, content: Mapping[str, PhpValue], message: str, seconds: float, *, is_listing: bool
    ) -> dict[str, PhpValue]:
        """Return the envelope of a success; ``seconds`` is how long the request took."""

    def write_failure(self, code: str | None, message: str, seconds: float) -> dict[str, PhpValue]:
        """Return the envelope of a failure; the code has four digits, or is None."""


class PublishedFormat:
    """The plainest reading of the API's pages: a response shows 100 files at most."""

    content_type = "application/json"

    def find_status(self, _code: str | None) -> int:
        """Return 200: failures have no HTTP status of their own."""
        return 200

    def list_rows(
        self, usage: Usage, cpu_users: Sequence[str], first: date, *, today: date, random: Random
    ) -> list[Row]:
        """Return the rows by day, then by CPU user, today's included."""
        del random
        return list_rows(usage, cpu_users, list_thirty_days(first, today))

    def write_rows(self, rows: Sequence[Row], odd: Sequence[PhpValue]) -> PhpValue:
        """Return a list of objects."""
        written: list[PhpValue] = [
            {
                "summary_date": row.day.isoformat(),
                "cpu_user": row.cpu_user,
                "bytes_total": row.bytes_total,
            }
            for row in rows
        ]
        return [*written, *odd]

    def list_folder(self, folder: Folder, file_type: str, offset: int) -> ListedFolder:
        """Return files first, then folders depth first, by name.

        An offset counts files and folders of the requested folder.
        """
        with folder.lock:
            return _Page(file_type).list_folder(folder, offset)

    def write_listing(self, path: str, listed: ListedFolder) -> Mapping[str, PhpValue]:
        """Return the requested folder by its path."""
        return {path: _write_folder(listed)}

    def write_success(
        self, content: Mapping[str, PhpValue], message: str, seconds: float, *, is_listing: bool
    ) -> dict[str, PhpValue]:
        """Return the rows next to the message, and a listing below ``data``."""
        return {
            **({"data": content} if is_listing else content),
            "message": message,
            "status": "success",
            "handle_time": f"{seconds:.4f} seconds",
        }

    def write_failure(self, code: str | None, message: str, seconds: float) -> dict[str, PhpValue]:
        """Return the code as text with leading zeros."""
        return {
            **({} if code is None else {"code": code}),
            "message": message,
            "status": "failure",
            "handle_time": f"{seconds:.4f} seconds",
        }


class _Page:
    """One response of files.list while it is built: how many files it may still show."""

    def __init__(self, file_type: str) -> None:
        self._file_type = file_type
        self._left = _FILES_PER_RESPONSE

    def list_folder(self, folder: Folder, offset: int) -> ListedFolder:
        """Return a folder with as many files as there is room for; a full page skips folders."""
        names = folder.names(self._file_type)
        files = tuple(names[offset : offset + max(0, self._left)])
        self._left -= len(files)
        folders = tuple(
            (
                name,
                self.list_folder(sub_folder, 0) if self._left > 0 else ListedFolder(loaded=SKIPPED),
            )
            for name, sub_folder in folder.folders()[max(0, offset - len(names)) :]
        )
        reached = offset + len(files)
        if reached >= len(names):
            return ListedFolder(files, folders)
        return ListedFolder(files, folders, PARTIAL, reached, len(names) + len(folder.folders()))


def _write_folder(listed: ListedFolder) -> PhpValue:
    """Return a folder as a list of one object, or ``[]`` for an empty one.

    An own member and a folder of the same name, such as ``__files``, collide as in PHP's array.
    """
    if listed.loaded == COMPLETE and not (listed.files or listed.folders):
        return []
    members: dict[str, PhpValue] = {}
    if listed.files:
        members["__files"] = listed.files
    members["__is_loaded"] = listed.loaded
    if listed.loaded == PARTIAL:
        members |= {"__offset": listed.offset, "__file_count": listed.file_count}
    return [members | {name: _write_folder(folder) for name, folder in listed.folders}]
