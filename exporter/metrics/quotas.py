"""The quotas of CPU users, as they are configured."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.descriptions import DISK_QUOTA, EVERY_OTHER, Quotas, quota_of
from exporter.metrics.redaction import SnapshotRedactor
from exporter.polling.snapshots import DiskUsage
from exporter.polling.store import Store
from exporter.scaleengine.clock import Clock


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
        family = GaugeMetricFamily(*DISK_QUOTA, labels=("account", "cpu_user"))
        quotas = self.quotas
        users = self._users()
        for account, by_user in quotas.items():
            own = [user for user in by_user if user != EVERY_OTHER]
            for user in dict.fromkeys([*own, *users.get(account, ())]):
                quota = quota_of(by_user, user)
                if quota is not None:
                    family.add_metric((account, user), quota)
        yield family

    def _users(self) -> Mapping[str, list[str]]:
        """Return the CPU users of each account whose disk usage is shown now."""
        known = self._store.current().values()
        users: dict[str, list[str]] = {}
        for target, snapshot in self._redactor.read(known, self._clock.elapsed()):
            if isinstance(snapshot, DiskUsage):
                users[target.account] = [user.cpu_user for user in snapshot.users]
        return users
