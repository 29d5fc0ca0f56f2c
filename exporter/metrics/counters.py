"""What the exporter counts of its own work: polls and API requests."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import Metric

from exporter.metrics.account_metrics import NO_ACCOUNT, AccountCollector, AccountCounter
from exporter.polling.store import ChangedTargets, PollResult
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

    def __init__(self, changes: ChangedTargets, targets: Collection[Target]) -> None:
        self._polls = AccountCounter(
            "scaleengine_polls", "Finished polls.", ("collector",), changes
        )
        self._failures = AccountCounter(
            "scaleengine_poll_failures",
            "Failed polls, by reason.",
            ("collector", "reason"),
            changes,
        )
        self._rejected_rows = AccountCounter(
            "scaleengine_disk_usage_rejected_rows",
            "Rejected rows of disk.usage, by reason; each poll counts them again.",
            ("reason",),
            changes,
        )
        self.collectors: tuple[AccountCollector, ...] = (
            self._polls,
            self._failures,
            self._rejected_rows,
        )
        self.set_targets(targets)

    def set_targets(self, targets: Collection[Target]) -> None:
        """Count these targets from now on: the series of others go, those that stay go on."""
        collectors = _group_by_account((target.account, target.collector) for target in targets)
        self._polls.set_series(_make_series_by_account(collectors))
        self._failures.set_series(_with_reasons(collectors))
        with_usage = [target.account for target in targets if isinstance(target, DiskUsageTarget)]
        self._rejected_rows.set_series(dict.fromkeys(with_usage, _ROW_FAULTS))

    def count(self, target: Target, result: PollResult) -> None:
        """Count a poll that has ended."""
        self._polls.add(target.account, target.collector)
        if result.reason is not None:
            self._failures.add(target.account, target.collector, result.reason)
        for fault, rows in result.rejected_rows.items():
            self._rejected_rows.add(target.account, fault, amount=rows)


class RequestCounters:
    """Counts API requests, failures by reason, durations; all series are there from the start."""

    def __init__(self, changes: ChangedTargets, targets: Collection[Target]) -> None:
        self._requests = AccountCounter(
            "scaleengine_api_requests", "API requests, every attempt.", ("command",), changes
        )
        self._failures = AccountCounter(
            "scaleengine_api_request_failures",
            "Failed API requests, by reason.",
            ("command", "reason"),
            changes,
        )
        self._durations = _Durations(changes)
        self.collectors: tuple[AccountCollector, ...] = (
            self._requests,
            self._failures,
            self._durations,
        )
        self.set_targets(targets)

    def set_targets(self, targets: Collection[Target]) -> None:
        """Count the requests for these targets from now on: as with polls."""
        commands = _group_by_account(
            (target.account, _COMMANDS[target.collector]) for target in targets
        )
        self._requests.set_series(_make_series_by_account(commands))
        self._failures.set_series(_with_reasons(commands))
        self._durations.set_commands(_COMMANDS[target.collector] for target in targets)

    def count(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        self._durations.observe(exchange.command, exchange.seconds)
        self._requests.add(exchange.account, exchange.command)
        if exchange.reason is not None:
            self._failures.add(exchange.account, exchange.command, exchange.reason)


class _Durations:
    """The durations of API requests, of all accounts together."""

    source: Final = "scaleengine_api_request_duration_seconds"

    def __init__(self, changes: ChangedTargets) -> None:
        self._changes = changes
        self._registry = CollectorRegistry()
        self._durations = Histogram(
            self.source,
            "Duration of API requests, from the first packet to the last.",
            ("command",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def set_commands(self, commands: Iterable[str]) -> None:
        """Add series for these commands."""
        for command in dict.fromkeys(commands):
            self._durations.labels(command)
        self._changes.add(self.source, (NO_ACCOUNT,))

    def observe(self, command: str, seconds: float) -> None:
        """Count a request."""
        self._durations.labels(command).observe(seconds)
        self._changes.add(self.source, (NO_ACCOUNT,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of durations; no account has samples of its own."""
        has_samples = NO_ACCOUNT in accounts
        for family in self._registry.collect():
            if not has_samples:
                family.samples = []
            yield family


_ROW_FAULTS: Final = tuple((str(fault),) for fault in RowFault)


def _group_by_account(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return what each account is paired with, once each, in order."""
    found: dict[str, list[str]] = {}
    for account, value in dict.fromkeys(pairs):
        found.setdefault(account, []).append(value)
    return found


# Both return the same tuples for all accounts with the same values: thousands of accounts would
# have forty each.
def _make_series_by_account(
    values: Mapping[str, Iterable[str]],
) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {account: _make_series(tuple(its)) for account, its in values.items()}


def _with_reasons(values: Mapping[str, Iterable[str]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    reasons = tuple(map(str, Reason))
    return {account: _make_series(tuple(its), reasons) for account, its in values.items()}


@lru_cache
def _make_series(*values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the series with one of each of the values."""
    return tuple(product(*values))
