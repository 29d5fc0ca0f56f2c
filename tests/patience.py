"""How long tests wait for what must come: so long that a busy machine decides nothing."""

from typing import Final

END_SECONDS: Final = 20.0
"""Seconds in which a program that was asked to end has ended, or it hangs.

It promises five where the machine is not busy: tests/process/test_ending.py adds up its own limits.
"""
