"""All that ``/metrics`` shows, in one registry."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from exporter import __version__
from exporter.metrics.accounts import AccountCollector
from exporter.metrics.counters import PollCounters, RequestCounters
from exporter.metrics.families import KnowledgeCollector
from exporter.polling.store import Store
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock
from exporter.version import revision


@dataclass(frozen=True, slots=True)
class Metrics:
    """The registry, and those that want to be told what happens."""

    registry: CollectorRegistry
    polls: PollCounters
    requests: RequestCounters
    accounts: AccountCollector

    def heed_exchange(self, exchange: Exchange) -> None:
        """Take note of an API request that has ended."""
        self.requests.count(exchange)
        self.accounts.heed(exchange)


def build_metrics(store: Store, accounts: Mapping[str, int], clock: Clock) -> Metrics:
    """Make the metrics of the targets in the store and of the accounts (name to CDN number)."""
    # The times of creation would be a gauge more for every counter, in the text format.
    disable_created_metrics()  # type: ignore[no-untyped-call] # the library gives it no type
    registry = CollectorRegistry(auto_describe=False)
    targets = tuple(store.current())
    account_collector = AccountCollector(accounts)
    registry.register(account_collector)
    registry.register(KnowledgeCollector(store, clock))
    polls = PollCounters(registry, targets)
    requests = RequestCounters(registry, targets)
    _add_build_info(registry)
    PlatformCollector(registry)
    ProcessCollector(registry=registry)
    GCCollector(registry)
    return Metrics(registry, polls, requests, account_collector)


def _add_build_info(registry: CollectorRegistry) -> None:
    build = Gauge(
        "scaleengine_exporter_build_info",
        "1; which build of the exporter this is.",
        ("version", "revision", "pythonversion"),
        registry=registry,
    )
    build.labels(__version__, revision(), platform.python_version()).set(1)
