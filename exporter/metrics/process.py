"""The metrics of the process, with a start time that follows the wall clock."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.wall_time import WallTime

_START: Final = "process_start_time_seconds"


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
