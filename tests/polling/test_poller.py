"""All targets are polled side by side, in tasks of one thread that end at a stop."""

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from exporter.polling.loop_thread import MonotonicLoop, PollingThread
from exporter.polling.poller import Poller, compute_spread
from exporter.polling.session import PolledAccount
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, compute_delta
from exporter.scaleengine.clock import Clock, since_boot
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.timers import TIMERS
from exporter.simulator import (
    Behaviour,
    FaultRule,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.clocks import FixedRandom
from tests.support.credentials import KEY, SECRET
from tests.support.faults import BUSY, Fault
from tests.support.fixtures import OpenAccount
from tests.support.waiting import TIMEOUT, wait_until

USAGE = DiskUsageTarget("main", 60.0, 180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4", "video")
ACCOUNT = SimulatedAccount(
    cdn=158,
    api_key=KEY,
    api_secret=SECRET,
    usage=steady_usage({"demo": 1024}),
    storage=Folder(folders={"sestore4": Folder()}),
)


@contextmanager
def polling(
    account: PolledAccount, store: Store, finished: Callable[[Target, PollResult], None]
) -> Iterator[PollingThread]:
    poller = Poller(store, Clock(), FixedRandom(), finished)
    poller.apply(compute_delta([], tuple(store.current())), {"main": account})
    thread = PollingThread(poller)
    thread.start()
    yield thread
    assert thread.stop(TIMEOUT)


def test_one_target_that_fails_does_not_hold_up_another(open_account: OpenAccount) -> None:
    """Targets fail alone: one whose requests hang leaves the others as they are."""
    store, ended = Store([USAGE, FILES]), threading.Event()
    hang = Behaviour(faults=(FaultRule(Fault.HANG, command="disk.usage"),))
    with (
        Simulator([ACCOUNT], hang) as simulator,
        open_account(simulator) as account,
        polling(account, store, lambda _, __: ended.set()),
    ):
        assert ended.wait(TIMEOUT)
        assert store.list_pending_targets() == (USAGE,)
        assert store.current()[FILES].good is not None


def test_first_polls_are_spread(open_account: OpenAccount) -> None:
    """The first polls of a few targets come at random within a second."""
    rng = FixedRandom()
    poller = Poller(Store([]), Clock(), rng, lambda _, __: None)
    thread = PollingThread(poller)
    with Simulator([ACCOUNT]) as simulator, open_account(simulator) as account:
        thread.start()
        thread.call(lambda: poller.apply(compute_delta([], [USAGE, FILES]), {"main": account}))
        assert thread.stop(TIMEOUT)
    assert rng.ranges[:2] == [(0, 1.0)] * 2


def test_the_first_polls_of_many_targets_are_spread_longer() -> None:
    """They begin no faster than they can end: 3 ms apart on average."""
    assert compute_spread(300) == 1.0
    assert compute_spread(10_000) == pytest.approx(30.0)


def test_stop_ends_polls_at_once_while_requests_hang(open_account: OpenAccount) -> None:
    """At a stop, polls end at once even if ScaleEngine never responds; no thread is left."""
    hang = Behaviour(faults=(FaultRule(Fault.HANG),))
    TIMERS.add(0.0, lambda: None)  # its thread is that of the process
    threads = set(threading.enumerate())
    with (
        Simulator([ACCOUNT], hang) as simulator,
        open_account(simulator, timeout=600.0) as account,
        polling(account, Store([USAGE, FILES]), lambda _, __: None) as poller,
    ):
        assert simulator.wait_for_requests(2)
        assert poller.list_dead_threads() == ()
    # The timers of requests that were ended are cancelled, and end a moment later.
    for timer in set(threading.enumerate()) - threads:
        timer.join(TIMEOUT)
        assert not timer.is_alive()


def test_stop_ends_a_poll_that_waits_for_a_retry(open_account: OpenAccount) -> None:
    """At a stop, a poll does not wait as long as ScaleEngine asks, and is not recorded."""
    patient = replace(USAGE, interval=3600.0)
    store, calls = Store([patient]), Behaviour(faults=(FaultRule(BUSY),))
    ended: list[PollResult] = []
    with Simulator([ACCOUNT], calls) as simulator, open_account(simulator) as account:
        with polling(account, store, lambda _, result: ended.append(result)):
            assert simulator.wait_for_requests(1)  # ScaleEngine asks to wait for 120 s
        assert simulator.request_count == 1
    assert (ended, store.list_pending_targets()) == ([], (patient,))


def test_a_defect_of_one_target_leaves_the_others_alone(open_account: OpenAccount) -> None:
    """A defect ends the poll, is logged once with its traceback, and ends no task."""
    often = replace(USAGE, interval=0.01)
    store, defects, good = Store([often, FILES]), threading.Event(), threading.Event()

    def fail(target: Target, _: PollResult) -> None:
        if target is FILES:
            good.set()
        else:
            defects.set()
            raise RuntimeError("a defect")

    with (
        capture_logs() as lines,
        Simulator([ACCOUNT]) as simulator,
        open_account(simulator) as account,
        polling(account, store, fail) as thread,
    ):
        assert defects.wait(TIMEOUT)
        assert good.wait(TIMEOUT)
        assert simulator.wait_for_requests(4)  # the target is polled again
        assert thread.list_dead_threads() == ()
    errors = [line for line in lines if line["log_level"] == "error"]
    assert {line["collector"] for line in errors} == {"disk_usage"}
    assert all(line["exc_info"] for line in errors)


def test_a_thread_that_cannot_be_started_fails_one_poll(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no worker can be started, the poll fails, and a later one succeeds."""
    start, results = threading.Thread.start, list[PollResult]()
    ended = threading.Semaphore(0)

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "request" and not results:
            raise RuntimeError("can't start new thread")
        start(thread)

    def finish(_: Target, result: PollResult) -> None:
        results.append(result)
        ended.release()

    monkeypatch.setattr(threading.Thread, "start", refuse)
    often = replace(FILES, interval=0.01)
    with (
        Simulator([ACCOUNT]) as simulator,
        open_account(simulator) as account,
        polling(account, Store([often]), finish),
    ):
        for _ in range(2):
            assert ended.acquire(timeout=TIMEOUT)
    assert [result.reason for result in results[:2]] == [Reason.NETWORK, None]


def test_a_crashed_loop_is_restarted(open_account: OpenAccount) -> None:
    """A defect that ends the loop is logged and named; a call is made all the same meanwhile."""
    store = Store([USAGE])
    with (
        capture_logs() as lines,
        Simulator([ACCOUNT]) as simulator,
        open_account(simulator) as account,
        polling(account, store, lambda _, __: None) as thread,
    ):
        assert simulator.wait_for_requests(1)

        def end_the_loop() -> None:
            raise SystemExit

        thread.call(lambda: asyncio.get_running_loop().call_soon(end_the_loop))
        wait_until(thread.list_dead_threads, lambda dead: dead == ("polling",))
        assert thread.list_dead_threads() == ("polling",)
        assert thread.call(lambda: "called") == "called"
    assert "thread crashed, restarting" in str(lines)


def test_the_loop_ends_while_a_request_hangs(open_account: OpenAccount) -> None:
    """A loop that a defect ends, and the stop after it, wait for no thread that hangs."""
    store, hang = Store([USAGE]), Behaviour(faults=(FaultRule(Fault.HANG),))
    with (
        capture_logs(),
        Simulator([ACCOUNT], hang) as simulator,
        open_account(simulator, timeout=600.0) as account,
    ):
        with polling(account, store, lambda _, __: None) as thread:
            assert simulator.wait_for_requests(1)

            def end_the_loop() -> None:
                raise SystemExit

            thread.call(lambda: asyncio.get_running_loop().call_soon(end_the_loop))
            wait_until(thread.list_dead_threads, lambda dead: dead == ("polling",))
        assert store.list_pending_targets() == (USAGE,)
        assert account.limiter.is_idle


@pytest.mark.parametrize("is_broken", [False, True], ids=["ended", "broken"])
def test_a_reload_during_a_crash_is_applied(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch, *, is_broken: bool
) -> None:
    """A reload between a crash and the restart is taken, and all can be stopped.

    That holds where the loop is so broken that asyncio ends no coroutine of it, too.
    """
    broken = threading.Event()

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if broken.is_set():
                raise OSError("a broken selector")
            return super().select(timeout)

    def crash() -> None:
        if is_broken:
            broken.set()
        else:
            raise SystemExit

    def make_loop() -> MonotonicLoop:
        loop = MonotonicLoop(Selector())
        # Its tasks are freed during a test to come, which must not get an error of theirs to see.
        loop.set_exception_handler(lambda _, __: None)
        return loop

    monkeypatch.setattr("exporter.polling.loop_thread.MonotonicLoop", make_loop)
    store = Store([USAGE])
    poller = Poller(store, Clock(), FixedRandom(), lambda _, __: None)
    with (
        capture_logs(),
        Simulator([ACCOUNT]) as simulator,
        open_account(simulator) as account,
    ):
        accounts = {"main": account}
        poller.apply(compute_delta([], [USAGE]), accounts)
        thread = PollingThread(poller)
        thread.start()
        assert simulator.wait_for_requests(1)
        thread.call(lambda: asyncio.get_running_loop().call_soon(crash))
        wait_until(thread.list_dead_threads, lambda dead: dead == ("polling",))
        thread.call(lambda: poller.apply(compute_delta([USAGE], [FILES]), accounts))
        assert (tuple(store.current()), thread.list_dead_threads()) == ((FILES,), ("polling",))
        assert thread.stop(TIMEOUT)


def test_a_reload_replaces_a_task_that_has_ended(open_account: OpenAccount) -> None:
    """A target whose task has ended, which no target's should, is polled again after a reload."""
    poller = Poller(Store([USAGE]), Clock(), FixedRandom(), lambda _, __: None)
    delta = compute_delta([], [USAGE])

    async def run(account: PolledAccount) -> None:
        poller.apply(delta, {"main": account})
        poller.start()
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        task.cancel()
        await asyncio.wait([task])
        assert poller.list_dead_threads() == (f"poll {USAGE}",)
        poller.apply(compute_delta([USAGE], [USAGE]), {"main": account})
        assert poller.list_dead_threads() == ()
        await poller.close(30.0)

    with Simulator([ACCOUNT]) as simulator, open_account(simulator) as account:
        asyncio.run(run(account))


def test_time_asleep_counts_for_the_schedule(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that became due while the machine was asleep begins soon after it has woken."""
    asleep = 0.0

    def monotonic() -> float:
        return since_boot() + asleep

    monkeypatch.setattr("exporter.polling.loop_thread.since_boot", monotonic)
    monkeypatch.setattr("exporter.polling.loop_thread.MAX_SLEEP", 0.01)
    store, polled = Store([USAGE]), threading.Semaphore(0)
    with Simulator([ACCOUNT]) as simulator, open_account(simulator) as account:
        poller = Poller(
            store, Clock(monotonic=monotonic), FixedRandom(), lambda _, __: polled.release()
        )
        poller.apply(compute_delta([], [USAGE]), {"main": account})
        thread = PollingThread(poller)
        thread.start()
        assert polled.acquire(timeout=TIMEOUT)
        thread.call(lambda: None)  # by then the next poll is waited for
        asleep = USAGE.interval
        assert polled.acquire(timeout=TIMEOUT)
        assert thread.stop(TIMEOUT)
