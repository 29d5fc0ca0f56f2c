"""Poll every target, each in a thread of its own."""

import random
import threading
from collections.abc import Callable, Iterable
from typing import Final

from exporter.polling.account import Account
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import Target
from exporter.scaleengine.clock import Clock

FIRST_POLLS_WITHIN: Final = 1.0
"""Seconds over which the first polls are spread, so that they do not all begin at once."""


class Poller:
    """The threads that poll, from ``start`` to ``stop``.

    ``chance`` spreads the first polls; ``finished`` is told of every poll that ended.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        store: Store,
        clock: Clock,
        stop: threading.Event,
        chance: random.Random,
        finished: Callable[[Target, PollResult], None],
    ) -> None:
        self._clock = clock
        self._accounts = {account.name: account for account in accounts}
        self._stop = stop
        self._threads = [
            threading.Thread(
                name=f"poll {target}",
                target=TargetPoller(
                    target, self._accounts[target.account], store, clock, finished
                ).run,
                args=(chance.uniform(0, FIRST_POLLS_WITHIN), self._stop),
                daemon=True,
            )
            for target in store.current()
        ]

    def start(self) -> None:
        """Begin to poll."""
        for thread in self._threads:
            thread.start()

    def dead(self) -> tuple[str, ...]:
        """Return the names of the threads that should poll and do not."""
        return tuple(thread.name for thread in self._threads if not thread.is_alive())

    def stop(self, timeout: float) -> bool:
        """End all polls, even while requests hang; wait for it at most so many seconds.

        Return whether all have ended.
        """
        deadline = self._clock.elapsed() + timeout
        self._stop.set()
        for account in self._accounts.values():
            account.client.close()
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(max(0.0, deadline - self._clock.elapsed()))
        for account in self._accounts.values():
            account.callers.shutdown(wait=False)
        return not any(thread.is_alive() for thread in self._threads)
