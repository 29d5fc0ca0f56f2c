"""The families of the accounts: that they are configured, and whether they are up."""

import threading
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.wall_time import WallTime
from exporter.scaleengine.client import Exchange

_LABELS: Final = ("account",)


class ConfiguredAccounts(Collector):
    """Knows the accounts, by name with their CDN number."""

    def __init__(self, accounts: Mapping[str, int]) -> None:
        self.accounts = accounts

    def collect(self) -> Iterator[Metric]:
        """Return the family that tells which accounts there are."""
        described = GaugeMetricFamily(
            "scaleengine_account_info",
            "1 for each configured account.",
            labels=("account", "cdn"),
        )
        for account, cdn in self.accounts.items():
            described.add_metric((account, str(cdn)), 1)
        yield described


@dataclass(frozen=True, slots=True)
class _Skew:
    """A clock skew, and the offset of our wall clock at that time, both in seconds."""

    skew: float
    offset: float

    def at(self, offset: float) -> float:
        """Return the skew after our wall clock was set: it has another offset then."""
        return self.skew + (offset - self.offset)


class AccountCollector(Collector):
    """Knows how the last request of each account ended."""

    def __init__(self, accounts: Collection[str], wall_time: WallTime) -> None:
        self._accounts = dict.fromkeys(accounts)
        self._wall_time = wall_time
        self._accepted: dict[str, bool] = {}
        self._skews: dict[str, _Skew] = {}
        self._lock = threading.Lock()

    def follow(self, accounts: Collection[str], forget: Container[str] = ()) -> None:
        """Know these accounts from now on; those to ``forget`` are others under the same name."""
        with self._lock:
            self._accounts = dict.fromkeys(accounts)
            for known in (self._accepted, self._skews):
                for account in tuple(known):
                    if account not in accounts or account in forget:
                        del known[account]

    def heed(self, exchange: Exchange) -> None:
        """Take note of how a request ended."""
        with self._lock:
            if exchange.account not in self._accounts:
                return
            self._accepted[exchange.account] = exchange.accepted
            if exchange.skew is not None:
                offset = self._wall_time.next_offset()
                self._skews[exchange.account] = _Skew(exchange.skew, offset)

    def heed_missing_credentials(self, account: str) -> None:
        """Take note that no request could be made: the account has no readable credentials."""
        with self._lock:
            if account in self._accounts:
                self._accepted[account] = False

    def collect(self) -> Iterator[Metric]:
        """Return ``scaleengine_up`` and the skew, which an account lacks until it was asked."""
        up = GaugeMetricFamily(
            "scaleengine_up",
            "1 if the last request of the account was answered and its credentials accepted, "
            "else 0.",
            labels=_LABELS,
        )
        skew = GaugeMetricFamily(
            "scaleengine_api_clock_skew_seconds",
            "Clock of this machine minus ScaleEngine's, to about a second, as of the last answer "
            "with a Date header.",
            labels=_LABELS,
        )
        with self._lock:
            for account in self._accounts:
                if account in self._accepted:
                    up.add_metric((account,), int(self._accepted[account]))
                if account in self._skews:
                    skew.add_metric((account,), self._skews[account].at(self._wall_time.offset))
        yield up
        yield skew
