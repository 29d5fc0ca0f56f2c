"""How answers are written: the envelope, the folders and the rows, under every reading."""

from collections.abc import Mapping, Sequence

from exporter.simulator.listing import COMPLETE, PARTIAL, Listed
from exporter.simulator.php import Json, with_gaps
from exporter.simulator.readings import (
    Array,
    Code,
    Content,
    Empty,
    FolderShape,
    Loaded,
    Numbers,
    Readings,
)
from exporter.simulator.usage import Row


def success(
    content: Mapping[str, Json], message: str, readings: Readings, seconds: float, *, listing: bool
) -> dict[str, Json]:
    """Return the envelope of an answer; ``seconds`` is what handling the request took."""
    under_data = readings.content is Content.UNDER_DATA or (
        listing and readings.content is Content.PUBLISHED
    )
    return {
        **({"data": content} if under_data else content),
        "message": message,
        "status": "success",
        "handle_time": _handle_time(seconds),
    }


def failure(code: str, message: str, readings: Readings, seconds: float) -> dict[str, Json]:
    """Return the envelope of a refusal; the code is given as four digits."""
    forms: dict[Code, Json] = {
        Code.TEXT: code,
        Code.NUMBER: int(code),
        Code.SHORT_TEXT: str(int(code)),
    }
    return {
        "code": forms[readings.code],
        "message": message,
        "status": "failure",
        "handle_time": _handle_time(seconds),
    }


def rows(found: Sequence[Row], readings: Readings) -> Json:
    """Return the rows of disk.usage."""
    written: list[Json] = [
        {
            "summary_date": row.day.isoformat(),
            "cpu_user": row.cpu_user,
            "bytes_total": _number(row.bytes_total, readings),
        }
        for row in found
    ]
    return _array(written, readings.rows)


def folder(listed: Listed, readings: Readings, *, root: bool = True) -> Json:
    """Return a folder of files.list with all that is below it; the root is the requested one.

    An own member and a folder of the same name, such as ``__files``, collide as they do in PHP's
    array: the folder is what is left.
    """
    members: dict[str, Json] = {}
    bare = not (listed.files or listed.folders) and listed.loaded == COMPLETE
    written = not bare or readings.empty is Empty.WRITTEN
    if listed.files or (readings.empty is Empty.WRITTEN and listed.loaded == COMPLETE):
        members["__files"] = _array(listed.files, readings.files)
    if written and _has_flag(listed, readings, root=root):
        members["__is_loaded"] = _number(listed.loaded, readings)
    if listed.loaded == PARTIAL:
        members["__offset"] = _number(listed.offset, readings)
        members["__file_count"] = _number(listed.file_count, readings)
    for name, below in listed.folders:
        members[name] = folder(below, readings, root=False)
    if not members:
        return []
    if readings.folder is FolderShape.LIST:
        return [members]
    if readings.folder is FolderShape.PIECES:
        return [{name: member} for name, member in members.items()]
    return members


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


def _array(items: Sequence[Json], form: Array) -> Json:
    return with_gaps(items) if form is Array.GAPS else items


def _number(number: int, readings: Readings) -> Json:
    return str(number) if readings.numbers is Numbers.TEXT else number


def _handle_time(seconds: float) -> str:
    return f"{seconds:.4f} seconds"
