"""From a request to its response: the two commands, and the failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from exporter.simulator.behaviour import AnyFault, Behaviour, encode_body
from exporter.simulator.php import PhpValue, whole_number
from exporter.simulator.protocol import (
    UNKNOWN_COMMAND,
    UNPUBLISHED,
    RefusedError,
    SignedRequest,
)
from exporter.simulator.simulated_accounts import SimulatedAccount, first_day
from exporter.simulator.storage import LISTED


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """What is to be sent; ``code`` is that of a failure, "" for one without, None for a success."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    retry_after: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseContext:
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


def respond(
    request: SignedRequest, account: SimulatedAccount, context: ResponseContext
) -> SimulatedResponse:
    """Return the response to a request that has passed the checks.

    Raises RefusedError for an unknown command, a missing field, an unknown path.
    """
    variant = context.behaviour.variant
    command = request.fields["command"]
    content: Mapping[str, PhpValue]
    if command == "disk.usage":
        content, message = _handle_disk_usage(request, account, context), "Found Disk Data"
    elif command == "files.list":
        content, message = _handle_files_list(request, account, context), "Found Files List Data"
    else:
        raise RefusedError(UNKNOWN_COMMAND, "Unrecognized API command")
    envelope = variant.write_success(
        context.fault.change_content(content) if content and context.fault else content,
        message,
        context.behaviour.latency,
        is_listing=command == "files.list",
    )
    body = encode_body(envelope, context.fault)
    return SimulatedResponse(body, content_type=variant.content_type)


def build_refusal(refused: Refused, context: ResponseContext) -> SimulatedResponse:
    """Return the API's response for a failure."""
    variant = context.behaviour.variant
    code = refused.code
    envelope = variant.write_failure(code, refused.message, context.behaviour.latency)
    status = variant.find_status(code)
    body = encode_body(envelope, context.fault)
    return SimulatedResponse(body, status, variant.content_type, code=code or "")


def _handle_disk_usage(
    request: SignedRequest, account: SimulatedAccount, context: ResponseContext
) -> dict[str, PhpValue]:
    request.require("cpu", "starttime")
    first = first_day(request.fields["starttime"])
    if first is None:
        raise RefusedError(UNPUBLISHED, "starttime is neither a unix time nor a date")
    variant = context.behaviour.variant
    rows = variant.list_rows(
        account.usage,
        cpu_users(request),
        first,
        today=datetime.fromtimestamp(context.now, UTC).date(),
        random=context.random,
    )
    return {"usage": variant.write_rows(rows, account.odd_rows)}


def cpu_users(request: SignedRequest) -> tuple[str, ...]:
    """Return the CPU users of a request; none means all."""
    cpu = request.fields.get("cpu")
    if isinstance(cpu, (list, tuple)):
        return tuple(user for user in cpu if isinstance(user, str))
    return (cpu,) if isinstance(cpu, str) and cpu else ()


def _handle_files_list(
    request: SignedRequest, account: SimulatedAccount, context: ResponseContext
) -> Mapping[str, PhpValue]:
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
    variant = context.behaviour.variant
    found = variant.list_folder(folder, listed, offset)
    if context.fault is not None:
        found = context.fault.change_listing(found, offset)
    return variant.write_listing(path, found)
