"""The command ``disk.usage``: bytes per CPU user and day, for thirty days."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.json_values import (
    Json,
    Members,
    UnexpectedError,
    items,
    mapping,
    name,
    whole_number,
)
from exporter.scaleengine.signing import Value

COMMAND: Final = "disk.usage"

_DAYS_BEFORE_TODAY: Final = 29
_DAY_SECONDS: Final = 86_400
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one CPU user occupied on one day, in bytes; the user "" is the whole account."""

    day: date
    cpu_user: str
    occupied: int


def disk_usage(
    client: Client, credentials: Credentials, cpu_users: Sequence[str]
) -> Sequence[UsageRow]:
    """Return the rows of the thirty days up to today, in the order of the answer.

    No users means every user. Raises ScaleEngineError.
    """
    fields: dict[str, Value] = {
        "cpu": _asked(cpu_users),
        "starttime": start_of_window(client.time.now()),
    }
    return client.call(credentials, COMMAND, fields, read_usage)


def start_of_window(now: float) -> int:
    """Return 00:00 UTC, 29 days ago, as unix time in seconds.

    The API gives thirty days from there. Whether it counts the last one is not documented; so
    today is inside in either case.
    """
    return (int(now // _DAY_SECONDS) - _DAYS_BEFORE_TODAY) * _DAY_SECONDS


def read_usage(answer: Members) -> Sequence[UsageRow]:
    """Read the rows of an answer; raises UnexpectedError."""
    return tuple(_read_rows(_rows(answer)))


def _asked(cpu_users: Sequence[str]) -> Value:
    match cpu_users:
        case []:
            return ""
        case [only]:
            return only
    return cpu_users


def _rows(answer: Members) -> Json:
    """Return the rows, which stand beside the message or under ``data``."""
    below = answer.get("data")
    places = (answer, below if isinstance(below, dict) else {})
    for place in places:
        if "usage" in place:
            return place["usage"]
    raise UnexpectedError("it has no usage")


def _read_rows(rows: Json) -> Iterator[UsageRow]:
    seen = set()
    for number, row in enumerate(items(rows), start=1):
        try:
            usage = _read_row(mapping(row))
        except UnexpectedError as unexpected:
            raise UnexpectedError(f"row {number} of the usage: {unexpected}") from None
        key = (usage.day, usage.cpu_user)
        if key in seen:
            raise UnexpectedError(f"row {number} of the usage: a second one for user and day")
        seen.add(key)
        yield usage


def _read_row(row: Members) -> UsageRow:
    try:
        day, cpu_user, occupied = row["summary_date"], row["cpu_user"], row["bytes_total"]
    except KeyError as missing:
        raise UnexpectedError(f"{missing.args[0]} is missing") from None
    usage = UsageRow(_day(day), name(cpu_user), whole_number(occupied))
    if usage.occupied < 0:
        raise UnexpectedError("bytes_total is below zero")
    return usage


def _day(value: Json) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise UnexpectedError("summary_date is no date")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UnexpectedError("summary_date is no day of the calendar") from None
