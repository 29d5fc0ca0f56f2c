"""When a target is polled next. All times are seconds of the even clock."""

import math
from typing import Final

from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import LimitReachedError, Reason, ScaleEngineError

FIRST_BACKOFF: Final = 30.0
LONGEST_ASKED: Final = 3600.0
"""No longer than this is waited because ScaleEngine asks for it."""

_PERMANENT: Final = frozenset({Reason.AUTH, Reason.SIGNATURE, Reason.API})
_LONGEST_NAP: Final = 30.0


def next_due(due: float, interval: float, now: float) -> float:
    """Return when to poll next after a good poll: polls that were missed are not made up for."""
    missed = max(0, math.floor((now - due) / interval))
    return due + interval * (missed + 1)


def backoff(failures: int, longest: float) -> float:
    """Return the wait after so many failures in a row: 30 s, doubling, up to the longest."""
    return min(longest, FIRST_BACKOFF * 2.0 ** min(failures - 1, 64))


def pause(failure: ScaleEngineError, failures: int, interval: float) -> float:
    """Return the wait after a failed poll, the so-many-th in a row.

    What does not pass by itself is tried at the full interval: bad credentials are never hammered.
    ScaleEngine may ask for a longer wait.
    """
    is_permanent = failure.reason in _PERMANENT or isinstance(failure, LimitReachedError)
    usual = interval if is_permanent else backoff(failures, interval)
    return max(usual, min(failure.retry_after or 0.0, LONGEST_ASKED))


def wait_until(due: float, clock: Clock, stop: Stop) -> bool:
    """Wait for a moment; return whether it is time to stop instead.

    It is waited in short pieces: where the machine sleeps, a wait goes on as long after that as it
    would have without, and the even clock has gone on.
    """
    while (left := due - clock.elapsed()) > 0:
        if stop.wait(min(left, _LONGEST_NAP)):
            return True
    return stop.is_set()
