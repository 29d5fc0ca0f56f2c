"""Poll every target, each in a task of its own."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from weakref import WeakSet

from exporter.polling.session import PolledAccount
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import ReloadDelta, Target, remove_times
from exporter.polling.threads import cancel_all
from exporter.scaleengine.client import Client
from exporter.scaleengine.clock import Clock

_MIN_SPREAD: Final = 1.0
_SPREAD_PER_TARGET: Final = 0.003
"""Seconds; the smallest poll takes about as much CPU time."""

_Task: TypeAlias = "asyncio.Task[None]"


def compute_spread(targets: int) -> float:
    """Return the seconds over which the first polls of this number of targets are spread.

    They do not all begin at once, and many do not begin faster than they can end: each poll that
    waits for its turn takes 10 KB, and leaves gaps in the memory when it has ended.
    """
    return max(_MIN_SPREAD, targets * _SPREAD_PER_TARGET)


@dataclass(frozen=True, slots=True)
class _Running:
    poller: TargetPoller
    task: _Task


class Poller:
    """The tasks that poll, in one event loop, from ``start`` to ``close``.

    ``rng`` spreads polls; ``finished`` is called for every poll that has ended. Every method is
    called in the loop's thread, or while no loop runs.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rng: random.Random,
        finished: Callable[[Target, PollResult], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._finished = finished
        self._is_started = False
        self._is_closed = False
        self._targets: tuple[Target, ...] = ()
        self._accounts: Mapping[str, PolledAccount] = {}
        self._running: dict[Target, _Running] = {}
        self._leaving: defaultdict[Target, set[_Task]] = defaultdict(set)
        self._clients: WeakSet[Client] = WeakSet()

    def start(self) -> None:
        """Poll in the event loop that runs now."""
        self._is_started = True
        self._begin_missing()

    def forget_loop(self) -> None:
        """Poll nothing until the next ``start``: the loop has ended, and so have its tasks."""
        self._is_started = False
        self._running.clear()
        self._leaving.clear()

    def apply(self, delta: ReloadDelta, accounts: Mapping[str, PolledAccount]) -> None:
        """Poll the targets of a reload from now on, each with its account.

        One that stays keeps its schedule, and the poll that is in progress. One that is removed is
        cancelled; its request in flight ends at once if its account was removed or replaced. Those
        of replaced accounts and of new credentials are polled at once, as at the start: what failed
        with the old credentials may succeed with the new ones.
        """
        if self._is_closed:
            return
        for target in tuple(self._running):
            if target in delta.removed or delta.restarts(target):
                self._leave(target)
        self._close_clients(accounts, delta)
        self._store.apply(delta)
        self._targets, self._accounts = delta.targets, accounts
        for target, running in self._running.items():
            running.poller.account = accounts[target.account]
        if self._is_started:
            self._begin_missing()

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the names of the tasks that should poll and have ended; any thread may ask."""
        return tuple(
            f"poll {target}"
            for target, running in tuple(self._running.items())
            if running.task.done()
        )

    async def close(self, max_wait: float) -> None:
        """End all polls and the requests in progress; wait ``max_wait`` seconds for it at most."""
        self._is_closed = True
        leaving: Collection[_Task] = [task for tasks in self._leaving.values() for task in tasks]
        running = [running.task for running in self._running.values()]
        for client in tuple(self._clients):
            client.close()
        await cancel_all([*running, *leaving], max_wait)

    def _close_clients(self, accounts: Mapping[str, PolledAccount], delta: ReloadDelta) -> None:
        """End the requests of accounts that were removed or replaced.

        A poll in progress of any other account goes on with the client of before.
        """
        current = {account.client for account in accounts.values()}
        for client in tuple(self._clients):
            is_gone = client.account not in accounts or client.account in delta.replaced_accounts
            if is_gone and client not in current:
                client.close()
        self._clients.update(current)

    def _leave(self, target: Target) -> None:
        task = self._running.pop(target).task
        task.cancel()
        name = remove_times(target)
        self._leaving[name].add(task)
        task.add_done_callback(lambda task: self._forget(name, task))

    def _forget(self, name: Target, task: _Task) -> None:
        leaving = self._leaving.get(name, set())
        leaving.discard(task)
        if not leaving:
            self._leaving.pop(name, None)

    def _begin_missing(self) -> None:
        missing = [target for target in self._targets if not self._is_polled(target)]
        spread = compute_spread(len(missing))
        for target in missing:
            first_wait = self._rng.uniform(0, spread)
            self._running[target] = self._begin(target, first_wait)

    def _is_polled(self, target: Target) -> bool:
        running = self._running.get(target)
        return running is not None and not running.task.done()

    def _begin(self, target: Target, first_wait: float) -> _Running:
        account = self._accounts[target.account]
        poller = TargetPoller(target, account, self._store, self._clock, self._rng, self._finished)
        earlier = tuple(self._leaving.get(remove_times(target), ()))
        run = _run_after(earlier, poller, first_wait) if earlier else poller.run(first_wait)
        return _Running(poller, asyncio.create_task(run, name=f"poll {target}"))


async def _run_after(earlier: Collection[_Task], poller: TargetPoller, first_wait: float) -> None:
    """Poll, when the polls of the same target that were cancelled before have ended."""
    await asyncio.wait(earlier)
    del earlier  # each holds its account, and what came before it
    await poller.run(first_wait)
