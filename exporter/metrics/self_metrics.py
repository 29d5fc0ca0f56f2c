"""Metrics of the exporter's own process: its start, its memory, its log and its clock."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.scaleengine.clock import Clock

TOLERANCE: Final = 1.0
"""Seconds that the two clocks may drift apart before timestamps are converted again."""

_READINGS: Final = 3
_NAME = "scaleengine_exporter_log_lines_dropped_total"
_START: Final = "process_start_time_seconds"


class WallTime:
    """Converts moments of the monotonic clock to unix time.

    A timestamp that was taken from a wrong wall clock stays wrong after the clock was set. So
    moments are kept in monotonic time, and converted when they are published. The conversion stays
    the same, to the last bit, until the clocks have moved against each other by more than
    ``TOLERANCE``: a timestamp must not change from one publication to the next without a reason.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset, _ = self._measure()
        """Wall clock minus monotonic clock in seconds, as it is published."""

    def refresh(self) -> bool:
        """Follow the wall clock, if it was set since the last time; return whether it was."""
        before, self.offset = self.offset, self.next_offset()
        return before != self.offset

    def next_offset(self) -> float:
        """Return the offset that a refresh would give now."""
        measured, uncertainty = self._measure()
        moved = abs(measured - self.offset) > TOLERANCE + uncertainty
        return measured if moved else self.offset

    def unix(self, monotonic: float) -> float:
        """Return a moment of the monotonic clock as unix time, both in seconds."""
        return monotonic + self.offset

    def _measure(self) -> tuple[float, float]:
        """Return the offset and how far it may be wrong, in seconds.

        A thread can lose the processor between its looks at the two clocks. Of a few readings the
        quickest is the best.
        """
        readings = []
        for _ in range(_READINGS):
            before = self._clock.monotonic()
            now = self._clock.now()
            after = self._clock.monotonic()
            readings.append((after - before, now - after))
        uncertainty, offset = min(readings)
        return offset, uncertainty


def add_log_counter(registry: CollectorRegistry, dropped: Callable[[], int]) -> None:
    """Add the counter of log lines that were dropped; ``dropped`` returns how many, from 0 on."""
    registry.register(_LogLines(dropped))


class _LogLines(Collector):
    def __init__(self, dropped: Callable[[], int]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterable[Metric]:
        """Return the counter as it is now."""
        yield CounterMetricFamily(
            _NAME,
            "Log lines that were dropped: standard error was not read, or could not be written.",
            value=self._dropped(),
        )


class ProcessMetrics(Collector):
    """Collects what prometheus_client's ``ProcessCollector`` does: nothing outside of Linux.

    That one remembers when the machine was booted by the wall clock. Where the wall clock was wrong
    at the start of this process, its ``process_start_time_seconds`` would stay wrong.
    """

    def __init__(self, wall_time: WallTime) -> None:
        self._wall_time = wall_time
        self._process = ProcessCollector(registry=None)
        self._started: float | None = None
        """When the process started, in seconds of monotonic time."""
        for family in self._process.collect():
            if family.name == _START:
                (sample,) = family.samples
                self._started = sample.value - wall_time.offset

    def collect(self) -> Iterator[Metric]:
        """Return the families of the process."""
        families: Iterable[Metric] = self._process.collect()
        for family in families:
            if family.name == _START and self._started is not None:
                value = self._wall_time.unix(self._started)
                yield GaugeMetricFamily(_START, family.documentation, value=value)
            else:
                yield family
