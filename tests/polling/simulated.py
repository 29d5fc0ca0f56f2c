"""Polling in simulated time: an event loop that leaps over every wait, and an API without threads.

Only the transport and the threads are replaced: accounts, polls, limits and reloads are real.
"""

import asyncio
import json
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, TypeVarTuple

from exporter.accounts import Dependencies, build_accounts
from exporter.polling.poller import Poller
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import Target, compute_delta
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import NetworkError, RequestTimeoutError
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.scaleengine.transport import Endpoint
from exporter.settings import AccountSettings, Settings

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

NOW: Final = datetime(2026, 11, 26, 9, 0, tzinfo=UTC).timestamp()
LATENCY: Final = 0.1
REQUEST_TIMEOUT: Final = 30.0
ENDPOINT: Final = Endpoint("http://127.0.0.1:9/", REQUEST_TIMEOUT, 4)
_SHORTEST_WAIT: Final = 2e-9
"""Seconds: more than the nanosecond by which asyncio runs a timer too early."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Leaps to the next moment that a task waits for, as soon as none can go on."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Leaping(self._leap))

    def time(self) -> float:
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function then, and not before: no time passes here while a task waits again.

        Otherwise two tasks that are a rounding error ahead of their time wait in turn, endlessly.
        """
        if when > self._now:
            when = max(when, self._now + _SHORTEST_WAIT)
        return super().call_at(when, callback, *args, context=context)

    def _leap(self, seconds: float) -> None:
        self._now += seconds


class _Leaping(selectors.SelectSelector):
    """Waits for nothing: the time leaps instead."""

    def __init__(self, leap: Callable[[float], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "all tasks wait, and nothing will wake one"
        self._leap(max(0.0, timeout))
        return super().select(0)


def open_runner() -> asyncio.Runner:
    """Return what runs coroutines one after the other in a loop with simulated time."""
    return asyncio.Runner(loop_factory=SimulatedLoop)


def run_simulated(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in simulated time."""
    with open_runner() as runner:
        return runner.run(work)


def monotonic() -> float:
    """Return the simulated time, in seconds."""
    return asyncio.get_running_loop().time()


CLOCK: Final = Clock(now=lambda: NOW + monotonic(), monotonic=monotonic, sleep=asyncio.sleep)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: when it was sent, in whose name, with which key, and what was asked."""

    time: float
    cdn: int
    api_key: str
    asked: str


class SimulatedApi:
    """Responds to the requests of all accounts, each as many bytes as its CDN number.

    Requests of ``hanging`` CDNs have no response, those with ``refused`` keys are refused.
    ``max_in_flight`` is how many of one account asked for the same at one time.
    """

    def __init__(self, max_workers: int = 32) -> None:
        self.pool = WorkerPool(max_workers)
        self.sent: list[Sent] = []
        self.transports: list[SimulatedTransport] = []
        self.hanging: set[int] = set()
        self.refused: set[str] = set()
        self.max_in_flight = 0
        self._in_flight: Counter[tuple[int, str]] = Counter()
        self._latest: tuple[SimulatedTransport, Sent] | None = None

    def open_transport(self, _: Endpoint) -> "SimulatedTransport":
        """Return a transport to this API, to be put in the place of a real one."""
        transport = SimulatedTransport(self)
        self.transports.append(transport)
        return transport

    def slot(self, timeouts: int = 0) -> AbstractAsyncContextManager[None]:
        return self.pool.slot(timeouts)

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work, and let the time of its request pass; as in a thread, nothing ends that."""
        outcome: T | Exception
        try:
            outcome = work()
        except Exception as error:  # noqa: BLE001 - it is raised below
            outcome = error
        if self._latest is not None:
            (transport, sent), self._latest = self._latest, None
            await self._wait_for_response(transport, sent)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _wait_for_response(self, transport: "SimulatedTransport", sent: Sent) -> None:
        name = (sent.cdn, sent.asked)
        self._in_flight[name] += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight[name])
        loop = asyncio.get_running_loop()
        response = loop.create_future()
        transport.under_way.add(response)
        seconds = REQUEST_TIMEOUT if sent.cdn in self.hanging else LATENCY
        timer = loop.call_later(seconds, settle, response)
        try:
            await asyncio.shield(response)
        except asyncio.CancelledError:
            await asyncio.wait([response])
            raise
        finally:
            timer.cancel()
            transport.under_way.discard(response)
            self._in_flight[name] -= 1

    def send(
        self, transport: "SimulatedTransport", text: str, context: RequestContext
    ) -> HttpResponse:
        """Respond to a request."""
        if transport.closed:
            raise context.build_error(NetworkError, "the transport is closed", "open another")
        request = json.loads(text)
        asked = str(request.get("cpu", request.get("path")))
        sent = Sent(monotonic(), request["cdn"], request["api_key"], asked)
        self.sent.append(sent)
        self._latest = (transport, sent)
        if sent.cdn in self.hanging:
            raise context.build_error(RequestTimeoutError, "no response", "wait")
        return HttpResponse(200, json.dumps(self._respond(sent)).encode())

    def _respond(self, sent: Sent) -> dict[str, object]:
        if sent.api_key in self.refused:
            return {
                "status": "failure",
                "message": "no",
                "code": "0001",
                "handle_time": "0 seconds",
            }
        day = datetime.fromtimestamp(NOW + monotonic(), UTC).date()
        row = {"summary_date": str(day), "cpu_user": sent.asked, "bytes_total": sent.cdn}
        return {"status": "success", "message": "", "usage": [row], "handle_time": "0 seconds"}


class SimulatedTransport:
    """Sends the requests of one client."""

    timeout = REQUEST_TIMEOUT

    def __init__(self, api: SimulatedApi) -> None:
        self._api = api
        self.closed = False
        self.under_way: set[asyncio.Future[None]] = set()

    def send(self, text: str, context: RequestContext, *_: object) -> HttpResponse:
        return self._api.send(self, text, context)

    def close(self) -> None:
        self.closed = True
        for response in self.under_way:
            settle(response)


def settle(response: "asyncio.Future[None]") -> None:
    """End the wait for a response."""
    if not response.done():
        response.set_result(None)


def make_settings(
    accounts: Iterable[AccountSettings], targets: Iterable[Target], max_workers: int = 32
) -> Settings:
    """Return settings without a limit of requests in a second."""
    return Settings(
        ENDPOINT, 4, None, 5000, tuple(accounts), tuple(targets), max_workers=max_workers
    )


class SimulatedPolling:
    """All that polls, as the service wires it, from the first settings on."""

    def __init__(self, api: SimulatedApi, settings: Settings) -> None:
        self.store = Store(())
        self.ended: list[tuple[Target, PollResult]] = []
        self._around = Dependencies(
            CLOCK,
            TimestampAllocator(lambda _: False),
            lambda _: None,
            lambda _, __: None,
            workers=api,
        )
        self.build_accounts = build_accounts(settings, self._around)
        self.poller = Poller(self.store, CLOCK, random.Random(0), self._record)
        self.poller.apply(compute_delta((), settings.targets), self.build_accounts.accounts)
        self.poller.start()

    def reload(self, settings: Settings) -> None:
        """Poll by other settings from now on."""
        delta = self.build_accounts.compute_delta(settings)
        self.build_accounts = self.build_accounts.reconcile(settings, self._around)
        self.poller.apply(delta, self.build_accounts.accounts)

    def results_of(self, account: str, since: float = 0.0) -> list[PollResult]:
        """Return how the polls of an account ended."""
        return [
            result
            for target, result in self.ended
            if target.account == account and result.finished >= since
        ]

    def _record(self, target: Target, result: PollResult) -> None:
        self.ended.append((target, result))


def polling_tasks() -> list[str]:
    """Return the names of the tasks that poll, sorted."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return sorted(name for name in names if name.startswith("poll "))
