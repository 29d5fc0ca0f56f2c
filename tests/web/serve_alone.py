"""Serve metrics in a process of its own: ``serve_alone.py DESCRIPTORS BYTES``.

The limit of descriptors is set first; the text has at least BYTES bytes. The port goes to standard
output, and the log to standard error.
"""

import asyncio
import resource
import signal
import sys
import time
from typing import NoReturn

from prometheus_client.core import GaugeMetricFamily

from exporter.logs import configure_logging
from exporter.metrics.exposition import Exposition, build_empty_layer, expose, render_process_layer
from exporter.web.acceptor import raise_fd_limit
from exporter.web.app import AppState, build_app
from exporter.web.connection import Timeouts
from exporter.web.listeners import TcpAddress, listen
from exporter.web.server import serve
from exporter.web.status.pages import StatusSource


def exposition(size: int) -> Exposition:
    """Return an exposition of at least this number of bytes, rendered once and for all."""
    family = GaugeMetricFamily("large", "x" * size, value=1)
    return expose(build_empty_layer(()), render_process_layer([family]))


def no_status() -> NoReturn:
    """Raise an error: the status page is not requested here."""
    raise NotImplementedError


def main() -> None:
    """Serve until SIGTERM."""
    descriptors, size = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, descriptors), descriptors))
    raise_fd_limit()
    configure_logging("info", "logfmt", str)
    shown = exposition(size)
    sockets = listen([TcpAddress("127.0.0.1", 0)])
    status = StatusSource(no_status, None, lambda: False, time.monotonic)
    app = build_app(AppState(lambda: shown, "/metrics", status, tuple, tuple))

    def listening() -> None:
        print(sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the one who started it waits

    async def serve_until_sigterm() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        # None of its clients, which are slow on purpose, has been idle for too long.
        timeouts = Timeouts(keepalive=600.0)
        await serve(app, sockets, listening, stop, timeouts=timeouts)

    asyncio.run(serve_until_sigterm())


if __name__ == "__main__":
    main()
