"""The quotas of CPU users, as they are configured."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.redaction import SnapshotRedactor
from exporter.polling.snapshots import DiskUsage
from exporter.polling.store import Store
from exporter.scaleengine.clock import Clock

Quotas: TypeAlias = Mapping[str, Mapping[str, int]]
"""Bytes by account and CPU user; the user ``*`` stands for each without a quota of its own."""

_EVERY_OTHER: Final = "*"
_EMPTY_NAME: Final = ""


class QuotaCollector(Collector):
    """Tells the quota of each CPU user that has a disk usage, or a quota of its own."""

    def __init__(
        self, quotas: Quotas, store: Store, clock: Clock, redactor: SnapshotRedactor
    ) -> None:
        self.quotas = quotas
        self._redactor = redactor
        self._store = store
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return the family of quotas."""
        family = GaugeMetricFamily(
            "scaleengine_disk_quota_bytes",
            "Bytes that a CPU user may store, as configured.",
            labels=("account", "cpu_user"),
        )
        quotas = self.quotas
        users = self._users()
        for account, by_user in quotas.items():
            own = {user: size for user, size in by_user.items() if user != _EVERY_OTHER}
            for user, size in own.items():
                family.add_metric((account, user), size)
            if _EVERY_OTHER in by_user:
                for user in _others(users.get(account, ()), own):
                    family.add_metric((account, user), by_user[_EVERY_OTHER])
        yield family

    def _users(self) -> Mapping[str, list[str]]:
        """Return the CPU users of each account whose disk usage is shown now."""
        known = self._store.current().values()
        users: dict[str, list[str]] = {}
        for target, snapshot in self._redactor.read(known, self._clock.elapsed()):
            if isinstance(snapshot, DiskUsage):
                users[target.account] = [user.cpu_user for user in snapshot.users]
        return users


def _others(users: Iterable[str], own: Mapping[str, int]) -> Iterator[str]:
    """Return the users without a quota of their own, but for an empty name: it may be no user."""
    return (user for user in users if user not in own and user != _EMPTY_NAME)
