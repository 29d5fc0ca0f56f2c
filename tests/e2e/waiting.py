"""Wait for what must come, and say what was there instead when it does not."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tests.support.waiting import TIMEOUT

_PAUSE: Final = 0.1

Seen = TypeVar("Seen")


def eventually(
    look: Callable[[], Seen],
    fits: Callable[[Seen], bool],
    awaited: str,
    timeout: float = TIMEOUT,
) -> Seen:
    """Look again and again until what is seen fits, and return it.

    Raises AssertionError after ``timeout`` seconds: with what was awaited, and seen instead.
    """
    deadline = time.monotonic() + timeout
    while not fits(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {awaited}; last seen: {seen!r}")
        time.sleep(_PAUSE)
    return seen
