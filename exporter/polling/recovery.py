"""What follows from a failure of a request or a poll: this module decides.

Each error class says what is known of its failures, see ``exporter.scaleengine.errors``. From that
follows when the request is sent again, whether other requests of the account are sent meanwhile,
and when the target is polled next:

| error | reason | nature | scope | attempts | next attempt | other requests | next poll |
| --- | --- | --- | --- | --- | --- | --- | --- |
| AuthError | auth | permanent | command | 1 | - | blocked | interval |
| SignatureError | signature | permanent | credentials | 1 | - | blocked | interval |
| ClockError | clock | transient | account | 1 | - | wait | backoff |
| CorrectedClockError | clock | transient | account | 2 | at once | wait | backoff |
| RateLimitedError | rate_limited | transient | request | 3 | backoff, 120 s | continue | backoff |
| TooManyRequestsError | rate_limited | transient | account | 3 | backoff | wait | backoff |
| ServerError | server | transient | request | 3 | backoff | continue | backoff |
| RequestTimeoutError | timeout | transient | api | 3 | backoff | continue | backoff |
| NetworkError | network | transient | api | 3 | backoff | continue | backoff |
| ResourceLimitError | network | transient | api | 3 | backoff | continue | backoff |
| ProtocolError | protocol | transient | request | 1 | - | continue | backoff |
| ResponseTooLargeError | protocol | transient | request | 1 | - | continue | backoff |
| ApiError | api | permanent | target | 1 | - | continue | interval |
| IncompleteError | incomplete | transient | target | 1 | - | continue | backoff |
| LimitReachedError | incomplete | permanent | target | 1 | - | continue | interval |

- attempts: the corrected time has attempts of its own; a request is sent at most four times.
- next attempt: the backoff is 0.5 s, then 1 s, each with up to as much jitter. A longer
  ``Retry-After`` replaces it; 120 s mean a missing one.
- other requests: "blocked" are those with the same credentials and command, for the interval;
  credentials that were accepted before must be refused five times in a row. "wait" is for the
  ``Retry-After``.
- next poll: the backoff is 30 s, doubling up to the interval. A longer ``Retry-After`` replaces it.
- ``Retry-After`` counts up to an hour, except for the next attempt, which the poll's own time ends.
"""

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import (
    FailureScope,
    NetworkError,
    Reason,
    RequestTimeoutError,
    ScaleEngineError,
)

T = TypeVar("T")

FIRST_BACKOFF: Final = 30.0


def next_due(due: float, interval: float, now: float) -> float:
    """Return when to poll next after a good poll: polls that were missed are not made up for."""
    missed = max(0, math.floor((now - due) / interval))
    return due + interval * (missed + 1)


def backoff(failures: int, max_delay: float) -> float:
    """Return the wait after ``failures`` in a row: 30 s, doubling, up to ``max_delay`` seconds."""
    return min(max_delay, FIRST_BACKOFF * 2.0 ** min(failures - 1, 64))


async def sleep_until(due: float, clock: Clock) -> None:
    """Wait for a moment of monotonic time."""
    while (left := due - clock.monotonic()) > 0:
        await clock.sleep(left)


FIRST_RETRY_SECONDS: Final = 0.5
"""Seconds before the second attempt, at least; each further wait is twice as long."""
MAX_RETRY_AFTER: Final = 3600.0
"""Seconds: a longer wait that ScaleEngine requests is cut to this."""
CONVINCING_REFUSALS: Final = 5
"""Refusals in a row that are needed against credentials which were accepted before."""

HANGING_SECONDS: Final = 1.0
"""Seconds from which on a request without a response counts as a timeout, however it ended."""

_WITHOUT_RESPONSE: Final = frozenset({RequestTimeoutError.reason, NetworkError.reason})


class FailedAttempts:
    """The failed attempts of one request, which decide on its next attempt.

    Those with a time that is corrected now are counted separately: they do not show whether any
    other cause has passed.
    """

    def __init__(self) -> None:
        self._corrected = 0
        self._others = 0

    def record(self, error: ScaleEngineError) -> None:
        """Count the attempt that has just failed."""
        if error.has_corrected_time:
            self._corrected += 1
        else:
            self._others += 1

    def may_retry(self, error: ScaleEngineError) -> bool:
        """Return whether another attempt is allowed after the last recorded one."""
        failed = self._corrected if error.has_corrected_time else self._others
        return failed < error.attempts

    def delay(self, error: ScaleEngineError, rng: random.Random) -> float:
        """Return the seconds to wait before the next attempt."""
        if error.has_corrected_time:
            return 0.0
        min_delay = FIRST_RETRY_SECONDS * 2.0 ** (self._others - 1)
        return max(error.retry_after or 0.0, min_delay) + rng.uniform(0, min_delay)


def refuses_credentials(error: ScaleEngineError) -> bool:
    """Return whether other requests with the same credentials and command are blocked."""
    return error.credentials_accepted is False


def find_account_pause(error: ScaleEngineError) -> float:
    """Return the seconds for which no request of the account is sent."""
    return _retry_after(error) if error.scope is FailureScope.ACCOUNT else 0.0


def compute_next_poll_delay(error: ScaleEngineError, failures: int, interval: float) -> float:
    """Return the seconds until the next poll, after ``failures`` failed polls in a row.

    A permanent failure waits for the interval: wrong credentials are never sent more often.
    """
    usual = backoff(failures, interval) if error.transient else interval
    return max(usual, _retry_after(error))


def find_scope_to_give_up(error: ScaleEngineError) -> FailureScope:
    """Return whose requests a program that does not wait need not try after a failure.

    Polling waits instead. REQUEST means that nothing else is given up.
    """
    asks_to_wait = error.retry_after is not None and error.scope is FailureScope.REQUEST
    return FailureScope.ACCOUNT if asks_to_wait else error.scope


def is_hanging(reason: Reason | None, seconds: float) -> bool:
    """Return whether a request that ended so after ``seconds`` held its worker for nothing.

    A connection that is refused at once does not.
    """
    return reason is Reason.TIMEOUT or (not has_response(reason) and seconds >= HANGING_SECONDS)


def has_response(reason: Reason | None) -> bool:
    """Return whether a request that ended so, None for a success, got any response."""
    return reason not in _WITHOUT_RESPONSE


def _retry_after(error: ScaleEngineError) -> float:
    return min(error.retry_after or 0.0, MAX_RETRY_AFTER)


OnRetry: TypeAlias = Callable[[ScaleEngineError, int, float], None]

MIN_RETRY_SECONDS: Final = 60.0
"""A poll retries its requests for its interval, and for this long at least."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long the requests of one poll are sent again: until ``end``, in monotonic seconds."""

    clock: Clock
    rng: random.Random
    end: float

    async def retry(
        self,
        attempt: Callable[[], Awaitable[T]],
        may_continue: Callable[[], bool],
        on_retry: OnRetry,
    ) -> T:
        """Call ``attempt`` until it succeeds, or fails for good; return what it returns.

        ``may_continue`` says before each further attempt whether the poll may make it. ``on_retry``
        is called before each wait: with the error, the number of the attempt that it ended, and the
        seconds. Raises the error of the last attempt as it is.
        """
        try:
            return await attempt()  # tenacity would take a sixth of the polling loop's time
        except ScaleEngineError as error:
            first = [error]

        async def try_again() -> T:
            """Fail as the first attempt has, then make others."""
            if first:
                raise first.pop()
            return await attempt()

        response: T = await self._build_retrying(may_continue, on_retry)(try_again)
        return response

    def _build_retrying(self, may_continue: Callable[[], bool], on_retry: OnRetry) -> AsyncRetrying:
        failures = FailedAttempts()

        def should_stop(state: RetryCallState) -> bool:
            is_late = self.clock.monotonic() + state.upcoming_sleep > self.end
            return not failures.may_retry(_get_error(state)) or is_late or not may_continue()

        return AsyncRetrying(
            retry=retry_if_exception_type(ScaleEngineError),
            after=lambda state: failures.record(_get_error(state)),
            wait=lambda state: failures.delay(_get_error(state), self.rng),
            stop=should_stop,
            sleep=self._sleep,
            before_sleep=lambda state: on_retry(
                _get_error(state), state.attempt_number, state.upcoming_sleep
            ),
            reraise=True,
        )

    async def _sleep(self, seconds: float) -> None:
        await sleep_until(self.clock.monotonic() + seconds, self.clock)


def _get_error(state: RetryCallState) -> ScaleEngineError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ScaleEngineError):
        raise TypeError("only a failure of a request is retried") from error
    return error
