"""What the tests of polling share: an account over a simulator, polled for real."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from exporter.polling.account import Account
from exporter.polling.pace import Pace
from exporter.polling.refusals import Refusals
from exporter.polling.stopping import Stop
from exporter.polling.turns import Turns
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import ServerTime, Stamps
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Simulator

KEY = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
SECRET = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"

OpenAccount = Callable[..., AbstractContextManager[Account]]


@pytest.fixture(scope="session")
def open_account() -> OpenAccount:
    """Return a function that opens an account whose calls go to a simulator."""

    @contextmanager
    def opened(
        simulator: Simulator,
        *,
        cdn: int = 158,
        at_once: int = 4,
        in_all: int = 3000,
        per_second: float | None = None,
        timeout: float = 60.0,
        leaping: tuple[Clock, Stop] | None = None,
    ) -> Iterator[Account]:
        clock, stop = leaping or (Clock(), threading.Event())
        client = Client(
            account="main",
            cdn=cdn,
            transport=Transport(Endpoint(simulator.url, timeout, at_once)),
            stamps=Stamps(stop.wait),
            clock=clock,
            time=ServerTime(clock),
            observe=lambda _: None,
        )
        yield Account(
            name="main",
            client=client,
            credentials=lambda: Credentials(KEY, SECRET),
            turns=Turns(at_once, Pace(per_second, clock), clock),
            refusals=Refusals(clock),
            limits=Limits(at_once, in_all),
        )
        client.close()

    return opened


@pytest.fixture(scope="module")
def leaping() -> tuple[Clock, Stop]:
    """Return a clock, and a stop that never comes whose waits the clock leaps over."""
    leaps = _Leaps()
    clock = Clock(
        now=lambda: time.time() + leaps.leapt, elapsed=lambda: time.monotonic() + leaps.leapt
    )
    return clock, leaps


class _Leaps:
    def __init__(self) -> None:
        self.leapt = 0.0
        self._lock = threading.Lock()

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        with self._lock:
            self.leapt += timeout
        return False
