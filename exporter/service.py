"""The running service: polling in one thread, serving in the main thread."""

import asyncio
import os
import random
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

import structlog
from aiohttp import web

from exporter.accounts import Surroundings, roster
from exporter.config_watch import ConfigWatcher, Watch
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import (
    Metrics,
    add_reload_gauges,
    add_shard_gauges,
    build_metrics,
)
from exporter.metrics.self_metrics import add_log_counter
from exporter.plan import Plan, describe_changes
from exporter.polling.demand import DemandLog
from exporter.polling.loop_thread import PollingThread
from exporter.polling.poller import Poller
from exporter.polling.reload_delta import compute_delta
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import Target
from exporter.polling.workers import WorkerPool
from exporter.process.resource_limits import find_resource_limit
from exporter.process.signals import GRACE_SECONDS
from exporter.process.start import Process
from exporter.reload import Reload, ReloadThread
from exporter.scaleengine.clock import Clock, Seconds
from exporter.scaleengine.deadlines import DEADLINES
from exporter.scaleengine.masking import KnownSecrets
from exporter.scaleengine.timestamps import Stamps
from exporter.scaleengine.transport import Endpoint
from exporter.status import Observer
from exporter.systemd import Notifier
from exporter.timed_read import SettledRead
from exporter.version import described
from exporter.web.config_file import LiveWebConfig, install_web_config
from exporter.web.listeners import close, shown
from exporter.web.pages import Served, build_app
from exporter.web.server import serve
from exporter.web.status.pages import StatusSource

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_LOOP_DESCRIPTORS: Final = 3
_LAST_POLLS_SECONDS: Final = 1.5
_LAST_PUBLICATION_SECONDS: Final = 0.5
_LAST_RELOAD_SECONDS: Final = 0.5
_MAX_FILE_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Front:
    """Where and how to serve; ``lifecycle`` lets a request reload the configuration.

    ``config_file`` is where the configuration comes from, and ``configuration`` returns what of it
    is in force, as YAML without secrets; None where there is none.
    """

    sockets: Sequence[socket.socket]
    telemetry_path: str
    web_config: LiveWebConfig | None = None
    lifecycle: bool = False
    config_file: str | None = None
    configuration: Callable[[], str] | None = None

    def is_restricted(self) -> bool:
        """Return whether the operator has said who may reach this, or trusts all who do."""
        return self.lifecycle or bool(self.web_config and self.web_config.current.users)


@dataclass(frozen=True, slots=True)
class Source(Generic[T]):
    """Where the plan comes from.

    ``read`` returns what is configured now and raises ConfigError; ``endpoint`` returns where that
    sends the API's credentials; ``accept`` makes the plan of it, and does what else it asks for.
    ``secrets`` learns the key and the secret of each account that is used. ``name`` is that of the
    file or files, for messages. ``watch`` says how to look for changes of them, if anybody does.
    """

    read: Callable[[], T]
    endpoint: Callable[[T], Endpoint]
    accept: Callable[[T], Plan]
    secrets: KnownSecrets
    name: str = ""
    watch: Watch[T] | None = None


def run(plan: Plan, source: Source[T], front: Front, process: Process) -> None:
    """Poll and serve until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Threads that hang, in the resolver or in a file, are left behind.
    """
    clock = Clock()
    stop = threading.Event()
    store = Store(plan.targets)
    metrics = build_metrics(
        store,
        _numbers(plan),
        clock,
        _quotas(plan),
        source.secrets,
        _labels(plan),
        plan.requests_per_second,
    )
    workers = WorkerPool(plan.max_workers)
    around = Surroundings(
        clock,
        Stamps(stop.wait),
        observe=metrics.record_exchange,
        learn=source.secrets.learn,
        judge=metrics.record_verdict,
        workers=workers,
        file_workers=WorkerPool(_MAX_FILE_WORKERS, "secret"),
    )
    polling = _Polling(plan, around, workers, store, metrics)
    publisher = Publisher(metrics, store, clock, stop)

    notifier = Notifier(process.environ)
    reloading = _Reloading(source, polling, publisher, notifier, (stop, clock))
    add_shard_gauges(metrics, plan.shard.ordinal, plan.shard.total)
    add_log_counter(metrics.tail, lambda: process.stderr.lines_dropped)
    add_reload_gauges(metrics, "config", reloading.reload)
    if front.web_config is not None:
        add_reload_gauges(metrics, "web_config", front.web_config)

    def dead() -> tuple[str, ...]:
        return (*polling.thread.dead(), *publisher.dead(), *reloading.dead())

    def unfinished() -> list[str]:
        return [str(target) for target in publisher.unfinished()]

    def begin() -> None:
        polling.start()
        publisher.start()
        reloading.start()
        process.signals.on_reload(reloading.request)
        for sock in front.sockets:
            log.info("listening", address=shown(sock), path=front.telemetry_path)
        notifier.notify_ready()

    observe = Observer(
        plan=lambda: polling.plan,
        store=store,
        clock=clock,
        wall_time=metrics.wall_time,
        started=clock.monotonic(),
        dead=dead,
        config_file=front.config_file,
        config=reloading.reload,
        web_config=front.web_config,
        redact=source.secrets.hide,
    )
    app = build_app(
        Served(
            publisher.latest,
            front.telemetry_path,
            StatusSource(observe, front.configuration, front.is_restricted, clock.monotonic),
            dead,
            unfinished,
            partial(reloading.request, over_http=True) if front.lifecycle else None,
        )
    )
    ssl_context = _protect(app, front.web_config, clock)
    log.info(
        "starting",
        version=described(),
        accounts=len(plan.accounts),
        targets=len(plan.targets),
        shard=plan.shard.ordinal,
        total_shards=plan.shard.total,
    )

    async def serve_until_stopped() -> None:
        loop, stop_serving = asyncio.get_running_loop(), asyncio.Event()
        process.signals.on_stop(lambda: loop.call_soon_threadsafe(stop_serving.set), _log_overdue)
        async with notifier.watch(dead):
            await serve(app, front.sockets, begin, stop_serving, ssl_context)

    try:
        _run_loop(serve_until_stopped)
    finally:
        log.info("stopping")
        close(front.sockets)  # where they were not served
        stop.set()
        polling.thread.stop(_LAST_POLLS_SECONDS)
        publisher.join(_LAST_PUBLICATION_SECONDS)
        reloading.join(_LAST_RELOAD_SECONDS)


def _protect(
    app: web.Application, web_config: LiveWebConfig | None, clock: Clock
) -> ssl.SSLContext | None:
    """Apply the web configuration, if there is one, and return its TLS context, if it has one."""
    if web_config is None:
        return None
    install_web_config(app, web_config, clock.monotonic)
    return web_config.ssl_context


def _run_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function in an event loop.

    Raises OSError or RuntimeError where there are too few descriptors or threads for it.
    """
    finished = False

    async def run() -> None:
        nonlocal finished
        await work()
        finished = True

    for descriptor in [os.dup(2) for _ in range(_LOOP_DESCRIPTORS)]:
        os.close(descriptor)  # without them, an event loop leaves a traceback behind
    try:
        asyncio.run(run())
    except RuntimeError as error:
        # asyncio starts a thread to end others; without it all is done as well.
        if not (finished and find_resource_limit(error)):
            raise


def _log_overdue() -> None:
    names = sorted(thread.name for thread in threading.enumerate())
    log.warning("not stopped in time, ending by force", after=Seconds(GRACE_SECONDS), threads=names)


class _Polling:
    """All that is polled, by the plan that was taken last."""

    def __init__(
        self,
        plan: Plan,
        around: Surroundings,
        workers: WorkerPool,
        store: Store,
        metrics: Metrics,
    ) -> None:
        self._around = around
        self._workers = workers
        self._metrics = metrics
        self._roster = roster(plan, around)
        self._demand = DemandLog(store, around.clock, lambda: self.plan.requests_per_second)
        self._poller = Poller(
            store,
            around.clock,
            random.Random(),  # noqa: S311 - it spreads polls, it keeps no secret
            self._record_poll,
        )
        self._poller.apply(compute_delta((), plan.targets), self._roster.accounts)
        self.thread = PollingThread(self._poller)

    def _record_poll(self, target: Target, result: PollResult) -> None:
        self._metrics.record_poll(target, result)
        self._demand.record(target, result)

    @property
    def plan(self) -> Plan:
        return self._roster.plan

    @property
    def endpoint(self) -> Endpoint:
        return self._roster.plan.endpoint

    def start(self) -> None:
        """Begin to poll, with a thread for requests; raises RuntimeError where there is none."""
        self._workers.start()
        DEADLINES.start()
        self.thread.start()

    def take(self, plan: Plan) -> None:
        """Poll by another plan from now on; what both have goes on as it was."""
        self.thread.call(partial(self._take, plan))

    def _take(self, plan: Plan) -> None:
        delta = self._roster.delta_to(plan)
        renewed = self._roster.renewed(plan, self._around)
        self._workers.resize(plan.max_workers)
        # First, as it ends the requests of replaced accounts, which count under the same name.
        self._poller.apply(delta, renewed.accounts)
        self._metrics.apply(
            delta, _numbers(plan), _quotas(plan), _labels(plan), plan.requests_per_second
        )
        self._demand.set_targets(plan.targets)
        self._roster = renewed  # last: where a step fails, the next reload computes it again


class _Reloading(Generic[T]):
    """Reloads the configuration when that is requested, or when its files change."""

    def __init__(
        self,
        source: Source[T],
        polling: _Polling,
        publisher: Publisher,
        notifier: Notifier,
        process: tuple[threading.Event, Clock],
    ) -> None:
        self._source = source
        self._polling = polling
        self._publisher = publisher
        stop, clock = process
        read = SettledRead(source.read, self._needs_second_read, stop.wait, source.name)
        self.reload = Reload(read, self._take, publisher.publish, clock)
        self._thread = ReloadThread(notifier.wrap_reload(self.reload), stop, clock)
        self.request = self._thread.request
        self._watcher: ConfigWatcher[T] | None = None
        if source.watch is not None:
            self._watcher = ConfigWatcher(
                source.watch, self.request, lambda: self.reload.last_reload_successful, stop
            )

    def start(self) -> None:
        self._thread.start()
        if self._watcher:
            self._watcher.start()

    def dead(self) -> tuple[str, ...]:
        """Return the names of the threads that should run and do not."""
        watching = self._watcher.dead() if self._watcher else ()
        return (*self._thread.dead(), *watching)

    def join(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for each thread to end, when it is time to stop."""
        self._thread.join(timeout)
        if self._watcher:
            self._watcher.join(timeout)

    def _needs_second_read(self, configured: T) -> bool:
        """Return whether what was read may be half of what is being written."""
        endpoint = self._source.endpoint(configured)
        is_settled = self._watcher is None or self._watcher.is_settled(configured)
        return not (is_settled and self._polling.endpoint.has_same_server(endpoint))

    def _take(self, configured: T) -> Mapping[str, object]:
        before, plan = self._polling.plan, self._source.accept(configured)
        with self._publisher.paused():
            self._polling.take(plan)
        return describe_changes(before, plan)


def _numbers(plan: Plan) -> dict[str, int]:
    return {account.name: account.cdn for account in plan.accounts}


def _quotas(plan: Plan) -> dict[str, Mapping[str, int]]:
    return {account.name: account.quotas for account in plan.accounts if account.quotas}


def _labels(plan: Plan) -> dict[str, Mapping[str, str]]:
    return {account.name: account.labels for account in plan.accounts if account.labels}
