"""Timers of requests that expire when a test says so, and not when time has passed."""

import time
from collections.abc import Callable

import pytest

from exporter.scaleengine.timers import Timer


class ManualTimers:
    """Keeps timers until ``expire``; ``install`` lets requests use it."""

    def __init__(self) -> None:
        self._timers: list[Timer] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use these timers for the deadlines of requests until the end of the test."""
        monkeypatch.setattr("exporter.scaleengine.deadline.TIMERS", self)

    def add(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Keep a function to call."""
        timer = Timer(time.monotonic() + seconds, len(self._timers), call)
        self._timers.append(timer)
        return timer

    def expire(self) -> None:
        """Call the functions of all timers that were not cancelled."""
        for timer in self._timers:
            if timer.call is not None:
                timer.call()
