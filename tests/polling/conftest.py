"""What the tests of polling share: an account over a simulator, polled for real."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest

from exporter.polling.account import Account
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.pace import Pace
from exporter.scaleengine.stamps import Stamps
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
        simulator: Simulator, *, at_once: int = 4, in_all: int = 3000, timeout: float = 5.0
    ) -> Iterator[Account]:
        clock = Clock()
        client = Client(
            account="main",
            cdn=158,
            transport=Transport(Endpoint(simulator.url, timeout, at_once)),
            pace=Pace(None, clock, lambda _: None),
            stamps=Stamps(clock, threading.Event().wait),
            clock=clock,
            observe=lambda _: None,
        )
        with ThreadPoolExecutor(at_once) as callers:
            yield Account(
                "main", client, lambda: Credentials(KEY, SECRET), callers, Limits(at_once, in_all)
            )
        client.close()

    return opened
