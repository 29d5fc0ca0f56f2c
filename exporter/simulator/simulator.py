"""The simulator itself: a server on loopback, in a thread of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Self

from aiohttp import web

from exporter.simulator.api import ELSEWHERE, ROUTE, ReceivedRequest, SimulatedApi
from exporter.simulator.behaviour import Behaviour, send_response
from exporter.simulator.simulated_accounts import SimulatedAccount

_HOST = "127.0.0.1"
_STOP_SECONDS = 30.0
_BACKLOG = 128


class Simulator:
    """A ScaleEngine of our own: the published protocol over real HTTP on a loopback port.

    ``clock`` gives unix seconds: for timestamps, for today, and for the Date header of responses.
    ``random`` decides shuffled rows and the share of requests that a fault hits. ``port`` 0 is a
    free one. A simulator is started and stopped once, by ``with`` or by hand.
    """

    def __init__(
        self,
        accounts: Sequence[SimulatedAccount],
        behaviour: Behaviour | None = None,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
        port: int = 0,
    ) -> None:
        rng = random or Random(0)  # noqa: S311 (random numbers for tests, no secret)
        self._service = SimulatedApi(accounts, behaviour or Behaviour(), clock, rng)
        self._clock = clock
        self._in_flight = 0
        self._max_in_flight = 0
        self._wanted_port = port
        self._port: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> Self:
        """Start the simulator."""
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the simulator."""
        self.stop()

    @property
    def url(self) -> str:
        """The address of the API: ``http://127.0.0.1:PORT/stable/``."""
        if self._port is None:
            raise RuntimeError("the simulator has no address yet: start it first")
        return f"http://{_HOST}:{self._port}{ROUTE}"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The requests so far, oldest first; of more than 100,000 the newest."""
        return self._service.log.newest

    @property
    def request_count(self) -> int:
        """How many requests there were in all."""
        return self._service.log.total

    @property
    def max_in_flight(self) -> int:
        """The largest number of requests in progress at one time."""
        return self._max_in_flight

    def behave(self, behaviour: Behaviour) -> None:
        """Switch the behaviour, for every request from now on; faults count from 1 again.

        Any thread may call it. A request that hangs goes on hanging.
        """
        self._service.behave(behaviour)

    def wait_for_requests(self, total: int, timeout: float = 60.0) -> bool:
        """Wait until there were this many requests; False after the timeout in seconds.

        A request counts as soon as its response is decided, before latency and any delay.
        """
        return self._service.log.wait_for(total, timeout)

    def start(self) -> None:
        """Start serving; returns when the address is known. Raises OSError for a taken port."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop serving: requests in progress end at once, and the thread has ended.

        Stopping what was never started, or twice, does nothing. Raises RuntimeError when the
        thread does not end.
        """
        if self._loop is None or self._end is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulator's thread did not end: does a usage function block?")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        # A handler is cancelled when its client leaves: that is what ends a hang.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        try:
            listener = socket.create_server((_HOST, self._wanted_port), backlog=_BACKLOG)
            await web.SockSite(runner, listener).start()
            self._port = listener.getsockname()[1]
            self._ready.set()
            await self._end.wait()
            # asyncio leaks a connection that it accepts while its server is closed.
            self._loop.remove_reader(listener)
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in (ROUTE, ELSEWHERE):
            return web.Response(status=404, text="Not found")
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            planned = self._service.plan_response(await _read_json_field(request), request.path)
            await asyncio.sleep(planned.behaviour.latency)
            return await send_response(request, planned, self._clock())
        finally:
            self._in_flight -= 1


async def _read_json_field(request: web.BaseRequest) -> str | None:
    """Return the form field ``json``; None for every other request."""
    if request.method != "POST":
        return None
    try:
        field = (await request.post()).get("json")
    except ValueError:
        return None
    return field if isinstance(field, str) else None
