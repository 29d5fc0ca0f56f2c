"""The real server with the pages of a scene."""

import asyncio
import threading

from exporter.metrics.exposition import build_empty_layer, expose, render_process_layer
from exporter.web.app import AppState, build_app
from exporter.web.connection_tracker import ConnectionLimits
from exporter.web.listeners import TcpAddress, listen
from exporter.web.server import serve
from exporter.web.status.pages import StatusSource
from tests.support.status_scenes import SCENES

START_SECONDS = 60.0


class Site:
    """An exporter's pages, of a scene that a test chooses."""

    def __init__(self) -> None:
        self._scene = "well"
        self._now = 0.0
        self._sockets = listen([TcpAddress("127.0.0.1", 0)])
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="site")

    @property
    def url(self) -> str:
        """The address of the status page."""
        return f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}/"

    def show(self, scene: str) -> None:
        """Show a scene from now on; pages of others are kept no longer."""
        self._scene = scene
        self._now += 3600

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        assert self._listening.wait(START_SECONDS)

    def stop(self) -> None:
        """Serve no more."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _serve(self) -> None:
        status = StatusSource(
            lambda: SCENES[self._scene], lambda: "api: {}\n", lambda: True, lambda: self._now
        )
        exposition = expose(build_empty_layer(()), render_process_layer(()))
        app = build_app(AppState(lambda: exposition, "/metrics", status, tuple, tuple))
        limits = ConnectionLimits(lambda: 100)
        self._loop.run_until_complete(
            serve(app, self._sockets, self._listening.set, self._stop, limits=limits)
        )
        self._loop.close()
