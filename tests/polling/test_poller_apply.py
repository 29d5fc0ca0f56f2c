"""What is polled changes while it is polled: nothing is lost, left behind or mixed up."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from exporter.polling.loop_thread import PollingThread
from exporter.polling.poller import Poller
from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, compute_delta
from exporter.scaleengine.client import Client, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timers import TIMERS
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.clocks import FixedRandom, LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Fault, Held
from tests.support.fixtures import OpenAccount
from tests.support.waiting import TIMEOUT, wait_until

FOREVER = 600.0
"""Seconds of a request that a test never waits for."""

USAGE = DiskUsageTarget("main", interval=3600.0, stale_after=7200.0)
FILES = FilesTarget("main", 3600.0, 7200.0, "sestore4", "video")


def stored(cdn: int, bytes_total: int) -> SimulatedAccount:
    files = {f"{number:04}.mp4": FileType.VIDEO for number in range(250)}
    tree = Folder(folders={"sestore4": Folder(files=files)})
    return SimulatedAccount(
        cdn, KEY, SECRET, usage=steady_usage({"demo": bytes_total}), storage=tree
    )


@pytest.fixture
def simulator(leaping: LeapingClock) -> Iterator[Simulator]:
    """Run a simulator for two accounts, of different numbers."""
    with Simulator([stored(158, 1024), stored(159, 2048)], clock=leaping.clock.now) as running:
        yield running


class Polling:
    """A poller, and what came of its polls."""

    def __init__(self) -> None:
        self.store = Store([])
        self.ended: list[tuple[Target, PollResult]] = []
        self._more = threading.Condition()
        self._poller = Poller(self.store, Clock(), FixedRandom(), self._finished)
        self.thread = PollingThread(self._poller)
        self.thread.start()

    def set_targets(
        self, account: PolledAccount, *targets: Target, replaced: tuple[str, ...] = ()
    ) -> None:
        self.apply({"main": account}, *targets, replaced=replaced)

    def apply(
        self,
        accounts: Mapping[str, PolledAccount],
        *targets: Target,
        replaced: tuple[str, ...] = (),
        new_credentials: tuple[str, ...] = (),
    ) -> None:
        delta = compute_delta(
            self.store.current(),
            targets,
            replaced_accounts=replaced,
            accounts_with_new_credentials=new_credentials,
        )
        self.thread.call(lambda: self._poller.apply(delta, accounts))

    def tasks(self) -> dict[str, "asyncio.Task[None]"]:
        """Return the tasks that poll, by name."""
        return self.thread.call(
            lambda: {
                task.get_name(): task
                for task in asyncio.all_tasks(asyncio.get_running_loop())
                if task.get_name().startswith("poll ")
            }
        )

    def wait_for(self, polls: int) -> bool:
        with self._more:
            return self._more.wait_for(lambda: len(self.ended) >= polls, TIMEOUT)

    def bytes_total(self) -> int | None:
        good = self.store.current()[USAGE].good
        if good is None:
            return None
        assert isinstance(good.snapshot, DiskUsageSnapshot)
        return good.snapshot.users[0].bytes

    def _finished(self, target: Target, result: PollResult) -> None:
        with self._more:
            self.ended.append((target, result))
            self._more.notify_all()


@contextmanager
def polling() -> Iterator[Polling]:
    made = Polling()
    yield made
    assert made.thread.stop(TIMEOUT)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is counted


def reconnect(account: PolledAccount, simulator: Simulator) -> PolledAccount:
    """Return the same account with connections of its own."""
    transport = Transport(Endpoint(simulator.url, FOREVER, 4))
    return replace(account, client=replace(account.client, transport=transport))


def test_unchanged_targets_keep_task_snapshot_and_schedule(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """A target that stays keeps its task, its snapshot and its schedule, while others change."""
    with open_account(simulator) as account, polling() as made:
        made.set_targets(account, USAGE)
        assert made.wait_for(1)
        tasks, known = made.tasks(), made.store.current()[USAGE]
        made.set_targets(account, FILES, USAGE)
        assert made.wait_for(2)
        made.set_targets(account, USAGE)
        wait_until(lambda: len(made.tasks()) == 1)
        assert made.tasks() == tasks
        assert made.store.current() == {USAGE: known}
        assert [target for target, _ in made.ended] == [USAGE, FILES]


def test_a_reload_keeps_a_poll_in_progress(open_account: OpenAccount, simulator: Simulator) -> None:
    """A target that stays keeps the poll that is under way, too."""
    simulator.behave(Behaviour(latency=0.2))
    with open_account(simulator) as account, polling() as made:
        made.set_targets(account, USAGE)
        assert simulator.wait_for_requests(1)
        made.set_targets(account, USAGE)
        assert made.wait_for(1)
        assert simulator.request_count == 1


def test_another_interval_keeps_the_snapshot(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """A target that is polled at another interval keeps its numbers, and is polled soon."""
    often = replace(USAGE, interval=60.0)
    with open_account(simulator) as account, polling() as made:
        made.set_targets(account, USAGE)
        assert made.wait_for(1)
        good = made.store.current()[USAGE].good
        simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
        made.set_targets(account, often)
        assert simulator.wait_for_requests(2)
        assert made.store.current()[often].good is good is not None
        assert made.thread.list_dead_threads() == ()


def test_the_next_poll_uses_the_changed_account(
    open_account: OpenAccount, leaping: LeapingClock, simulator: Simulator
) -> None:
    """The next poll of a target that stays is made in the name of the account as it is now."""
    often = replace(USAGE, interval=0.02)
    with (
        open_account(simulator, leaping=leaping) as account,
        open_account(simulator, leaping=leaping, cdn=159) as changed,
        polling() as made,
    ):
        made.set_targets(account, often)
        assert made.wait_for(1)
        tasks = made.tasks()
        made.set_targets(changed, often)
        wait_until(lambda: simulator.requests[-1].cdn == 159)
        assert made.tasks() == tasks
        assert made.wait_for(len(made.ended) + 3)
    numbers = [request.cdn for request in simulator.requests]
    assert 158 not in numbers[numbers.index(159) :]


def test_a_removed_target_sends_no_further_request(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """The poll of a target that is left out makes no further request, and is not recorded."""
    held = Held()
    simulator.behave(Behaviour(faults=(FaultRule(held),)))
    with open_account(simulator) as account, polling() as made:
        made.set_targets(account, FILES)
        assert simulator.wait_for_requests(1)
        made.set_targets(account)
        assert made.thread.list_dead_threads() == ()
        assert made.store.current() == {}
        held.release()
        wait_until(lambda: made.tasks() == {})
        assert simulator.request_count == 1
        assert made.ended == []


@pytest.mark.parametrize("back", [FILES, replace(FILES, interval=60.0)], ids=["same", "interval"])
def test_a_target_never_overlaps_itself(
    open_account: OpenAccount, leaping: LeapingClock, simulator: Simulator, back: FilesTarget
) -> None:
    """A target that comes back while its old poll hangs waits for the end of that."""
    held = Held()
    simulator.behave(Behaviour(faults=(FaultRule(held, requests=(1,)),)))
    with open_account(simulator, leaping=leaping) as account, polling() as made:
        made.set_targets(account, FILES)
        assert simulator.wait_for_requests(1)
        for _ in range(3):
            made.set_targets(account)
            made.set_targets(account, back)
        assert made.thread.list_dead_threads() == ()
        assert made.ended == []
        held.release()
        assert made.wait_for(1)
        assert simulator.max_in_flight == 1
        assert simulator.request_count == 1 + 4
        assert [(target, result.reason) for target, result in made.ended] == [(back, None)]
        good = made.store.current()[back].good
        assert good is not None
        assert good.snapshot == FileCounts(files=250, folders=0)
        wait_until(lambda: len(made.tasks()) == 1)


def test_another_account_of_the_same_name_publishes_no_old_number(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """No number of an account is published for another that has its name now."""
    held = Held()
    simulator.behave(Behaviour(faults=(FaultRule(held),)))
    with (
        open_account(simulator) as account,
        open_account(simulator, cdn=159) as other,
        polling() as made,
    ):
        made.set_targets(account, USAGE)
        assert simulator.wait_for_requests(1)
        made.set_targets(other, USAGE, replaced=("main",))
        assert simulator.wait_for_requests(2)
        assert made.bytes_total() is None
        held.release()
        assert made.wait_for(1)
        assert made.bytes_total() == 2048
        assert len(made.ended) == 1
        simulator.behave(Behaviour())
        made.set_targets(reconnect(account, simulator), USAGE, replaced=("main",))
        assert made.wait_for(2)
        assert made.bytes_total() == 1024


@pytest.mark.parametrize("changes", [False, True], ids=["the same", "changing"])
def test_a_hundred_changes_leave_nothing(
    open_account: OpenAccount, leaping: LeapingClock, simulator: Simulator, *, changes: bool
) -> None:
    """A hundred changes leave no thread, no connection and no account that is not polled."""
    clients: weakref.WeakSet[Client] = weakref.WeakSet()
    with open_account(simulator, leaping=leaping) as first, polling() as made:
        account = reconnect(first, simulator)
        made.set_targets(account, USAGE, FILES)
        assert made.wait_for(2)
        tasks, files, known = len(made.tasks()), descriptors(), made.store.current()
        for number in range(100):
            if changes:
                polls = len(made.ended)
                account = reconnect(first, simulator)
                clients.add(account.client)
                made.set_targets(account, replace(USAGE, interval=3000.0 + number), FILES)
                assert made.wait_for(polls + 1)
            else:
                made.set_targets(account, USAGE, FILES)
        wait_until(lambda: len(made.tasks()) == tasks)
        gc.collect()
        wait_until(lambda: descriptors() <= files)
        assert len(clients) == (1 if changes else 0)
        assert made.store.current()[FILES] == known[FILES]
        assert len(made.ended) == (102 if changes else 2)


def test_stop_ends_polled_leaving_and_waiting_targets(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """The end comes at once for what is polled, what is leaving, and what waits for that."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    TIMERS.add(0.0, lambda: None)  # its thread is that of the process
    threads = set(threading.enumerate())
    with open_account(simulator, timeout=FOREVER) as account, polling() as made:
        made.set_targets(account, USAGE, FILES)
        assert simulator.wait_for_requests(2)
        left = reconnect(account, simulator)
        made.set_targets(left, FILES)
        made.set_targets(left, FILES, USAGE)
        made.set_targets(left, replace(FILES, interval=60.0), USAGE)
        assert made.thread.stop(TIMEOUT)
        made.set_targets(left, FILES)
        assert made.ended == []
    # The timers of requests that were ended are cancelled, and end a moment later.
    wait_until(lambda: set(threading.enumerate()) <= threads)


def test_stop_ends_requests_of_a_removed_account(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """A request of a removed account that hangs does not delay the stop."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    with open_account(simulator, timeout=FOREVER) as account:
        made = Polling()
        made.set_targets(reconnect(account, simulator), USAGE)
        assert simulator.wait_for_requests(1)
        made.apply({})
        assert made.thread.stop(TIMEOUT)


@pytest.mark.parametrize("replaced", [(), ("main",)], ids=["gone", "another"])
def test_a_request_of_a_removed_account_ends_at_once(
    open_account: OpenAccount, simulator: Simulator, replaced: tuple[str, ...]
) -> None:
    """Where the account is gone, or another now, a request that hangs in its name ends at once."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG, requests=(1,)),)))
    observed: list[Exchange] = []
    with (
        open_account(simulator, timeout=FOREVER) as account,
        open_account(simulator, cdn=159) as other,
        polling() as made,
    ):
        before = replace(account, client=replace(account.client, observe=observed.append))
        made.set_targets(before, FILES)
        assert simulator.wait_for_requests(1)
        if replaced:
            made.set_targets(other, USAGE, replaced=replaced)
            assert made.wait_for(1)
        else:
            made.apply({})
        wait_until(lambda: f"poll {FILES}" not in made.tasks())
    assert observed == []


def test_it_is_healthy_while_a_reload_is_applied(
    open_account: OpenAccount, simulator: Simulator
) -> None:
    """Targets that are left out are not taken for dead before the reload is applied as a whole."""
    seen: list[tuple[str, ...]] = []

    class Watching(Transport):
        def close(self) -> None:
            seen.append(made.thread.list_dead_threads())
            super().close()

    with open_account(simulator) as account, polling() as made:
        transport = Watching(Endpoint(simulator.url, TIMEOUT, 4))
        leaving = replace(account, client=replace(account.client, transport=transport))
        made.set_targets(leaving, USAGE, FILES)
        assert made.wait_for(2)
        made.apply({})
        assert seen == [()]
