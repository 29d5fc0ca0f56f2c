"""The families of the accounts: that they are configured, and whether they are up."""

import threading
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.scaleengine.client import Exchange


class ConfiguredAccounts(Collector):
    """Knows the accounts, by name with their CDN number."""

    def __init__(self, accounts: Mapping[str, int]) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        """Return the family that tells which accounts there are."""
        described = GaugeMetricFamily(
            "scaleengine_account_info",
            "1 for each configured account.",
            labels=("account", "cdn"),
        )
        for account, cdn in self._accounts.items():
            described.add_metric((account, str(cdn)), 1)
        yield described


class AccountCollector(Collector):
    """Knows how the last request of each account ended."""

    def __init__(self, accounts: Iterable[str]) -> None:
        self._accounts = tuple(accounts)
        self._accepted: dict[str, bool] = {}
        self._lock = threading.Lock()

    def heed(self, exchange: Exchange) -> None:
        """Take note of how a request ended."""
        with self._lock:
            self._accepted[exchange.account] = exchange.accepted

    def collect(self) -> Iterator[Metric]:
        """Return ``scaleengine_up``, which an account lacks until it has been asked."""
        up = GaugeMetricFamily(
            "scaleengine_up",
            "1 if the last request of the account was answered and its credentials accepted, "
            "else 0.",
            labels=("account",),
        )
        with self._lock:
            accepted = dict(self._accepted)
        for account in self._accounts:
            if account in accepted:
                up.add_metric((account,), int(accepted[account]))
        yield up
