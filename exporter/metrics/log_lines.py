"""The counter of log lines that nobody could read."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_NAME = "scaleengine_exporter_log_lines_dropped_total"


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
