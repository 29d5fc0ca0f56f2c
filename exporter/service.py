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
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog
from aiohttp import web

from exporter.accounts import Dependencies, build_accounts
from exporter.config_watch import ConfigWatch, ConfigWatcher
from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import Metrics, add_process_metrics, build_metrics
from exporter.observer import Observer
from exporter.polling.demand import DemandLog
from exporter.polling.loop_thread import PollingThread
from exporter.polling.poller import Poller
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import Target, compute_delta
from exporter.polling.workers import WorkerPool
from exporter.process.resource_limits import find_resource_limit
from exporter.process.signals import GRACE_SECONDS
from exporter.process.start import Process
from exporter.reload import ConfigReloader, ReloadThread
from exporter.scaleengine.clock import Clock, Seconds
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.timers import TIMERS
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.scaleengine.transport import Endpoint
from exporter.settings import Settings, describe_changes
from exporter.systemd import Notifier
from exporter.timed_read import SettledRead
from exporter.version import version_string
from exporter.web.app import AppState, build_app
from exporter.web.listeners import close, format_address
from exporter.web.server import serve
from exporter.web.status.pages import StatusSource

if TYPE_CHECKING:
    from exporter.web.config_file import LiveWebConfig

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_LOOP_DESCRIPTORS: Final = 3
_LAST_POLLS_SECONDS: Final = 1.5
_LAST_PUBLICATION_SECONDS: Final = 0.5
_LAST_RELOAD_SECONDS: Final = 0.5
_MAX_FILE_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Where and how to serve; ``lifecycle`` lets a request reload the configuration.

    ``config_file`` is where the configuration comes from, and ``configuration`` returns what of it
    is in force, as YAML without secrets; None where there is none.
    """

    sockets: Sequence[socket.socket]
    telemetry_path: str
    web_config: "LiveWebConfig | None" = None
    lifecycle: bool = False
    config_file: str | None = None
    configuration: Callable[[], str] | None = None

    def is_restricted(self) -> bool:
        """Return whether the operator has said who may reach this, or trusts all who do."""
        return self.lifecycle or bool(self.web_config and self.web_config.current.users)


@dataclass(frozen=True, slots=True)
class ConfigSource(Generic[T]):
    """Where the settings come from.

    ``read`` returns the configuration and raises ConfigError. ``endpoint`` returns where a
    configuration sends the API's credentials. ``accept`` applies the configuration's log settings
    and returns the settings of the service. The key and the secret of each account are registered
    with ``secrets``. ``name`` names the file or files in messages. ``watch`` says how to detect
    changes of the files; None if they are not watched.
    """

    read: Callable[[], T]
    endpoint: Callable[[T], Endpoint]
    accept: Callable[[T], Settings]
    secrets: SecretRedactor
    name: str = ""
    watch: ConfigWatch[T] | None = None


def run(
    settings: Settings, source: ConfigSource[T], web_options: WebOptions, process: Process
) -> None:
    """Poll and serve until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Threads that hang, in the resolver or in a file, are left behind.
    """
    service = _Service(settings, source, web_options, process)
    log.info(
        "starting",
        version=version_string(),
        accounts=len(settings.accounts),
        targets=len(settings.targets),
        shard=settings.shard.ordinal,
        total_shards=settings.shard.total,
    )
    try:
        _run_loop(service.serve)
    finally:
        log.info("stopping")
        service.stop()


class _Service(Generic[T]):
    """What polls, publishes, reloads and serves, from ``serve`` to ``stop``."""

    def __init__(
        self,
        settings: Settings,
        source: ConfigSource[T],
        web_options: WebOptions,
        process: Process,
    ) -> None:
        self._source = source
        self._web_options = web_options
        self._process = process
        self._clock = clock = Clock()
        self._stop = stop = threading.Event()
        self._store = Store(settings.targets)
        self._metrics = build_metrics(
            self._store,
            _map_cdn_by_account(settings),
            clock,
            _map_quotas_by_account(settings),
            source.secrets,
            _map_labels_by_account(settings),
            settings.requests_per_second,
        )
        self._polling = self._build_polling(settings)
        self._publisher = Publisher(self._metrics, self._store, clock, stop)
        self._notifier = Notifier(process.environ)
        self._reloading = _ReloadService(
            source, self._polling, self._publisher, self._notifier, (stop, clock)
        )
        add_process_metrics(
            self._metrics,
            settings.shard.ordinal,
            settings.shard.total,
            lambda: self._process.stderr.lines_dropped,
            self._reloading.reload,
            self._web_options.web_config,
        )
        self._app = self._build_app()
        self._ssl_context = _protect(self._app, web_options.web_config, clock)

    async def serve(self) -> None:
        """Poll and serve until a signal to stop."""
        loop, stop_serving = asyncio.get_running_loop(), asyncio.Event()
        self._process.signals.on_stop(
            lambda: loop.call_soon_threadsafe(stop_serving.set), _log_overdue
        )
        async with self._notifier.watch(self._list_dead_threads):
            await serve(
                self._app, self._web_options.sockets, self._begin, stop_serving, self._ssl_context
            )

    def stop(self) -> None:
        """End the threads, and wait for them for a limited time."""
        close(self._web_options.sockets)  # where they were not served
        self._stop.set()
        self._polling.stop(_LAST_POLLS_SECONDS)
        self._publisher.join(_LAST_PUBLICATION_SECONDS)
        self._reloading.join(_LAST_RELOAD_SECONDS)

    def _begin(self) -> None:
        """Start the threads, when the server accepts connections."""
        self._polling.start()
        self._publisher.start()
        self._reloading.start()
        self._process.signals.on_reload(self._reloading.request)
        path = self._web_options.telemetry_path
        for sock in self._web_options.sockets:
            log.info("listening", address=format_address(sock), path=path)
        self._notifier.notify_ready()

    def _list_dead_threads(self) -> tuple[str, ...]:
        """Return the names of the threads and tasks that should run and do not."""
        return (
            *self._polling.thread.list_dead_threads(),
            *self._publisher.list_dead_threads(),
            *self._reloading.list_dead_threads(),
        )

    def _build_polling(self, settings: Settings) -> "_PollingService":
        workers = WorkerPool(settings.max_workers)
        dependencies = Dependencies(
            self._clock,
            TimestampAllocator(self._stop.wait),
            observe=self._metrics.record_exchange,
            register=self._source.secrets.register,
            record_verdict=self._metrics.record_verdict,
            workers=workers,
            file_workers=WorkerPool(_MAX_FILE_WORKERS, "secret"),
        )
        return _PollingService(settings, dependencies, workers, self._store, self._metrics)

    def _build_app(self) -> web.Application:
        options, reloading = self._web_options, self._reloading
        observe = Observer(
            settings=lambda: self._polling.settings,
            store=self._store,
            clock=self._clock,
            wall_time=self._metrics.wall_time,
            started=self._clock.monotonic(),
            list_dead_threads=self._list_dead_threads,
            config_file=options.config_file,
            config=reloading.reload,
            web_config=options.web_config,
            redact=self._source.secrets.redact,
        )
        return build_app(
            AppState(
                self._publisher.latest,
                options.telemetry_path,
                StatusSource(
                    observe, options.configuration, options.is_restricted, self._clock.monotonic
                ),
                self._list_dead_threads,
                self._publisher.list_pending_targets,
                partial(reloading.request, over_http=True) if options.lifecycle else None,
            )
        )


def _protect(
    app: web.Application, web_config: "LiveWebConfig | None", clock: Clock
) -> ssl.SSLContext | None:
    """Apply the web configuration, if there is one, and return its TLS context, if it has one."""
    if web_config is None:
        return None
    from exporter.web.config_file import install_web_config  # noqa: PLC0415 - as it is read

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
    log.warning("shutdown timed out, exiting", after=Seconds(GRACE_SECONDS), threads=names)


class _PollingService:
    """Everything that is polled, by the settings that were applied last."""

    def __init__(
        self,
        settings: Settings,
        dependencies: Dependencies,
        workers: WorkerPool,
        store: Store,
        metrics: Metrics,
    ) -> None:
        self._dependencies = dependencies
        self._workers = workers
        self._metrics = metrics
        self._pool = build_accounts(settings, dependencies)
        self._demand = DemandLog(
            store, dependencies.clock, lambda: self.settings.requests_per_second
        )
        self._poller = Poller(
            store,
            dependencies.clock,
            random.Random(),  # noqa: S311 - it spreads polls, it keeps no secret
            self._record_poll,
        )
        self._poller.apply(compute_delta((), settings.targets), self._pool.accounts)
        self.thread = PollingThread(self._poller)

    def _record_poll(self, target: Target, result: PollResult) -> None:
        self._metrics.record_poll(target, result)
        self._demand.record(target, result)

    @property
    def settings(self) -> Settings:
        return self._pool.settings

    @property
    def endpoint(self) -> Endpoint:
        return self._pool.settings.endpoint

    def start(self) -> None:
        """Begin to poll, with a thread for requests; raises RuntimeError where there is none."""
        self._workers.start()
        TIMERS.start()
        self.thread.start()

    def stop(self, timeout: float) -> None:
        """End all polls; wait ``timeout`` seconds for it at most."""
        self.thread.stop(timeout)
        self._pool.connections.close()

    def apply(self, settings: Settings) -> None:
        """Apply other settings; targets that both have keep their schedule."""
        self.thread.call(partial(self._apply, settings))

    def _apply(self, settings: Settings) -> None:
        delta = self._pool.compute_delta(settings)
        pool = self._pool.reconcile(settings, self._dependencies)
        self._workers.resize(settings.max_workers)
        # First, as it ends the requests of replaced accounts, which count under the same name.
        self._poller.apply(delta, pool.accounts)
        if pool.connections is not self._pool.connections:
            self._pool.connections.retire()
        self._metrics.apply(
            delta,
            _map_cdn_by_account(settings),
            _map_quotas_by_account(settings),
            _map_labels_by_account(settings),
            settings.requests_per_second,
        )
        self._demand.set_targets(settings.targets)
        self._pool = pool  # last: where a step fails, the next reload computes it again


class _ReloadService(Generic[T]):
    """Reloads the configuration when that is requested, or when its files change."""

    def __init__(
        self,
        source: ConfigSource[T],
        polling: _PollingService,
        publisher: Publisher,
        notifier: Notifier,
        process: tuple[threading.Event, Clock],
    ) -> None:
        self._source = source
        self._polling = polling
        self._publisher = publisher
        stop, clock = process
        read = SettledRead(source.read, self._needs_second_read, stop.wait, source.name)
        self.reload = ConfigReloader(read, self._apply, publisher.publish, clock)
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

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the names of the threads that should run and do not."""
        watching = self._watcher.list_dead_threads() if self._watcher else ()
        return (*self._thread.list_dead_threads(), *watching)

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

    def _apply(self, configured: T) -> Mapping[str, object]:
        before, settings = self._polling.settings, self._source.accept(configured)
        with self._publisher.paused():
            self._polling.apply(settings)
        return describe_changes(before, settings)


def _map_cdn_by_account(settings: Settings) -> dict[str, int]:
    return {account.name: account.cdn for account in settings.accounts}


def _map_quotas_by_account(settings: Settings) -> dict[str, Mapping[str, int]]:
    return {account.name: account.quotas for account in settings.accounts if account.quotas}


def _map_labels_by_account(settings: Settings) -> dict[str, Mapping[str, str]]:
    return {account.name: account.labels for account in settings.accounts if account.labels}
