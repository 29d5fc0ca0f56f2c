"""Read the configuration again while the process runs."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from exporter.documents.problems import ConfigError
from exporter.plan import Plan
from exporter.scaleengine.clock import Clock

log: Final = structlog.get_logger(__name__)


class Reload:
    """Reads the configuration when asked to, and puts it in force if it is good as a whole.

    ``read`` returns the plan that the file makes now and raises ConfigError; ``take`` puts a plan
    in force. While the file is bad, what was in force before stays so.
    """

    def __init__(
        self, read: Callable[[], Plan], take: Callable[[Plan], None], clock: Clock
    ) -> None:
        self._read = read
        self._take = take
        self._clock = clock
        self._lock = threading.Lock()
        self.last_reload_successful = True
        """Whether what is in force is what the file said when it was read last."""
        self.last_success = clock.now()
        """When it was last read well, in unix time."""

    def __call__(self) -> Sequence[str]:
        """Reload, and return what is wrong with the file: nothing, where it is in force now."""
        with self._lock:
            problems = self._problems()
            self.last_reload_successful = not problems
            if problems:
                for problem in problems:
                    log.error("configuration not reloaded", problem=problem)
            else:
                self.last_success = self._clock.now()
                log.info("configuration reloaded")
            return problems

    def _problems(self) -> Sequence[str]:
        try:
            self._take(self._read())
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        except Exception:
            log.exception("a defect of this exporter ended a reload; please report it")
            return ["a defect of this exporter ended the reload; the log has its traceback"]
        return []
