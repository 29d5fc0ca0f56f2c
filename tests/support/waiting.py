"""Wait for what must come, with limits that a busy machine does not reach."""

from typing import Final

TIMEOUT: Final = 90.0
"""Seconds after which what a test waits for does not come any more.

The longest steps of tests/e2e take fifteen on an idle machine.
"""

END_SECONDS: Final = 60.0
"""Seconds in which a program that was asked to end has ended, or it hangs.

It promises five where the machine is not busy: tests/process/test_ending.py adds up its own limits.
"""
