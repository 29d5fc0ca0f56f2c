"""Make a new exposition when something has changed, so that a scrape finds one ready."""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog

from exporter.metrics.exposition import (
    AccountsLayer,
    Exposition,
    ProcessLayer,
    build_empty_layer,
    expose,
    render_process_layer,
)
from exporter.metrics.family_text import Sections, merge_sections, render_sections
from exporter.metrics.registry import Metrics
from exporter.polling.store import TARGETS, Store
from exporter.polling.targets import Target
from exporter.polling.threads import Stop, SupervisedThread
from exporter.process.memory import FreeMemoryRelease
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock

log: Final = structlog.get_logger(__name__)

PAUSE: Final = 1.0
"""Seconds between publications, and the age that the layer of the process may have."""

_MAX_PAUSE: Final = 5.0
_PAUSE_RATIO: Final = 2.0
"""The ratio of a pause to the publication before it. Publishing takes a third of the time at most,
unless a publication takes more than half of the longest pause."""

_RELEASE_SECONDS: Final = 10.0
"""How often free memory is returned to the system: at rest it takes 0.2 ms."""

_NAMES_AT_ONCE: Final = 5_000
"""CPU users and folders whose samples are made at once, where several accounts have them."""
_NEVER: Final = float("-inf")


class Publisher:
    """Publishes what the store and the counters hold, in a thread of its own.

    Once a second, until stopped, the publisher takes the accounts that have changed, and
    renders and compresses these alone: those of which a poll or a request has ended, or a snapshot
    has become stale. Where nothing has changed, it does nothing. A publication that takes more than
    half a second is followed by a longer pause, of 5 s at most: many accounts change at the start,
    and their polls need the processor. So what a scrape gets of accounts is ready, and may be as
    old as a pause and two publications: a change that comes during the first is in the second. To
    make sure that the next scrape shows a change, call
    ``publish``.

    The metrics of the process (``process_*``, ``python_*``) are rendered for the first scrape of
    each second, and not at all while there are none.
    """

    def __init__(self, metrics: Metrics, store: Store, clock: Clock, stop: Stop) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._stop = stop
        self._failing = self._process_failing = False
        self._must_render_all = True
        self._stale_at: dict[str, float] = {}
        self._pending_targets: Mapping[str, tuple[Target, ...]] | None = None
        self._layer: AccountsLayer | None = None
        self._exposition: Exposition | None = None
        self._process_rendered = _NEVER
        self._lock = threading.RLock()
        self._thread = SupervisedThread("publish", self.run, stop)

    def latest(self) -> Exposition | None:
        """Return what was published last, which never changes, or None before that.

        For one thread at a time. At most once a second, it renders the process layer.
        """
        layer, exposition, monotonic = self._layer, self._exposition, self._clock.monotonic()
        if layer is None:
            return None
        if exposition is None or monotonic - self._process_rendered >= PAUSE:
            # Set before it is rendered: a publication meanwhile is not missed.
            self._process_rendered = monotonic
            exposition = expose(layer, self._render_process_layer())
        elif exposition.accounts is not layer:
            exposition = expose(layer, exposition.process)
        self._exposition = exposition
        return exposition

    def list_pending_targets(self) -> tuple[Target, ...]:
        """Return the targets of which no finished poll has been published yet.

        After a publication without any, there are none: targets that a reload adds do not count.
        """
        pending = self._pending_targets
        if pending is None:
            return tuple(self._store.current())
        return tuple(target for targets in pending.values() for target in targets)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the name of the thread if it should publish and does not."""
        return (self._thread.name,) if self._thread.is_down else ()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, at most ``timeout`` seconds; return whether it has."""
        return self._thread.join(timeout)

    def run(self) -> None:
        """Publish now, then after each pause what has changed, until stopped.

        Return free memory to the system now and then: a snapshot and its text are the largest of
        all that is replaced, in any thread.
        """
        pause = self._publish_and_measure()
        release_free_memory = FreeMemoryRelease()
        next_release = self._clock.monotonic()  # the start has left something too
        while not self._stop.wait(pause):
            pause = self._publish_and_measure()
            if self._clock.monotonic() >= next_release:
                release_free_memory()
                next_release = self._clock.monotonic() + _RELEASE_SECONDS

    def publish(self) -> bool:
        """Publish now what has changed; return whether that succeeded.

        Any thread may call this. It takes the time of two publications at most: it waits for one
        that is in progress, and never for polls or for ScaleEngine.
        """
        self._process_rendered = _NEVER
        return self._publish_or_log()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Publish nothing during the ``with``: no scrape sees half of what is changed there."""
        with self._lock:
            yield

    def _publish_and_measure(self) -> float:
        """Publish now; return the seconds to wait afterwards."""
        with self._lock:  # to wait for it is no part of the time
            began = self._clock.monotonic()
            self._publish_or_log()
            seconds = self._clock.monotonic() - began
        return min(_MAX_PAUSE, max(PAUSE, _PAUSE_RATIO * seconds))

    def _publish_or_log(self) -> bool:
        with self._lock:
            try:
                self._publish()
            except Exception as error:
                limit = find_resource_limit(error)
                if self._failing:  # once, not every second
                    pass
                elif limit is None:
                    log.exception("metrics not published, retrying; please report it")
                else:
                    log.warning("metrics not published, retrying", **limit._asdict())
                self._failing = True
            else:
                self._failing = False
            return not self._failing

    def _publish(self) -> None:
        if self._metrics.wall_time.refresh():
            self._must_render_all, self._process_rendered = True, _NEVER
        accounts, monotonic = self._metrics.accounts(), self._clock.monotonic()
        render_all, self._must_render_all = self._must_render_all, True  # until it has succeeded
        changes = self._take_changes(monotonic)
        if render_all:
            changes = {collector.source: accounts for collector in self._metrics.collectors}
        layer = self._layer or self._make_layer()
        if accounts != tuple(layer.positions):
            layer = layer.with_accounts(accounts)
        # Before they are rendered: a snapshot or a poll that is newer makes no difference then.
        self._schedule(changes.get(TARGETS, ()), monotonic)
        pending = self._find_pending_targets(changes.get(TARGETS, ()), accounts)
        layer = layer.with_sections(self._render(changes, layer.positions))
        layer.text_body, layer.part  # noqa: B018 - they are made here, so that no scrape has to
        # All families in one step: a scrape has the old exposition, or the new one.
        self._layer, self._pending_targets = layer, pending
        self._must_render_all = False

    def _take_changes(self, monotonic: float) -> Mapping[str, Collection[str]]:
        """Return the accounts that have changed, by source; time and secrets change some, too."""
        stale = [account for account, due in self._stale_at.items() if due <= monotonic]
        self._metrics.changes.add(TARGETS, stale)
        self._metrics.changes.add(TARGETS, self._metrics.redactor.accounts_to_redact())
        return self._metrics.changes.take()

    def _make_layer(self) -> AccountsLayer:
        return build_empty_layer(
            family
            for collector in self._metrics.collectors
            for family in collector.collect_accounts(())
        )

    def _schedule(self, changed: Iterable[str], monotonic: float) -> None:
        """Note when the next snapshot of each changed account becomes stale."""
        for account in changed:
            times = [
                state.good.finished + state.target.stale_after
                for state in self._store.account(account)
                if state.good is not None and state.snapshot(monotonic) is not None
            ]
            self._stale_at.pop(account, None)
            if times:
                self._stale_at[account] = min(times)

    def _find_pending_targets(
        self, changed: Iterable[str], accounts: Iterable[str]
    ) -> Mapping[str, tuple[Target, ...]]:
        """Return the targets of each account that have not finished a poll; those that had none."""
        if self._pending_targets is not None and not self._pending_targets:
            return self._pending_targets
        pending = dict(self._pending_targets or {})
        for account in changed:
            states = self._store.account(account)
            pending[account] = tuple(state.target for state in states if state.last is None)
        return {account: pending[account] for account in accounts if pending.get(account)}

    def _render(
        self, changes: Mapping[str, Collection[str]], accounts: Collection[str]
    ) -> Mapping[str, Sections]:
        """Return the samples of the accounts that have changed, by family."""
        rendered: dict[str, list[Sections]] = {}
        # First the counters, which are the last, then what they count: a poll is recorded before it
        # is counted, so that every poll in a counter is shown as well.
        for collector in reversed(self._metrics.collectors):
            changed = [name for name in changes.get(collector.source, ()) if name in accounts]
            for part in self._split(changed):
                for family in collector.collect_accounts(part):
                    rendered.setdefault(family.name, []).append(render_sections(family, part))
        return {name: merge_sections(parts) for name, parts in rendered.items()}

    def _split(self, accounts: Iterable[str]) -> Iterator[list[str]]:
        """Return the accounts in parts, so that the samples of few large ones exist at once.

        Those of ten thousand CPU users take 20 MB until they are text.
        """
        part, names = list[str](), 0
        for account in accounts:
            its_names = sum(state.count_names() for state in self._store.account(account))
            if part and names + its_names > _NAMES_AT_ONCE:
                yield part
                part, names = [], 0
            part.append(account)
            names += its_names
        if part:
            yield part

    def _render_process_layer(self) -> ProcessLayer:
        try:
            layer = render_process_layer(self._metrics.process.collect())
        except Exception as error:
            limit = find_resource_limit(error)
            if self._process_failing:
                pass
            elif limit is None:
                log.exception("process metrics not published, retrying; please report it")
            else:
                log.warning("process metrics not published, retrying", **limit._asdict())
            self._process_failing = True
            return render_process_layer(())
        self._process_failing = False
        return layer
