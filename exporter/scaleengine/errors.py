"""What can go wrong with ScaleEngine: one tree, one base to catch.

ScaleEngineError
├── AuthError            auth          key, rights or HTTP 401 and 403
├── SignatureError       signature     the secret does not fit the key
├── ClockError           clock         our time is not theirs
├── RateLimitedError     rate_limited  busy
│   └── TooManyRequestsError           asked too often
├── ServerError          server        a fault on ScaleEngine's side
├── AnswerTimeoutError   timeout       no whole answer in time
├── NetworkError         network       name, connection, TLS
│   └── ResourceLimitError             a limit of this process or machine, before or after that
├── ProtocolError        protocol      an answer that is not what the API promises
│   └── ResponseTooLargeError          a response beyond the size limit
├── ApiError             api           any other failure that the API reports
└── IncompleteError      incomplete    a file tree that could not be seen whole
    └── LimitReachedError              more was found than a setting allows
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a call or a poll failed: the closed set of the label ``reason``."""

    AUTH = "auth"
    SIGNATURE = "signature"
    CLOCK = "clock"
    RATE_LIMITED = "rate_limited"
    SERVER = "server"
    TIMEOUT = "timeout"
    NETWORK = "network"
    PROTOCOL = "protocol"
    API = "api"
    INCOMPLETE = "incomplete"


class ScaleEngineError(Exception):
    """Any failure to learn something from ScaleEngine; its text is one sentence for an operator.

    ``command`` is the API command (``disk.usage``), ``cause`` what happened, ``advice`` what to
    do about it. ``retry_after`` is the wait in seconds that ScaleEngine asks for before the next
    try, if it asks for one.
    """

    reason: ClassVar[Reason]

    def __init__(
        self, command: str, cause: str, advice: str, retry_after: float | None = None
    ) -> None:
        super().__init__(command, cause, advice, retry_after)
        self.command = command
        self.cause = cause
        self.advice = advice
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the cause and the next step."""
        return f"{self.cause}: {self.advice}"


class AuthError(ScaleEngineError):
    """The credentials were not accepted, or could not be read."""

    reason = Reason.AUTH


class SignatureError(ScaleEngineError):
    """The signature was refused: the secret does not belong to the key."""

    reason = Reason.SIGNATURE


class ClockError(ScaleEngineError):
    """The timestamp of the request is outside the range that ScaleEngine accepts."""

    reason = Reason.CLOCK


class RateLimitedError(ScaleEngineError):
    """ScaleEngine is busy, or was asked too often."""

    reason = Reason.RATE_LIMITED


class TooManyRequestsError(RateLimitedError):
    """ScaleEngine was asked too often: whatever the account asks next would be refused as well."""


class ServerError(ScaleEngineError):
    """ScaleEngine reports a fault of its own."""

    reason = Reason.SERVER


class AnswerTimeoutError(ScaleEngineError):
    """No whole answer came within the time for one request."""

    reason = Reason.TIMEOUT


class NetworkError(ScaleEngineError):
    """ScaleEngine could not be reached: name, connection or TLS."""

    reason = Reason.NETWORK


class ResourceLimitError(NetworkError):
    """This process, or its machine, has no descriptor, thread or memory left for a request.

    The reason is ``network``, the nearest of the closed set: nothing was learned, ScaleEngine has
    nothing to do with it, and it may pass.
    """


class ProtocolError(ScaleEngineError):
    """The answer is not what the API promises."""

    reason = Reason.PROTOCOL


class ResponseTooLargeError(ProtocolError):
    """The response is larger than what is read at most; what helps depends on the command."""


class ApiError(ScaleEngineError):
    """The API reports a failure that has no reason of its own."""

    reason = Reason.API


class IncompleteError(ScaleEngineError):
    """The file tree could not be seen whole, so there is no count."""

    reason = Reason.INCOMPLETE


class LimitReachedError(IncompleteError):
    """More was found than a setting allows; the cause has the number, the advice the setting."""
