"""The quotas of CPU users, as they are configured."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.account_metrics import find_changed
from exporter.metrics.descriptions import DISK_QUOTA, EVERY_OTHER, Quotas, find_quota
from exporter.metrics.snapshot_redactor import SnapshotRedactor
from exporter.polling.snapshots import DiskUsageSnapshot
from exporter.polling.store import TARGETS, Store
from exporter.scaleengine.clock import Clock


class QuotaCollector:
    """Collects the quota of each CPU user that has a disk usage or its own quota."""

    source: Final = TARGETS

    def __init__(
        self, quotas: Quotas, store: Store, clock: Clock, redactor: SnapshotRedactor
    ) -> None:
        self._quotas: Quotas = {}
        self._redactor = redactor
        self._store = store
        self._clock = clock
        self.set_quotas(quotas)

    def set_quotas(self, quotas: Quotas) -> None:
        """Replace the quotas."""
        before, self._quotas = self._quotas, quotas
        self._store.changes.add(self.source, find_changed(before, quotas))

    def collect_accounts(self, accounts: Iterable[str]) -> Iterator[Metric]:
        """Return the family of quotas."""
        family = GaugeMetricFamily(*DISK_QUOTA, labels=("account", "cpu_user"))
        quotas = self._quotas
        for account in accounts:
            by_user = quotas.get(account)
            if not by_user:
                continue
            own = [user for user in by_user if user != EVERY_OTHER]
            for user in dict.fromkeys([*own, *self._list_users(account)]):
                quota = find_quota(by_user, user)
                if quota is not None:
                    family.add_metric((account, user), quota)
        yield family

    def _list_users(self, account: str) -> Iterator[str]:
        """Return the CPU users of an account whose disk usage is shown now."""
        known = self._store.account(account)
        for _, snapshot in self._redactor.read(account, known, self._clock.monotonic()):
            if isinstance(snapshot, DiskUsageSnapshot):
                yield from (user.cpu_user for user in snapshot.users)
