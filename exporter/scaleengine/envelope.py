"""The envelope of every response: success with its content, or a failure with its code.

Sources: the ``disk.usage`` and ``files.list`` pages for the fields, ScaleEngine's public page of
response codes for the codes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    ProtocolError,
    RateLimitedError,
    ResponseTooLargeError,
    ScaleEngineError,
    ServerError,
    SignatureError,
    TooManyRequestsError,
)
from exporter.scaleengine.json_values import (
    KEEP_OBJECTS,
    Json,
    JsonObject,
    ObjectHook,
    SchemaError,
    TooCostlyError,
    as_int,
    as_mapping,
    decode,
)
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.redaction import mask_start

MESSAGE_LENGTH: Final = 200

_PASSES: Final = "it is temporary; if it lasts, ask ScaleEngine's support"
_WAIT: Final = "wait a few minutes; if it lasts, ask ScaleEngine's support"
_ASK_LESS: Final = "lower api.requests_per_second, or poll at longer intervals"
_OUR_DEFECT: Final = "look for a newer release of this exporter"
_UNKNOWN_FAILURE: Final = {
    "disk.usage": "check cdn and disk_usage.cpu_users of {account}, or ask ScaleEngine's support",
    "files.list": "check the path in files.paths of {account}, or ask ScaleEngine's support",
}
"""What to do about a failure whose code is not published, by command."""

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
    "1000": (RateLimitedError, "ScaleEngine is busy", _WAIT),
}


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request of a response; no message may show the texts in ``secrets``."""

    account: str
    command: str
    secrets: tuple[str, ...] = field(repr=False)

    def build_error(
        self,
        error_type: type[ScaleEngineError],
        cause: str,
        advice: str,
        retry_after: float | None = None,
    ) -> ScaleEngineError:
        """Return an error of this type, whose advice names the account."""
        account = f"account {self.account!r}"
        return error_type(self.command, cause, advice.format(account=account), retry_after)


def open_envelope(
    response: HttpResponse, context: RequestContext, object_hook: ObjectHook = KEEP_OBJECTS
) -> JsonObject:
    """Return the members of a response that reports success; ``object_hook`` is as for ``decode``.

    The envelope decides. The HTTP status speaks only where there is no envelope, or where the code
    of a failure says nothing, since it is not known whether ScaleEngine sets it. Raises
    ScaleEngineError for everything but a success.
    """
    if _is_redirect(response.status):
        raise context.build_error(
            ProtocolError,
            f"ScaleEngine sent a redirect (HTTP {response.status}), "
            "which would carry the key elsewhere",
            "check api.url",
        )
    try:
        outcome, members = _read_outcome(decode(response.body, object_hook=object_hook))
    except TooCostlyError as costly:
        raise context.build_error(
            ResponseTooLargeError,
            f"the response is too large: {costly}",
            "check api.url, and any proxy on the way",
        ) from None
    except SchemaError as unexpected:
        unexpected.__traceback__ = None  # it holds the whole text
        failure = _find_error_by_status(response, "the body is not ScaleEngine's", context)
        coding = response.unknown_coding
        flaw = f"its Content-Encoding is {coding!r}" if coding else unexpected
        raise failure or context.build_error(
            ProtocolError,
            f"the response is not one of ScaleEngine's (HTTP {response.status}): {flaw}",
            "check api.url, and any proxy on the way",
        ) from None
    if outcome == "failure":
        failure = _build_failure(members, response, context)
        failure.code = _format_code(members.get("code"))
        raise failure
    return members


def _is_redirect(status: int) -> bool:
    redirects = range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST)
    return status in redirects and status != HTTPStatus.NOT_MODIFIED


def _read_outcome(content: Json) -> tuple[str, JsonObject]:
    members = as_mapping(content, "its JSON")
    outcome = members.get("status")
    if not isinstance(outcome, str) or outcome not in {"success", "failure"}:
        raise SchemaError("its member 'status' is neither success nor failure")
    return outcome, members


def _build_failure(
    members: JsonObject, response: HttpResponse, context: RequestContext
) -> ScaleEngineError:
    code = _format_code(members.get("code"))
    if code in _CODES:
        error_type, cause, advice = _CODES[code]
        wait = (
            error_type.default_retry_after if response.retry_after is None else response.retry_after
        )
        return context.build_error(error_type, f"{cause} ({code})", advice, wait)
    message = _format_message(members.get("message"), context.secrets)
    cause = f"ScaleEngine reports a failure ({code or 'without a code'}: {message})"
    return _find_error_by_status(response, message, context) or context.build_error(
        ApiError, cause, _UNKNOWN_FAILURE.get(context.command, "ask ScaleEngine's support")
    )


def _find_error_by_status(
    response: HttpResponse, message: str, context: RequestContext
) -> ScaleEngineError | None:
    status, wait = response.status, response.retry_after
    shown = f"(HTTP {status}: {message})"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return context.build_error(
            AuthError, f"access was denied {shown}", "check api_key and api_secret of {account}"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return context.build_error(
            TooManyRequestsError, f"ScaleEngine got too many requests {shown}", _ASK_LESS, wait
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return context.build_error(
            ServerError, f"ScaleEngine has a server error {shown}", _PASSES, wait
        )
    return None


def _format_code(value: Json) -> str | None:
    """Return a code as the page of codes writes it: four digits."""
    try:
        return f"{as_int(value):04d}"
    except SchemaError:
        return None


def _format_message(message: Json, secrets: Iterable[str]) -> str:
    """Return a message of the API's as one short line that shows no secret."""
    if not isinstance(message, str) or not message:
        return "no message"
    masked = mask_start(message, secrets, MESSAGE_LENGTH + 1)
    line = "".join(letter if letter.isprintable() else " " for letter in masked)
    return line if len(line) <= MESSAGE_LENGTH else line[:MESSAGE_LENGTH] + "…"
