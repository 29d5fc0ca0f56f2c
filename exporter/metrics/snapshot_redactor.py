"""Keep secrets out of labels: ScaleEngine chooses the names of users and folders."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, FolderCount, Snapshot
from exporter.polling.store import TargetState
from exporter.polling.targets import Target
from exporter.scaleengine.redaction import SecretRedactor

log: Final = structlog.get_logger(__name__)

_BETWEEN: Final = "\0"
_ADVICE: Final = "find out who has named it so, and replace the credentials"


@dataclass(frozen=True, slots=True)
class _Redacted:
    """A snapshot as it was, and without secrets; ``secrets`` is how many were known."""

    original: Snapshot
    secrets: int
    snapshot: Snapshot


class SnapshotRedactor:
    """Redacts the names in snapshots, each snapshot once; for one thread at a time."""

    def __init__(self, secrets: SecretRedactor) -> None:
        self._secrets = secrets
        self._searched = secrets.learned
        self._accounts: dict[str, dict[Target, _Redacted]] = {}

    def set_accounts(self, accounts: Container[str]) -> None:
        """Keep nothing of other accounts than these."""
        for account in [name for name in self._accounts if name not in accounts]:
            del self._accounts[account]

    def read(
        self, account: str, known: Iterable[TargetState], monotonic: float
    ) -> Sequence[tuple[Target, Snapshot | None]]:
        """Return each target with its snapshot, while that counts, without secrets in its names.

        ``known`` is what is known of the targets of the account. Folders whose names are the same
        then are one. Users whose names are the same then are left out: which of their numbers is
        right is not known. ``monotonic`` is the monotonic time.
        """
        before = self._accounts.get(account, {})
        after = self._accounts[account] = {}
        found = []
        for state in known:
            target, snapshot = state.target, state.snapshot(monotonic)
            if snapshot is not None:
                redacted = after[target] = self._redact(target, snapshot, before.get(target))
                snapshot = redacted.snapshot
            found.append((target, snapshot))
        return found

    def accounts_to_redact(self) -> list[str]:
        """Return the accounts whose names hold a secret, if any was learned since the last call."""
        learned = self._secrets.learned
        if learned == self._searched:
            return []
        found = [
            account
            for account, by_target in self._accounts.items()
            if any(
                self._secrets.are_in(_BETWEEN.join(_list_names(redacted.original)))
                for redacted in by_target.values()
            )
        ]
        self._searched = learned
        return found

    def _redact(self, target: Target, snapshot: Snapshot, before: _Redacted | None) -> _Redacted:
        secrets = self._secrets.learned
        if before and before.original is snapshot and before.secrets == secrets:
            return before
        if not self._secrets.are_in(_BETWEEN.join(_list_names(snapshot))):
            return _Redacted(snapshot, secrets, snapshot)
        if before is None or before.snapshot is before.original:
            log.warning("secret redacted in a name", target=str(target), advice=_ADVICE)
        if isinstance(snapshot, DiskUsageSnapshot):
            return _Redacted(snapshot, secrets, self._redact_usage(snapshot))
        return _Redacted(snapshot, secrets, self._redact_counts(snapshot))

    def _redact_usage(self, usage: DiskUsageSnapshot) -> DiskUsageSnapshot:
        redact = self._secrets.redact
        users = [replace(user, cpu_user=redact(user.cpu_user)) for user in usage.users]
        times = Counter(user.cpu_user for user in users)
        return replace(usage, users=tuple(user for user in users if times[user.cpu_user] == 1))

    def _redact_counts(self, counts: FileCounts) -> FileCounts:
        files: Counter[str] = Counter()
        for part in counts.by_folder or ():
            files[self._secrets.redact(part.folder)] += part.files
        return replace(counts, by_folder=tuple(FolderCount(*item) for item in files.items()))


def _list_names(snapshot: Snapshot) -> Iterable[str]:
    if isinstance(snapshot, DiskUsageSnapshot):
        return (user.cpu_user for user in snapshot.users)
    return (part.folder for part in snapshot.by_folder or ())
