"""Collectors whose families have samples of accounts, and can be collected account by account."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.polling.changes import Changes

NO_ACCOUNT: Final = ""
"""Takes the place of the account of samples that have none."""


class AccountCollector(Protocol):
    """Collects families of accounts.

    It adds each account whose samples have changed to the changes, under ``source``.
    """

    @property
    def source(self) -> str:
        """Return the source of changes."""

    def collect_accounts(self, accounts: Iterable[str]) -> Iterable[Metric]:
        """Return all of its families, always in the same order, with samples of these accounts."""


class AllAccounts(Collector):
    """Collects as prometheus_client does, all accounts; ``accounts`` returns which there are."""

    def __init__(self, collector: AccountCollector, accounts: Callable[[], Iterable[str]]) -> None:
        self._collector = collector
        self._accounts = accounts

    def collect(self) -> Iterable[Metric]:
        """Return the families with the samples of all accounts."""
        return self._collector.collect_accounts(self._accounts())


class AccountCounter:
    """A counter that has the same series for an account from the start, each at 0.

    prometheus_client's own keeps an object with a lock for each series, and can collect them only
    all together. ``labels`` are those beside the account. Any thread may call any method.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], changes: Changes
    ) -> None:
        self.source = name
        self._documentation = documentation
        self._labels = ("account", *labels)
        self._changes = changes
        self._accounts: dict[str, dict[tuple[str, ...], int]] = {}
        self._lock = threading.Lock()

    def follow(self, series: Mapping[str, Iterable[tuple[str, ...]]]) -> None:
        """Have these series from now on, by account, as values of the labels.

        Those that stay go on counting.
        """
        with self._lock:
            before = self._accounts
            self._accounts = {
                account: {values: before.get(account, {}).get(values, 0) for values in wanted}
                for account, wanted in series.items()
            }
            self._changes.add(self.source, differing(before, self._accounts))

    def add(self, account: str, *values: str, amount: int = 1) -> None:
        """Count for a series; one that is not there, because its account is gone, stays away."""
        with self._lock:
            counts = self._accounts.get(account, {})
            if values in counts:
                counts[values] += amount
                self._changes.add(self.source, (account,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of the counter."""
        family = CounterMetricFamily(self.source, self._documentation, labels=self._labels)
        with self._lock:
            for account in accounts:
                for values, count in self._accounts.get(account, {}).items():
                    family.add_metric((account, *values), count)
        yield family


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """Return the keys whose values are not the same in both."""
    return {
        key
        for key in before.keys() | after.keys()
        if key not in before or key not in after or before[key] != after[key]
    }
