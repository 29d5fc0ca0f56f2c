"""The command ``disk.usage``: bytes per CPU user and day, for thirty days."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import permutations
from typing import Final, TypeAlias, TypeVar

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.errors import ProtocolError, ResponseTooLargeError
from exporter.scaleengine.json_memory import ConvertedObjects
from exporter.scaleengine.json_values import (
    Converted,
    Json,
    JsonObject,
    ObjectHook,
    SchemaError,
    as_int,
    as_str,
    describe_type,
    take_list,
)
from exporter.scaleengine.signing import FieldValue, encode_fields

T = TypeVar("T")

COMMAND: Final = "disk.usage"

_DAYS_BEFORE_TODAY: Final = 29
_DAY_SECONDS: Final = 86_400
_UNIX_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|\+00:?00)?)?"
)
"""A date, or a date with a time of day that is UTC or has no zone."""
_MAX_NAME: Final = 80
"""Characters of a CPU user's name that a message shows; a longer one is not cut but left out.

A cut could go through a secret that the API echoes, and the rest would not be recognized.
"""

_NAME_USERS: Final = (
    "name the users in disk_usage.cpu_users: they are then asked for in several requests"
)

_ROW_MEMBERS: Final = frozenset({"summary_date", "cpu_user", "bytes_total"})
_IN_THE_FUTURE: Final = "summary_date is in the future"
_ROWS_PER_USER: Final = 31
"""Thirty days, and the one that has not begun, which some readings of the page allow."""
_BYTES_PER_ROW: Final = 256
"""Bytes of a row without the user's name: twice what the published sample's rows take."""
_MAX_REJECTED: Final = 100_000
"""Different rows of one response that may be rejected one by one; beyond, it is no disk usage."""
MAX_USERS: Final = 100_000
"""CPU users of one response. A body of 32 MiB has room for thirty days of fifteen thousand."""
_BYTES_OF_ENVELOPE: Final = 64 * 1024


class RowFault(StrEnum):
    """Why a row is rejected: the closed set of the label ``reason`` of rejected rows."""

    NOT_AN_OBJECT = "not_an_object"
    INVALID_USER = "invalid_user"
    INVALID_DAY = "invalid_day"
    FUTURE_DAY = "future_day"
    """The day is after tomorrow."""
    INVALID_BYTES = "invalid_bytes"
    CONFLICTING_BYTES = "conflicting_bytes"
    """Several rows of the user and day, with different bytes."""


@dataclass(frozen=True, slots=True)
class UsageRow(Converted):
    """The bytes of one CPU user on one day.

    What the user "" means is not documented: perhaps the whole account, perhaps files of no user.
    """

    day: date
    cpu_user: str
    bytes_total: int


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used: what is wrong with it, and its user and day if they are readable.

    ``problem`` names types and members, never values.
    """

    fault: RowFault
    cpu_user: str | None
    day: date | None
    problem: str

    def __str__(self) -> str:
        """Return user, day and problem as a log line shows them."""
        user = "no readable user" if self.cpu_user is None else quote_user(self.cpu_user)
        return f"{user}, {self.day or 'no readable day'}: {self.problem}"


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The content of one response.

    ``rows`` has at most one row of a user and day, in the order of the response. A day with a
    rejected row is not in it. ``rejected`` has the number of rows that are rejected alike.
    ``starttime`` is the unix time at which the thirty days start, in seconds.
    """

    rows: Sequence[UsageRow]
    rejected: Mapping[RejectedRow, int]
    starttime: int


def request_disk_usage(
    client: Client,
    credentials: Credentials,
    cpu_users: Sequence[str],
    starttime: int | None = None,
) -> UsageReport:
    """Return the rows of thirty days: those up to today, or from ``starttime`` (unix time) on.

    Without ``cpu_users`` the field ``cpu`` is "", which is taken to ask for every user. Raises
    ScaleEngineError.
    """
    return read_disk_usage(client, credentials, cpu_users, lambda report: report, starttime)


def read_disk_usage(
    client: Client,
    credentials: Credentials,
    cpu_users: Sequence[str],
    read: Callable[[UsageReport], T],
    starttime: int | None = None,
) -> T:
    """Return what ``read`` makes of the rows, while no other large response is parsed.

    Three hundred thousand rows take 35 MB: those of several responses would add up. Raises
    ScaleEngineError.
    """
    start = compute_window_start(client.time.now()) if starttime is None else starttime
    fields: dict[str, FieldValue] = {"cpu": _build_users_field(cpu_users), "starttime": start}

    def read_response(response: JsonObject) -> T:
        rows, rejected = read_usage(response, _get_tomorrow(client.time.latest()))
        return read(UsageReport(rows, rejected, start))

    try:
        return client.call(credentials, COMMAND, fields, read_response, ROW_HOOK)
    except ResponseTooLargeError as error:
        advice = error.advice if cpu_users else _NAME_USERS
        raise ProtocolError(COMMAND, error.cause, advice) from None


def compute_window_start(now: float) -> int:
    """Return 00:00 UTC, 29 days ago, as unix time in seconds.

    The API gives thirty days from there. Whether it counts the last one is not documented; so
    today is inside in either case.
    """
    return (int(now // _DAY_SECONDS) - _DAYS_BEFORE_TODAY) * _DAY_SECONDS


def split_users(cpu_users: Sequence[str], max_bytes: int) -> list[tuple[str, ...]]:
    """Split CPU users into batches, so that a response for one takes at most ``max_bytes``.

    The size is that of thirty-one rows with the longest name. No users make one batch of none.
    """
    longest = max((len(encode_fields({"": user})) for user in cpu_users), default=0)
    per_user = _ROWS_PER_USER * (_BYTES_PER_ROW + longest)
    size = max(1, (max_bytes - _BYTES_OF_ENVELOPE) // per_user)
    starts = range(0, max(1, len(cpu_users)), size)
    return [tuple(cpu_users[start : start + size]) for start in starts]


_Rows: TypeAlias = tuple[Sequence[UsageRow], Mapping[RejectedRow, int]]


def convert_row(found: dict[str, Json]) -> Json:
    """Return a row in the place of a mapping that is one, and any other mapping as it is.

    A response may have three hundred thousand rows: as mappings they take twice the memory.
    """
    if found.keys() != _ROW_MEMBERS:
        return found
    try:
        return _read_usage_row(found)
    except SchemaError:
        return found


def _compile_row_pattern() -> re.Pattern[bytes]:
    """Return what matches the text of a row that ``convert_row`` converts in any case.

    Such are its members, in any order, as PHP prints them. A row of 29 February does not match.
    """
    day = (
        rb"20[0-9]{2}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
        rb"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    )
    members = (
        rb'"summary_date": ?"' + day + rb'"',
        rb'"cpu_user": ?"' + _USER_TEXT + rb'"',
        rb'"bytes_total": ?(?:[0-9]{1,18}|"[0-9]{1,18}")',
    )
    orders = (rb", ?".join(order) for order in permutations(members))
    return re.compile(rb"\{(?:" + rb"|".join(orders) + rb")\}")


_USER_TEXT: Final = (
    rb'(?:[^"\\\0-\x1f]++|\\["\\/bfnrt]|\\u(?!d[89a-f])[0-9a-f]{4}'
    rb"|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})*+"
)
"""The text of a JSON string without half of a surrogate pair."""
_ROW_MEMORY: Final = 112
"""A UsageRow of 64 bytes and a date of 48, as the C library counts them; the bytes come on top."""

ROW_HOOK: Final = ObjectHook(
    convert_row,
    ConvertedObjects(
        _compile_row_pattern(),
        re.compile(rb'"cpu_user": ?"(' + _USER_TEXT + rb')"'),
        len(_ROW_MEMBERS),
        _ROW_MEMORY,
    ),
)


def read_usage(response: JsonObject, latest_day: date) -> _Rows:
    """Read the rows of a response: those that can be used, and the number of the others.

    Rows of a day after ``latest_day`` are rejected. Raises SchemaError where there is no list
    of rows, or where there are two lists (next to the message and under ``data``) that differ.
    """
    data = response.get("data")
    places = (response, data if isinstance(data, dict) else {})
    found = [_read_rows(place["usage"], latest_day) for place in places if "usage" in place]
    if not found:
        raise SchemaError("it has no usage")
    if any(_compare_by_key(other) != _compare_by_key(found[0]) for other in found[1:]):
        raise SchemaError("it has two lists of usage, and they differ")
    return found[0]


def _compare_by_key(rows: _Rows) -> tuple[frozenset[UsageRow], Mapping[RejectedRow, int]]:
    """Return what two lists of the same rows have in common, in any order."""
    return frozenset(rows[0]), rows[1]


def quote_user(cpu_user: str) -> str:
    """Return a CPU user's name as a message shows it: quoted, and of bounded length."""
    if len(cpu_user) <= _MAX_NAME:
        return repr(cpu_user)
    return f"a user with a name of {len(cpu_user)} characters"


def _build_users_field(cpu_users: Sequence[str]) -> FieldValue:
    match cpu_users:
        case []:
            return ""
        case [only]:
            return only
    return cpu_users


def _get_tomorrow(now: float) -> date:
    """Return the day after that of a unix time, UTC; within what the calendar holds."""
    ordinal = _UNIX_EPOCH + int(now // _DAY_SECONDS) + 1
    return date.fromordinal(max(1, min(ordinal, date.max.toordinal())))


def _read_rows(rows: Json, latest_day: date) -> _Rows:
    """Read a list of rows, which is empty afterwards: it may be very long."""
    read_rows: list[UsageRow] = []
    first: dict[str, dict[date, UsageRow]] = {}
    repeated: defaultdict[tuple[str, date], list[UsageRow]] = defaultdict(list)
    rejected: Counter[RejectedRow] = Counter()
    for written in take_list(rows):
        row = _read_row(written, latest_day)
        if isinstance(row, RejectedRow):
            rejected[row] += 1
            if len(rejected) > _MAX_REJECTED:
                raise SchemaError(f"more than {_MAX_REJECTED} different rows cannot be read")
            continue
        known = first.setdefault(row.cpu_user, {}).setdefault(row.day, row)
        if len(first) > MAX_USERS:
            raise SchemaError(f"it shows more than {MAX_USERS} CPU users")
        if known is row:
            read_rows.append(row)
        else:
            repeated[row.cpu_user, row.day].append(row)
    for (cpu_user, day), others in repeated.items():
        if any(other != first[cpu_user][day] for other in others):
            problem = "several rows with different bytes_total"
            conflict = RejectedRow(RowFault.CONFLICTING_BYTES, cpu_user, day, problem)
            rejected[conflict] = 1 + len(others)
    unusable = {(row.cpu_user, row.day) for row in rejected}
    return tuple(row for row in read_rows if (row.cpu_user, row.day) not in unusable), rejected


def _read_row(row: Json, latest_day: date) -> UsageRow | RejectedRow:
    if isinstance(row, UsageRow):
        if row.day <= latest_day:
            return row
        return RejectedRow(RowFault.FUTURE_DAY, row.cpu_user, row.day, _IN_THE_FUTURE)
    if not isinstance(row, dict):
        problem = f"the row must be a mapping, is {describe_type(row)}"
        return RejectedRow(RowFault.NOT_AN_OBJECT, None, None, problem)
    try:
        usage = _read_usage_row(row)
    except (SchemaError, KeyError):
        return _reject(row, latest_day)
    return usage if usage.day <= latest_day else _reject(row, latest_day)


def _read_usage_row(row: JsonObject) -> UsageRow:
    """Return a row; raises SchemaError and KeyError where it is none."""
    return UsageRow(
        _read_day(row["summary_date"]), as_str(row["cpu_user"]), _read_bytes(row["bytes_total"])
    )


def _reject(row: JsonObject, latest_day: date) -> RejectedRow:
    """Return what is wrong with a row, and of its user and day what can be read."""
    cpu_user = _read_member(row, "cpu_user", as_str)
    day = _read_member(row, "summary_date", _read_day)
    bytes_total = _read_member(row, "bytes_total", _read_bytes)
    fault, problem = RowFault.FUTURE_DAY, _IN_THE_FUTURE
    if not isinstance(day, date) or day <= latest_day:
        fault, problem = next(
            (fault, str(value))
            for fault, value in (
                (RowFault.INVALID_USER, cpu_user),
                (RowFault.INVALID_DAY, day),
                (RowFault.INVALID_BYTES, bytes_total),
            )
            if isinstance(value, SchemaError)
        )
    return RejectedRow(
        fault,
        cpu_user if isinstance(cpu_user, str) else None,
        day if isinstance(day, date) else None,
        problem,
    )


def _read_member(row: JsonObject, key: str, read: Callable[[Json], T]) -> T | SchemaError:
    """Return a member of a row, or why it cannot be read."""
    if key not in row:
        return SchemaError(f"{key} is missing")
    try:
        return read(row[key])
    except SchemaError as unexpected:
        return SchemaError(f"{key}: {unexpected}")


def _read_day(value: Json) -> date:
    if not isinstance(value, str):
        raise SchemaError(f"must be a date, is {describe_type(value)}")
    return _parse_day(value)


@lru_cache(maxsize=256)  # a response has a row for each user, and thirty different days
def _parse_day(text: str) -> date:
    """Return the day of a date, or of a date with a time: a day is a day at any hour of it."""
    written = _DAY.fullmatch(text)
    if written is None:
        raise SchemaError("must be a date, is a text")
    try:
        return datetime.fromisoformat(written[0]).date()
    except ValueError:
        raise SchemaError("it is no day of the calendar") from None


def _read_bytes(value: Json) -> int:
    number = as_int(value)
    if number < 0:
        raise SchemaError("it is below zero")
    return number
