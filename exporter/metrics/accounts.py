"""The families of the accounts: that they are configured, and how far their clocks differ."""

import threading
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.account_collector import differing
from exporter.metrics.wall_time import WallTime
from exporter.polling.changes import Changes
from exporter.scaleengine.client import Exchange

Labels: TypeAlias = Mapping[str, Mapping[str, str]]
"""The labels that the operator adds to an account, by its name."""

NO_LABELS: Final[Labels] = MappingProxyType({})


class ConfiguredAccounts:
    """Knows the accounts, by name with their CDN number, and the labels that the operator adds."""

    source: Final = "configured"

    def __init__(
        self, accounts: Mapping[str, int], changes: Changes, labels: Labels = NO_LABELS
    ) -> None:
        self._changes = changes
        self._labels: Labels = {}
        self.accounts: Mapping[str, int] = {}
        self.follow(accounts, labels)

    def follow(self, accounts: Mapping[str, int], labels: Labels = NO_LABELS) -> None:
        """Know these accounts and labels from now on."""
        before, self.accounts = self.accounts, accounts
        labels_before, self._labels = self._labels, labels
        changed = differing(before, accounts) | differing(labels_before, labels)
        self._changes.add(self.source, changed)

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family that tells which accounts there are."""
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
    """Knows the clock skew of each account, as its last response with a Date header told it."""

    source: Final = "skews"

    def __init__(self, accounts: Collection[str], wall_time: WallTime, changes: Changes) -> None:
        self._changes = changes
        self._accounts = dict.fromkeys(accounts)
        self._wall_time = wall_time
        self._skews: dict[str, _Skew] = {}
        self._lock = threading.Lock()

    def follow(self, accounts: Collection[str], forget: Container[str] = ()) -> None:
        """Know these accounts from now on; those to ``forget`` are others under the same name."""
        with self._lock:
            self._accounts = dict.fromkeys(accounts)
            for account in tuple(self._skews):
                if account not in accounts or account in forget:
                    del self._skews[account]
                    self._changes.add(self.source, (account,))

    def record(self, exchange: Exchange) -> None:
        """Take note of what a request has told of the time."""
        if exchange.skew is None:
            return
        skew = _Skew(exchange.skew, self._wall_time.next_offset())
        with self._lock:
            if exchange.account in self._accounts:
                self._skews[exchange.account] = skew
                self._changes.add(self.source, (exchange.account,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of skews, which an account lacks until a response has told the time."""
        skew = GaugeMetricFamily(
            "scaleengine_api_clock_skew_seconds",
            "Clock of this machine minus ScaleEngine's, to about a second, as of the last answer "
            "with a Date header.",
            labels=("account",),
        )
        with self._lock:
            for account in accounts:
                if account in self._skews:
                    skew.add_metric((account,), self._skews[account].at(self._wall_time.offset))
        yield skew
