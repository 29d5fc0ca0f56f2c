"""What the exporter counts of its own work: polls and API requests."""

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from exporter.polling.store import PollResult
from exporter.polling.targets import DiskUsageTarget, Target
from exporter.scaleengine import disk_usage, file_listing
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import Reason

_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COMMANDS: Final[Mapping[str, str]] = {
    "disk_usage": disk_usage.COMMAND,
    "files": file_listing.COMMAND,
}


class PollCounters:
    """Counts polls, failures and rejected rows; all series are there from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, targets: Collection[Target]) -> None:
        polls = Counter(
            "scaleengine_polls_total",
            "Finished polls.",
            ("account", "collector"),
            registry=registry,
        )
        failures = Counter(
            "scaleengine_poll_failures_total",
            "Failed polls, by reason.",
            ("account", "collector", "reason"),
            registry=registry,
        )
        self._tallies = _Tallies(polls, failures)
        self._rejected_rows = _RejectedRows(registry)
        self.follow(targets)

    def follow(self, targets: Collection[Target]) -> None:
        """Count these targets from now on: the series of others go, those that stay go on."""
        self._tallies.follow((target.account, target.collector) for target in targets)
        self._rejected_rows.follow(
            target.account for target in targets if isinstance(target, DiskUsageTarget)
        )

    def count(self, target: Target, result: PollResult) -> None:
        """Count a poll that has ended."""
        self._tallies.count((target.account, target.collector), result.reason)
        self._rejected_rows.count(target.account, result.rejected_rows)


class RequestCounters:
    """Counts API requests, failures by reason, durations; all series are there from the start."""

    def __init__(self, registry: CollectorRegistry, targets: Collection[Target]) -> None:
        requests = Counter(
            "scaleengine_api_requests_total",
            "API requests, every attempt.",
            ("account", "command"),
            registry=registry,
        )
        failures = Counter(
            "scaleengine_api_request_failures_total",
            "Failed API requests, by reason.",
            ("account", "command", "reason"),
            registry=registry,
        )
        self._tallies = _Tallies(requests, failures)
        self._durations = Histogram(
            "scaleengine_api_request_duration_seconds",
            "Duration of API requests, from the first packet to the last.",
            ("command",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.follow(targets)

    def follow(self, targets: Collection[Target]) -> None:
        """Count the requests for these targets from now on: as with polls."""
        self._tallies.follow((target.account, _COMMANDS[target.collector]) for target in targets)
        for target in targets:
            self._durations.labels(_COMMANDS[target.collector])

    def count(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        self._durations.labels(exchange.command).observe(exchange.seconds)
        self._tallies.count((exchange.account, exchange.command), exchange.reason)


class _Tallies:
    """A counter and one of its failures, with the same labels and for the second ``reason``.

    What is not followed is not counted: a request that ends late would bring its series back.
    """

    def __init__(self, all_: Counter, failures: Counter) -> None:
        self._all = all_
        self._failures = failures
        self._followed: frozenset[tuple[str, str]] = frozenset()
        self._lock = threading.Lock()

    def follow(self, wanted: Iterable[tuple[str, str]]) -> None:
        in_order = dict.fromkeys(wanted)  # the series come in the order of the configuration
        with self._lock:
            for labels in self._followed.difference(in_order):
                self._all.remove(*labels)
                for reason in Reason:
                    self._failures.remove(*labels, reason)
            for labels in in_order:
                self._all.labels(*labels)
                for reason in Reason:
                    self._failures.labels(*labels, reason)
            self._followed = frozenset(in_order)

    def count(self, labels: tuple[str, str], reason: Reason | None) -> None:
        with self._lock:
            if labels not in self._followed:
                return
            self._all.labels(*labels).inc()
            if reason is not None:
                self._failures.labels(*labels, reason).inc()


class _RejectedRows:
    """A counter of the rows of disk usage that were rejected, for the accounts that are polled."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "scaleengine_disk_usage_rejected_rows_total",
            "Rejected rows of disk.usage, by reason; each poll counts them again.",
            ("account", "reason"),
            registry=registry,
        )
        self._followed: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def follow(self, accounts: Iterable[str]) -> None:
        in_order = dict.fromkeys(accounts)
        with self._lock:
            for account in self._followed.difference(in_order):
                for fault in RowFault:
                    self._counter.remove(account, fault)
            for account in in_order:
                for fault in RowFault:
                    self._counter.labels(account, fault)
            self._followed = frozenset(in_order)

    def count(self, account: str, rejected: Mapping[RowFault, int]) -> None:
        with self._lock:
            if account in self._followed:
                for fault, rows in rejected.items():
                    self._counter.labels(account, fault).inc(rows)
