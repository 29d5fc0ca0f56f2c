"""What the rows of a run are for: an incomplete run is only continued for the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import TypeAdapter, ValidationError

from exporter.backfill.options import BackfillOptions, describe_moment
from exporter.backfill.windows import start_of_day
from exporter.polling.targets import DiskUsageTarget
from exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class ScopeAccount:
    """An account of a backfill: its name, its CDN and its CPU users, or none for all."""

    name: str
    cdn: int
    cpu_users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackfillScope:
    """The API, the accounts and the days that a run requests.

    ``end`` is the moment before which all days begin, ``cutoff`` the one before which all samples
    are, both in unix seconds. The cutoff is earlier where ScaleEngine's clock has shown that the
    end is in the future. ``days_back`` is set where the first day was given as a number of days
    before today: given again on another day, that means the first day of this run still.
    """

    url: str
    accounts: tuple[ScopeAccount, ...]
    first_day: date | None
    end: float
    cutoff: float
    is_end_given: bool
    days_back: int | None = None

    def limit(self, earliest: float) -> float:
        """Return the cutoff where the time may be as early as ``earliest``, in unix seconds.

        Without a given end, there is no sample of the current day.
        """
        return min(self.cutoff, earliest if self.is_end_given else start_of_day(earliest))

    def find_differences(self, options: BackfillOptions, other: "BackfillScope") -> list[str]:
        """Return how the options of another run differ that must be the same."""
        is_as_far_back = self.days_back is not None and self.days_back == other.days_back
        differences = {
            "api.url": self.url != other.url,
            "the accounts, their cdn or cpu_users": self.accounts != other.accounts,
            f"--from (it was {self.first_day or 'not set'})": (
                self.first_day != other.first_day and not is_as_far_back
            ),
            f"--to (it was {describe_moment(self.end)})": options.end not in (None, self.end),
        }
        return [what for what, differs in differences.items() if differs]


_ADAPTER: Final = TypeAdapter(BackfillScope)


def build_scope(
    settings: Settings, targets: Sequence[DiskUsageTarget], options: BackfillOptions, now: float
) -> BackfillScope:
    """Return what a run is to ask for; ``now`` in unix seconds."""
    cdns = {account.name: account.cdn for account in settings.accounts}
    end = float(start_of_day(now)) if options.end is None else options.end
    return BackfillScope(
        url=settings.endpoint.url,
        accounts=tuple(
            ScopeAccount(target.account, cdns[target.account], target.cpu_users)
            for target in targets
        ),
        first_day=None if options.start is None else options.start.day,
        end=end,
        cutoff=end,
        is_end_given=options.end is not None,
        days_back=None if options.start is None else options.start.days_back,
    )


def encode_scope(scope: BackfillScope) -> object:
    """Return a scope as JSON can hold it."""
    found: object = _ADAPTER.dump_python(scope, mode="json")
    return found


def decode_scope(value: object) -> BackfillScope | None:
    """Return the scope of what JSON holds; None where it is none."""
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError:
        return None
