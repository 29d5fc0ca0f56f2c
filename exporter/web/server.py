"""Serve an application on sockets until stopped."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, cast

from aiohttp import web

from exporter.process.log_limit import LogLimit
from exporter.web.acceptor import Acceptor, ConnectionTable, find_max_connections, track_requests
from exporter.web.connection import Timeouts
from exporter.web.connection_tracker import ConnectionLimits
from exporter.web.listeners import close
from exporter.web.request_checks import build_requests

# A handler that ends just when aiohttp gives up on it is logged as a defect: most end before that,
# when the acceptor closes the connection.
_HANDLER_GRACE_SECONDS: Final = 0.1
_PAGE_THREADS: Final = 2
_LIBRARIES: Final = ("asyncio", "aiohttp.internal", "aiohttp.server", "aiohttp.web")
_BEGINNING: Final = 24
"""Characters that identify a message: what follows may contain a memory address."""
# What asyncio logs for each response that is written to a client who has left, as many do.
_NO_NEWS: Final = ("SSL connection is closed", "socket.send() raised exception.")


async def serve(
    app: web.Application,
    sockets: Sequence[socket.socket],
    listening: Callable[[], None],
    stop: asyncio.Event,
    ssl_context: ssl.SSLContext | None = None,
    limits: ConnectionLimits | None = None,
    timeouts: Timeouts | None = None,
) -> None:
    """Serve until ``stop`` is set; then let scrapes in flight finish, two seconds at most.

    ``listening`` is called once every socket accepts connections; with an ``ssl_context`` they
    speak TLS. Without ``limits``, as many may be open as descriptors and memory allow.
    """
    loop = asyncio.get_running_loop()
    # For pages that take long: with more threads, they would keep scrapes from the processor.
    loop.set_default_executor(ThreadPoolExecutor(_PAGE_THREADS, "page"))
    timeouts = timeouts or Timeouts()
    connections = ConnectionTable(limits or ConnectionLimits(find_max_connections), loop.time)
    log_limit = LogLimit(loop.time)
    app.middlewares.insert(0, track_requests(connections, log_limit))
    shutdown_timeout = timeouts.shutdown + _HANDLER_GRACE_SECONDS
    runner = web.AppRunner(
        app,
        handle_signals=False,
        shutdown_timeout=shutdown_timeout,
        handler_cancellation=True,  # no work for a client that has left
    )
    await runner.setup()
    server = cast("web.Server", runner.server)  # there is one after setup
    server.request_factory = build_requests(server.request_factory)
    acceptor = Acceptor(server, connections, ssl_context, log_limit, timeouts)
    reaper = asyncio.create_task(acceptor.reap_overdue())
    with _limit_library_logs(log_limit):
        try:
            acceptor.start(sockets)
            listening()
            await stop.wait()
        finally:
            reaper.cancel()
            await acceptor.close(runner)
            close(sockets)


@contextmanager
def _limit_library_logs(limit: LogLimit) -> Iterator[None]:
    """Limit what the libraries of the web server log, each kind of message on its own."""

    def is_due(record: logging.LogRecord) -> bool:
        message = str(record.msg)
        return message not in _NO_NEWS and limit.is_due(f"{record.name} {message[:_BEGINNING]}")

    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    for logger in loggers:
        logger.addFilter(is_due)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_due)
