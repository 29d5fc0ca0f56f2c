"""Reload the configuration while the process runs."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Generic, Protocol, TypeVar

import structlog

from exporter.polling.threads import Stop, SupervisedThread
from exporter.process.log_limit import LogLimit
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock
from exporter.yamlfile.problems import ConfigError

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_READ_TRACEBACK: Final = "report the traceback in the log"
_MAX_PAUSE_SECONDS: Final = 10.0
_PAUSE_PER_SECOND: Final = 4.0


class ReloadFunction(Protocol):
    """A function that reloads, such as ``ConfigReloader``."""

    def __call__(self, *, over_http: bool) -> Sequence[str]:
        """Reload, and return what is wrong with the file."""


class ConfigReloader(Generic[T]):
    """Reads the configuration on request, and puts it in force if it is valid as a whole.

    ``read`` returns the configuration and raises ConfigError. ``apply`` puts it in force, and
    returns what has changed, for the log. While the file is invalid, the earlier configuration
    stays in force. ``publish`` publishes the outcome on /metrics, and returns whether that
    succeeded.
    """

    def __init__(
        self,
        read: Callable[[], T],
        apply: Callable[[T], Mapping[str, object]],
        publish: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._read = read
        self._apply = apply
        self._publish = publish
        self._clock = clock
        self.last_reload_successful = True
        """Whether the last reload attempt was successful."""
        self.last_success = clock.monotonic()
        """When the last successful reload ended, in seconds of monotonic time."""
        self._log_limit = LogLimit(clock.monotonic, max_events=None)
        self._changes: Mapping[str, object] = {}

    def __call__(self, *, over_http: bool = False) -> Sequence[str]:
        """Reload, and return what is wrong with the file.

        Nothing is wrong where it is in force and published now. Publishing comes before the log
        line, so that the next scrape after that line shows the outcome. A reload ``over_http`` logs
        each outcome above the level debug once a minute: its response has the outcome too.
        """
        problems = self._find_problems()
        self.last_reload_successful = not problems
        if not problems:
            self.last_success = self._clock.monotonic()
        published = self._publish()
        is_due = self._log_limit.is_due(f"{published} {problems} {self._changes}")
        level = None if is_due or not over_http else logging.DEBUG
        for problem in problems:
            log.log(level or logging.ERROR, "configuration not reloaded", problem=problem)
        if problems:
            return problems
        if not published:
            event = "configuration reloaded, metrics not published"
            log.log(level or logging.ERROR, event, advice=_READ_TRACEBACK)
            return [f"the configuration is in force, /metrics lags behind: {_READ_TRACEBACK}"]
        log.log(level or logging.INFO, "configuration reloaded", **self._changes)
        return []

    def _find_problems(self) -> Sequence[str]:
        self._changes = {}
        try:
            self._changes = self._apply(self._read())
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        except Exception as error:
            limit = find_resource_limit(error)
            if limit is not None:
                return [str(limit)]
            if self._log_limit.is_due("defect"):
                log.exception("reload crashed; please report it")
            return ["the reload crashed; the log has the traceback"]
        return []


class ReloadThread:
    """Reloads in a thread of its own, one reload at a time: scrapes go on meanwhile.

    All requests that come while a reload is in progress share the next one, those by SIGHUP and
    those over HTTP. It begins after a pause of four times what the last one took, at most ten
    seconds: requests without end take no more than a fifth of a processor.
    """

    def __init__(self, reload: ReloadFunction, stop: Stop, clock: Clock) -> None:
        self._reload = reload
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._requested: Future[Sequence[str]] | None = None
        self._over_http = True
        self._thread = SupervisedThread("reload", self.run, stop)

    def start(self) -> None:
        """Begin to reload."""
        self._thread.start()

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the name of the thread if it should wait for requests and does not."""
        return (self._thread.name,) if self._thread.is_down else ()

    def request(self, *, over_http: bool = False) -> Future[Sequence[str]]:
        """Ask for a reload that begins after now, without waiting for it.

        Return what will hold the problems of the configuration: none, where it is in force then.
        """
        with self._lock:
            if self._requested is None:
                self._requested = Future()
                self._requested.set_running_or_notify_cancel()  # others wait for it too
                self._over_http = True
            self._over_http &= over_http
            self._wake.set()
            return self._requested

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, when it is time to stop; return whether it has.

        ``timeout`` is in seconds.
        """
        self._wake.set()
        return self._thread.join(timeout)

    def run(self) -> None:
        """Reload whenever it was requested, until stopped."""
        while True:
            self._wake.wait()
            if self._stop.is_set():
                return
            with self._lock:
                self._wake.clear()
                requested, self._requested = self._requested, None
                over_http = self._over_http
            if requested is not None:
                began = self._clock.monotonic()
                self._settle(requested, over_http=over_http)
                pause = _PAUSE_PER_SECOND * (self._clock.monotonic() - began)
                self._stop.wait(min(pause, _MAX_PAUSE_SECONDS))

    def _settle(self, requested: Future[Sequence[str]], *, over_http: bool) -> None:
        try:
            requested.set_result(self._reload(over_http=over_http))
        except BaseException as error:
            requested.set_exception(error)
            raise
