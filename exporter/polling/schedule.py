"""When a target is polled next. All times are seconds of the even clock."""

import math
from typing import Final

from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock

FIRST_BACKOFF: Final = 30.0

_LONGEST_NAP: Final = 30.0


def next_due(due: float, interval: float, now: float) -> float:
    """Return when to poll next after a good poll: polls that were missed are not made up for."""
    missed = max(0, math.floor((now - due) / interval))
    return due + interval * (missed + 1)


def backoff(failures: int, longest: float) -> float:
    """Return the wait after so many failures in a row: 30 s, doubling, up to the longest."""
    return min(longest, FIRST_BACKOFF * 2.0 ** min(failures - 1, 64))


def wait_until(due: float, clock: Clock, stop: Stop) -> bool:
    """Wait for a moment; return whether it is time to stop instead.

    It is waited in short pieces: where the machine sleeps, a wait goes on as long after that as it
    would have without, and the even clock has gone on.
    """
    while (left := due - clock.elapsed()) > 0:
        if stop.wait(min(left, _LONGEST_NAP)):
            return True
    return stop.is_set()
