"""Two clocks: the time of day, and one that runs evenly, also while the machine sleeps."""

import time

import pytest

from exporter.scaleengine.clock import Clock, since_boot


def test_the_default_clocks_are_those_of_the_machine() -> None:
    """By default, the clocks are the machine's own."""
    clock = Clock()
    earliest = time.time()

    assert earliest - 1 <= clock.now() <= time.time() + 1
    assert clock.monotonic() <= clock.monotonic()


def test_the_clock_that_includes_sleep_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system counts the time that it slept through, that clock is asked."""
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", {7: 1234.5}.__getitem__)

    assert since_boot() == 1234.5


def test_the_monotonic_clock_is_used_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such clock, the monotonic one is asked."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 99.5)

    assert since_boot() == 99.5
