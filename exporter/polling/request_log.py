"""The requests of one poll: each is a line in the log, and the last are for the status page."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from exporter.polling.recovery import find_account_pause
from exporter.polling.targets import Target, build_log_fields
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock, Seconds
from exporter.scaleengine.errors import ApiRequest, Reason, ScaleEngineError

log: Final = structlog.get_logger(__name__)

MAX_REQUESTS: Final = 50
"""How many of the last requests of a poll are kept."""
MAX_FOLDERS: Final = 20
"""How many of the folders that took most requests are kept."""


class RequestRecord(NamedTuple):
    """One request of a poll: ``began`` and ``seconds`` count from the start of the poll.

    ``path`` is empty but for ``files.list``. ``size`` is that of the response's body in bytes.
    ``reason`` is None where it succeeded.
    """

    began: float
    seconds: float
    path: str
    offset: int
    attempt: int
    status: int | None
    code: str | None
    reason: Reason | None
    size: int | None


class FolderCost(NamedTuple):
    """The requests that were made for a folder itself, and the seconds that they took."""

    path: str
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PollTrace:
    """The last requests of a poll, the oldest first, and the folders that took most of them.

    ``size`` are the bytes of all responses of the poll.
    """

    requests: tuple[RequestRecord, ...] = ()
    folders: tuple[FolderCost, ...] = ()
    size: int = 0


class RequestLog:
    """Logs and keeps the requests of one poll; ``log_limit`` is that of the account."""

    def __init__(self, target: Target, clock: Clock, log_limit: LogLimit) -> None:
        self._log = log.bind(**build_log_fields(target))
        self._clock = clock
        self._log_limit = log_limit
        self._began = clock.monotonic()
        self._requests: deque[RequestRecord] = deque(maxlen=MAX_REQUESTS)
        self._costs: dict[str, tuple[int, float]] = {}
        self._failed: dict[ApiRequest, int] = {}
        self._size = 0

    def record(self, exchange: Exchange) -> None:
        """Record a request that has ended."""
        request = exchange.request or ApiRequest(exchange.command)
        failed = self._failed.pop(request, 0)
        if exchange.reason is not None:
            self._failed[request] = failed + 1
        began = self._clock.monotonic() - exchange.seconds - self._began
        record = RequestRecord(
            began=max(0.0, began),
            seconds=exchange.seconds,
            path=request.path,
            offset=request.offset,
            attempt=failed + 1,
            status=exchange.status,
            code=exchange.code,
            reason=exchange.reason,
            size=exchange.size,
        )
        self._requests.append(record)
        self._size += exchange.size or 0
        if request.path:
            requests, seconds = self._costs.get(request.path, (0, 0.0))
            self._costs[request.path] = (requests + 1, seconds + exchange.seconds)
        self._log_request(exchange, request, record.attempt)

    def record_pause(self, error: ScaleEngineError) -> None:
        """Log that the account's requests have to wait after a failure, if they have."""
        pause = find_account_pause(error)
        if pause and self._log_limit.is_due("pause"):
            self._log.info(
                "requests paused, as ScaleEngine asks", wait=Seconds(pause), cause=error.cause
            )

    def record_retry(self, error: ScaleEngineError, attempt: int, wait: float) -> None:
        """Log that a request is sent again after a wait in seconds; ``attempt`` was the last.

        Where all requests of the account wait, that was logged.
        """
        if not find_account_pause(error) and self._log_limit.is_due(f"retry {error.reason}"):
            self._log.info(
                "request failed, retrying",
                **describe_request(error),
                attempt=attempt,
                wait=Seconds(wait),
                reason=str(error.reason),
                cause=error.cause,
            )

    def trace(self) -> PollTrace:
        """Return what is kept of the poll."""
        costs = [FolderCost(path, *cost) for path, cost in self._costs.items()]
        return PollTrace(tuple(self._requests), _select_most_costly(costs), self._size)

    def _log_request(self, exchange: Exchange, request: ApiRequest, attempt: int) -> None:
        self._log.debug(
            "request" if exchange.reason is None else "request failed",
            command=exchange.command,
            **_request_fields(request),
            attempt=attempt,
            status=exchange.status,
            code=exchange.code,
            duration=Seconds(exchange.seconds),
            bytes=exchange.size,
            reason=None if exchange.reason is None else str(exchange.reason),
            cause=exchange.cause,
        )


def describe_request(error: ScaleEngineError) -> dict[str, object]:
    """Return the fields of a log line that name the request that failed; none where none was."""
    return {} if error.request is None else _request_fields(error.request)


def _request_fields(request: ApiRequest) -> dict[str, object]:
    """Return what was requested; nothing for the disk usage, which has no path."""
    if not request.path:
        return {}
    return {"request_path": request.path, "request_offset": request.offset}


def _select_most_costly(costs: Iterable[FolderCost]) -> tuple[FolderCost, ...]:
    ordered = sorted(costs, key=lambda cost: (-cost.requests, -cost.seconds, cost.path))
    return tuple(ordered[:MAX_FOLDERS])
