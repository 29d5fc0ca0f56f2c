"""Poll every target, each in a thread of its own."""

import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final
from weakref import WeakSet

from exporter.polling.account import Account
from exporter.polling.lasting import LastingThread
from exporter.polling.reload_delta import ReloadDelta
from exporter.polling.stopping import Stop, StopSwitch
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import Target
from exporter.scaleengine.client import Client
from exporter.scaleengine.clock import Clock

FIRST_POLLS_WITHIN: Final = 1.0
"""Seconds over which the first polls are spread, so that they do not all begin at once."""


@dataclass(frozen=True, slots=True)
class _Running:
    poller: TargetPoller
    thread: LastingThread
    stop: StopSwitch


class Poller:
    """The threads that poll, from the first ``apply`` to ``stop``.

    ``chance`` spreads polls; ``finished`` is told of every poll that ended. ``make_stop`` makes
    the signal that ends one target's polls, and is what they wait by.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: random.Random,
        finished: Callable[[Target, PollResult], None],
        make_stop: Callable[[], StopSwitch] = threading.Event,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._finished = finished
        self._make_stop = make_stop
        self._wanted: tuple[Target, ...] = ()
        self._running: dict[Target, _Running] = {}
        self._leaving: list[tuple[Target, LastingThread]] = []
        self._clients: WeakSet[Client] = WeakSet()
        self._stopped = False
        self._lock = threading.Lock()

    def apply(self, delta: ReloadDelta, accounts: Mapping[str, Account]) -> None:
        """Poll the targets of a reload from now on, each with its account.

        One that stays keeps its schedule, and the poll that is under way. One that is removed ends
        at its request under way; where its account is gone or replaced, that request is ended, too.
        Those of replaced accounts and of new credentials are polled at once, as at the start: what
        failed with the old credentials may succeed with the new ones.

        Raises RuntimeError where a thread cannot be started; ``dead`` names what is not polled
        then, and the next reload tries again.
        """
        with self._lock:
            if self._stopped:
                return
            self._leaving = [
                (target, thread) for target, thread in self._leaving if not thread.join(0.0)
            ]
            self._wanted = delta.targets
            for target in tuple(self._running):
                if target in delta.removed or delta.restarts(target):
                    self._leave(target)
            self._hang_up(accounts, delta)
            self._store.apply(delta)
            for target in delta.targets:
                account = accounts[target.account]
                if target in self._running:
                    self._running[target].poller.account = account
                else:
                    self._running[target] = self._begin(target, account)

    def dead(self) -> tuple[str, ...]:
        """Return the names of the threads that should poll and do not."""
        with self._lock:
            return tuple(_thread(target) for target in self._wanted if self._is_dead(target))

    def stop(self, timeout: float) -> bool:
        """End all polls, even while requests hang; wait for it at most so many seconds.

        Return whether all have ended.
        """
        deadline = self._clock.elapsed() + timeout
        with self._lock:
            self._stopped = True
            running = tuple(self._running.values())
            leaving = [thread for _, thread in self._leaving]  # told to stop already
            clients = tuple(self._clients)
        for each in running:
            each.stop.set()
        for client in clients:
            client.close()
        threads = [*(each.thread for each in running), *leaving]
        ended = [thread.join(max(0.0, deadline - self._clock.elapsed())) for thread in threads]
        return all(ended)

    def _is_dead(self, target: Target) -> bool:
        return target not in self._running or self._running[target].thread.dead

    def _hang_up(self, accounts: Mapping[str, Account], delta: ReloadDelta) -> None:
        """End the calls in the name of accounts that are gone, or others now.

        A poll under way goes on with the client of before, which then keeps no connection open.
        """
        current = {account.client for account in accounts.values()}
        for client in tuple(self._clients):
            if client in current:
                continue
            if client.account not in accounts or client.account in delta.replaced:
                client.close()
            else:
                client.retire()
        self._clients.update(current)

    def _leave(self, target: Target) -> None:
        leaving = self._running.pop(target)
        leaving.stop.set()
        self._leaving.append((target, leaving.thread))

    def _begin(self, target: Target, account: Account) -> _Running:
        stop = self._make_stop()
        poller = TargetPoller(
            target, account, self._store, self._clock, self._chance, self._finished
        )
        earlier = [thread for left, thread in self._leaving if _name(left) == _name(target)]
        first_wait = self._chance.uniform(0, FIRST_POLLS_WITHIN)
        work = partial(_poll_after, earlier, poller, first_wait, stop)
        thread = LastingThread(_thread(target), work, stop)
        thread.start()
        return _Running(poller, thread, stop)


def _poll_after(
    earlier: Collection[LastingThread],
    poller: TargetPoller,
    first_wait: float,
    stop: Stop,
) -> None:
    """Poll, when those that polled the same target before have ended."""
    for each in earlier:
        each.join()
    poller.run(first_wait, stop)


def _thread(target: Target) -> str:
    """Return the name of the thread that polls the target."""
    return f"poll {target}"


def _name(target: Target) -> tuple[str, str, str, str]:
    return (target.account, target.collector, target.path, target.file_type)
