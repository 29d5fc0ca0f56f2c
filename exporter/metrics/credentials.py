"""Whether each account is up, and which of its commands ScaleEngine denies.

A key may be granted one API command and denied another. The account is up then: its key works. So
each target has a verdict of its own, which lasts until ScaleEngine decides on that target again. A
single path may be denied too, for all that is known of the API.
"""

import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.polling.targets import Target
from exporter.polling.verdicts import Verdict
from exporter.scaleengine.client import Credentials

_Key: TypeAlias = tuple[str, str, str]
"""A target of an account: collector, path and file type."""

_NEVER: Final = float("-inf")


@dataclass(slots=True)
class _Account:
    """What is known of the credentials of one account, as they were read last.

    ``reached`` is whether the last request got a response that decided on the credentials; None
    before the first. ``accepted`` holds the last decision on each target.
    """

    credentials: Credentials | None = None
    read_at: float = _NEVER
    reached: bool | None = None
    accepted: dict[_Key, bool] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        return self.reached is not False and any(self.accepted.values())

    def by_collector(self) -> dict[str, bool]:
        """Return for each collector whether the credentials are accepted for any of its targets."""
        found: dict[str, bool] = {}
        for (collector, _, _), accepted in sorted(self.accepted.items()):
            found[collector] = found.get(collector, False) or accepted
        return found

    def record(self, verdict: Verdict) -> None:
        if verdict.credentials != self.credentials:
            if verdict.read_at < self.read_at:
                return  # of a poll that began before the credentials were changed
            self.credentials = verdict.credentials
            self.accepted.clear()
        self.read_at = max(self.read_at, verdict.read_at)
        if verdict.asked:
            self.reached = verdict.accepted is not None
        if verdict.accepted is not None:
            self.accepted[_key(verdict.target)] = verdict.accepted


class CredentialCollector(Collector):
    """Collects ``scaleengine_up``, and for which collectors the credentials are accepted.

    An account is up if its last request got a response that decided on its credentials, and if the
    last decision on any of its targets accepted them. It is absent before its first request.
    """

    def __init__(self, accounts: Iterable[str], targets: Iterable[Target]) -> None:
        self._polled: Mapping[str, Container[_Key]] = {}
        self._known: dict[str, _Account] = {}
        self._lock = threading.Lock()
        self.follow(accounts, targets)

    def follow(
        self, accounts: Iterable[str], targets: Iterable[Target], forget: Container[str] = ()
    ) -> None:
        """Know these accounts and targets from now on.

        The accounts to ``forget`` are others under the same name.
        """
        polled: dict[str, set[_Key]] = {account: set() for account in accounts}
        for target in targets:
            polled.setdefault(target.account, set()).add(_key(target))
        with self._lock:
            self._polled = polled
            for name, account in tuple(self._known.items()):
                keys = polled.get(name, ())
                for key in account.accepted.keys() - keys:
                    del account.accepted[key]
                nothing_left = not account.accepted and account.reached is not False
                if name not in polled or name in forget or nothing_left:
                    del self._known[name]

    def record(self, verdict: Verdict) -> None:
        """Take note of an attempt to poll a target; of one that is not polled any more, none."""
        with self._lock:
            name = verdict.target.account
            if _key(verdict.target) in self._polled.get(name, ()):
                self._known.setdefault(name, _Account()).record(verdict)

    def collect(self) -> Iterator[Metric]:
        """Return both families."""
        up = GaugeMetricFamily(
            "scaleengine_up",
            "1 if ScaleEngine responded to the account's last request and accepts its credentials "
            "for one target at least, else 0.",
            labels=("account",),
        )
        accepted = GaugeMetricFamily(
            "scaleengine_credentials_accepted",
            "1 if ScaleEngine accepts the account's credentials for one target of the collector at "
            "least, 0 if it refuses them for all or they cannot be read, as of the last polls.",
            labels=("account", "collector"),
        )
        with self._lock:
            for name in self._polled:
                if name in self._known:
                    account = self._known[name]
                    up.add_metric((name,), int(account.up))
                    for collector, value in account.by_collector().items():
                        accepted.add_metric((name, collector), int(value))
        yield up
        yield accepted


def _key(target: Target) -> _Key:
    return (target.collector, target.path, target.file_type)
