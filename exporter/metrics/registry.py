"""All that ``/metrics`` shows, in two layers, and all of it in one registry."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.metrics.account_metrics import (
    NO_ACCOUNT,
    NO_LABELS,
    AccountCollector,
    AllAccounts,
    ConfiguredAccounts,
    Labels,
    SkewCollector,
)
from exporter.metrics.counters import PollCounters, RequestCounters
from exporter.metrics.credential_metrics import CredentialCollector
from exporter.metrics.descriptions import Quotas
from exporter.metrics.families import QuotaCollector, SnapshotCollector, SnapshotRedactor
from exporter.metrics.self_metrics import ProcessMetrics, WallTime, add_log_counter
from exporter.polling.credentials import CredentialVerdict
from exporter.polling.store import ChangedTargets, PollResult, Store
from exporter.polling.targets import ReloadDelta, Target
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.version import revision

_NONE: Final[Quotas] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Metrics:
    """The collectors of both layers of an exposition, and what records events.

    ``collectors`` are those of accounts, in the order of their families. ``process`` has those of
    the process. ``registry`` holds both. ``wall_time`` makes timestamps.
    """

    registry: CollectorRegistry
    collectors: tuple[AccountCollector, ...]
    process: CollectorRegistry
    polls: PollCounters
    requests: RequestCounters
    configured: ConfiguredAccounts
    targets: SnapshotCollector
    quotas: QuotaCollector
    credentials: CredentialCollector
    skews: SkewCollector
    redactor: SnapshotRedactor
    wall_time: WallTime
    changes: ChangedTargets

    def accounts(self) -> tuple[str, ...]:
        """Return the accounts that have samples, in their order, and the layer of no account."""
        return _with_samples(self.configured)

    def apply(
        self,
        delta: ReloadDelta,
        accounts: Mapping[str, int],
        quotas: Quotas = _NONE,
        labels: Labels = NO_LABELS,
        requests_per_second: float | None = None,
    ) -> None:
        """Show the targets of a reload, these accounts (name to CDN number), quotas and labels.

        What is known of replaced accounts goes.
        """
        self.configured.set_accounts(accounts, labels)
        self.targets.set_rate_limit(requests_per_second, accounts)
        self.quotas.set_quotas(quotas)
        self.credentials.set_targets(accounts, delta.targets, delta.replaced_accounts)
        self.skews.set_accounts(accounts, delta.replaced_accounts)
        self.polls.set_targets(delta.targets)
        self.requests.set_targets(delta.targets)
        self.redactor.set_accounts(accounts)

    def record_poll(self, target: Target, result: PollResult) -> None:
        """Record a poll that has ended."""
        self.polls.count(target, result)

    def record_exchange(self, exchange: Exchange) -> None:
        """Record an API request that has ended."""
        self.requests.count(exchange)
        self.skews.record(exchange)

    def record_verdict(self, verdict: CredentialVerdict) -> None:
        """Record how ScaleEngine took an account's credentials."""
        self.credentials.record(verdict)


def build_metrics(
    store: Store,
    accounts: Mapping[str, int],
    clock: Clock,
    quotas: Quotas = _NONE,
    secrets: SecretRedactor | None = None,
    labels: Labels = NO_LABELS,
    requests_per_second: float | None = None,
) -> Metrics:
    """Make the metrics of the targets in the store and of the accounts (name to CDN number).

    ``labels`` are added to what describes an account. No name that comes from ScaleEngine shows one
    of the ``secrets`` in a label. ``requests_per_second`` is the rate limit of each account.
    """
    # The times of creation would be a gauge more for every counter, in the text format.
    disable_created_metrics()  # type: ignore[no-untyped-call] # the library gives it no type
    targets, changes = tuple(store.current()), store.changes
    wall_time = WallTime(clock)
    redactor = SnapshotRedactor(secrets or SecretRedactor())
    configured = ConfiguredAccounts(accounts, changes, labels)
    allowed = QuotaCollector(quotas, store, clock, redactor)
    credentials = CredentialCollector(accounts, targets, changes)
    skews = SkewCollector(accounts, wall_time, changes)
    targets_known = SnapshotCollector(store, clock, wall_time, redactor, requests_per_second)
    polls, requests = PollCounters(changes, targets), RequestCounters(changes, targets)
    collectors: tuple[AccountCollector, ...] = (
        configured,
        credentials,
        skews,
        targets_known,
        allowed,
        *polls.collectors,
        *requests.collectors,
    )
    process = _build_process_registry(wall_time)
    with_samples = partial(_with_samples, configured)
    return Metrics(
        registry=_build_registry(
            *(AllAccounts(collector, with_samples) for collector in collectors), process
        ),
        collectors=collectors,
        process=process,
        polls=polls,
        requests=requests,
        configured=configured,
        targets=targets_known,
        quotas=allowed,
        credentials=credentials,
        skews=skews,
        redactor=redactor,
        wall_time=wall_time,
        changes=changes,
    )


def _with_samples(configured: ConfiguredAccounts) -> tuple[str, ...]:
    return (NO_ACCOUNT, *configured.accounts)


class ReloadStatus(Protocol):
    """The status of a file that is reloaded; read from any thread."""

    last_success: float
    """The last successful reload, in seconds of monotonic time."""

    @property
    def last_reload_successful(self) -> bool:
        """Return whether the last reload attempt was successful."""


def add_process_metrics(
    metrics: Metrics,
    shard_ordinal: int,
    total_shards: int,
    count_dropped_lines: Callable[[], int],
    config: ReloadStatus,
    web_config: ReloadStatus | None = None,
) -> None:
    """Add the exporter's own metrics of its process: shard, log and reloads.

    ``count_dropped_lines`` returns the number of log lines that were dropped, from 0 on.
    """
    add_shard_gauges(metrics, shard_ordinal, total_shards)
    add_log_counter(metrics.process, count_dropped_lines)
    add_reload_gauges(metrics, "config", config)
    if web_config is not None:
        add_reload_gauges(metrics, "web_config", web_config)


def add_reload_gauges(metrics: Metrics, what: str, status: ReloadStatus) -> None:
    """Add the gauges for the last reload of ``what``, such as ``web_config``."""
    title = what.replace("config", "configuration").replace("_", " ")
    successful = Gauge(
        f"scaleengine_exporter_{what}_last_reload_successful",
        f"Whether the last {title} reload attempt was successful.",
        registry=metrics.process,
    )
    successful.set_function(lambda: float(status.last_reload_successful))
    last_success = Gauge(
        f"scaleengine_exporter_{what}_last_reload_success_timestamp_seconds",
        f"Timestamp of the last successful {title} reload.",
        registry=metrics.process,
    )
    last_success.set_function(lambda: metrics.wall_time.unix(status.last_success))


def add_shard_gauges(metrics: Metrics, ordinal: int, total: int) -> None:
    """Add the gauges of this process's shard and of the number of shards."""
    for name, value, text in (
        ("shard", ordinal, "Shard ordinal of this process (zero indexed)."),
        ("total_shards", total, "Total number of shards."),
    ):
        Gauge(f"scaleengine_exporter_{name}", text, registry=metrics.process).set(value)


def _build_registry(*collectors: Collector) -> CollectorRegistry:
    """Return a registry that finds by name what the collectors collect."""
    registry = CollectorRegistry(auto_describe=True)
    for collector in collectors:
        registry.register(collector)
    return registry


def _build_process_registry(wall_time: WallTime) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    build = Gauge(
        "scaleengine_exporter_build_info",
        "A metric with a constant '1' value labeled by version, revision and pythonversion.",
        ("version", "revision", "pythonversion"),
        registry=registry,
    )
    build.labels(__version__, revision(), platform.python_version()).set(1)
    PlatformCollector(registry)
    registry.register(ProcessMetrics(wall_time))
    GCCollector(registry)
    return registry
