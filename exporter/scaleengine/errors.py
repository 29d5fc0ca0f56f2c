"""What can go wrong with ScaleEngine: one tree, one base to catch.

ScaleEngineError
├── AuthError            auth          key, rights or HTTP 401 and 403
├── SignatureError       signature     the secret does not fit the key
├── ClockError           clock         our time is not theirs
│   └── CorrectedClockError            the response has the right time
├── RateLimitedError     rate_limited  busy
│   └── TooManyRequestsError           asked too often
├── ServerError          server        a fault on ScaleEngine's side
├── RequestTimeoutError   timeout       no complete response in time
├── NetworkError         network       name, connection, TLS
│   └── ResourceLimitError             a limit of this process or machine, before or after that
├── ProtocolError        protocol      a response that is not what the API promises
│   └── ResponseTooLargeError          a response beyond the size limit
├── ApiError             api           any other failure that the API reports
└── IncompleteError      incomplete    a file tree that could not be seen whole
    └── LimitReachedError              more was found than a setting allows

Each class says what is known of its failures; ``exporter.polling.recovery`` decides what follows.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

BUSY_SECONDS: Final = 120.0
"""What code 1000 means: try again "in a few minutes"."""

_ATTEMPTS: Final = 3


class Reason(StrEnum):
    """Why a request or a poll failed: the closed set of the label ``reason``."""

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


class FailureScope(StrEnum):
    """What a failure concerns: what is likely to fail for the same cause."""

    REQUEST = "request"
    """This request alone, as far as is known."""
    TARGET = "target"
    """What was requested, a path or CPU users; the credentials were accepted."""
    COMMAND = "command"
    """The credentials, with this API command."""
    CREDENTIALS = "credentials"
    """The credentials, with every API command."""
    ACCOUNT = "account"
    """Every request of the account."""
    API = "api"
    """Every request of every account: the API was not reached."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What a request is for: the path and the offset where it is one of ``files.list``."""

    command: str
    path: str = ""
    offset: int = 0


class ScaleEngineError(Exception):
    """Any failure to learn something from ScaleEngine; its text is a message for an operator.

    Each class says of its failures:

    - ``transient``: whether they may pass without a change by the operator;
    - ``scope``: what they concern;
    - ``attempts``: how often a request that fails so is sent in all;
    - ``has_corrected_time``: whether the next attempt carries a corrected time, which may help;
    - ``default_retry_after``: the wait in seconds that counts where the response names none.

    ``command`` is the API command (``disk.usage``), ``cause`` what happened, ``advice`` what to
    do about it. ``retry_after`` is the wait in seconds that ScaleEngine requests before the next
    try, if it requests one. ``code`` is ScaleEngine's code of the failure, if it gave one.
    ``request`` is what was requested; None where no request was sent.
    """

    reason: ClassVar[Reason]
    transient: ClassVar[bool]
    scope: ClassVar[FailureScope] = FailureScope.REQUEST
    attempts: ClassVar[int] = 1
    has_corrected_time: ClassVar[bool] = False
    default_retry_after: ClassVar[float | None] = None

    def __init__(
        self, command: str, cause: str, advice: str, retry_after: float | None = None
    ) -> None:
        super().__init__(command, cause, advice, retry_after)
        self.command = command
        self.cause = cause
        self.advice = advice
        self.retry_after = retry_after
        self.code: str | None = None
        self.request: ApiRequest | None = None

    @property
    def credentials_accepted(self) -> bool | None:
        """Return whether ScaleEngine accepted the credentials; None where that is not known."""
        match self.scope:
            case FailureScope.TARGET:
                return True
            case FailureScope.COMMAND | FailureScope.CREDENTIALS:
                return False
            case _:
                return None

    def __str__(self) -> str:
        """Return the cause and the next step."""
        return f"{self.cause}: {self.advice}"


class AuthError(ScaleEngineError):
    """The credentials were not accepted, or could not be read."""

    reason = Reason.AUTH
    transient = False
    scope = FailureScope.COMMAND


class SignatureError(ScaleEngineError):
    """The signature was refused: the secret does not belong to the key."""

    reason = Reason.SIGNATURE
    transient = False
    scope = FailureScope.CREDENTIALS


class ClockError(ScaleEngineError):
    """The timestamp of the request is outside the range that ScaleEngine accepts."""

    reason = Reason.CLOCK
    transient = True
    scope = FailureScope.ACCOUNT


class CorrectedClockError(ClockError):
    """The timestamp was refused, and the response has ScaleEngine's time: it is used from now on.

    ScaleEngine's time does not become truer by another request, so there is one more attempt.
    """

    attempts = 2
    has_corrected_time = True


class RateLimitedError(ScaleEngineError):
    """ScaleEngine is busy, or was asked too often."""

    reason = Reason.RATE_LIMITED
    transient = True
    attempts = _ATTEMPTS
    default_retry_after: ClassVar[float | None] = BUSY_SECONDS


class TooManyRequestsError(RateLimitedError):
    """Too many requests: any further request of the account would be refused as well."""

    scope = FailureScope.ACCOUNT
    default_retry_after = None


class ServerError(ScaleEngineError):
    """ScaleEngine reports a fault of its own."""

    reason = Reason.SERVER
    transient = True
    attempts = _ATTEMPTS


class RequestTimeoutError(ScaleEngineError):
    """No complete response came within the time for one request."""

    reason = Reason.TIMEOUT
    transient = True
    scope = FailureScope.API
    attempts = _ATTEMPTS


class NetworkError(ScaleEngineError):
    """ScaleEngine could not be reached: name, connection or TLS."""

    reason = Reason.NETWORK
    transient = True
    scope = FailureScope.API
    attempts = _ATTEMPTS


class ResourceLimitError(NetworkError):
    """This process, or its machine, has no descriptor, thread or memory left for a request.

    The reason is ``network``, the nearest of the closed set: nothing was learned, ScaleEngine has
    nothing to do with it, and it may pass.
    """


class ProtocolError(ScaleEngineError):
    """The response is not what the API promises."""

    reason = Reason.PROTOCOL
    transient = True


class ResponseTooLargeError(ProtocolError):
    """The response is larger than what is read at most; what helps depends on the command."""


class ApiError(ScaleEngineError):
    """The API reports a failure that has no reason of its own."""

    reason = Reason.API
    transient = False
    scope = FailureScope.TARGET


class IncompleteError(ScaleEngineError):
    """The file tree could not be seen whole, so there is no count."""

    reason = Reason.INCOMPLETE
    transient = True
    scope = FailureScope.TARGET


class LimitReachedError(IncompleteError):
    """More was found than a setting allows; the cause has the number, the advice the setting."""

    transient = False


def build_defect_error(command: str) -> ProtocolError:
    """Return the error of a request that ended through a bug of this exporter; see the log.

    It is unknown whether the response was right, so its reason is ``protocol``.
    """
    return ProtocolError(
        command,
        "a response was not understood, because of a bug in this exporter",
        "report it, with the traceback above",
    )
