"""Rules between values: duplicates, and what must not be missing.

They look at the values as written, not at the models, so that they are checked together with every
other mistake and not after it.
"""

from collections.abc import Iterable, Iterator

from exporter.yamlfile.document import Document, YamlValue
from exporter.yamlfile.problems import Loc, LocatedMessage


def find_broken_rules(document: Document) -> Iterator[LocatedMessage]:
    """Find each rule that the document breaks: the way to the place, and a message."""
    accounts = _get_items(document.value, "accounts")
    yield from _find_repeated_names(document)
    for index, account in enumerate(accounts):
        loc = ("accounts", index)
        paths = _get_items(_get_value(account, "files"), "paths")
        users = _get_items(_get_value(account, "disk_usage"), "cpu_users")
        yield from _find_duplicates(document, _list_paths(paths, (*loc, "files", "paths")))
        yield from _find_duplicates(document, _list_texts(users, (*loc, "disk_usage", "cpu_users")))
        for position, path in enumerate(paths):
            types = _get_items(path, "file_types")
            type_loc = (*loc, "files", "paths", position, "file_types")
            yield from _find_duplicates(document, _list_texts(types, type_loc))
        if _polls_nothing(account):
            yield (
                loc,
                "polls nothing; set disk_usage.enabled to true, or name paths in files.paths",
            )


def find_account_names(document: Document) -> Iterator[tuple[Loc, str]]:
    """Find the name of each account that has one, and the way to it."""
    for index, account in enumerate(_get_items(document.value, "accounts")):
        key = "name" if _has(account, "name") else "cdn"
        value = _get_value(account, key)
        if isinstance(value, str) or (key == "cdn" and type(value) is int):
            yield ("accounts", index, key), str(value)


def _find_repeated_names(document: Document) -> Iterator[LocatedMessage]:
    seen: dict[str, Loc] = {}
    for loc, name in find_account_names(document):
        first = seen.setdefault(name, loc)
        if first != loc:
            line = document.position(first).line
            yield (
                loc,
                f"names the same account as line {line}; give each a name of its own",
            )


def _find_duplicates(
    document: Document, texts: Iterable[tuple[Loc, str]]
) -> Iterator[LocatedMessage]:
    seen: dict[str, Loc] = {}
    for loc, text in texts:
        first = seen.setdefault(text, loc)
        if first != loc:
            yield loc, f"duplicate of line {document.position(first).line}; remove one"


def _list_paths(paths: tuple[YamlValue, ...], loc: Loc) -> Iterator[tuple[Loc, str]]:
    for index, item in enumerate(paths):
        path = _get_value(item, "path") if isinstance(item, dict) else item
        if isinstance(path, str):
            yield (*loc, index, "path") if isinstance(item, dict) else (*loc, index), path


def _list_texts(values: tuple[YamlValue, ...], loc: Loc) -> Iterator[tuple[Loc, str]]:
    for index, value in enumerate(values):
        if isinstance(value, str):
            yield (*loc, index), value


def _polls_nothing(account: YamlValue) -> bool:
    if is_disabled(account):
        return False
    files = _get_value(account, "files")
    without_paths = not _has(account, "files") or (
        isinstance(files, dict) and files.get("paths", ()) == ()
    )
    return is_disabled(_get_value(account, "disk_usage")) and without_paths


def is_disabled(section: YamlValue) -> bool:
    """Return whether a section as written has ``enabled: false``."""
    enabled = _get_value(section, "enabled")
    return enabled is False or (isinstance(enabled, str) and enabled.lower() == "false")


def _has(value: YamlValue, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _get_value(value: YamlValue, key: str) -> YamlValue:
    return value.get(key) if isinstance(value, dict) else None


def _get_items(value: YamlValue, key: str) -> tuple[YamlValue, ...]:
    items = _get_value(value, key)
    return items if isinstance(items, tuple) else ()
