"""How answers are written: the envelope, the folders and the rows, under every reading."""

from collections.abc import Mapping, Sequence

from exporter.simulator.listing import COMPLETE, PARTIAL, SKIPPED, Listed
from exporter.simulator.php import PhpObject, PhpValue, with_gaps
from exporter.simulator.readings import (
    EXTRA_MEMBERS,
    Array,
    Code,
    CompleteOffset,
    Content,
    Empty,
    FolderShape,
    Loaded,
    Nothing,
    Numbers,
    OffsetWritten,
    Readings,
)
from exporter.simulator.simulated_accounts import Row
from exporter.simulator.storage import MemberOrder


def success(
    content: Mapping[str, PhpValue],
    message: str,
    readings: Readings,
    seconds: float,
    *,
    listing: bool,
) -> dict[str, PhpValue]:
    """Return the envelope of an answer; ``seconds`` is what handling the request took.

    A listing without content shows nothing, by the reading of it.
    """
    under_data = readings.content is Content.UNDER_DATA or (
        listing and readings.content is Content.PUBLISHED
    )
    if listing and not content:
        under_data = readings.nothing is Nothing.EMPTY_DATA
    return {
        **({"data": content} if under_data else content),
        "message": message,
        "status": "success",
        "handle_time": _handle_time(seconds),
    }


def failure(
    code: str | None, message: str, readings: Readings, seconds: float
) -> dict[str, PhpValue]:
    """Return the envelope of a refusal; the code is given as four digits, or None for none."""
    return {
        **({} if code is None else {"code": _code(code, readings)}),
        "message": message,
        "status": "failure",
        "handle_time": _handle_time(seconds),
    }


def _code(code: str, readings: Readings) -> PhpValue:
    forms: dict[Code, PhpValue] = {
        Code.TEXT: code,
        Code.NUMBER: int(code),
        Code.SHORT_TEXT: str(int(code)),
    }
    return forms[readings.code]


def rows(found: Sequence[Row], odd: Sequence[PhpValue], readings: Readings) -> PhpValue:
    """Return the rows of disk.usage, and behind them ``odd`` ones as they are."""
    written: list[PhpValue] = [
        {
            "summary_date": row.day.isoformat(),
            "cpu_user": row.cpu_user,
            "bytes_total": _number(row.bytes_total, readings),
        }
        for row in found
    ]
    return _array([*written, *odd], readings.rows)


def folder(listed: Listed, readings: Readings, *, root: bool = True) -> PhpValue:
    """Return a folder of files.list with all that is below it; the root is the requested one.

    Its own members stand where their files are listed: before its folders, or behind them as in
    the published sample. An own member and a folder of the same name, such as ``__files``, collide
    as they do in PHP's array: the folder is what is left.
    """
    below = {name: folder(inside, readings, root=False) for name, inside in listed.folders}
    own = _own_members(listed, readings, root=root)
    folders_first = readings.members is MemberOrder.FOLDERS_FIRST
    members = {**below, **own, **below} if folders_first else {**own, **below}
    if listed.loaded == SKIPPED and readings.skipped_object and not root:
        return PhpObject(members)
    if not members:
        return PhpObject() if readings.empty_object and not root else []
    shape = readings.folder if root else readings.sub_folder or readings.folder
    if shape is FolderShape.LIST:
        return [members]
    if shape is FolderShape.PIECES:
        return [{name: member} for name, member in members.items()]
    return members


def _own_members(listed: Listed, readings: Readings, *, root: bool) -> dict[str, PhpValue]:
    """Return what a folder says of itself: its files, its flag, its offset and its count."""
    members: dict[str, PhpValue] = {}
    is_complete = listed.loaded == COMPLETE
    is_bare = is_complete and not (listed.files or listed.folders)
    if listed.files or (readings.empty is Empty.WRITTEN and is_complete):
        members["__files"] = _array(listed.files, readings.files)
    if is_bare and readings.empty is Empty.OMITTED:
        return members
    if _has_flag(listed, readings, root=root):
        members["__is_loaded"] = _number(listed.loaded, readings)
    if _has_offset(readings, root=root):
        members |= _place(listed, readings)
    return members | {name: EXTRA_MEMBERS[name] for name in readings.extra_members}


def _place(listed: Listed, readings: Readings) -> dict[str, PhpValue]:
    """Return the offset and the count of a folder."""
    members: dict[str, PhpValue] = {}
    is_complete = listed.loaded == COMPLETE
    if listed.loaded == PARTIAL:
        members["__offset"] = _number(listed.offset, readings)
    elif is_complete and readings.complete_offset is not CompleteOffset.ABSENT:
        is_null = readings.complete_offset is CompleteOffset.NULL
        members["__offset"] = None if is_null else _number(0, readings)
    if listed.loaded == PARTIAL or (is_complete and readings.count_on_complete):
        members["__file_count"] = _number(listed.file_count, readings)
    return members


def _has_offset(readings: Readings, *, root: bool) -> bool:
    if root:
        return readings.offset_written is OffsetWritten.EVERYWHERE
    return readings.offset_written is not OffsetWritten.NOWHERE


def _has_flag(listed: Listed, readings: Readings, *, root: bool) -> bool:
    match readings.loaded:
        case Loaded.EVERYWHERE:
            return True
        case Loaded.NOT_ON_ROOT:
            return not root
        case Loaded.NOT_ON_COMPLETE:
            return root or listed.loaded != COMPLETE
        case Loaded.ONLY_UNFINISHED:
            return listed.loaded != COMPLETE
        case Loaded.NOWHERE:
            return False


def _array(items: Sequence[PhpValue], form: Array) -> PhpValue:
    return with_gaps(items) if form is Array.GAPS else items


def _number(number: int, readings: Readings) -> PhpValue:
    return str(number) if readings.numbers is Numbers.TEXT else number


def _handle_time(seconds: float) -> str:
    return f"{seconds:.4f} seconds"
