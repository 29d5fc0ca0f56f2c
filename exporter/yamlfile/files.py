"""Files that the operator named, read with a message for each way in which that fails."""

import os
import stat
import unicodedata
from pathlib import Path
from typing import Final

from exporter.process.resource_limits import ResourceLimit, find_resource_limit
from exporter.yamlfile.problems import ErrorCollector, Position

_NOT_EXPANDED: Final = "; '~' is not expanded to a home folder here, write the whole path"
MAX_FILE_BYTES = 4 * 1024 * 1024
"""Bytes; a configuration of a thousand accounts needs less than one megabyte."""

TYPOGRAPHIC_QUOTES: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
"""What word processors make of quotes: YAML takes them for letters."""


class FileError(Exception):
    """The file cannot be used; the message ends a sentence that begins with the file.

    ``limit`` is the limit of this process or machine that it comes from, if it does.
    """

    def __init__(self, cause: str, limit: ResourceLimit | None = None) -> None:
        super().__init__(cause)
        self.limit = limit


def read_bytes(file: Path, limit: int, *, stream: bool = False) -> bytes:
    """Read a file of at most ``limit`` bytes; a pipe is read too when ``stream`` is set.

    Raises FileError; what the file holds is never part of it.
    """
    reached = None
    try:
        return _read(file, limit, stream=stream)
    except FileNotFoundError:
        cause = "does not exist" + (_NOT_EXPANDED if "~" in file.parts else "")
    except NotADirectoryError:
        cause = "does not exist: a part of its path is a file"
    except PermissionError:
        cause = "may not be read by the user that runs the exporter; give that user the right"
    except OSError as error:
        reached = find_resource_limit(error)
        cause = f"cannot be read: {reached or os.strerror(error.errno or 0)}"
    except ValueError:
        cause = "has a name that no file can have"
    raise FileError(cause, reached)


def _read(file: Path, limit: int, *, stream: bool) -> bytes:
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise FileError("is a folder; name the file in it")
    # Opening a pipe waits for its writer, and a device may never end.
    if not stat.S_ISREG(mode) and not (stream and stat.S_ISFIFO(mode)):
        raise FileError("is no regular file")
    with file.open("rb") as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise FileError(f"is larger than {limit // 1024} KiB")
    return content


def read_text(path: Path, name: str, report: ErrorCollector, *, stream: bool) -> str | None:
    """Read a UTF-8 file, and a pipe too when ``stream`` is set.

    ``name`` is what the messages call it: "the configuration file". Returns None when it cannot
    be read; why is in the report.
    """
    try:
        content = read_bytes(path, MAX_FILE_BYTES, stream=stream)
    except FileError as error:
        report.add((), None, f"{name} {error}")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        position = Position(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        report.add((), position, "is not UTF-8 here; save the file as UTF-8")
        return None


def escape_surrogates(text: str) -> str:
    """Return a text that UTF-8 can hold: of a file's name, Python keeps other bytes as surrogates.

    Source: PEP 383.
    """
    return text.encode(errors="backslashreplace").decode()


def has_control_characters(text: str) -> bool:
    """Return whether a text holds control characters, line breaks or lone surrogates."""
    return any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def find_first_invisible(text: str) -> str | None:
    """Return the first character that no editor shows, such as ``U+00A0``, but for a tab."""
    found = next((char for char in text if not char.isprintable() and char != "\t"), None)
    return None if found is None else f"U+{ord(found):04X}"


def is_quoted(text: str) -> bool:
    """Return whether a text begins and ends with the same quote, or with typographic ones."""
    if len(text) > 1 and text[0] in TYPOGRAPHIC_QUOTES and text[-1] in TYPOGRAPHIC_QUOTES:
        return True
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def find_absolute_folder(path: Path, name: str, report: ErrorCollector) -> Path | None:
    """Return the folder of a file, where the relative paths in it begin.

    ``name`` is what the messages call the file. Return None where a relative path cannot be made
    absolute, because the working folder was deleted; that is added to the report.
    """
    try:
        return path.absolute().parent
    except FileNotFoundError:
        report.add(
            (),
            None,
            f"{name} is named by a relative path, and the folder that the exporter was started in "
            "does not exist any more; name it by an absolute path, or start in another folder",
        )
        return None
