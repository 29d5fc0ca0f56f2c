"""Wait for what must come, with limits that a busy machine does not reach."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

TIMEOUT: Final = 90.0
"""Seconds after which what a test waits for does not come any more.

The longest steps of tests/e2e take fifteen on an idle machine.
"""

END_SECONDS: Final = 60.0
"""Seconds in which a program that was asked to end has ended, or it hangs.

It promises five where the machine is not busy: tests/process/test_ending.py adds up its own limits.
"""

_MIN_PAUSE: Final = 0.001
_MAX_PAUSE: Final = 0.05

T = TypeVar("T")


def wait_until(
    read: Callable[[], T],
    is_expected: Callable[[T], object] = bool,
    expected: str = "the condition",
    timeout: float = TIMEOUT,
) -> T:
    """Read again and again until what is read is as expected, and return it.

    ``expected`` says what that is. Raises AssertionError after ``timeout`` seconds, with what was
    read last.
    """
    deadline = time.monotonic() + timeout
    pause = _MIN_PAUSE
    while not is_expected(seen := read()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {expected}; last read: {seen!r}")
        time.sleep(pause)
        pause = min(1.5 * pause, _MAX_PAUSE)
    return seen
