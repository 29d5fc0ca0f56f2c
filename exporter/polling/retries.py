"""Send a request again, when the cause of its failure may have passed.

This is tenacity itself, the engine of stamina: it takes our clock and our decisions.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from exporter.polling.recovery import FailedAttempts
from exporter.polling.schedule import sleep_until
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ScaleEngineError

OnRetry: TypeAlias = Callable[[ScaleEngineError, int, float], None]

MIN_RETRY_SECONDS: Final = 60.0
"""A poll retries its requests for its interval, and for this long at least."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long the requests of one poll are sent again: until ``end``, in monotonic seconds.

    ``may_continue`` says before each further attempt whether the poll may make it.
    """

    clock: Clock
    rng: random.Random
    end: float
    may_continue: Callable[[], bool]

    def retrying(self, on_retry: OnRetry | None = None) -> AsyncRetrying:
        """Return what calls a coroutine function until it succeeds, or fails for good.

        ``on_retry`` is called before each wait: with the error, the number of the attempt that it
        ended, and the seconds. The error of the last attempt is raised as it is.
        """
        failures = FailedAttempts()

        def should_stop(state: RetryCallState) -> bool:
            is_late = self.clock.monotonic() + state.upcoming_sleep > self.end
            return not failures.may_retry(_error(state)) or is_late or not self.may_continue()

        return AsyncRetrying(
            retry=retry_if_exception_type(ScaleEngineError),
            after=lambda state: failures.record(_error(state)),
            wait=lambda state: failures.delay(_error(state), self.rng),
            stop=should_stop,
            sleep=self._sleep,
            before_sleep=None
            if on_retry is None
            else lambda state: on_retry(_error(state), state.attempt_number, state.upcoming_sleep),
            reraise=True,
        )

    async def _sleep(self, seconds: float) -> None:
        await sleep_until(self.clock.monotonic() + seconds, self.clock)


def _error(state: RetryCallState) -> ScaleEngineError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ScaleEngineError):
        raise TypeError("only a failure of a request is retried") from error
    return error
