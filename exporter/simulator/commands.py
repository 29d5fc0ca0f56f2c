"""From a request to an answer: the two commands, and the failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from exporter.simulator import encoding
from exporter.simulator.behaviour import AnyFault, Behaviour, encode_body
from exporter.simulator.listing import Listed, list_folder
from exporter.simulator.php import PhpValue, whole_number
from exporter.simulator.protocol import (
    MISSING_FIELD,
    UNKNOWN_COMMAND,
    UNPUBLISHED,
    RefusedError,
    Request,
)
from exporter.simulator.readings import Nothing
from exporter.simulator.simulated_accounts import SimulatedAccount, first_day, thirty_days
from exporter.simulator.storage import LISTED

HTTP_STATUS: Mapping[str | None, int] = {
    UNKNOWN_COMMAND: 404,
    "0001": 401,
    "0002": 401,
    "0003": 403,
    "0004": 500,
    "0005": 403,
    MISSING_FIELD: 400,
    UNPUBLISHED: 404,
    "1000": 503,
}
"""The statuses of failures under ``Readings.telling_status``."""


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """What is to be sent; ``code`` is that of a failure, "" for one without, None for a success."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    retry_after: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a response depends on in addition to the request: time, behaviour, fault, randomness."""

    now: float
    behaviour: Behaviour
    fault: AnyFault | None
    random: Random


class Refused(Protocol):
    """Why a request is refused; ``code`` has four digits, or is None."""

    @property
    def code(self) -> str | None:
        """Return the code of the failure."""

    @property
    def message(self) -> str:
        """Return the message."""


def answer(request: Request, account: SimulatedAccount, context: CallContext) -> SimulatedResponse:
    """Return the answer to a request that has passed the checks.

    Raises RefusedError for an unknown command, a missing field, an unknown path.
    """
    readings = context.behaviour.readings
    command = request.fields["command"]
    if command == "disk.usage":
        content, message = _disk_usage(request, account, context), "Found Disk Data"
    elif command == "files.list":
        content, message = _files_list(request, account, context), "Found Files List Data"
    else:
        raise RefusedError(UNKNOWN_COMMAND, "Unrecognized API command")
    envelope = encoding.success(
        context.fault.change_content(content) if content and context.fault else content,
        message,
        readings,
        context.behaviour.latency,
        listing=command == "files.list",
    )
    body = encode_body(envelope, context.fault)
    return SimulatedResponse(body, content_type=readings.content_type)


def refusal(refused: Refused, context: CallContext) -> SimulatedResponse:
    """Return the API's failure answer."""
    readings = context.behaviour.readings
    code = refused.code
    envelope = encoding.failure(code, refused.message, readings, context.behaviour.latency)
    status = HTTP_STATUS.get(code, 400) if readings.telling_status else 200
    body = encode_body(envelope, context.fault)
    return SimulatedResponse(body, status, readings.content_type, code=code or "")


def _disk_usage(
    request: Request, account: SimulatedAccount, context: CallContext
) -> dict[str, PhpValue]:
    request.require("cpu", "starttime")
    first = first_day(request.fields["starttime"])
    if first is None:
        raise RefusedError(UNPUBLISHED, "starttime is neither a unix time nor a date")
    rows = thirty_days(
        account.usage,
        cpu_users(request),
        first,
        today=datetime.fromtimestamp(context.now, UTC).date(),
        readings=context.behaviour.readings,
        random=context.random,
    )
    return {"usage": encoding.rows(rows, account.odd_rows, context.behaviour.readings)}


def cpu_users(request: Request) -> tuple[str, ...]:
    """Return the CPU users that a request asks for; none of them means all."""
    cpu = request.fields.get("cpu")
    if isinstance(cpu, (list, tuple)):
        return tuple(user for user in cpu if isinstance(user, str))
    return (cpu,) if isinstance(cpu, str) and cpu else ()


def _files_list(
    request: Request, account: SimulatedAccount, context: CallContext
) -> dict[str, PhpValue]:
    request.require("path")
    path = request.text_field("path")
    listed = request.fields.get("type", "video")
    offset = whole_number(request.fields.get("offset", 0))
    if not isinstance(listed, str) or listed not in LISTED:
        raise RefusedError(UNPUBLISHED, "Unknown file type")
    if offset is None or offset < 0:
        raise RefusedError(UNPUBLISHED, "offset must be a whole number from 0 on")
    folder = account.storage.find(path.rstrip("/")) if path.startswith("sestore") else None
    if folder is None:
        raise RefusedError(UNPUBLISHED, "Path not found")
    readings = context.behaviour.readings
    found = list_folder(folder, listed, offset, readings)
    if context.fault is not None:
        found = context.fault.change_listing(found, offset)
    shows_nothing = found == Listed(file_count=found.file_count)
    if shows_nothing and readings.nothing is not Nothing.FOLDER:
        return {}
    return {path: encoding.folder(found, readings)}
