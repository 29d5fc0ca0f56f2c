"""What the tests of the backfill share: collecting from a simulator, and running the command."""

import io
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.backfill.collecting import CollectionResult, Collector
from exporter.backfill.command import Host, backfill
from exporter.backfill.options import BackfillOptions, Destination, FirstDay
from exporter.backfill.progress import BackfillProgress
from exporter.backfill.rows import RowStore
from exporter.backfill.windows import Window, midnight
from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.threads import build_stoppable_clock
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import InlineWorkers
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.settings import AccountSettings, Settings
from exporter.simulator import Behaviour, Checks, SimulatedAccount, Simulator, Usage
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Refusal

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 22)
END = midnight(TODAY)
NO_REPLAY = Behaviour(checks=Checks(replay=False))
"""Two runs may ask for the same in one second."""
FIRST = date(2026, 9, 1)
YESTERDAY = TODAY - timedelta(days=1)
DENIED = Refusal("0005")


@dataclass(slots=True)
class CollectedRun:
    """What came of a collection."""

    collected: CollectionResult
    windows: list[tuple[Window, int]] = field(default_factory=list)
    warnings: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)


class Collect(Protocol):
    """Collect the account of a simulator."""

    def __call__(
        self,
        simulator: Simulator,
        *,
        first_day: date | None = None,
        cpu_users: tuple[str, ...] = (),
        stop: "LeapingStop | None" = None,
        max_response_bytes: int = BODY_LIMIT,
        ahead: float = 0.0,
        limits: SnapshotLimits | None = None,
    ) -> CollectedRun: ...


class LeapingStop(threading.Event):
    """A stop whose waits are over at once: the time leaps over them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return self.is_set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RowStore]:
    """Return an empty store."""
    with closing(RowStore(tmp_path / "rows.sqlite")) as opened:
        yield opened


def simulated(usage: Usage, odd_rows: tuple[object, ...] = ()) -> SimulatedAccount:
    """Return a simulated account with this usage."""
    return SimulatedAccount(158, KEY, SECRET, usage, odd_rows=odd_rows)  # type: ignore[arg-type]


@pytest.fixture
def collect(store: RowStore) -> Collect:
    """Return a function that collects the account of a simulator into the store."""

    def run(
        simulator: Simulator,
        *,
        first_day: date | None = None,
        cpu_users: tuple[str, ...] = (),
        stop: LeapingStop | None = None,
        max_response_bytes: int = BODY_LIMIT,
        ahead: float = 0.0,
        limits: SnapshotLimits | None = None,
    ) -> CollectedRun:
        leaps = stop or LeapingStop()
        clock = build_stoppable_clock(
            Clock(now=lambda: NOW + ahead + leaps.seconds, monotonic=lambda: leaps.seconds), leaps
        )
        client = Client(
            account="main",
            cdn=158,
            transport=Transport(Endpoint(simulator.url, 5.0, 4)),
            timestamps=TimestampAllocator(leaps.wait),
            clock=clock,
            time=ServerTime(clock),
            observe=lambda _: None,
        )
        workers = InlineWorkers()
        account = PolledAccount(
            name="main",
            client=client,
            credentials=CredentialReader(lambda: Credentials(KEY, SECRET)),
            limiter=FairLimiter(4, RateLimiter(None, clock), clock, workers),
            breaker=CredentialBreaker(clock),
            limits=WalkLimits(4, 5000, limits or SnapshotLimits()),
            workers=workers,
        )
        target = DiskUsageTarget("main", 3600.0, 10_800.0, cpu_users)
        result = CollectedRun(CollectionResult("main", None, 0))
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


def usage(day: date) -> Mapping[str, int]:
    """Return the bytes of a day; ScaleEngine remembers nothing before June."""
    return {"": day.toordinal(), "web": 7} if day >= date(2026, 6, 1) else {}


@dataclass(slots=True)
class Runner:
    """Runs the command on a simulator."""

    simulator: Simulator
    folder: Path
    ahead: float = 0.0
    quotas: Mapping[str, int] | None = None
    cpu_users: tuple[str, ...] = ()
    stop_after: int | None = None

    @property
    def file(self) -> Path:
        return self.folder / "h.om"

    def run(
        self,
        *,
        first_day: date | None = FIRST,
        days_back: int | None = None,
        end: float | None = None,
        **destination: object,
    ) -> int:
        """Return the exit status."""
        goal = Destination(**{"file": self.file, **destination})  # type: ignore[arg-type]
        start = None if first_day is None else FirstDay(first_day, days_back)
        options = BackfillOptions(start, end, (), 43_200, (("job", "x"), ("instance", "y")), goal)
        settings = Settings(
            endpoint=Endpoint(self.simulator.url, 5.0, 4),
            concurrency=4,
            requests_per_second=None,
            requests_per_poll=5000,
            accounts=(
                AccountSettings("main", 158, lambda: Credentials(KEY, SECRET), self.quotas or {}),
            ),
            targets=(DiskUsageTarget("main", 60.0, 180.0, self.cpu_users),),
        )
        clock = Clock(now=lambda: NOW + self.ahead)
        progress = _Stopping(self.stop_after)
        return backfill(settings, options, Host(progress.take, progress, SecretRedactor(), clock))

    def values(self, name: str = "scaleengine_disk_usage_bytes") -> dict[tuple[str, float], float]:
        """Return what the file has, by user and time."""
        return {
            (sample.labels.get("cpu_user", ""), float(sample.timestamp)): sample.value
            for family in text_string_to_metric_families(self.file.read_text())  # type: ignore[no-untyped-call]
            for sample in family.samples
            if sample.name == name
        }

    @property
    def left(self) -> set[str]:
        """Return the names of what is in the folder."""
        return {path.name for path in self.folder.iterdir()}


class _Stopping(BackfillProgress):
    """A progress that stops the run after some windows or steps."""

    def __init__(self, after: int | None) -> None:
        super().__init__(io.StringIO(), is_terminal=False)
        self._left = after
        self._stop: Callable[[], object] = lambda: None

    def take(self, stop: Callable[[], object]) -> None:
        self._stop = stop

    def show_window(self, account: str, window: object, rows: int) -> None:
        self.advance(1)

    def advance(self, steps: int) -> None:
        if self._left is not None:
            self._left -= steps
            if self._left == 0:
                self._stop()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([simulated(usage)], NO_REPLAY, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def runner(simulator: Simulator, tmp_path: Path) -> Runner:
    """Return what runs the command into an empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return Runner(simulator, folder)


def truth(first: date, last: date) -> dict[tuple[str, float], float]:
    """Return what a file with a sample each twelve hours must have."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {
        (user, float(midnight(day) + hours * 3600)): float(count)
        for day in days
        for user, count in usage(day).items()
        for hours in (0, 12)
    }
