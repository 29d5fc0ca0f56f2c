"""Serve an application on sockets until told to stop."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from aiohttp import web

from exporter.web.acceptor import Connections, Door, room_for_connections, watched
from exporter.web.listeners import close
from exporter.web.log_limit import LogLimit, limited_libraries
from exporter.web.open_connections import Limits
from exporter.web.request_checks import build_requests

_LAST_SCRAPES_SECONDS: Final = 2.0
# A handler that ends just when aiohttp gives up on it is logged as a defect: most end before that,
# when the door hangs up.
_AFTER_SECONDS: Final = 0.1
_THREADS: Final = 2


async def serve(
    app: web.Application,
    sockets: Sequence[socket.socket],
    listening: Callable[[], None],
    stop: asyncio.Event,
    ssl_context: ssl.SSLContext | None = None,
    most_connections: int | None = None,
) -> None:
    """Serve until ``stop`` is set; then let scrapes in flight finish, two seconds at most.

    ``listening`` is called once every socket accepts connections; with an ``ssl_context`` they
    speak TLS. Without ``most_connections``, as many may be open as descriptors and memory allow.
    """
    loop = asyncio.get_running_loop()
    # For pages that take long: with more threads, they would keep scrapes from the processor.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "page"))
    limits = Limits(lambda: most_connections or room_for_connections())
    connections = Connections(limits, loop.time)
    log_limit = LogLimit(loop.time)
    app.middlewares.insert(0, watched(connections, log_limit))
    patience = _LAST_SCRAPES_SECONDS + _AFTER_SECONDS
    runner = web.AppRunner(
        app,
        handle_signals=False,
        shutdown_timeout=patience,
        handler_cancellation=True,  # no work for a client that has left
    )
    await runner.setup()
    server = cast("web.Server", runner.server)  # there is one after setup
    server.request_factory = build_requests(server.request_factory)
    door = Door(server, connections, ssl_context, log_limit)
    watching = asyncio.create_task(door.watch())
    with limited_libraries(log_limit):
        try:
            door.open(sockets)
            listening()
            await stop.wait()
        finally:
            watching.cancel()
            await door.close(runner, _LAST_SCRAPES_SECONDS)
            close(sockets)
