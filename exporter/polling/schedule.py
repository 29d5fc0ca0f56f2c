"""When a target is polled next. All times are seconds of monotonic time."""

import math
from typing import Final

from exporter.scaleengine.clock import Clock

FIRST_BACKOFF: Final = 30.0


def next_due(due: float, interval: float, now: float) -> float:
    """Return when to poll next after a good poll: polls that were missed are not made up for."""
    missed = max(0, math.floor((now - due) / interval))
    return due + interval * (missed + 1)


def backoff(failures: int, longest: float) -> float:
    """Return the wait after so many failures in a row: 30 s, doubling, up to the longest."""
    return min(longest, FIRST_BACKOFF * 2.0 ** min(failures - 1, 64))


async def sleep_until(due: float, clock: Clock) -> None:
    """Wait for a moment of monotonic time."""
    while (left := due - clock.monotonic()) > 0:
        await clock.sleep(left)
