"""Wait for what must come, and say what was there instead when it does not."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE: Final = 90.0
"""Seconds that a step may take on a busy machine; the longest take fifteen on an idle one."""

_PAUSE: Final = 0.1

Seen = TypeVar("Seen")


def eventually(
    look: Callable[[], Seen],
    fits: Callable[[Seen], bool],
    awaited: str,
    patience: float = PATIENCE,
) -> Seen:
    """Look again and again until what is seen fits, and return it.

    Raises AssertionError after ``patience`` seconds: with what was awaited, and seen instead.
    """
    deadline = time.monotonic() + patience
    while not fits(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:.0f} s: {awaited}; last seen: {seen!r}")
        time.sleep(_PAUSE)
    return seen
