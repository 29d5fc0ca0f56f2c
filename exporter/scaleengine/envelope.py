"""The envelope of every answer: success with its content, or a failure with its code.

Sources: the ``disk.usage`` and ``files.list`` pages for the fields, ScaleEngine's public page of
response codes for the codes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, quote_plus

from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    ProtocolError,
    RateLimitedError,
    ScaleEngineError,
    ServerError,
    SignatureError,
)
from exporter.scaleengine.json_values import (
    Json,
    Members,
    UnexpectedError,
    decode,
    mapping,
    whole_number,
)
from exporter.scaleengine.signing import encode

MESSAGE_LENGTH: Final = 200

_PASSES: Final = "it passes by itself; if it lasts, ask ScaleEngine's support"
_ASK_LESS: Final = "lower api.requests_per_second, or poll at longer intervals"
_OUR_DEFECT: Final = "look for a newer release of this exporter"

_CODES: Final[dict[str, tuple[type[ScaleEngineError], str, str]]] = {
    "0000": (ApiError, "ScaleEngine does not know the command", _OUR_DEFECT),
    "0001": (AuthError, "ScaleEngine refused the key", "check api_key and cdn of {account}"),
    "0002": (
        ClockError,
        "ScaleEngine refused the time of the request",
        "check the clock of this machine",
    ),
    "0003": (SignatureError, "ScaleEngine refused the signature", "check api_secret of {account}"),
    "0004": (ServerError, "ScaleEngine had an unexpected error", _PASSES),
    "0005": (
        AuthError,
        "ScaleEngine denies this command",
        "ask ScaleEngine's support to grant it to {account}",
    ),
    "0006": (ApiError, "ScaleEngine finds a field missing in the request", _OUR_DEFECT),
    "1000": (RateLimitedError, "ScaleEngine is busy", "it passes in a few minutes"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer belongs to; ``hidden`` are the texts that no message may show."""

    account: str
    command: str
    hidden: tuple[str, ...] = field(repr=False)

    def failed(self, kind: type[ScaleEngineError], cause: str, advice: str) -> ScaleEngineError:
        """Return an error of the kind, whose advice names the account."""
        return kind(self.command, cause, advice.format(account=f"account {self.account!r}"))


def open_envelope(status: int, body: bytes, question: Question) -> Members:
    """Return the members of an answer that reports success.

    The envelope decides. The HTTP status speaks only where there is no envelope, or where the code
    of a failure says nothing, since it is not known whether ScaleEngine sets it. Raises
    ScaleEngineError for everything but a success.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise question.failed(
            ProtocolError,
            f"ScaleEngine sent a redirect (HTTP {status}), which would carry the key elsewhere",
            "check api.url",
        )
    try:
        answer = decode(body)
        outcome, members = _outcome(answer)
    except UnexpectedError as unexpected:
        failure = _by_status(status, "no answer of ScaleEngine's", question)
        raise failure or question.failed(
            ProtocolError,
            f"the answer is not one of ScaleEngine's (HTTP {status}): {unexpected}",
            "check api.url, and any proxy on the way",
        ) from None
    if outcome == "failure":
        raise _failure(members, status, question)
    return members


def _outcome(answer: Json) -> tuple[str, Members]:
    members = mapping(answer)
    outcome = members.get("status")
    if outcome not in ("success", "failure"):
        raise UnexpectedError("its status is neither success nor failure")
    return outcome, members


def _failure(answer: Members, status: int, question: Question) -> ScaleEngineError:
    code = _code(answer.get("code"))
    if code in _CODES:
        kind, cause, advice = _CODES[code]
        return question.failed(kind, f"{cause} ({code})", advice)
    said = _said(answer.get("message"), question.hidden)
    cause = f"ScaleEngine reports a failure ({code or 'without a code'}: {said})"
    return _by_status(status, said, question) or question.failed(
        ApiError, cause, "check what the configuration asks for, or ask ScaleEngine's support"
    )


def _by_status(status: int, said: str, question: Question) -> ScaleEngineError | None:
    shown = f"(HTTP {status}: {said})"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return question.failed(
            AuthError, f"access was denied {shown}", "check api_key and api_secret of {account}"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return question.failed(
            RateLimitedError, f"ScaleEngine was asked too often {shown}", _ASK_LESS
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return question.failed(ServerError, f"ScaleEngine is out of order {shown}", _PASSES)
    return None


def _code(value: Json) -> str | None:
    """Return a code as the page of codes writes it: four digits."""
    try:
        return f"{whole_number(value):04d}"
    except UnexpectedError:
        return None


def _said(message: Json, hidden: Iterable[str]) -> str:
    """Return a message of the API's as one short line that shows no secret."""
    if not isinstance(message, str) or not message:
        return "no message"
    spellings = {spelling for secret in filter(None, hidden) for spelling in _spellings(secret)}
    if spellings:  # one may hold another: the longest goes first
        longest_first = sorted(spellings, key=len, reverse=True)
        spelled = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        message = spelled.sub("***", message)
    line = "".join(letter if letter.isprintable() else " " for letter in message)
    return line if len(line) <= MESSAGE_LENGTH else line[:MESSAGE_LENGTH] + "…"


def _spellings(secret: str) -> set[str]:
    """Return the spellings that an echo of a secret may have: in JSON, in a URL, in HTML."""
    plain = {secret, encode({"": secret})[5:-2], quote(secret, safe=""), quote_plus(secret)}
    return plain | set(map(escape, plain))
