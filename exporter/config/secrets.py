"""A secret that can be read when it is needed and shows itself nowhere else."""

import hmac
import unicodedata
from pathlib import Path
from typing import Self

from exporter.config.rules import is_disabled
from exporter.process.resource_limits import ResourceLimit
from exporter.yamlfile.document import Document, UnusableScalar, YamlValue
from exporter.yamlfile.files import FileError, is_quoted, read_bytes
from exporter.yamlfile.problems import ErrorCollector, Loc

MAX_SECRET_BYTES = 64 * 1024
"""Bytes; a key is far smaller, so a larger file is the wrong one."""
NAMES = ("api_key", "api_secret")


class SecretError(Exception):
    """A secret's file cannot be used: ``str()`` names the file, ``cause`` says only why.

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
        """Return the secret; one in a file as the file has it now, without space at its ends.

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
        """Compare in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        same_text = hmac.compare_digest(self._text.encode(), other._text.encode())
        return self._file == other._file and same_text

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((self._text, self._file))

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return the secret itself, for it never changes."""
        return self

    def __getstate__(self) -> object:
        """Refuse to be pickled."""
        raise TypeError("a secret is not to be stored")


def find_text_fault(text: str) -> str | None:
    """Return what is wrong with a secret's text, or None when it can be used."""
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
        content = read_bytes(file, MAX_SECRET_BYTES)
    except FileError as error:
        raise SecretError(file, str(error), error.limit) from None
    text = _decode(content)
    fault = "is not UTF-8 text" if text is None else find_text_fault(text)
    if text is None or fault:
        raise SecretError(file, fault or "")
    return text


def _decode(content: bytes) -> str | None:
    # UnicodeDecodeError holds the bytes, so nothing may be raised from it.
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None


def replace_secrets(document: Document, folder: Path, report: ErrorCollector) -> object:
    """Return the document's value with a Secret for each key and secret of an account.

    A relative ``api_key_file`` begins at ``folder``. What cannot be read goes to the report, and an
    empty Secret is in its place, so that the rest of the account can still be judged.
    """
    top = document.value
    if not isinstance(top, dict) or not isinstance(accounts := top.get("accounts"), tuple):
        return top
    reader = _Reader(document, folder, report)
    return {
        **top,
        "accounts": tuple(
            reader.account(account, ("accounts", index)) if isinstance(account, dict) else account
            for index, account in enumerate(accounts)
        ),
    }


class _Reader:
    def __init__(self, document: Document, folder: Path, report: ErrorCollector) -> None:
        self._document = document
        self._folder = folder
        self._report = report

    def account(self, account: dict[str, YamlValue], loc: Loc) -> dict[str, object]:
        in_files = {f"{name}_file" for name in NAMES}
        rest = {key: value for key, value in account.items() if key not in in_files}
        if is_disabled(account):
            return rest | {name: self._read_unused_secret(account, name) for name in NAMES}
        return rest | {name: self._read_secret(account, name, loc) for name in NAMES}

    def _read_unused_secret(self, account: dict[str, YamlValue], name: str) -> Secret:
        """Return a secret that is not used, because its account is disabled: it may be missing."""
        text, file = account.get(name), account.get(f"{name}_file")
        if isinstance(file, str) and file and text is None:
            return Secret(file=self._folder / file)
        return Secret(text.strip()) if isinstance(text, str) else Secret()

    def _read_secret(self, account: dict[str, YamlValue], name: str, loc: Loc) -> Secret:
        in_file = f"{name}_file"
        if name in account and in_file in account:
            position = self._document.key_position((*loc, in_file))
            self._report.add((*loc, in_file), position, f"conflicts with {name}; keep one of them")
        elif name in account:
            return self._read_inline_secret(account[name], (*loc, name))
        elif in_file in account:
            return self._read_secret_file(account[in_file], (*loc, in_file))
        else:
            message = f"is missing; write it, or {in_file} with the path of a file that holds it"
            self._report.add((*loc, name), self._document.key_position(loc), message)
        return Secret()

    def _read_inline_secret(self, value: YamlValue, loc: Loc) -> Secret:
        text = self._read_text(value, loc)
        if text is None:
            return Secret()
        fault = find_text_fault(text.strip())
        if fault:
            self._report.add(loc, self._document.position(loc), fault)
        return Secret(text.strip())

    def _read_secret_file(self, value: YamlValue, loc: Loc) -> Secret:
        text = self._read_text(value, loc)
        if text is None:
            return Secret()
        secret = Secret(file=self._folder / text)
        try:
            secret.read()
        except SecretError as error:
            # The file is not named: the value may be the secret itself, by mistake.
            self._report.add(loc, self._document.position(loc), f"names a file that {error.cause}")
        return secret

    def _read_text(self, value: YamlValue, loc: Loc) -> str | None:
        if isinstance(value, str) and value:
            return value
        if value in (None, ""):
            self._complain(loc, "is empty; write it, in quotes if it begins with a '#'")
        elif not isinstance(value, UnusableScalar) or not self._report.has(
            loc, self._document.position(loc)
        ):
            self._complain(loc, "must be text; put it in quotes")
        return None

    def _complain(self, loc: Loc, message: str) -> None:
        self._report.add(loc, self._document.position(loc), message)
