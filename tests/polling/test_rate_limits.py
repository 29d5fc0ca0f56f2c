"""The requests of an account keep its pace, all of them, and other accounts have theirs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import FileCounts, Snapshot
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import TooManyRequestsError
from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.polling.times import make_session
from tests.support.credentials import KEY, SECRET
from tests.support.faults import FAILING, HttpError
from tests.support.fixtures import OpenAccount

USAGE = DiskUsageTarget("main", 60.0, 180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4", "video")


def stored(cdn: int, folders: int) -> SimulatedAccount:
    full = {f"{number:04}.mp4": FileType.VIDEO for number in range(100)}
    below = {f"f{number:02}": Folder(files=dict(full)) for number in range(folders)}
    tree = Folder(folders={"sestore4": Folder(files=dict(full), folders=below)})
    return SimulatedAccount(cdn, KEY, SECRET, usage=steady_usage({"demo": 1024}), storage=tree)


@asynccontextmanager
async def in_the_background(account: PolledAccount, target: Target) -> AsyncIterator[PollSession]:
    """Poll a target meanwhile; the poll is cancelled at the end."""
    session = make_session(account, target)
    polling = asyncio.create_task(poll_target(target, session))
    yield session
    assert not polling.done(), "the poll was to be a slow one"
    polling.cancel()
    await asyncio.wait([polling])


async def poll_once(account: PolledAccount, target: Target) -> Snapshot:
    return await poll_target(target, make_session(account, target))


async def wait_for_requests(simulator: Simulator, calls: int) -> None:
    assert await asyncio.to_thread(simulator.wait_for_requests, calls)


def test_all_requests_keep_the_rate(open_account: OpenAccount) -> None:
    """No request comes before its time: neither of a page, nor a retry, nor of another target."""
    faults = FaultRule(FAILING, command="files.list", requests=(2, 5))
    since = time.time() - time.monotonic()
    clock = Clock(now=lambda: since + time.monotonic(), monotonic=lambda: since + time.monotonic())

    async def poll_both(account: PolledAccount) -> Snapshot:
        polls = (poll_once(account, target) for target in (FILES, USAGE))
        return (await asyncio.gather(*polls))[0]

    with (
        Simulator(
            [stored(158, folders=8)], Behaviour(faults=(faults,)), clock=clock.now
        ) as simulator,
        open_account(simulator, per_second=10.0, clock=clock) as account,
    ):
        began = clock.monotonic()
        assert asyncio.run(poll_both(account)) == FileCounts(files=900, folders=8)
        times = [request.time for request in simulator.requests]
    assert len(times) == 1 + 8 + 2 + 1
    assert all(moment >= began + number / 10.0 for number, moment in enumerate(times))


def test_a_request_that_is_not_sent_does_not_count(open_account: OpenAccount) -> None:
    """While ScaleEngine asks to wait, a poll fails at once, and the next request is not later."""
    clock = Clock(monotonic=lambda: 1000.0)

    async def poll_paused(account: PolledAccount) -> None:
        account.limiter.pause(1e6)
        with pytest.raises(TooManyRequestsError):
            await poll_once(account, USAGE)
        assert account.limiter.rate.delay() == 0.0

    with (
        Simulator([stored(158, folders=0)]) as simulator,
        open_account(simulator, per_second=0.001, clock=clock) as account,
    ):
        asyncio.run(poll_paused(account))
        assert simulator.request_count == 0


def test_a_slow_walk_does_not_hold_back_the_disk_usage(open_account: OpenAccount) -> None:
    """A disk usage that is polled in the middle of a long walk has its response in the middle."""

    async def poll_meanwhile(account: PolledAccount) -> None:
        async with in_the_background(account, FILES) as walk:
            await wait_for_requests(simulator, 3)
            await poll_once(account, USAGE)
            assert walk.requests < 30

    with (
        Simulator([stored(158, folders=40)]) as simulator,
        open_account(simulator, per_second=4.0) as account,
    ):
        asyncio.run(poll_meanwhile(account))


def test_a_slow_account_does_not_slow_others(open_account: OpenAccount) -> None:
    """Where one account is kept to a request in fifty seconds, another is polled at full speed."""

    async def poll_meanwhile(slow: PolledAccount, quick: PolledAccount) -> None:
        async with in_the_background(slow, FILES) as walk:
            await wait_for_requests(simulator, 1)
            assert await poll_once(quick, FILES) == FileCounts(files=4100, folders=40)
            assert walk.requests <= 2

    with (
        Simulator([stored(158, folders=40), stored(159, folders=40)]) as simulator,
        open_account(simulator, per_second=0.02) as slow,
        open_account(simulator, cdn=159) as quick,
    ):
        asyncio.run(poll_meanwhile(slow, quick))


def test_a_rate_limited_account_does_not_slow_others(open_account: OpenAccount) -> None:
    """ScaleEngine's 429 is for one account; another goes on as before."""
    faults = FaultRule(HttpError(429, retry_after="50"), requests=(1,))

    async def poll_meanwhile(slow: PolledAccount, quick: PolledAccount) -> None:
        async with in_the_background(slow, FILES) as walk:
            await wait_for_requests(simulator, 1)
            assert await poll_once(quick, FILES) == FileCounts(files=400, folders=3)
            assert walk.requests == 1

    with (
        Simulator([stored(158, 3), stored(159, 3)], Behaviour(faults=(faults,))) as simulator,
        open_account(simulator) as slow,
        open_account(simulator, cdn=159) as quick,
    ):
        asyncio.run(poll_meanwhile(slow, quick))
