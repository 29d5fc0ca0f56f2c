"""The exporter itself, in this process: all its parts, on a clock that runs fast."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench.faults.fast_time import FastStop
from bench.faults.metrics_observer import MetricsObserver, WatchedStore
from bench.faults.truth import Truth
from exporter.accounts import Dependencies, build_accounts
from exporter.metrics.exposition import Exposition
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
from exporter.polling.loop_thread import PollingThread
from exporter.polling.poller import Poller
from exporter.polling.targets import Target, compute_delta
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.settings import Settings

_LAST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How many times as fast as real time polls wait, and publications."""

    polls: float
    publications: float


@dataclass(slots=True)
class Running:
    """An exporter that runs: who sees its publications, its threads that should run and do not.

    ``ended`` says afterwards whether every thread has.
    """

    observer: MetricsObserver
    list_dead_threads: Callable[[], tuple[str, ...]]
    ended: bool = False


class _Lookout(FastStop):
    """The publisher's signal to stop: each time the publisher waits, its newest work is shown."""

    def __init__(self, speed: float, show: Callable[[Exposition], None]) -> None:
        super().__init__(speed)
        self._show = show
        self.published: Callable[[], Exposition | None] = lambda: None

    def wait(self, timeout: float) -> bool:
        """Show what is published now, then wait."""
        exposition = self.published()
        if exposition is not None:
            self._show(exposition)
        return super().wait(timeout)


@contextmanager
def running(
    settings: Settings, truths: Mapping[Target, Truth], clock: Clock, pace: Pace, seed: int
) -> Iterator[Running]:
    """Poll and publish by the settings until the end of the ``with``."""
    stop = FastStop(pace.polls)
    store = WatchedStore(settings.targets)
    metrics = build_metrics(
        store, {account.name: account.cdn for account in settings.accounts}, clock
    )
    observer = MetricsObserver(store, truths, metrics.wall_time)
    workers = WorkerPool(settings.max_workers)
    dependencies = Dependencies(
        clock,
        TimestampAllocator(stop.wait),
        observe=metrics.record_exchange,
        register=lambda _, __: None,
        record_verdict=metrics.record_verdict,
        workers=workers,
    )
    rng = random.Random(seed)  # noqa: S311 - it spreads polls, it keeps no secret
    poller = Poller(store, clock, rng, metrics.record_poll)
    pool = build_accounts(settings, dependencies)
    poller.apply(compute_delta((), settings.targets), pool.accounts)
    polling = PollingThread(poller)
    lookout = _Lookout(pace.publications, observer.look)
    publisher = Publisher(metrics, store, clock, lookout)
    lookout.published = publisher.latest
    it = Running(observer, lambda: (*polling.list_dead_threads(), *publisher.list_dead_threads()))
    polling.start()
    publisher.start()
    try:
        yield it
    finally:
        stop.set()
        lookout.set()
        ended = polling.stop(_LAST_SECONDS)
        workers.close()
        pool.close()
        it.ended = publisher.join(_LAST_SECONDS) and ended
