"""Serve an application on sockets until told to stop."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, cast

from aiohttp import web

from exporter.web.addresses import close
from exporter.web.descriptors import room_for_connections
from exporter.web.door import Connections, Door, watched

_LAST_SCRAPES_SECONDS: Final = 2.0


async def serve(
    app: web.Application,
    sockets: Sequence[socket.socket],
    listening: Callable[[], None],
    ssl_context: ssl.SSLContext | None = None,
    most_connections: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then let scrapes in flight finish, two seconds at most.

    ``listening`` is called once every socket accepts connections; with an ``ssl_context`` they
    speak TLS. Without ``most_connections``, as many may be open as descriptors allow.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connections = Connections(most_connections or room_for_connections(), loop.time)
    app.middlewares.insert(0, watched(connections))
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_LAST_SCRAPES_SECONDS)
    await runner.setup()
    server = cast("web.Server", runner.server)  # there is one after setup
    door = Door(server, connections, ssl_context)
    watching = asyncio.create_task(door.watch())
    try:
        door.open(sockets)
        listening()
        await stop.wait()
    finally:
        watching.cancel()
        await door.close(runner, _LAST_SCRAPES_SECONDS)
        close(sockets)
