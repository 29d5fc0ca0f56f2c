"""What the tests of polling share: an account over a simulator, polled for real."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Simulator
from tests.support.clocks import LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import OpenAccount


@pytest.fixture(scope="session")
def open_account() -> OpenAccount:
    """Return a function that opens an account whose requests go to a simulator."""

    @contextmanager
    def opened(  # noqa: PLR0913 - each test names the few that matter to it
        simulator: Simulator,
        *,
        cdn: int = 158,
        max_concurrency: int = 4,
        max_requests: int = 3000,
        per_second: float | None = None,
        timeout: float = 60.0,
        leaping: LeapingClock | None = None,
        clock: Clock | None = None,
    ) -> Iterator[PolledAccount]:
        clock = clock or (leaping.clock if leaping else Clock())
        wait = leaping.wait if leaping else threading.Event().wait
        workers = WorkerPool()
        client = Client(
            account="main",
            cdn=cdn,
            transport=Transport(Endpoint(simulator.url, timeout, max_concurrency)),
            timestamps=TimestampAllocator(wait),
            clock=clock,
            time=ServerTime(clock),
            observe=lambda _: None,
        )
        rate = RateLimiter(per_second, clock)
        yield PolledAccount(
            name="main",
            client=client,
            credentials=CredentialReader(lambda: Credentials(KEY, SECRET)),
            limiter=FairLimiter(max_concurrency, rate, clock, workers),
            breaker=CredentialBreaker(clock),
            limits=WalkLimits(max_concurrency, max_requests),
            workers=workers,
        )
        client.close()
        workers.close()

    return opened


@pytest.fixture(scope="module")
def leaping() -> LeapingClock:
    """Return a time that leaps over every wait."""
    return LeapingClock()
