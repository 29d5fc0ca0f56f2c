"""The text of a file that the operator wrote, and what no value in it should hold."""

import unicodedata
from pathlib import Path
from typing import Final

from exporter.documents.files import FileError, read_bytes
from exporter.documents.problems import ErrorCollector, Position

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes; a configuration of a thousand accounts needs less than one megabyte."""

TYPOGRAPHIC_QUOTES: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
"""What word processors make of quotes: YAML takes them for letters."""


def read_text(path: Path, name: str, report: ErrorCollector, *, stream: bool) -> str | None:
    """Read a UTF-8 file, and a pipe too when `stream` is set.

    `name` is what the sentences call it: "the configuration file". Gives None when it cannot
    be read; why stands in the report.
    """
    try:
        content = read_bytes(path, LARGEST_FILE, stream=stream)
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


def first_invisible(text: str) -> str | None:
    """Return the first character that no editor shows, such as ``U+00A0``, but for a tab."""
    found = next((char for char in text if not char.isprintable() and char != "\t"), None)
    return None if found is None else f"U+{ord(found):04X}"


def is_quoted(text: str) -> bool:
    """Return whether a text begins and ends with the same quote, or with typographic ones."""
    if len(text) > 1 and text[0] in TYPOGRAPHIC_QUOTES and text[-1] in TYPOGRAPHIC_QUOTES:
        return True
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def absolute_folder(path: Path, name: str, report: ErrorCollector) -> Path | None:
    """Return the folder of a file, where the relative paths in it begin.

    `name` is what the sentences call the file. Return None where a relative path cannot be made
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
