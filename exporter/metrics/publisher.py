"""Make a new exposition when something has changed, so that a scrape finds one ready."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

import structlog

from exporter.metrics.descriptions import Quotas
from exporter.metrics.exposition import Exposition, without_families
from exporter.metrics.registry import Metrics
from exporter.polling.lasting import LastingThread
from exporter.polling.snapshots import Snapshot
from exporter.polling.stopping import Stop
from exporter.polling.store import Knowledge, Store
from exporter.polling.targets import Target
from exporter.process.free_memory import release_free_memory
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock

log: Final = structlog.get_logger(__name__)

PAUSE: Final = 1.0
"""Seconds from the end of one look at what has changed to the next."""

_RELEASE_SECONDS: Final = 10.0
"""How often free memory is returned to the system: at rest it takes 0.2 ms."""

Shown: TypeAlias = tuple[tuple[Knowledge, Snapshot | None], ...]
"""What is known of each target, with its snapshot while that counts."""


class Publisher:
    """Publishes what the store and the counters hold, in a thread of its own.

    There is an exposition from the start, of all that is registered by then. Every second from then
    on, until told to stop, the publisher looks whether a poll has ended, a snapshot has become
    stale or a counter has moved, and how the process is. So a scrape renders nothing. The price:
    what it gets may be a second old, the metrics of the process (``process_*``, ``python_*``)
    included. Whoever promises that the next scrape shows something calls ``publish``.
    """

    def __init__(self, metrics: Metrics, store: Store, clock: Clock, stop: Stop) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._stop = stop
        self._failing = False
        self._complete = False
        self._shown: Shown | None = None
        self._configured: tuple[Mapping[str, int], Quotas, float] | None = None
        self._exposition = without_families()
        self._lock = threading.RLock()
        self._publish()
        self._thread = LastingThread("publish", self.run, stop)

    def current(self) -> Exposition:
        """Return what was published last, at once; it never changes."""
        return self._exposition

    def unfinished(self) -> tuple[Target, ...]:
        """Return the targets of which no finished poll has been published yet.

        Once there was none, there is none: what a reload adds makes nobody wait.
        """
        if self._complete:
            return ()
        waiting = tuple(known.target for known, _ in self._shown or () if known.last is None)
        self._complete = not waiting
        return waiting

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def dead(self) -> tuple[str, ...]:
        """Return the name of the thread if it should publish and does not."""
        return (self._thread.name,) if self._thread.dead else ()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, at most so many seconds; return whether it has."""
        return self._thread.join(timeout)

    def run(self) -> None:
        """Publish every second what has changed, until told to stop, whatever goes wrong.

        Return free memory to the system now and then: a snapshot and its text are the largest of
        all that is replaced, whoever lets go of them last.
        """
        next_release = self._clock.elapsed()  # the start has left something too
        while not self._stop.wait(PAUSE):
            self.publish()
            if self._clock.elapsed() >= next_release:
                release_free_memory()
                next_release = self._clock.elapsed() + _RELEASE_SECONDS

    def publish(self) -> bool:
        """Publish now what has changed; return whether that succeeded.

        Any thread may call this. It takes the time of two publications at most: it waits for one
        that is under way, and never for polls or for ScaleEngine.
        """
        with self._lock:
            try:
                self._publish()
            except Exception as error:
                limit = find_resource_limit(error)
                if self._failing:  # once, not every second
                    pass
                elif limit is None:
                    log.exception(
                        "a defect of this exporter keeps new numbers from /metrics; the last ones "
                        "are served until a new try, made every second, succeeds; please report it"
                    )
                else:
                    log.warning("metrics not published, retrying", **limit._asdict())
                self._failing = True
            else:
                self._failing = False
            return not self._failing

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Publish nothing during the ``with``: no scrape sees half of what is changed there."""
        with self._lock:
            yield

    def _publish(self) -> None:
        # First the counters, then what they count: a poll is recorded before it is counted, so
        # that what the counters tell of is shown as well.
        metrics = self._metrics
        metrics.wall_time.refresh()
        counted = tuple(metrics.counters.collect())
        configured = (
            metrics.configured.accounts,
            metrics.quotas.quotas,
            metrics.wall_time.offset,
        )
        shown = self._to_show()
        # All layers in one step: a scrape has the old exposition, or the new one.
        changed = (shown, configured) != (self._shown, self._configured)
        bulk = metrics.bulk.collect() if changed else None
        self._exposition = self._exposition.renewed(bulk, counted, metrics.tail.collect())
        self._shown, self._configured = shown, configured

    def _to_show(self) -> Shown:
        elapsed = self._clock.elapsed()
        known = self._store.current().values()
        return tuple((each, each.snapshot(elapsed)) for each in known)
