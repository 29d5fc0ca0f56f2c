"""Timestamps follow a wall clock that is set, and stay as they are while it is not."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import ProcessCollector

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import Metrics, add_reload_gauges, build_metrics
from exporter.metrics.self_metrics import TOLERANCE, ProcessMetrics, WallTime
from exporter.polling.snapshots import DiskUsageSnapshot, UserUsage
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock
from tests.support.clocks import FakeClock
from tests.support.published import published

TARGET = DiskUsageTarget("main", interval=3600, stale_after=10800)
BYTES = DiskUsageSnapshot((UserUsage("web", date(2014, 11, 11), 5),))
NOW = 1_415_700_000.0
"""2014-11-11 10:00 UTC."""
IN_1970 = 66.0

LAST_SUCCESS = "scaleengine_poll_last_success_timestamp_seconds"
RELOADED = "scaleengine_exporter_config_last_reload_success_timestamp_seconds"
WEB_RELOADED = "scaleengine_exporter_web_config_last_reload_success_timestamp_seconds"
STARTED = "process_start_time_seconds"
SKEW = "scaleengine_api_clock_skew_seconds"


class Reloaded:
    """Something that was read once, as this process started."""

    last_reload_successful = True

    def __init__(self, clock: Clock) -> None:
        self.last_success = clock.monotonic()


class ScriptedStop:
    """A stop signal whose waits are the turns of a test."""

    def __init__(self, turns: Callable[[], Iterator[None]]) -> None:
        self._turns = turns()

    def is_set(self) -> bool:
        return False

    def wait(self, _: float) -> bool:
        return next(self._turns, self) is self


class PublisherOnFakeClock:
    """A publisher on a clock that a test sets, and what it has published."""

    def __init__(self, fake_clock: FakeClock, clock: Clock) -> None:
        self.fake_clock = fake_clock
        self.clock = clock
        self.store = Store([TARGET])
        self.metrics: Metrics = build_metrics(self.store, {"main": 158}, clock)
        add_reload_gauges(self.metrics, "config", Reloaded(clock))
        add_reload_gauges(self.metrics, "web_config", Reloaded(clock))
        self.publisher: Publisher | None = None

    def poll(self, skew: float | None = None) -> None:
        """Let a good poll end, whose response gave the skew."""
        monotonic = self.clock.monotonic()
        self.metrics.record_exchange(
            Exchange("main", "disk.usage", 0.1, None, accepted=True, skew=skew)
        )
        self.store.record(TARGET, PollResult(monotonic, 0.1, 1), LastGood(BYTES, monotonic))

    def run(self, turns: Callable[[], Iterator[None]]) -> None:
        self.publisher = Publisher(self.metrics, self.store, self.clock, ScriptedStop(turns))
        self.publisher.run()

    def value(self, name: str) -> float:
        """Return the value of the only series of a metric, as it was published last."""
        assert self.publisher is not None
        text = b"".join(published(self.publisher).text([name]).parts).decode()
        (line,) = (line for line in text.splitlines() if not line.startswith("#"))
        return float(line.rpartition(" ")[2])


@pytest.fixture
def watched(fake_clock: FakeClock, clock: Clock) -> PublisherOnFakeClock:
    """Return a publisher on a machine that was booted in 1970, as far as it knows."""
    fake_clock.now, fake_clock.monotonic = IN_1970, IN_1970
    return PublisherOnFakeClock(fake_clock, clock)


def test_a_corrected_clock_corrects_published_times(watched: PublisherOnFakeClock) -> None:
    """Started in 1970 and set right then: no published time is of 1970, before any further poll."""

    def turns() -> Iterator[None]:
        watched.poll(skew=IN_1970 - NOW)
        yield
        assert watched.value(LAST_SUCCESS) == IN_1970
        assert watched.value(SKEW) == IN_1970 - NOW
        watched.fake_clock.now = NOW
        yield
        for name in (LAST_SUCCESS, RELOADED, WEB_RELOADED):
            assert watched.value(name) == NOW
        assert watched.value(SKEW) == 0.0

    watched.run(turns)


def test_the_start_time_follows_a_corrected_clock(watched: PublisherOnFakeClock) -> None:
    """The start of the process moves with the clock; it is not remembered by the wrong one."""

    def turns() -> Iterator[None]:
        before = watched.value(STARTED)
        watched.fake_clock.now += 1e9
        yield
        assert watched.value(STARTED) == pytest.approx(before + 1e9)

    watched.run(turns)


def test_the_skew_is_that_of_the_corrected_clock(watched: PublisherOnFakeClock) -> None:
    """A response that comes as the clock was just set gives the skew of the clock as it is now."""

    def turns() -> Iterator[None]:
        yield
        watched.fake_clock.now = NOW
        watched.poll(skew=-1.5)
        yield
        assert watched.value(SKEW) == -1.5
        assert watched.value(LAST_SUCCESS) == NOW

    watched.run(turns)


@pytest.mark.parametrize("off", [0.001, -0.5, TOLERANCE, -TOLERANCE])
def test_jitter_changes_the_process_layer_only(watched: PublisherOnFakeClock, off: float) -> None:
    """Clocks that differ by at most the tolerance change the layer of the process only."""

    def turns() -> Iterator[None]:
        watched.poll(skew=2.0)
        yield
        assert watched.publisher is not None
        first = published(watched.publisher)
        values = [watched.value(name) for name in (LAST_SUCCESS, RELOADED, STARTED, SKEW)]
        for sign in (1, -1, 1):
            watched.fake_clock.monotonic += 1.0
            watched.fake_clock.now = watched.fake_clock.monotonic + (off if sign > 0 else 0.0)
            yield
            after = published(watched.publisher)
            assert after.accounts is first.accounts
            names = (LAST_SUCCESS, RELOADED, STARTED, SKEW)
            assert [watched.value(name) for name in names] == values

    watched.run(turns)


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(-1e9, 1e9)), max_size=20))
def test_a_time_is_converted_within_the_tolerance(steps: list[tuple[float, float]]) -> None:
    """However the wall clock is set, a moment is at most the tolerance away from where it was."""
    monotonic, offset = [1000.0], [1e9]
    wall_time = WallTime(Clock(lambda: monotonic[0] + offset[0], lambda: monotonic[0]))
    for passed, jump in steps:
        monotonic[0] += passed
        offset[0] += jump
        wall_time.refresh()
        assert wall_time.unix(1000.0) == pytest.approx(1000.0 + offset[0], abs=TOLERANCE + 1e-3)


def test_a_pause_between_the_clocks_is_no_correction(fake_clock: FakeClock) -> None:
    """A pause between the looks at the two clocks is not taken for a clock that was set."""
    pauses: list[float] = []

    def now() -> float:
        read = fake_clock.now
        pause = pauses.pop() if pauses else 0.0
        fake_clock.now += pause
        fake_clock.monotonic += pause
        return read

    wall_time = WallTime(Clock(now, lambda: fake_clock.monotonic))
    before = wall_time.offset
    pauses = [30.0, 5.0, 10.0]
    wall_time.refresh()
    assert wall_time.offset == before


def test_metrics_of_the_process_are_absent_where_the_library_has_none(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the library has no metrics of the process, there are none."""
    monkeypatch.setattr("exporter.metrics.self_metrics.ProcessCollector.collect", lambda _: [])
    assert list(ProcessMetrics(WallTime(clock)).collect()) == []


def test_the_metrics_of_the_process_are_those_of_the_library(clock: Clock) -> None:
    """All families of the library are there, with their own names, types and HELP."""
    expected = [
        (family.name, family.type, family.documentation)
        for family in ProcessCollector(registry=None).collect()
    ]
    found = [
        (family.name, family.type, family.documentation)
        for family in ProcessMetrics(WallTime(clock)).collect()
    ]
    assert found == expected
    assert STARTED in {name for name, _, _ in found}
