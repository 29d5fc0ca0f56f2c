"""Threads that outlive their own defects."""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from exporter.polling.schedule import backoff
from exporter.polling.stopping import Stop
from exporter.process.resource_limits import find_resource_limit

log: Final = structlog.get_logger(__name__)

_LONGEST_PAUSE: Final = 3600.0


class LastingThread:
    """A thread that does its work until that is done, and begins anew where a defect ends it.

    ``dead`` says so meanwhile: for 30 s after the first death, and twice as long after each other.
    """

    def __init__(self, name: str, work: Callable[[], object], stop: Stop) -> None:
        self.name = name
        self._stop = stop
        self._broken = False
        self._thread = threading.Thread(name=name, target=self._run, args=(work,), daemon=True)

    @property
    def dead(self) -> bool:
        """Return whether the work that should go on does not."""
        return self._broken or not self._thread.is_alive()

    def start(self) -> None:
        """Begin the work."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most so many seconds; return whether it has come."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, work: Callable[[], object]) -> None:
        deaths = 0
        while not self._stop.is_set():
            try:
                work()
            except BaseException as error:
                deaths += 1
                self._broken = True
                wait = backoff(deaths, _LONGEST_PAUSE)
                facts = {"thread": self.name, "wait": f"{wait:.0f}s"}
                limit = find_resource_limit(error)
                if limit is None:
                    log.exception(
                        "a defect of this exporter ended a thread, which will begin anew; please "
                        "report it",
                        **facts,
                    )
                else:
                    log.warning("thread out of resources, restarting", **facts, **limit._asdict())
                self._stop.wait(wait)
                self._broken = False
            else:
                return
