"""Try a call again, when the cause of its failure may have passed.

This is tenacity, the engine of stamina, by itself: stamina sleeps where nothing can wake it, and
a process that was asked to end must not wait for ScaleEngine's Retry-After.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception

from exporter.polling.schedule import wait_until
from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ClockError, Reason, ScaleEngineError

ATTEMPTS: Final = 3
CLOCK_ATTEMPTS: Final = 2
"""One more with ScaleEngine's own time; that does not become truer by asking again."""
FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt, at least; each further wait is twice as long."""
LEAST_PATIENCE: Final = 60.0

_PASSING: Final = frozenset({Reason.RATE_LIMITED, Reason.SERVER, Reason.TIMEOUT, Reason.NETWORK})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the calls of one poll are tried again: up to the moment ``until``, in seconds.

    ``may_go_on`` is asked before each further attempt.
    """

    clock: Clock
    chance: random.Random
    stop: Stop
    until: float
    may_go_on: Callable[[], bool]

    def retrying(self) -> Retrying:
        """Return what calls a function until it succeeds, or fails for good.

        The error of the last attempt is raised as it is.
        """
        return Retrying(
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            stop=self._gives_up,
            sleep=self._sleep,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        """Return what ScaleEngine asks for, if it asks, and a growing part by chance.

        Where the clock was off the right time is known now: nothing is to be waited for.
        """
        error = _error(state)
        if isinstance(error, ClockError):
            return 0.0
        least = FIRST_WAIT * 2.0 ** (state.attempt_number - 1)
        return max(error.retry_after or 0.0, least) + self.chance.uniform(0, least)

    def _gives_up(self, state: RetryCallState) -> bool:
        clock_is_off = isinstance(_error(state), ClockError)
        attempts = CLOCK_ATTEMPTS if clock_is_off else ATTEMPTS
        too_late = self.clock.elapsed() + state.upcoming_sleep > self.until
        return state.attempt_number >= attempts or too_late or not self.may_go_on()

    def _sleep(self, seconds: float) -> None:
        wait_until(self.clock.elapsed() + seconds, self.clock, self.stop)


def _may_pass(error: BaseException) -> bool:
    """Return whether a call may succeed when it is made again.

    A clock that is off needs ScaleEngine's time, which its error then brings along.
    """
    if isinstance(error, ClockError):
        return error.retry_after is not None
    return isinstance(error, ScaleEngineError) and error.reason in _PASSING


def _error(state: RetryCallState) -> ScaleEngineError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ScaleEngineError):
        raise TypeError("only what ScaleEngine has to do with is tried again") from error
    return error
