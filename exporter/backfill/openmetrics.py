"""Write rows as OpenMetrics with timestamps, as ``promtool`` takes it.

All samples of a family are written together, and so are those of a series, in the order of time:
OpenMetrics requires both. So the rows are read once for each family, in little memory.

Source: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from exporter.backfill.windows import DAY_SECONDS, midnight
from exporter.metrics.descriptions import (
    DISK_QUOTA,
    DISK_USAGE,
    DISK_USAGE_DAY,
    Description,
    Quotas,
    find_quota,
)

EOF: Final = "# EOF\n"

HistoryUser: TypeAlias = tuple[str, str]
"""An account and a CPU user."""
UserDays: TypeAlias = tuple[str, str, Iterable[tuple[date, int]]]
"""An account, a CPU user, and the bytes of each of its days, the oldest first."""
_DayValue: TypeAlias = Callable[[date, int], int]
"""Returns the value of a day from its bytes."""
_MAX_CACHED: Final = 50_000
"""Times that are kept as they are written, which is a few MB: each series has the same."""


class Output(Protocol):
    """Where the text goes."""

    def write(self, data: bytes, /) -> object:
        """Write bytes; raises OSError."""


class SampleTimes:
    """When the value of a day is repeated: each ``step`` seconds from 00:00 UTC on.

    No sample is at or after ``end``, in unix seconds.
    """

    def __init__(self, step: int, end: float) -> None:
        self._step = step
        # Times are whole seconds: one in the last part of a second is before the end too.
        self._end = math.ceil(end)
        self.of = lru_cache(max(1, _MAX_CACHED * step // DAY_SECONDS))(self._list)
        """Returns the unix times of a day's samples in seconds, as they are written."""

    def _list(self, day: date) -> list[str]:
        start = midnight(day)
        stop = min(start + DAY_SECONDS, self._end)
        return [str(moment) for moment in range(start, stop, self._step)]


@dataclass(frozen=True, slots=True)
class Series:
    """What is written of each user: ``labels`` that every series has too, and the quotas.

    ``show`` returns a name as it may be shown: without secrets.
    """

    labels: Mapping[str, str]
    quotas: Quotas
    show: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """How much was written, and the time of the first and the last sample in unix seconds."""

    series: int = 0
    samples: int = 0
    first: int | None = None
    last: int | None = None


def write_history(
    users: Collection[HistoryUser],
    read_users: Callable[[], Iterable[UserDays]],
    series: Series,
    times: SampleTimes,
    output: Output,
    advance: Callable[[int], None] = lambda _: None,
) -> WriteResult:
    """Write the history of users, and return how much that is.

    ``read_users`` is called for each family. ``advance`` is called with 1 for each user of each
    family. Users whose names are the same without secrets are left out: which of them a number is
    of would not be known.
    """
    names = _choose_unique_names(users, series.show)
    total = WriteResult()
    for description, find_value in _list_families(series.quotas):
        output.write(_format_head(description).encode())
        for account, cpu_user, days in read_users():
            name, value = names.get((account, cpu_user)), find_value(account, cpu_user)
            if name is not None and value is not None:
                labels = {"account": account, "cpu_user": name, **series.labels}
                prefix = f"{description.name}{_format_labels(labels)}"
                samples = ((value(day, count), times.of(day)) for day, count in days)
                total = _write_series(prefix, samples, output, total)
            advance(1)
    output.write(EOF.encode())
    return total


def _list_families(
    quotas: Quotas,
) -> Iterator[tuple[Description, Callable[[str, str], _DayValue | None]]]:
    """Return the families in order of their names, and what gives the values of a user, if any."""

    def write_quota(account: str, cpu_user: str) -> _DayValue | None:
        quota = find_quota(quotas.get(account, {}), cpu_user)
        return None if quota is None else lambda _, __: quota

    if any(quotas.values()):
        yield DISK_QUOTA, write_quota
    yield DISK_USAGE, lambda _, __: lambda _, count: count
    yield DISK_USAGE_DAY, lambda _, __: lambda day, _: midnight(day)


def _write_series(
    prefix: str, days: Iterable[tuple[int, Sequence[str]]], output: Output, total: WriteResult
) -> WriteResult:
    """Write the samples of a series, and return the total with it."""
    samples, first, last = 0, total.first, total.last
    for value, moments in days:
        if not moments:
            continue
        start = f"{prefix} {value} "
        output.write((start + f"\n{start}".join(moments) + "\n").encode())
        samples += len(moments)
        first = min(int(moments[0]), int(moments[0]) if first is None else first)
        last = max(int(moments[-1]), int(moments[-1]) if last is None else last)
    return WriteResult(total.series + (samples > 0), total.samples + samples, first, last)


def _choose_unique_names(
    users: Collection[HistoryUser], show: Callable[[str], str]
) -> dict[HistoryUser, str]:
    """Return the names of users as they are shown, but for those that would be the same."""
    shown = {(account, user): show(user) for account, user in users}
    times = Counter((account, name) for (account, _), name in shown.items())
    return {key: name for key, name in shown.items() if times[key[0], name] == 1}


def _format_head(description: Description) -> str:
    help_text = description.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f"# HELP {description.name} {help_text}\n# TYPE {description.name} gauge\n"


def _format_labels(labels: Mapping[str, str]) -> str:
    """Return labels as they are written; to Prometheus an empty label is none."""
    written = (f'{name}="{_escape(value)}"' for name, value in sorted(labels.items()) if value)
    return "{" + ",".join(written) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
