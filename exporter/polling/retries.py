"""Try a call again, when the cause of its failure may have passed.

This is tenacity, the engine of stamina, by itself: stamina sleeps where nothing can wake it, and
a process that was asked to end must not wait for ScaleEngine's Retry-After.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from exporter.polling.recovery import FailedAttempts
from exporter.polling.schedule import wait_until
from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ScaleEngineError

OnRetry: TypeAlias = Callable[[ScaleEngineError, int, float], None]

LEAST_PATIENCE: Final = 60.0


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

    def retrying(self, on_retry: OnRetry | None = None) -> Retrying:
        """Return what calls a function until it succeeds, or fails for good.

        ``on_retry`` is called before each wait: with the error, the number of the attempt that it
        ended, and the seconds. The error of the last attempt is raised as it is.
        """
        failures = FailedAttempts()
        return Retrying(
            retry=retry_if_exception_type(ScaleEngineError),
            after=lambda state: failures.record(_error(state)),
            wait=partial(self._wait, failures),
            stop=partial(self._gives_up, failures),
            sleep=self._sleep,
            before_sleep=None
            if on_retry is None
            else lambda state: on_retry(_error(state), state.attempt_number, state.upcoming_sleep),
            reraise=True,
        )

    def _wait(self, failures: FailedAttempts, state: RetryCallState) -> float:
        return failures.delay(_error(state), self.chance)

    def _gives_up(self, failures: FailedAttempts, state: RetryCallState) -> bool:
        too_often = not failures.may_retry(_error(state))
        too_late = self.clock.elapsed() + state.upcoming_sleep > self.until
        return too_often or too_late or not self.may_go_on()

    def _sleep(self, seconds: float) -> None:
        wait_until(self.clock.elapsed() + seconds, self.clock, self.stop)


def _error(state: RetryCallState) -> ScaleEngineError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ScaleEngineError):
        raise TypeError("only what ScaleEngine has to do with is tried again") from error
    return error
