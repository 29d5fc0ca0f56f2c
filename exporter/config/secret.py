"""A secret that can be read when it is needed and shows itself nowhere else."""

import hmac
import unicodedata
from pathlib import Path
from typing import Self

from exporter.process.resource_limits import ResourceLimit
from exporter.yamlfile.files import FileError, is_quoted, read_bytes

LARGEST_FILE = 64 * 1024
"""Bytes; a key is far smaller, so a larger file is the wrong one."""


class SecretError(Exception):
    """A secret's file cannot be used: `str()` names the file, `cause` says only why.

    Neither ever holds anything of the content. ``limit`` is the limit of this process or machine
    that kept the file from being read, if one did.
    """

    def __init__(self, file: Path, cause: str, limit: ResourceLimit | None = None) -> None:
        super().__init__(f"the secret's file {file} {cause}")
        self.cause = cause
        self.limit = limit


class Secret:
    """A text that is in the configuration, or in a file that is read again at every use.

    Two secrets are equal when they are the same text or the same file.
    """

    __slots__ = ("_file", "_text")

    def __init__(self, text: str = "", *, file: Path | None = None) -> None:
        self._text = text
        self._file = file

    def read(self) -> str:
        """Give the secret; one in a file as the file has it now, without space at its ends.

        Raises SecretError when the file is missing, unreadable, empty, too large or holds
        what no key holds.
        """
        return self._text if self._file is None else _read(self._file)

    @property
    def file(self) -> Path | None:
        """Return the file that has it; None where the configuration itself does."""
        return self._file

    def __repr__(self) -> str:
        """Show that there is a secret, and the file that has it."""
        return "Secret('***')" if self._file is None else f"Secret(file={str(self._file)!r})"

    def __eq__(self, other: object) -> bool:
        """Compare in a time that tells nothing of the text."""
        if not isinstance(other, Secret):
            return NotImplemented
        same_text = hmac.compare_digest(self._text.encode(), other._text.encode())
        return self._file == other._file and same_text

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((self._text, self._file))

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Give the secret itself, for it never changes."""
        return self

    def __getstate__(self) -> object:
        """Refuse to be pickled."""
        raise TypeError("a secret is not to be stored")


def text_fault(text: str) -> str | None:
    """Say what is wrong with a secret's text, or None when it can be used."""
    if not text:
        return "is empty"
    if is_quoted(text):
        return "begins and ends with quotes, which are no part of a secret; remove them"
    if any(char.isspace() for char in text):
        return "holds a space or a line break inside; a secret is one word"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text):
        return "holds a control character; a secret is one word of visible characters"
    return None


def _read(file: Path) -> str:
    try:
        content = read_bytes(file, LARGEST_FILE)
    except FileError as error:
        raise SecretError(file, str(error), error.limit) from None
    text = _decoded(content)
    fault = "is not UTF-8 text" if text is None else text_fault(text)
    if text is None or fault:
        raise SecretError(file, fault or "")
    return text


def _decoded(content: bytes) -> str | None:
    # UnicodeDecodeError holds the bytes, so nothing may be raised from it.
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
