"""Whether each account is up, and which of its commands ScaleEngine denies.

A key may be granted one API command and denied another. The account is up then: its key works. So
each target has a verdict of its own, which lasts until ScaleEngine decides on that target again. A
single path may be denied too, for all that is known of the API.

A key may also be revoked: one collector learns it at its next poll, the other up to an interval
later. Until then it is unknown whether the other is still accepted, and no metric says so.
"""

import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.polling.credentials import CredentialVerdict
from exporter.polling.store import ChangedTargets
from exporter.polling.targets import Target
from exporter.scaleengine.client import Credentials

_Key: TypeAlias = tuple[str, str, str]
"""A target of an account: collector, path and file type."""

_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class _Decision:
    """What ScaleEngine decided on a target.

    ``number`` counts the verdicts of the account up to the last acceptance, or up to the first
    refusal after it.
    """

    accepted: bool
    number: int


@dataclass(slots=True)
class _AccountVerdicts:
    """What is known of the credentials of one account, as they were read last.

    ``reached`` is whether the last request got a response that decided on the credentials; None
    before the first. ``decisions`` holds the last decision on each target.
    """

    credentials: Credentials | None = None
    read_at: float = _NEVER
    reached: bool | None = None
    verdicts: int = 0
    decisions: dict[_Key, _Decision] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        accepted = any(decision.accepted for decision in self.decisions.values())
        return self.reached is not False and accepted

    def by_collector(self) -> dict[str, bool]:
        """Return for each collector whether the credentials are accepted for any of its targets.

        A collector is left out if another one has been refused since it was last accepted.
        """
        accepted_at: dict[str, int] = {}
        refused_at: dict[str, int] = {}
        for (collector, _, _), decision in self.decisions.items():
            numbers = accepted_at if decision.accepted else refused_at
            numbers[collector] = max(decision.number, numbers.get(collector, 0))
        refused = {name: at for name, at in refused_at.items() if name not in accepted_at}
        last_refusal = max(refused.values(), default=0)
        found = {name: True for name, at in accepted_at.items() if at > last_refusal}
        return dict(sorted((found | dict.fromkeys(refused, False)).items()))

    def record(self, verdict: CredentialVerdict) -> None:
        if verdict.credentials != self.credentials:
            if verdict.read_at < self.read_at:
                return  # of a poll that began before the credentials were changed
            self.credentials = verdict.credentials
            self.decisions.clear()
        self.read_at = max(self.read_at, verdict.read_at)
        if verdict.request_sent:
            self.reached = verdict.accepted is not None
        if verdict.accepted is not None:
            self._decide(_build_key(verdict.target), accepted=verdict.accepted)

    def _decide(self, key: _Key, *, accepted: bool) -> None:
        self.verdicts += 1
        last = self.decisions.get(key)
        if accepted or last is None or last.accepted:
            self.decisions[key] = _Decision(accepted, self.verdicts)


class CredentialCollector:
    """Collects ``scaleengine_up``, and for which collectors the credentials are accepted.

    An account is up if its last request got a response that decided on its credentials, and if the
    last decision on any of its targets accepted them. It is absent before its first request.
    """

    source: Final = "credentials"

    def __init__(
        self, accounts: Iterable[str], targets: Iterable[Target], changes: ChangedTargets
    ) -> None:
        self._changes = changes
        self._polled: Mapping[str, Container[_Key]] = {}
        self._known: dict[str, _AccountVerdicts] = {}
        self._lock = threading.Lock()
        self.set_targets(accounts, targets)

    def set_targets(
        self,
        accounts: Iterable[str],
        targets: Iterable[Target],
        replaced: Container[str] = (),
    ) -> None:
        """Know these accounts and targets from now on.

        The accounts ``replaced`` are others under the same name.
        """
        polled: dict[str, set[_Key]] = {account: set() for account in accounts}
        for target in targets:
            polled.setdefault(target.account, set()).add(_build_key(target))
        with self._lock:
            self._polled = polled
            for name, account in tuple(self._known.items()):
                keys = polled.get(name, ())
                for key in account.decisions.keys() - keys:
                    del account.decisions[key]
                    self._changes.add(self.source, (name,))
                nothing_left = not account.decisions and account.reached is not False
                if name not in polled or name in replaced or nothing_left:
                    del self._known[name]
                    self._changes.add(self.source, (name,))

    def record(self, verdict: CredentialVerdict) -> None:
        """Record an attempt to poll a target, unless it is not polled any more."""
        with self._lock:
            name = verdict.target.account
            if _build_key(verdict.target) in self._polled.get(name, ()):
                self._known.setdefault(name, _AccountVerdicts()).record(verdict)
                self._changes.add(self.source, (name,))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
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
            "least, 0 if it refuses them for all or they cannot be read, as of the last polls. "
            "Absent if another collector was refused since this one was last accepted.",
            labels=("account", "collector"),
        )
        with self._lock:
            for name in accounts:
                if name in self._known:
                    account = self._known[name]
                    up.add_metric((name,), int(account.up))
                    for collector, value in account.by_collector().items():
                        accepted.add_metric((name, collector), int(value))
        yield up
        yield accepted


def _build_key(target: Target) -> _Key:
    return (target.collector, target.path, target.file_type)
