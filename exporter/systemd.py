"""Talk to systemd: sockets that it hands over, and notifications (sd_listen_fds(3), sd_notify(3)).

Written here because each is a few lines; the libraries for it wrap a C library or log differently.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from exporter.reload import ReloadFunction
from exporter.web.listeners import ListenError, close

log: Final = structlog.get_logger(__name__)

_FEEDS_PER_TIMEOUT: Final = 3
_MICROSECONDS: Final = 1_000_000
_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_LISTEN_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


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
    async def watch(self, list_dead_threads: Callable[[], Sequence[str]]) -> AsyncIterator[None]:
        """Notify the watchdog meanwhile, while ``list_dead_threads`` returns none.

        It is fed by the event loop of the caller: where that hangs, it is not fed either.
        Afterwards the service stops, which is notified.
        """
        feeding = asyncio.create_task(self._feed_watchdog(list_dead_threads))
        try:
            yield
        finally:
            feeding.cancel()
            self._send("STOPPING=1", "STATUS=stopping")

    async def _feed_watchdog(self, list_dead_threads: Callable[[], Sequence[str]]) -> None:
        while self.watchdog_seconds is not None:
            if not list_dead_threads():
                self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / _FEEDS_PER_TIMEOUT)

    def wrap_reload(self, reload: ReloadFunction) -> ReloadFunction:
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


def listen_fds(
    environ: MutableMapping[str, str], process: int, first: int = _FIRST_FD
) -> list[socket.socket]:
    """Return the listening sockets that systemd passed to the process with this id; usually none.

    They replace ``--web.listen-address``, which is logged. Their files are systemd's: ``close``
    keeps them. Removes the variables of the protocol from ``environ``. Raises ListenError.
    """
    pid, count, _ = (environ.pop(name, "") for name in _LISTEN_VARIABLES)
    if pid != str(process):
        return []
    if not (count.isascii() and count.isdigit()):
        raise ListenError(
            f"LISTEN_FDS is {count!r}, which is no number of sockets: start the exporter by a "
            "systemd socket unit, or without LISTEN_PID"
        )
    sockets: list[socket.socket] = []
    for descriptor in range(first, first + int(count)):
        try:
            sockets.append(_adopt_socket(descriptor))
        except OSError:
            close(sockets)
            raise ListenError(
                f"descriptor {descriptor} is no socket that listens, and LISTEN_FDS promises one: "
                "use ListenStream= and Accept=no in the systemd socket unit"
            ) from None
    if sockets:
        log.info("using systemd sockets, --web.listen-address is ignored", sockets=len(sockets))
    return sockets


def _adopt_socket(descriptor: int) -> socket.socket:
    adopted = socket.socket(fileno=descriptor)
    listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if adopted.family not in _FAMILIES or not listens:
        adopted.close()
        raise OSError
    adopted.set_inheritable(False)
    return adopted
