"""What the exporter counts of its own work: polls and API requests."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from exporter.polling.store import PollResult
from exporter.polling.targets import Target
from exporter.scaleengine import disk_usage, file_listing
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.errors import Reason

_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COMMANDS: Final[Mapping[str, str]] = {
    "disk_usage": disk_usage.COMMAND,
    "files": file_listing.COMMAND,
}


class PollCounters:
    """Counts polls, and failures by reason; all series are there from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, targets: Iterable[Target]) -> None:
        self._polls = Counter(
            "scaleengine_polls_total",
            "Finished polls.",
            ("account", "collector"),
            registry=registry,
        )
        self._failures = Counter(
            "scaleengine_poll_failures_total",
            "Failed polls, by reason.",
            ("account", "collector", "reason"),
            registry=registry,
        )
        for target in targets:
            self._polls.labels(target.account, target.collector)
            for reason in Reason:
                self._failures.labels(target.account, target.collector, reason)

    def count(self, target: Target, result: PollResult) -> None:
        """Count a poll that has ended."""
        self._polls.labels(target.account, target.collector).inc()
        if result.reason is not None:
            self._failures.labels(target.account, target.collector, result.reason).inc()


class RequestCounters:
    """Counts API requests, failures by reason, durations; all series are there from the start."""

    def __init__(self, registry: CollectorRegistry, targets: Iterable[Target]) -> None:
        self._requests = Counter(
            "scaleengine_api_requests_total",
            "API requests, every attempt.",
            ("account", "command"),
            registry=registry,
        )
        self._failures = Counter(
            "scaleengine_api_request_failures_total",
            "Failed API requests, by reason.",
            ("account", "command", "reason"),
            registry=registry,
        )
        self._durations = Histogram(
            "scaleengine_api_request_duration_seconds",
            "Duration of API requests, from the first packet to the last.",
            ("command",),
            buckets=_BUCKETS,
            registry=registry,
        )
        for target in targets:
            command = _COMMANDS[target.collector]
            self._requests.labels(target.account, command)
            self._durations.labels(command)
            for reason in Reason:
                self._failures.labels(target.account, command, reason)

    def count(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        self._requests.labels(exchange.account, exchange.command).inc()
        self._durations.labels(exchange.command).observe(exchange.seconds)
        if exchange.reason is not None:
            self._failures.labels(exchange.account, exchange.command, exchange.reason).inc()
