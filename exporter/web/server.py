"""Serve an application on sockets until told to stop."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.web.addresses import BACKLOG, remove_file

# Measured: a connection that has not sent its whole header, or idles, is closed after so long.
_KEEPALIVE_SECONDS: Final = 5.0
_LAST_SCRAPES_SECONDS: Final = 2.0


async def serve(
    app: web.Application,
    sockets: Sequence[socket.socket],
    listening: Callable[[], None],
    ssl_context: ssl.SSLContext | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then let scrapes in flight finish, two seconds at most.

    ``listening`` is called once every socket accepts connections; with an ``ssl_context`` they
    speak TLS.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        lingering_time=0,
        shutdown_timeout=_LAST_SCRAPES_SECONDS,
    )
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=ssl_context, backlog=BACKLOG).start()
        listening()
        await stop.wait()
    finally:
        for each in sockets:
            remove_file(each)
        await runner.cleanup()
