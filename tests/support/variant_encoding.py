"""How responses are written: the envelope, the folders and the rows, under every reading."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exporter.simulator.php import PhpObject, PhpValue, with_gaps
from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, ListedFolder
from exporter.simulator.simulated_accounts import Row
from exporter.simulator.storage import MemberOrder
from tests.support.variant_switches import (
    EXTRA_MEMBERS,
    Array,
    Code,
    CompleteOffset,
    Content,
    Empty,
    FolderShape,
    LoadFlagPlacement,
    Nothing,
    Numbers,
    OffsetWritten,
)

if TYPE_CHECKING:
    from tests.support.api_variants import ApiVariant


def success(
    content: Mapping[str, PhpValue],
    message: str,
    variant: "ApiVariant",
    seconds: float,
    *,
    listing: bool,
) -> dict[str, PhpValue]:
    """Return the envelope of a response; ``seconds`` is what handling the request took.

    A listing without content shows nothing, by the reading of it.
    """
    under_data = variant.content is Content.UNDER_DATA or (
        listing and variant.content is Content.PUBLISHED
    )
    if listing and not content:
        under_data = variant.nothing is Nothing.EMPTY_DATA
    return {
        **({"data": content} if under_data else content),
        "message": message,
        "status": "success",
        "handle_time": _handle_time(seconds),
    }


def failure(
    code: str | None, message: str, variant: "ApiVariant", seconds: float
) -> dict[str, PhpValue]:
    """Return the envelope of a refusal; the code is given as four digits, or None for none."""
    return {
        **({} if code is None else {"code": _code(code, variant)}),
        "message": message,
        "status": "failure",
        "handle_time": _handle_time(seconds),
    }


def _code(code: str, variant: "ApiVariant") -> PhpValue:
    forms: dict[Code, PhpValue] = {
        Code.TEXT: code,
        Code.NUMBER: int(code),
        Code.SHORT_TEXT: str(int(code)),
    }
    return forms[variant.code]


def rows(found: Sequence[Row], odd: Sequence[PhpValue], variant: "ApiVariant") -> PhpValue:
    """Return the rows of disk.usage, and behind them ``odd`` ones as they are."""
    written: list[PhpValue] = [
        {
            "summary_date": row.day.isoformat(),
            "cpu_user": row.cpu_user,
            "bytes_total": _number(row.bytes_total, variant),
        }
        for row in found
    ]
    return _array([*written, *odd], variant.rows)


def folder(listed: ListedFolder, variant: "ApiVariant", *, root: bool = True) -> PhpValue:
    """Return a folder of files.list with all that is below it; the root is the requested one.

    Its own members stand where their files are listed: before its folders, or behind them as in
    the published sample. An own member and a folder of the same name, such as ``__files``, collide
    as they do in PHP's array: the folder is what is left.
    """
    below = {name: folder(inside, variant, root=False) for name, inside in listed.folders}
    own = _own_members(listed, variant, root=root)
    folders_first = variant.members is MemberOrder.FOLDERS_FIRST
    members = {**below, **own, **below} if folders_first else {**own, **below}
    if listed.loaded == SKIPPED and variant.skipped_object and not root:
        return PhpObject(members)
    if not members:
        return PhpObject() if variant.empty_object and not root else []
    shape = variant.folder if root else variant.sub_folder or variant.folder
    if shape is FolderShape.LIST:
        return [members]
    if shape is FolderShape.PIECES:
        return [{name: member} for name, member in members.items()]
    return members


def _own_members(listed: ListedFolder, variant: "ApiVariant", *, root: bool) -> dict[str, PhpValue]:
    """Return what a folder says of itself: its files, its flag, its offset and its count."""
    members: dict[str, PhpValue] = {}
    is_complete = listed.loaded == COMPLETE
    is_bare = is_complete and not (listed.files or listed.folders)
    if listed.files or (variant.empty is Empty.WRITTEN and is_complete):
        members["__files"] = _array(listed.files, variant.files)
    if is_bare and variant.empty is Empty.OMITTED:
        return members
    if _has_flag(listed, variant, root=root):
        members["__is_loaded"] = _number(listed.loaded, variant)
    if _has_offset(variant, root=root):
        members |= _place(listed, variant)
    return members | {name: EXTRA_MEMBERS[name] for name in variant.extra_members}


def _place(listed: ListedFolder, variant: "ApiVariant") -> dict[str, PhpValue]:
    """Return the offset and the count of a folder."""
    members: dict[str, PhpValue] = {}
    is_complete = listed.loaded == COMPLETE
    if listed.loaded == PARTIAL:
        members["__offset"] = _number(listed.offset, variant)
    elif is_complete and variant.complete_offset is not CompleteOffset.ABSENT:
        is_null = variant.complete_offset is CompleteOffset.NULL
        members["__offset"] = None if is_null else _number(0, variant)
    if listed.loaded == PARTIAL or (is_complete and variant.count_on_complete):
        members["__file_count"] = _number(listed.file_count, variant)
    return members


def _has_offset(variant: "ApiVariant", *, root: bool) -> bool:
    if root:
        return variant.offset_written is OffsetWritten.EVERYWHERE
    return variant.offset_written is not OffsetWritten.NOWHERE


def _has_flag(listed: ListedFolder, variant: "ApiVariant", *, root: bool) -> bool:
    match variant.loaded:
        case LoadFlagPlacement.EVERYWHERE:
            return True
        case LoadFlagPlacement.NOT_ON_ROOT:
            return not root
        case LoadFlagPlacement.NOT_ON_COMPLETE:
            return root or listed.loaded != COMPLETE
        case LoadFlagPlacement.ONLY_UNFINISHED:
            return listed.loaded != COMPLETE
        case LoadFlagPlacement.NOWHERE:
            return False


def _array(items: Sequence[PhpValue], form: Array) -> PhpValue:
    return with_gaps(items) if form is Array.GAPS else items


def _number(number: int, variant: "ApiVariant") -> PhpValue:
    return str(number) if variant.numbers is Numbers.TEXT else number


def _handle_time(seconds: float) -> str:
    return f"{seconds:.4f} seconds"
