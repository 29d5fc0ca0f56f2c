"""Signals, taken by one thread from the first moment to the last.

They are blocked everywhere else, so that no code is interrupted. Many of the same kind that come
while one is handled are one.
"""

import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from exporter.process.blocking import STOPPING, TAKEN
from exporter.process.ending import EXIT_OK

GRACE_SECONDS: Final = 4.0
"""Seconds between the signal to stop and the end by force."""


class SignalThread:
    """Takes the signals that ``block_signals`` has blocked.

    SIGTERM and SIGINT end the process at once, until ``on_stop`` says how to stop in good order;
    ``GRACE_SECONDS`` later the process ends in any case. SIGHUP waits until ``on_reload`` says what
    to do. ``exit_process`` ends the process with the status that it is given, which is ``status``
    here. ``sleep`` waits for a number of seconds.
    """

    def __init__(
        self,
        exit_process: Callable[[int], object],
        status: int = EXIT_OK,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._exit_process = exit_process
        self._sleep = sleep
        self._lock = threading.Lock()
        self._status = status
        self._stop: Callable[[], object] | None = None
        self._overdue: Callable[[], object] = _do_nothing
        self._reload: Callable[[], object] | None = None
        self._stop_requested = False
        self._reload_requested = False

    def start(self) -> None:
        """Begin to take signals; raises RuntimeError where no thread can be started."""
        threading.Thread(target=self.run, name="signals", daemon=True).start()

    def end_at_once(self, status: int, clean_up: Callable[[], object] | None = None) -> None:
        """Let each signal end the process with this status, after ``clean_up``; SIGHUP too.

        A signal that has come already does so now.
        """

        def end() -> None:
            try:
                (clean_up or _do_nothing)()
            finally:
                self._exit_process(status)

        self.on_stop(end)
        self.on_reload(end)

    def on_stop(
        self, stop: Callable[[], object], overdue: Callable[[], object] | None = None
    ) -> None:
        """Call ``stop`` when the process should stop, now if it should already.

        ``overdue`` is called before the end by force. Neither may block.
        """
        with self._lock:
            self._stop, self._overdue = stop, overdue or _do_nothing
            is_requested = self._stop_requested
        if is_requested:
            stop()

    def on_reload(self, reload: Callable[[], object]) -> None:
        """Call ``reload``, which may not block, at SIGHUP; now if one has come already."""
        with self._lock:
            self._reload = reload
            is_requested, self._reload_requested = self._reload_requested, False
        if is_requested:
            reload()

    def on_stop_or_hangup(self, stop: Callable[[], object]) -> None:
        """Call ``stop``, which may not block, when the process should stop, and at SIGHUP."""
        self.on_stop(stop)
        self.on_reload(stop)

    def run(self) -> None:
        """Take signals until one of them ends the process."""
        while True:
            # Those to stop first: the others may come faster than they are taken.
            if signal.sigtimedwait(STOPPING, 0) is None:
                number = signal.sigwait(TAKEN)
                if number == signal.SIGHUP:
                    self._handle_reload()
                    continue
            self._handle_stop()
            return

    def _handle_reload(self) -> None:
        with self._lock:
            reload = self._reload
            self._reload_requested = reload is None
        if reload is not None:
            reload()

    def _handle_stop(self) -> None:
        with self._lock:
            self._stop_requested = True
            stop = self._stop
        try:
            if stop is not None:
                stop()
                self._sleep(GRACE_SECONDS)
                self._overdue()
        finally:
            self._exit_process(self._status)


def _do_nothing() -> None:
    """Do nothing."""
