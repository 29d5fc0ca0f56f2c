"""Serve an application on sockets until told to stop."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from aiohttp import web

from exporter.web.addresses import close
from exporter.web.descriptors import room_for_connections
from exporter.web.door import Connections, Door, watched

_LAST_SCRAPES_SECONDS: Final = 2.0
# A handler that ends just when aiohttp gives up on it is logged as a defect: most end before that,
# when the door hangs up.
_AFTER_SECONDS: Final = 0.1
_THREADS: Final = 2
# What asyncio logs for each answer that is written to a client who has left, as many do.
_IN_VAIN: Final = ("SSL connection is closed", "socket.send() raised exception.")


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
    speak TLS. Without ``most_connections``, as many may be open as descriptors
    and memory allow.
    """
    loop = asyncio.get_running_loop()
    # For pages that take long: with more threads, they would keep scrapes from the processor.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "page"))
    most = most_connections or room_for_connections(tls=ssl_context is not None)
    connections = Connections(most, loop.time)
    app.middlewares.insert(0, watched(connections))
    patience = _LAST_SCRAPES_SECONDS + _AFTER_SECONDS
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=patience)
    await runner.setup()
    server = cast("web.Server", runner.server)  # there is one after setup
    door = Door(server, connections, ssl_context)
    watching = asyncio.create_task(door.watch())
    logging.getLogger("asyncio").addFilter(_is_news)
    try:
        door.open(sockets)
        listening()
        await stop.wait()
    finally:
        watching.cancel()
        await door.close(runner, _LAST_SCRAPES_SECONDS)
        close(sockets)
        logging.getLogger("asyncio").removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg not in _IN_VAIN
