"""Try a call again, when the cause of its failure may have passed.

This is tenacity, the engine of stamina, by itself: stamina sleeps where nothing can wake it, and
a process that was asked to end must not wait for ScaleEngine's Retry-After.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception

from exporter.polling.schedule import wait_until
from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ClockError, Reason, ScaleEngineError

ATTEMPTS: Final = 3
CLOCK_ATTEMPTS: Final = 2
"""One more with ScaleEngine's own time; that does not become truer by asking again.

It is available after other failures too, so a request is sent four times at most.
"""
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
        failures = _Failures()
        return Retrying(
            retry=retry_if_exception(_may_pass),
            after=failures.count,
            wait=partial(self._wait, failures),
            stop=partial(self._gives_up, failures),
            sleep=self._sleep,
            reraise=True,
        )

    def _wait(self, failures: "_Failures", state: RetryCallState) -> float:
        """Return what ScaleEngine asks for, if it asks, and a growing part by chance.

        Where the clock was off the right time is known now: nothing is to be waited for.
        """
        error = _error(state)
        if isinstance(error, ClockError):
            return 0.0
        least = FIRST_WAIT * 2.0 ** (failures.other - 1)
        return max(error.retry_after or 0.0, least) + self.chance.uniform(0, least)

    def _gives_up(self, failures: "_Failures", state: RetryCallState) -> bool:
        too_often = failures.clock >= CLOCK_ATTEMPTS or failures.other >= ATTEMPTS
        too_late = self.clock.elapsed() + state.upcoming_sleep > self.until
        return too_often or too_late or not self.may_go_on()

    def _sleep(self, seconds: float) -> None:
        wait_until(self.clock.elapsed() + seconds, self.clock, self.stop)


class _Failures:
    """The failed attempts of one request: those for its time, and those for all other reasons."""

    def __init__(self) -> None:
        self.clock = 0
        self.other = 0

    def count(self, state: RetryCallState) -> None:
        """Count the attempt that has just failed."""
        if isinstance(_error(state), ClockError):
            self.clock += 1
        else:
            self.other += 1


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
