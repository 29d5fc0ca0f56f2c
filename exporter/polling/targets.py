"""What is polled, and what a reload changes of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class DiskUsageTarget:
    """The disk usage of an account: of the CPU users named, or of all where none is.

    ``interval`` is the time from poll to poll, ``stale_after`` the age at which the last good
    snapshot counts no more; both in seconds.
    """

    account: str
    interval: float
    stale_after: float
    cpu_users: tuple[str, ...] = ()

    @property
    def collector(self) -> str:
        """Return the value of the label ``collector``."""
        return "disk_usage"

    @property
    def path(self) -> str:
        """Return the value of the label ``path``: a disk usage has none."""
        return ""

    @property
    def file_type(self) -> str:
        """Return the value of the label ``file_type``: a disk usage has none."""
        return ""

    def __str__(self) -> str:
        """Return the target as a log line shows it."""
        return f"{self.account} disk usage"


@dataclass(frozen=True, slots=True)
class FilesTarget:
    """The files of one type below one path of an account.

    ``folder_depth`` N counts by sub-folder too, cut at N levels; the ``max_folders`` largest are
    kept. ``interval`` and ``stale_after`` are as for the disk usage.
    """

    account: str
    interval: float
    stale_after: float
    path: str
    file_type: str
    folder_depth: int | None = None
    max_folders: int = 500

    @property
    def collector(self) -> str:
        """Return the value of the label ``collector``."""
        return "files"

    def __str__(self) -> str:
        """Return the target as a log line shows it."""
        return f"{self.account} {self.path} {self.file_type}"


Target: TypeAlias = DiskUsageTarget | FilesTarget


MAX_NAMES: Final = 5
"""How many names a line in the log has."""


def name_some(names: Collection[str]) -> str | None:
    """Return the first names in their order, and how many more there are; None for none."""
    if not names:
        return None
    text = ", ".join(sorted(names)[:MAX_NAMES])
    more = len(names) - MAX_NAMES
    return f"{text} and {more} more" if more > 0 else text


def build_log_fields(target: Target) -> dict[str, str]:
    """Return what a log line says of the target, field by field."""
    fields = {"account": target.account, "collector": target.collector}
    if isinstance(target, FilesTarget):
        fields |= {"path": target.path, "file_type": target.file_type}
    return fields


_NO_ACCOUNTS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReloadDelta:
    """The difference between what was polled and what is polled from now on.

    ``targets`` are all of now, in the order of the configuration; those in ``added`` were not
    polled before, those in ``removed`` are not polled any more. ``replaced_accounts`` has the names
    under which another account is polled now: nothing that is known of them holds. The credentials
    of ``accounts_with_new_credentials`` are configured differently now.
    """

    targets: tuple[Target, ...]
    added: frozenset[Target]
    removed: frozenset[Target]
    replaced_accounts: frozenset[str] = _NO_ACCOUNTS
    accounts_with_new_credentials: frozenset[str] = _NO_ACCOUNTS

    def restarts(self, target: Target) -> bool:
        """Return whether a target begins again, as at the start, though it was polled before."""
        return (
            target.account in self.replaced_accounts
            or target.account in self.accounts_with_new_credentials
        )


def compute_delta(
    before: Iterable[Target],
    targets: Iterable[Target],
    *,
    replaced_accounts: Iterable[str] = (),
    accounts_with_new_credentials: Iterable[str] = (),
) -> ReloadDelta:
    """Return what changes where ``targets`` are polled instead of those ``before``."""
    ordered, old = tuple(targets), frozenset(before)
    new = frozenset(ordered)
    return ReloadDelta(
        ordered,
        new - old,
        old - new,
        frozenset(replaced_accounts),
        frozenset(accounts_with_new_credentials),
    )


def remove_times(target: Target) -> Target:
    """Return what is polled, whenever that is: the same for each interval."""
    return replace(target, interval=0.0, stale_after=0.0)
