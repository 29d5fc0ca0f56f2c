"""Serve an application on sockets until told to stop."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from aiohttp import web

from exporter.web.acceptor import Acceptor, Connections, find_max_connections, track_requests
from exporter.web.connection_tracker import Limits
from exporter.web.listeners import close
from exporter.web.log_limit import LogLimit, limited_libraries
from exporter.web.request_checks import build_requests

_LAST_SCRAPES_SECONDS: Final = 2.0
# A handler that ends just when aiohttp gives up on it is logged as a defect: most end before that,
# when the door hangs up.
_HANDLER_GRACE_SECONDS: Final = 0.1
_PAGE_THREADS: Final = 2


async def serve(
    app: web.Application,
    sockets: Sequence[socket.socket],
    listening: Callable[[], None],
    stop: asyncio.Event,
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int | None = None,
) -> None:
    """Serve until ``stop`` is set; then let scrapes in flight finish, two seconds at most.

    ``listening`` is called once every socket accepts connections; with an ``ssl_context`` they
    speak TLS. Without ``max_connections``, as many may be open as descriptors and memory allow.
    """
    loop = asyncio.get_running_loop()
    # For pages that take long: with more threads, they would keep scrapes from the processor.
    loop.set_default_executor(ThreadPoolExecutor(_PAGE_THREADS, "page"))
    limits = Limits(lambda: max_connections or find_max_connections())
    connections = Connections(limits, loop.time)
    log_limit = LogLimit(loop.time)
    app.middlewares.insert(0, track_requests(connections, log_limit))
    shutdown_timeout = _LAST_SCRAPES_SECONDS + _HANDLER_GRACE_SECONDS
    runner = web.AppRunner(
        app,
        handle_signals=False,
        shutdown_timeout=shutdown_timeout,
        handler_cancellation=True,  # no work for a client that has left
    )
    await runner.setup()
    server = cast("web.Server", runner.server)  # there is one after setup
    server.request_factory = build_requests(server.request_factory)
    acceptor = Acceptor(server, connections, ssl_context, log_limit)
    reaper = asyncio.create_task(acceptor.reap_overdue())
    with limited_libraries(log_limit):
        try:
            acceptor.start(sockets)
            listening()
            await stop.wait()
        finally:
            reaper.cancel()
            await acceptor.close(runner, _LAST_SCRAPES_SECONDS)
            close(sockets)
