"""Request a reload when the configuration's files change."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from exporter.config import Fingerprint
from exporter.polling.threads import Stop, SupervisedThread
from exporter.timed_read import MAX_READS, SETTLE_SECONDS
from exporter.yamlfile.problems import ConfigError

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_OUTCOME_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ConfigWatch(Generic[T]):
    """How to find that the configuration's files have changed.

    Every ``interval`` seconds ``look`` returns the fingerprint of what is there now, which
    ``in_force`` returns of the configuration in force, and ``of`` of any other. ``look`` raises
    ConfigError. ``find_problems`` reads the configuration, puts nothing in force, and returns what
    is wrong with it.
    """

    interval: float
    look: Callable[[], Fingerprint]
    in_force: Callable[[], Fingerprint]
    of: Callable[[T], Fingerprint]
    find_problems: Callable[[], Sequence[str]]


class ConfigWatcher(Generic[T]):
    """Looks at the configuration's files in a thread of its own, and requests a reload on change.

    A reload is requested when two looks, a second apart, have found the same new contents: a file
    that is being written may be valid before it is complete. Contents that were refused are not
    read again as long as they and what is wrong with them stay the same, so that the log names each
    mistake once.

    ``request`` requests a reload, and returns its problems to come. ``is_successful`` returns
    whether the last reload was.
    """

    def __init__(
        self,
        watch: ConfigWatch[T],
        request: Callable[[], "Future[Sequence[str]]"],
        is_successful: Callable[[], bool],
        stop: Stop,
    ) -> None:
        self._watch = watch
        self._request = request
        self._is_successful = is_successful
        self._stop = stop
        self._settled: Fingerprint | None = None
        self._refused: Fingerprint | str | None = None
        self._problems: Sequence[str] = ()
        self._thread = SupervisedThread("watch configuration", self.run, stop)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def list_dead_threads(self) -> tuple[str, ...]:
        """Return the name of the thread if it should look and does not."""
        return (self._thread.name,) if self._thread.is_down else ()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the end, when it is time; return whether it came."""
        return self._thread.join(timeout)

    def is_settled(self, configured: T) -> bool:
        """Return whether the contents that a configuration was read from are certainly complete.

        They are where two looks have found them, or where they are those of before.
        """
        files = self._watch.of(configured).files
        settled = None if self._settled is None else self._settled.files
        return files in {settled, self._watch.in_force().files}

    def run(self) -> None:
        """Look at every interval, until stopped."""
        while not self._stop.wait(self._watch.interval):
            latest = self._look()
            if self._is_new(latest):
                self._reload_when_settled(latest)

    def _look(self) -> Fingerprint | str:
        """Return the fingerprint of now, or why there is none."""
        try:
            return self._watch.look()
        except ConfigError as error:
            return str(error)

    def _is_new(self, latest: Fingerprint | str) -> bool:
        if latest == self._watch.in_force() and self._is_successful():
            self._refused = None
            return False
        # A file that the refused contents name may have come since.
        return latest != self._refused or self._watch.find_problems() != self._problems

    def _reload_when_settled(self, latest: Fingerprint | str) -> None:
        """Request a reload when a look finds the same as the one before it."""
        for _ in range(MAX_READS):
            if self._stop.wait(SETTLE_SECONDS):
                return
            again = self._look()
            if again == latest:
                if self._is_new(latest):
                    self._reload(latest)
                return
            latest = again
        log.warning(
            "configuration keeps changing, not reloaded",
            looks=MAX_READS,
            advice="it is read when two looks, a second apart, find the same",
        )

    def _reload(self, latest: Fingerprint | str) -> None:
        self._settled = latest if isinstance(latest, Fingerprint) else None
        outcome = self._request()
        while not wait([outcome], _OUTCOME_SECONDS).done:
            if self._stop.is_set():
                return
        self._problems = outcome.result()
        self._refused = latest if self._problems else None
