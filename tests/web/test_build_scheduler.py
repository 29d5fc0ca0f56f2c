"""Bodies are built one at a time, with a rest after each where that is asked for."""

import asyncio

import pytest

from exporter.web.build_scheduler import BuildScheduler


@pytest.mark.parametrize(("rest", "expected"), [(3.0, 0.75), (0.0, 0.0), (100.0, 2.0)])
def test_a_pause_follows_each_build(
    monkeypatch: pytest.MonkeyPatch, rest: float, expected: float
) -> None:
    """It is a multiple of the build time, two seconds at most; the requester does not wait."""
    rests: list[float] = []

    async def build() -> None:
        loop = asyncio.get_running_loop()
        now = [0.0]
        has_rested = asyncio.Event()

        async def pause(seconds: float) -> None:
            rests.append(seconds)
            if len(rests) == 2:
                has_rested.set()

        def work() -> str:
            now[0] += 0.25
            return "built"

        monkeypatch.setattr(loop, "time", lambda: now[0])
        scheduler = BuildScheduler(rest, pause)
        for key in ("a", "b"):
            assert await scheduler.build(key, work, "") == "built"
        await has_rested.wait()

    asyncio.run(build())
    assert rests == [expected] * 2
