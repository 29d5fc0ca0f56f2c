"""The command ``files.list``: the files and folders below a path, a hundred files an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import Final

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.json_values import (
    Json,
    Members,
    UnexpectedError,
    indexed,
    items,
    mapping,
    merged,
    name,
    whole_number,
)
from exporter.scaleengine.signing import Value

COMMAND: Final = "files.list"

FILES_PER_ANSWER: Final = 100
"""An answer lists at most this many files; one that does may have left something out."""

_OWN: Final = frozenset({"__files", "__is_loaded", "__offset", "__file_count"})
_SHOWN: Final = 80


class Loaded(IntEnum):
    """What ``__is_loaded`` says of a folder."""

    WHOLE = 1
    SKIPPED = 0
    PARTLY = -1


class Form(Enum):
    """How the folders of an answer are written."""

    MAPPING = auto()
    """Each is a mapping."""
    PARTS = auto()
    """Each is a list of mappings, which hold its parts; the published sample has one part."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as one answer shows it.

    ``loaded`` is None where the answer does not say. ``next_offset`` and ``entries`` (how many
    files and folders there are in it) are given for a folder that is partly loaded.
    """

    files: Sequence[str] = ()
    folders: dict[str, "Folder"] = field(default_factory=dict)
    loaded: Loaded | None = None
    next_offset: int | None = None
    entries: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer: the folder that was asked for, and whether the answer is full.

    ``form`` is that of its folders, where the answer tells.
    """

    root: Folder
    full: bool
    form: Form | None = None


def list_files(
    client: Client, credentials: Credentials, path: str, file_type: str, offset: int
) -> Listing:
    """Return one answer for the path, skipping ``offset`` results. Raises ScaleEngineError."""
    fields: dict[str, Value] = {"path": path, "type": file_type}
    if offset:
        fields["offset"] = offset
    return client.call(credentials, COMMAND, fields, lambda answer: read_listing(answer, path))


def read_listing(answer: Members, path: str) -> Listing:
    """Read the listing of the path, which stands beside the message or under ``data``.

    All folders of an answer have one form, which the requested one tells: otherwise a folder whose
    only sub-folder is named "0" could not be told from a part. Raises UnexpectedError.
    """
    below = answer.get("data")
    places = [answer, *map(mapping, below if isinstance(below, list) else [below or {}])]
    found = [place[path] for place in places if path in place]
    if len(found) != 1:
        raise UnexpectedError(f"it holds the path {len(found)} times")
    tree = found[0]
    if isinstance(tree, list):
        return _read_tree(tree, merged, Form.PARTS if tree else None)
    return _read_tree(tree, indexed, Form.MAPPING)


def _read_tree(tree: Json, read: Callable[[Json], Members], form: Form | None) -> Listing:
    """Read a folder and all below it, in a loop: a tree may be deeper than Python's stack."""
    top: dict[str, Folder] = {}
    unread: list[tuple[dict[str, Folder], str, Json]] = [(top, "", tree)]
    files = 0
    while unread:
        siblings, called, value = unread.pop()
        try:
            members = read(value)
            folder = _read_folder(members)
            below = [
                (folder.folders, _folder_name(key), members[key])
                for key in members
                if key not in _OWN
            ]
        except UnexpectedError as unexpected:
            raise UnexpectedError(f"folder {called[:_SHOWN]!r}: {unexpected}") from None
        siblings[called] = folder
        files += len(folder.files)
        unread += below
    return Listing(top[""], files >= FILES_PER_ANSWER, form)


def _read_folder(members: Members) -> Folder:
    return Folder(
        files=tuple(name(item) for item in items(members.get("__files", []))),
        loaded=_loaded(members),
        next_offset=_count(members, "__offset"),
        entries=_count(members, "__file_count"),
    )


def _loaded(members: Members) -> Loaded | None:
    if "__is_loaded" not in members:
        return None
    try:
        return Loaded(whole_number(members["__is_loaded"]))
    except ValueError:
        raise UnexpectedError("__is_loaded is none of -1, 0 and 1") from None


def _count(members: Members, key: str) -> int | None:
    if key not in members:
        return None
    number = whole_number(members[key])
    if number < 0:
        raise UnexpectedError(f"{key} is below zero")
    return number


def _folder_name(key: str) -> str:
    """Return the name of a folder; one that no file system has could lead a walk astray."""
    if key in {"", ".", ".."} or "/" in key:
        raise UnexpectedError(f"a sub-folder cannot be named {key[:_SHOWN]!r}")
    return name(key)
