"""The families of the accounts: that they are configured, and how far their clocks differ."""

import threading
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.self_metrics import WallTime
from exporter.polling.store import ChangedTargets
from exporter.scaleengine.client import Exchange

NO_ACCOUNT: Final = ""
"""Takes the place of the account of samples that have none."""
Labels: TypeAlias = Mapping[str, Mapping[str, str]]
"""The labels that the operator adds to an account, by its name."""

NO_LABELS: Final[Labels] = MappingProxyType({})


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

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples: that is enough for a registry to know them."""
        return self._collector.collect_accounts(())


class AccountCounter:
    """A counter that has the same series for an account from the start, each at 0.

    prometheus_client's own keeps an object with a lock for each series, and can collect them only
    all together. ``labels`` are those in addition to the account. Any thread may call any method.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], changes: ChangedTargets
    ) -> None:
        self.source = name
        self._documentation = documentation
        self._labels = ("account", *labels)
        self._changes = changes
        self._series: Mapping[str, Sequence[tuple[str, ...]]] = {}
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        """Those above 0: most series count failures."""
        self._lock = threading.Lock()

    def set_series(self, series: Mapping[str, Sequence[tuple[str, ...]]]) -> None:
        """Have these series from now on, by account, as values of the labels.

        Those that stay go on counting.
        """
        with self._lock:
            before, self._series = self._series, series
            self._counts = {
                account: {values: count for values, count in counts.items() if values in wanted}
                for account, counts in self._counts.items()
                if (wanted := series.get(account))
            }
            self._changes.add(self.source, find_changed(before, series))

    def add(self, account: str, *values: str, amount: int = 1) -> None:
        """Add to a series; a series of a removed account is not created again."""
        with self._lock:
            if values in self._series.get(account, ()):
                counts = self._counts.setdefault(account, {})
                counts[values] = counts.get(values, 0) + amount
                self._changes.add(self.source, (account,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of the counter."""
        family = CounterMetricFamily(self.source, self._documentation, labels=self._labels)
        with self._lock:
            for account in accounts:
                counts = self._counts.get(account, {})
                for values in self._series.get(account, ()):
                    family.add_metric((account, *values), counts.get(values, 0))
        yield family


def find_changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """Return the keys whose values are not the same in both."""
    return {
        key
        for key in before.keys() | after.keys()
        if key not in before or key not in after or before[key] != after[key]
    }


class ConfiguredAccounts:
    """Knows the accounts, by name with their CDN number, and the labels that the operator adds."""

    source: Final = "configured"

    def __init__(
        self, accounts: Mapping[str, int], changes: ChangedTargets, labels: Labels = NO_LABELS
    ) -> None:
        self._changes = changes
        self._labels: Labels = {}
        self.accounts: Mapping[str, int] = {}
        self.set_accounts(accounts, labels)

    def set_accounts(self, accounts: Mapping[str, int], labels: Labels = NO_LABELS) -> None:
        """Know these accounts and labels from now on."""
        before, self.accounts = self.accounts, accounts
        labels_before, self._labels = self._labels, labels
        changed = find_changed(before, accounts) | find_changed(labels_before, labels)
        self._changes.add(self.source, changed)

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family with a sample for each account."""
        info = GaugeMetricFamily(
            "scaleengine_account_info",
            "1 for each configured account, with the labels of its configuration.",
        )
        for account in accounts:
            if account in self.accounts:
                cdn = str(self.accounts[account])
                labels = {"account": account, "cdn": cdn, **self._labels.get(account, {})}
                info.add_sample(info.name, labels, 1)
        yield info


@dataclass(frozen=True, slots=True)
class _Skew:
    """A clock skew, and the offset of our wall clock at that time, both in seconds."""

    skew: float
    offset: float

    def at(self, offset: float) -> float:
        """Return the skew after our wall clock was set: it has another offset then."""
        return self.skew + (offset - self.offset)


class SkewCollector:
    """The clock skew of each account, from its last response with a Date header."""

    source: Final = "skews"

    def __init__(
        self, accounts: Collection[str], wall_time: WallTime, changes: ChangedTargets
    ) -> None:
        self._changes = changes
        self._accounts = dict.fromkeys(accounts)
        self._wall_time = wall_time
        self._skews: dict[str, _Skew] = {}
        self._lock = threading.Lock()

    def set_accounts(self, accounts: Collection[str], replaced: Container[str] = ()) -> None:
        """Know these accounts from now on; ``replaced`` are others under the same name."""
        with self._lock:
            self._accounts = dict.fromkeys(accounts)
            for account in tuple(self._skews):
                if account not in accounts or account in replaced:
                    del self._skews[account]
                    self._changes.add(self.source, (account,))

    def record(self, exchange: Exchange) -> None:
        """Record the skew that a response has shown."""
        if exchange.skew is None:
            return
        skew = _Skew(exchange.skew, self._wall_time.next_offset())
        with self._lock:
            if exchange.account in self._accounts:
                self._skews[exchange.account] = skew
                self._changes.add(self.source, (exchange.account,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of skews, which an account lacks until a response has a Date header."""
        skew = GaugeMetricFamily(
            "scaleengine_api_clock_skew_seconds",
            "Clock of this machine minus ScaleEngine's, to about a second, as of the last response "
            "with a Date header.",
            labels=("account",),
        )
        with self._lock:
            for account in accounts:
                if account in self._skews:
                    skew.add_metric((account,), self._skews[account].at(self._wall_time.offset))
        yield skew
