"""A poll may be cancelled at each of its awaits: nothing of it is left behind."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from exporter.polling.credentials import CredentialReader, CredentialVerdict
from exporter.polling.session import PolledAccount
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.client import Credentials
from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.clocks import LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import FAILING
from tests.support.fixtures import OpenAccount

T = TypeVar("T")


def record(results: list[PollResult], _: Target, result: PollResult) -> None:
    results.append(result)


USAGE = DiskUsageTarget("main", 900.0, 2700.0)
REQUEST_EVENTS = {"request", "request failed", "request failed, retrying"}
FILES = FilesTarget("main", 900.0, 2700.0, "sestore4", "video")


@pytest.fixture(scope="module")
def simulator(leaping: LeapingClock) -> Iterator[Simulator]:
    """Run a simulator whose third request fails, so that each poll retries one."""
    below = {name: Folder(files={"1.mp4": FileType.VIDEO}) for name in "ab"}
    storage = Folder(files={f"{n:03}": FileType.VIDEO for n in range(150)}, folders=below)
    tree = Folder(folders={"sestore4": storage})
    account = SimulatedAccount(158, KEY, SECRET, usage=steady_usage({"demo": 7}), storage=tree)
    behaviour = Behaviour(faults=(FaultRule(FAILING, command="files.list", requests=(2,)),))
    with Simulator([account], behaviour, clock=leaping.clock.now) as running:
        yield running


class OneStepWorkers:
    """Workers that let the coroutine wait for one step of the loop, and no thread."""

    def __init__(self) -> None:
        self._pool = WorkerPool(max_workers=2)
        self.slot = self._pool.slot

    @property
    def taken(self) -> int:
        return self._pool.taken

    async def run(self, work: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        return work()


class StepCanceller:
    """Cancels a task before the step of the given number, of all steps that the loop makes."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.has_cancelled = False

    async def run(self, work: Coroutine[None, None, object]) -> None:
        """Run to the end, or to the step; then cancel, and wait for the end."""
        task = asyncio.create_task(work)
        for _ in range(self._number):
            await asyncio.sleep(0)
            if task.done():
                await task
                return
        self.has_cancelled = task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("target", [USAGE, FILES], ids=str)
def test_a_poll_cancelled_at_any_await_leaves_nothing(
    open_account: OpenAccount, leaping: LeapingClock, simulator: Simulator, target: Target
) -> None:
    """No turn, worker, request, snapshot, result or log line of a cancelled poll is left."""
    cancelled = 0
    for number in range(1, 10_000):
        workers, verdicts, results = OneStepWorkers(), list[CredentialVerdict](), list[PollResult]()
        store = Store([target])
        with open_account(simulator, leaping=leaping) as opened:
            limiter = type(opened.limiter)(2, opened.limiter.rate, leaping.clock, workers)
            account = replace(
                opened,
                workers=workers,
                limiter=limiter,
                record_verdict=verdicts.append,
                credentials=CredentialReader(lambda: Credentials(KEY, SECRET), workers),
            )
            poller = TargetPoller(
                target,
                account,
                store,
                leaping.clock,
                random.Random(0),
                partial(record, results),
            )
            steps = StepCanceller(number)

            async def run(steps: StepCanceller = steps, poller: TargetPoller = poller) -> None:
                await steps.run(poller.poll())
                assert asyncio.all_tasks() == {asyncio.current_task()}

            with capture_logs() as lines:
                asyncio.run(run())
        assert limiter.is_idle
        assert workers.taken == 0
        if not steps.has_cancelled:
            assert [result.reason for result in results] == [None]
            break
        cancelled += 1
        assert results == []
        assert store.current()[target].last is None
        assert {line["event"] for line in lines} <= REQUEST_EVENTS
    assert cancelled >= (5 if target is USAGE else 15)


def test_a_cancelled_request_holds_its_worker_until_it_ends(
    open_account: OpenAccount, simulator: Simulator, leaping: LeapingClock
) -> None:
    """The turn and the worker are held until the request in the thread has ended; it is logged."""
    began, may_end = threading.Event(), threading.Event()

    async def run(account: PolledAccount) -> None:
        def read() -> Credentials:
            return Credentials(KEY, SECRET)

        def send(*_: object) -> None:
            began.set()
            assert may_end.wait(30.0)

        client = replace(account.client, observe=send)
        polled = replace(account, client=client, credentials=CredentialReader(read))
        store = Store([USAGE])
        poller = TargetPoller(
            USAGE, polled, store, account.client.clock, random.Random(0), lambda _, __: None
        )
        task = asyncio.create_task(poller.poll())
        await asyncio.to_thread(began.wait, 30.0)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert (task.done(), account.limiter.is_idle) == (False, False)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (task.done(), account.limiter.is_idle) == (True, True)
        assert store.list_pending_targets() == (USAGE,)

    with open_account(simulator, leaping=leaping) as account, capture_logs() as lines:
        asyncio.run(run(account))
    assert [line["event"] for line in lines] == ["request"]
