"""What time it is, in the two ways that matter."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks, both in seconds.

    ``now`` is the time of day (since 1970, UTC), which requests and timestamps carry and which may
    jump. ``elapsed`` runs evenly from an unknown start; every wait and age is measured with it.
    """

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
