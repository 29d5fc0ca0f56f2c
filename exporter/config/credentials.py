"""An account's API key and secret: each stands in the configuration or in a file, never both."""

from pathlib import Path

from exporter.config.rules import is_disabled
from exporter.config.secret import Secret, SecretError, text_fault
from exporter.yamlfile.document import Document, Unusable, YamlValue
from exporter.yamlfile.problems import ErrorCollector, Loc

NAMES = ("api_key", "api_secret")


def read_credentials(document: Document, folder: Path, report: ErrorCollector) -> object:
    """Give the document's value with a Secret for each key and secret of an account.

    A relative `api_key_file` begins at `folder`. What cannot be read goes to the report, and an
    empty Secret stands in its place, so that the rest of the account can still be judged.
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
            return rest | {name: self._unread_secret(account, name) for name in NAMES}
        return rest | {name: self._secret(account, name, loc) for name in NAMES}

    def _unread_secret(self, account: dict[str, YamlValue], name: str) -> Secret:
        """Return a secret that is not used, because its account is disabled: it may be missing."""
        text, file = account.get(name), account.get(f"{name}_file")
        if isinstance(file, str) and file and text is None:
            return Secret(file=self._folder / file)
        return Secret(text.strip()) if isinstance(text, str) else Secret()

    def _secret(self, account: dict[str, YamlValue], name: str, loc: Loc) -> Secret:
        in_file = f"{name}_file"
        if name in account and in_file in account:
            position = self._document.key_position((*loc, in_file))
            self._report.add(
                (*loc, in_file), position, f"stands beside {name}; keep one of the two"
            )
        elif name in account:
            return self._inline(account[name], (*loc, name))
        elif in_file in account:
            return self._in_file(account[in_file], (*loc, in_file))
        else:
            message = f"is missing; write it, or {in_file} with the path of a file that holds it"
            self._report.add((*loc, name), self._document.key_position(loc), message)
        return Secret()

    def _inline(self, value: YamlValue, loc: Loc) -> Secret:
        text = self._text(value, loc)
        if text is None:
            return Secret()
        fault = text_fault(text.strip())
        if fault:
            self._report.add(loc, self._document.position(loc), fault)
        return Secret(text.strip())

    def _in_file(self, value: YamlValue, loc: Loc) -> Secret:
        text = self._text(value, loc)
        if text is None:
            return Secret()
        secret = Secret(file=self._folder / text)
        try:
            secret.read()
        except SecretError as error:
            # The file is not named: what stands here may be the secret itself, by mistake.
            self._report.add(loc, self._document.position(loc), f"names a file that {error.cause}")
        return secret

    def _text(self, value: YamlValue, loc: Loc) -> str | None:
        if isinstance(value, str) and value:
            return value
        if value in (None, ""):
            self._complain(loc, "is empty; write it, in quotes if it begins with a '#'")
        elif not isinstance(value, Unusable) or not self._report.has(
            loc, self._document.position(loc)
        ):
            self._complain(loc, "must be text; put it in quotes")
        return None

    def _complain(self, loc: Loc, message: str) -> None:
        self._report.add(loc, self._document.position(loc), message)
