"""Read the configuration again while the process runs."""

import queue
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import structlog

from exporter.documents.problems import ConfigError
from exporter.plan import Plan
from exporter.polling.lasting import LastingThread
from exporter.polling.stopping import Stop
from exporter.scaleengine.clock import Clock

log: Final = structlog.get_logger(__name__)


_READ_TRACEBACK: Final = "report the traceback in the log"


class Reload:
    """Reads the configuration when asked to, and puts it in force if it is good as a whole.

    ``read`` returns the plan that the file makes now and raises ConfigError; ``take`` puts a plan
    in force. While the file is bad, what was in force before stays so. ``publish`` lets the next
    scrape show what came of it, and returns whether it does.
    """

    def __init__(
        self,
        read: Callable[[], Plan],
        take: Callable[[Plan], None],
        publish: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._read = read
        self._take = take
        self._publish = publish
        self._clock = clock
        self._lock = threading.Lock()
        self.last_reload_successful = True
        """Whether what is in force is what the file said when it was read last."""
        self.last_success = clock.elapsed()
        """When it was last read well, in seconds of monotonic time."""

    def __call__(self) -> Sequence[str]:
        """Reload, and return what is wrong with the file.

        Nothing is wrong where it is in force and published now. Publishing comes before the log
        line: whoever waits for that finds the outcome at the next scrape.
        """
        with self._lock:
            problems = self._problems()
            self.last_reload_successful = not problems
            if not problems:
                self.last_success = self._clock.elapsed()
            published = self._publish()
            for problem in problems:
                log.error("configuration not reloaded", problem=problem)
            if problems:
                return problems
            if not published:
                log.error("configuration reloaded, metrics not published", advice=_READ_TRACEBACK)
                return [f"the configuration is in force, /metrics lags behind: {_READ_TRACEBACK}"]
            log.info("configuration reloaded")
            return []

    def _problems(self) -> Sequence[str]:
        try:
            self._take(self._read())
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        except Exception:
            log.exception("a defect of this exporter ended a reload; please report it")
            return ["a defect of this exporter ended the reload; the log has its traceback"]
        return []


class HangUps:
    """Reloads at SIGHUP, in a thread of its own: files are read and checked, and scrapes go on.

    Those that come while a reload is under way call for one more, however many they are. So
    nothing has piled up when it is time to stop.
    """

    def __init__(self, reload: Callable[[], object], stop: Stop) -> None:
        self._reload = reload
        self._stop = stop
        # A signal handler may be interrupted by itself, which no lock or event would stand.
        self._come: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = LastingThread("reload", self.run, stop)

    def start(self) -> None:
        """Begin to reload."""
        self._thread.start()

    def dead(self) -> tuple[str, ...]:
        """Return the name of the thread if it should wait for signals and does not."""
        return (self._thread.name,) if self._thread.dead else ()

    def heed(self, _: int = signal.SIGHUP, __: FrameType | None = None) -> None:
        """Take note of a signal: a handler for ``signal.signal``."""
        self._come.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, when it is time to stop; return whether it has.

        ``timeout`` is in seconds.
        """
        self._come.put(None)
        return self._thread.join(timeout)

    def run(self) -> None:
        """Reload whenever the signal has come, until told to stop."""
        self._come.get()
        while not self._stop.is_set():
            while not self._come.empty():  # nobody else takes any
                self._come.get()
            self._reload()
            self._come.get()
