"""Notify systemd of what the service does, as sd_notify(3) describes it.

Written here because it is one datagram; the libraries for it wrap a C library or log differently.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from exporter.reload import OneReload

log: Final = structlog.get_logger(__name__)

_FEEDS_PER_TIMEOUT: Final = 3
_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Sends notifications to the service manager that ``environ`` names, if it names any.

    ``monotonic_ns`` gives the nanoseconds of CLOCK_MONOTONIC. A notification that cannot be sent is
    logged, and nothing else: it must not disturb the service.
    """

    def __init__(
        self, environ: Mapping[str, str], monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._monotonic_ns = monotonic_ns
        self.watchdog_seconds = _read_watchdog(environ)
        """Seconds after which a service that was silent is killed; None without a watchdog."""

    def notify_ready(self) -> None:
        """Notify that the service is started."""
        self._send("READY=1", "STATUS=serving")

    @asynccontextmanager
    async def watch(self, find_dead: Callable[[], Sequence[str]]) -> AsyncIterator[None]:
        """Feed the watchdog meanwhile, as long as ``find_dead`` finds no thread that is dead.

        It is fed by the event loop of the caller: where that hangs, it is not fed either.
        Afterwards the service stops, which is notified.
        """
        feeding = asyncio.create_task(self._feed_watchdog(find_dead))
        try:
            yield
        finally:
            feeding.cancel()
            self._send("STOPPING=1", "STATUS=stopping")

    async def _feed_watchdog(self, find_dead: Callable[[], Sequence[str]]) -> None:
        while self.watchdog_seconds is not None:
            if not find_dead():
                self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / _FEEDS_PER_TIMEOUT)

    def wrap_reload(self, reload: OneReload) -> OneReload:
        """Return a reload that also notifies of its begin and its end."""

        def notify_and_reload(*, over_http: bool) -> Sequence[str]:
            began = self._monotonic_ns() // 1000
            self._send("RELOADING=1", f"MONOTONIC_USEC={began}", "STATUS=reloading")
            failed = True
            try:
                problems = reload(over_http=over_http)
                failed = bool(problems)
            finally:
                status = "serving; the last reload failed, see the log" if failed else "serving"
                self._send("READY=1", f"STATUS={status}")
            return problems

        return notify_and_reload

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ is the NUL of an abstract address: unix(7).
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("systemd not notified", notification=lines[0], error=str(error))


def _read_watchdog(environ: Mapping[str, str]) -> float | None:
    """Return the timeout of sd_watchdog_enabled(3) in seconds, if it is meant for this process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    return int(microseconds) / _MICROSECONDS
