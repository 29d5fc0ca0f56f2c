"""The command ``files.list``: the files and folders below a path, about a hundred per response."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, auto
from types import MappingProxyType
from typing import Final

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.json_values import (
    Json,
    JsonObject,
    SchemaError,
    as_int,
    as_list,
    as_mapping,
    as_str,
    as_sub_folders,
    describe_type,
    merge_folder_parts,
)
from exporter.scaleengine.redaction import quote_or_measure
from exporter.scaleengine.signing import FieldValue

COMMAND: Final = "files.list"

PAGE_SIZE: Final = 100
"""The files that a response lists at most, as the API page has it. It is not confirmed: the
walk does not rely on it, only estimates do."""

_FILES: Final = "__files"
_LOADED: Final = "__is_loaded"
_OFFSET: Final = "__offset"
_FILE_COUNT: Final = "__file_count"
_STATE: Final = frozenset({_LOADED, _OFFSET, _FILE_COUNT})
_RESERVED: Final = _STATE | {_FILES}
_ENVELOPE: Final = frozenset({"status", "message", "code", "handle_time"})
_RESERVED_PREFIX: Final = "__"
_ROOT: Final = "the requested folder"
_SHOWN: Final = 255
MAX_ENTRIES: Final = 100_000
"""Files and folders that one response may show: a thousand times what the API page says."""
_NAME_BYTES: Final = 255
_PATH_BYTES: Final = 4096
"""What file systems allow: ``NAME_MAX`` and ``PATH_MAX`` of Linux; FreeBSD has less."""


class LoadState(IntEnum):
    """What ``__is_loaded`` says of a folder (API page of ``files.list``)."""

    COMPLETE = 1
    """All files in the folder have been returned; its sub-folders may be incomplete."""
    SKIPPED = 0
    PARTIAL = -1


class FolderEncoding(Enum):
    """How the requested folder is written, where it has members."""

    OBJECT = auto()
    LIST_OF_OBJECTS = auto()
    """A list of objects that hold its parts; the published sample has one part."""


@dataclass(frozen=True, slots=True)
class FolderListing:
    """A folder as one response shows it, in the order of the response.

    ``loaded`` is None where the response does not say. ``next_offset`` is what the response gives
    for the next request of a folder that is not complete, if it gives anything; ``files_last``
    says that it names the files behind the sub-folders. ``entries`` is the
    ``__file_count`` of a partial folder: what it counts is not known, so it serves estimates only.
    """

    files: Sequence[str] = ()
    folders: Mapping[str, "FolderListing"] = field(default_factory=lambda: _NO_FOLDERS)
    loaded: LoadState | None = None
    next_offset: int | None = None
    entries: int | None = None
    files_last: bool = field(default=False, compare=False)
    all_files: int = field(init=False, compare=False)
    """The files that the response shows here and below."""
    all_folders: int = field(init=False, compare=False)
    """The folders that the response shows below, but for skipped ones."""
    skips_folders: bool = field(init=False, compare=False)
    """Whether the response marks this folder, or one below it, as skipped."""

    def __post_init__(self) -> None:
        """Count what is shown below."""
        children = self.folders.values()
        files = len(self.files) + sum(child.all_files for child in children)
        folders = sum(
            child.all_folders + (child.loaded is not LoadState.SKIPPED) for child in children
        )
        object.__setattr__(self, "all_files", files)
        skips = self.loaded is LoadState.SKIPPED or any(child.skips_folders for child in children)
        object.__setattr__(self, "all_folders", folders)
        object.__setattr__(self, "skips_folders", skips)

    @property
    def is_surely_folder(self) -> bool:
        """Return whether it has files or a flag: members of the API have neither."""
        return bool(self.files) or self.loaded is not None

    @property
    def is_empty(self) -> bool:
        """Return whether neither files nor sub-folders are shown."""
        return not self.files and not self.folders


_NO_FOLDERS: Final[Mapping[str, FolderListing]] = MappingProxyType({})
"""Shared: most folders have none, and a response may hold very many."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One response: the requested folder with all that is shown below it.

    ``fingerprint`` is equal for two responses that show the same files and folders in the same
    order. ``encoding`` is None where the requested folder has no members.
    """

    root: FolderListing
    encoding: FolderEncoding | None = None
    fingerprint: int = field(init=False)

    def __post_init__(self) -> None:
        """Compute the fingerprint."""
        fingerprint = 0
        unread = [("", self.root)]
        while unread:
            name, folder = unread.pop()
            fingerprint = hash((fingerprint, name, tuple(folder.files), len(folder.folders)))
            unread += reversed([*folder.folders.items()])
        object.__setattr__(self, "fingerprint", fingerprint)

    @property
    def files(self) -> int:
        """Return how many files the response shows, at any depth."""
        return self.root.all_files

    @property
    def entries(self) -> int:
        """Return how many files, and folders that are not skipped, the response shows."""
        return self.root.all_files + self.root.all_folders


def list_files(
    client: Client, credentials: Credentials, path: str, file_type: str, offset: int
) -> Listing:
    """Return one response for the path, skipping ``offset`` results. Raises ScaleEngineError."""
    fields: dict[str, FieldValue] = {"path": path, "type": file_type}
    if offset:
        fields["offset"] = offset
    return client.call(
        credentials, COMMAND, fields, lambda response: read_listing(response, path, offset)
    )


def may_be_api_member(folder_name: str) -> bool:
    """Return whether a name may be a member of the API that this exporter does not know.

    The four that are documented begin with two underscores. A folder may be named like that too,
    so such a name is a folder only if it can be listed separately.
    """
    return folder_name.startswith(_RESERVED_PREFIX)


def read_listing(response: JsonObject, path: str, offset: int = 0) -> Listing:
    """Read the listing of the path, which is next to the message or under ``data``.

    Where nothing of the type exists, ``data`` may be PHP's empty array; behind the last entry, at
    an offset above 0, the response may hold nothing at all. Raises SchemaError.
    """
    data = response.get("data")
    parts = data if isinstance(data, list) else [data or {}]
    holders = [response, *(as_mapping(part, "data") for part in parts)]
    found = [holder[path] for holder in holders if path in holder]
    if not found and (data in ([], {}) or (offset > 0 and response.keys() <= _ENVELOPE)):
        return Listing(FolderListing())
    if not found:
        raise SchemaError("it does not hold the requested path")
    if len(found) > 1:
        raise SchemaError(f"it holds the requested path {len(found)} times")
    tree = found[0]
    if isinstance(tree, list):
        encoding = FolderEncoding.LIST_OF_OBJECTS if tree else None
        return Listing(_read_tree(tree, _read_members_from_parts, path), encoding)
    encoding = None if tree == {} else FolderEncoding.OBJECT
    return Listing(_read_tree(tree, as_sub_folders, path), encoding)


def _read_members_from_parts(value: Json) -> JsonObject:
    """Return the members of a folder in a listing of lists; a single folder may be an object."""
    return value if isinstance(value, dict) else merge_folder_parts(value)


@dataclass(slots=True)
class _UnreadFolder:
    """A folder that is about to be read; ``path_bytes`` is the length of its whole path."""

    name: str
    value: Json
    path_bytes: int


def _read_tree(tree: Json, read_members: Callable[[Json], JsonObject], path: str) -> FolderListing:
    """Read a folder and all below it, in loops: a tree may be deeper than Python's stack.

    What a list means inside a listing depends on how the requested folder is written: otherwise a
    folder whose only sub-folder is named "0" could not be distinguished from a part.
    """
    unread = [_UnreadFolder("", tree, len(path.encode()))]
    parsed: list[tuple[FolderListing, Mapping[str, int]]] = []
    has_parts = read_members is _read_members_from_parts
    files = skipped = 0
    for folder in unread:  # grows while it is read
        if files + skipped + len(unread) > MAX_ENTRIES:
            raise SchemaError(f"it shows more than {MAX_ENTRIES} files and folders")
        try:
            members = read_members(folder.value)
            read = _read_folder(members, folder.path_bytes)
            children = _queue_children(members, folder, unread, has_parts=has_parts)
            parsed.append((read, children))
        except SchemaError as unexpected:
            name = f"folder {quote_or_measure(folder.name, _SHOWN)}" if folder.name else _ROOT
            raise SchemaError(f"{name}: {unexpected}") from None
        files += len(read.files)
        skipped += sum(child == _SKIPPED_INDEX for child in children.values())
    built: dict[int, FolderListing] = {}
    for index in reversed(range(len(parsed))):
        read, children = parsed[index]
        if children:
            folders = {
                key: _SKIPPED_FOLDER if child == _SKIPPED_INDEX else built.pop(child)
                for key, child in children.items()
            }
            read = replace(read, folders=folders)
        built[index] = read
    return built[0]


def _queue_children(
    members: JsonObject, parent: _UnreadFolder, unread: list[_UnreadFolder], *, has_parts: bool
) -> Mapping[str, int]:
    """Append the sub-folders to ``unread``; return where each is.

    A response may hold thousands of which it says no more than that they are skipped. These are
    not appended. ``has_parts`` says that a folder may be a list of its parts.
    """
    children: dict[str, int] = {}
    for key, member in members.items():
        if key not in _RESERVED and not _is_api_member(key, member):
            path_bytes = _count_path_bytes(_read_folder_name(key), parent.path_bytes)
            if _is_only_skipped(member, has_parts=has_parts):
                children[key] = _SKIPPED_INDEX
                continue
            children[key] = len(unread)
            unread.append(_UnreadFolder(key, member, path_bytes))
    return children or _NO_INDEXES


def _is_only_skipped(value: Json, *, has_parts: bool) -> bool:
    """Return whether a folder has nothing but the flag that it was skipped."""
    if has_parts and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or len(value) != 1:
        return False
    flag = value.get(_LOADED)
    return flag == 0 and isinstance(flag, int) and not isinstance(flag, bool)


_SKIPPED_INDEX: Final = -1
_SKIPPED_FOLDER: Final = FolderListing(loaded=LoadState.SKIPPED)
_NO_INDEXES: Final[Mapping[str, int]] = MappingProxyType({})


def _count_path_bytes(entry: str, parent_bytes: int) -> int:
    """Return the length of the path of a file or folder.

    Raises SchemaError where no file system has such a name or path.
    """
    size = len(entry) if entry.isascii() else len(entry.encode())
    if size > _NAME_BYTES:
        raise SchemaError(f"a name has {size} bytes, and the most is {_NAME_BYTES}")
    path_bytes = parent_bytes + 1 + size
    if path_bytes > _PATH_BYTES:
        raise SchemaError(f"a path has {path_bytes} bytes, and the most is {_PATH_BYTES}")
    return path_bytes


def _is_api_member(key: str, value: Json) -> bool:
    """Return whether a member cannot be a folder and has a name that the API may use itself."""
    if not may_be_api_member(key):
        return False
    if isinstance(value, list):
        return not all(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict)


def _read_folder(members: JsonObject, path_bytes: int) -> FolderListing:
    """Read a folder's own members; ``path_bytes`` is the length of its path."""
    loaded = _read_load_state(members)
    is_open = loaded in {None, LoadState.PARTIAL}
    return FolderListing(
        files=_read_files(as_list(members.get(_FILES, [])), path_bytes),
        loaded=loaded,
        next_offset=_read_count(members, _OFFSET, is_open=is_open),
        entries=_read_count(members, _FILE_COUNT, is_open=is_open),
        files_last=next(reversed([key for key in members if key not in _STATE]), None) == _FILES,
    )


def _read_files(names: Iterable[Json], path_bytes: int) -> Sequence[str]:
    files = tuple(map(as_str, names))
    for file in files:
        _count_path_bytes(file, path_bytes)
    if len(frozenset(files)) != len(files):
        raise SchemaError("it lists two files of one name, which cannot be counted apart")
    return files


def _read_load_state(members: JsonObject) -> LoadState | None:
    if _LOADED not in members:
        return None
    try:
        return LoadState(as_int(members[_LOADED]))
    except ValueError:
        raise SchemaError("__is_loaded is none of -1, 0 and 1") from None


def _read_count(members: JsonObject, key: str, *, is_open: bool) -> int | None:
    """Return a number that an open folder has; what a complete one has there means nothing.

    Null is PHP's way to say that there is none.
    """
    value = members.get(key)
    if isinstance(value, dict | list):
        raise SchemaError(f"{key} is {describe_type(value)}, or the name of a sub-folder")
    if value is None or not is_open:
        return None
    number = as_int(value)
    if number < 0:
        raise SchemaError(f"{key} is below zero")
    return number


def _read_folder_name(key: str) -> str:
    """Return the name of a folder; raises SchemaError for a name that no file system has."""
    if key in {"", ".", ".."} or "/" in key:
        raise SchemaError(f"a sub-folder cannot be named {quote_or_measure(key, _SHOWN)}")
    return as_str(key)
