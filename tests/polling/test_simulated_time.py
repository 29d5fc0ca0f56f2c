"""The event loop with simulated time: every wait ends, also one of a rounding error."""

import asyncio

from exporter.polling.recovery import sleep_until
from exporter.scaleengine.clock import Clock
from tests.polling.simulated import monotonic, run_simulated


def test_waits_of_a_rounding_error_end() -> None:
    """Two tasks that begin to wait in different turns of the loop do not keep each other going."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert len(waits) < 10, waits
        await asyncio.sleep(seconds)

    async def wait(due: float, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await sleep_until(due, Clock(monotonic=monotonic, sleep=sleep))
        assert monotonic() >= due

    async def run() -> None:
        await asyncio.sleep(1000.1)
        due = monotonic() + 1e-11
        await asyncio.gather(wait(due, 0), wait(due, 1))

    run_simulated(run())
