"""A clock whose waits end at the signal to stop."""

import asyncio
import threading

import pytest

from exporter.polling.threads import StopRequestedError, build_stoppable_clock
from exporter.scaleengine.clock import Clock


def test_a_wait_that_the_signal_ends_raises() -> None:
    """A wait that the signal ends raises; one that it does not end returns."""
    stop = threading.Event()
    clock = build_stoppable_clock(Clock(), stop)
    asyncio.run(_sleep(clock, 0.0))
    stop.set()
    with pytest.raises(StopRequestedError):
        asyncio.run(_sleep(clock, 3600.0))


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
