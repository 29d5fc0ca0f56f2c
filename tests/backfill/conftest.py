"""What the tests of the backfill share: a store, and collecting an account of a simulator."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from exporter.backfill.collecting import Collected, Collector
from exporter.backfill.rows import RowStore
from exporter.backfill.windows import Window, midnight
from exporter.polling.account import Account
from exporter.polling.pace import Pace
from exporter.polling.refusals import Refusals
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.turns import Turns
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.server_time import ServerTime
from exporter.scaleengine.stamps import Stamps
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Account as SimulatedAccount
from exporter.simulator import Simulator, Usage

KEY = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
SECRET = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"
NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 22)
END = midnight(TODAY)


@dataclass(slots=True)
class Run:
    """What came of a collection."""

    collected: Collected
    windows: list[tuple[Window, int]] = field(default_factory=list)
    warnings: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)


Collect = Callable[..., Run]


class Leaps(threading.Event):
    """A stop whose waits are over at once: the time leaps over them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return self.is_set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RowStore]:
    """Give an empty store."""
    with closing(RowStore(tmp_path / "rows.sqlite")) as opened:
        yield opened


def simulated(usage: Usage, odd_rows: tuple[object, ...] = ()) -> SimulatedAccount:
    """Return a simulated account with this usage."""
    return SimulatedAccount(158, KEY, SECRET, usage, odd_rows=odd_rows)  # type: ignore[arg-type]


@pytest.fixture
def collect(store: RowStore) -> Collect:
    """Give a function that collects the account of a simulator into the store."""

    def run(
        simulator: Simulator,
        *,
        first_day: date | None = None,
        cpu_users: tuple[str, ...] = (),
        stop: Leaps | None = None,
        max_response_bytes: int = BODY_LIMIT,
        ahead: float = 0.0,
        limits: SnapshotLimits | None = None,
    ) -> Run:
        leaps = stop or Leaps()
        clock = Clock(now=lambda: NOW + ahead + leaps.seconds, elapsed=lambda: leaps.seconds)
        client = Client(
            account="main",
            cdn=158,
            transport=Transport(Endpoint(simulator.url, 5.0, 4)),
            stamps=Stamps(leaps.wait),
            clock=clock,
            time=ServerTime(clock),
            observe=lambda _: None,
        )
        account = Account(
            name="main",
            client=client,
            credentials=lambda: Credentials(KEY, SECRET),
            turns=Turns(4, Pace(None, clock), clock),
            refusals=Refusals(clock),
            limits=Limits(4, 5000, limits or SnapshotLimits()),
        )
        target = DiskUsageTarget("main", 3600.0, 10_800.0, cpu_users)
        result = Run(Collected("main", None, 0))
        collector = Collector(
            store,
            leaps,
            random.Random(0),
            lambda _, window, rows: result.windows.append((window, rows)),
            lambda event, fields: result.warnings.append((event, fields)),
            max_response_bytes,
        )
        try:
            result.collected = collector.collect(account, target, END, first_day)
        finally:
            client.close()
        return result

    return run
