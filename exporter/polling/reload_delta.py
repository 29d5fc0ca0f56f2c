"""What a reload changes, computed once and applied once by everything that knows of targets."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.polling.targets import Target

_NO_ACCOUNTS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReloadDelta:
    """The difference between what was polled and what is polled from now on.

    ``targets`` are all of now, in the order of the configuration; those in ``added`` were not
    polled before, those in ``removed`` are not polled any more. ``replaced`` has the names under
    which another account is polled now: nothing that is known of them holds. ``new_credentials``
    has the names of the accounts whose credentials are configured differently now.
    """

    targets: tuple[Target, ...]
    added: frozenset[Target]
    removed: frozenset[Target]
    replaced: frozenset[str] = _NO_ACCOUNTS
    new_credentials: frozenset[str] = _NO_ACCOUNTS

    def restarts(self, target: Target) -> bool:
        """Return whether a target begins again, as at the start, though it was polled before."""
        return target.account in self.replaced or target.account in self.new_credentials


def compute_delta(
    before: Iterable[Target],
    targets: Iterable[Target],
    replaced: Iterable[str] = (),
    new_credentials: Iterable[str] = (),
) -> ReloadDelta:
    """Return what changes where ``targets`` are polled instead of those ``before``."""
    ordered, old = tuple(targets), frozenset(before)
    new = frozenset(ordered)
    return ReloadDelta(
        ordered, new - old, old - new, frozenset(replaced), frozenset(new_credentials)
    )


def without_times(target: Target) -> Target:
    """Return what is polled, whenever that is: the same for each interval."""
    return replace(target, interval=0.0, stale_after=0.0)
