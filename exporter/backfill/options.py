"""The options of a backfill, and their validation."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from exporter.backfill.windows import (
    DAY_SECONDS,
    EARLIEST_DAY,
    find_last_day_before,
    midnight,
    start_of_day,
)
from exporter.yamlfile.units import DurationError, parse_duration

STREAM: Final = "-"
"""The output that means standard output."""
MIN_STEP: Final = 60

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Source: https://prometheus.io/docs/concepts/data_model/"""
_OWN_LABELS: Final = frozenset({"account", "cpu_user"})
_NO_DAY: Final = "is no day: write it as 2026-01-31"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the history goes: to ``file`` or standard output (``stream``), into ``tsdb``, or both.

    ``tsdb`` is a folder for blocks, which the program ``promtool`` makes. An existing file is kept
    unless ``overwrite``. ``resume`` continues a run that was not completed.
    """

    file: Path | None = None
    stream: bool = False
    tsdb: Path | None = None
    promtool: str = "promtool"
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class FirstDay:
    """The first day of a history; ``days_back`` if it was given as days before today."""

    day: date
    days_back: int | None = None


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The options of a backfill.

    ``start`` is None to go back until there is no data. ``end`` is the moment before which all
    samples are, in unix seconds; None for the start of today. No ``accounts`` are all. ``step`` is
    the time between samples in seconds. ``labels`` are added to each series.
    """

    start: FirstDay | None
    end: float | None
    accounts: tuple[str, ...]
    step: int
    labels: tuple[tuple[str, str], ...]
    destination: Destination


def parse_day(text: str) -> date:
    """Read a day such as ``2026-01-31``; raises ValueError with a message."""
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} {_NO_DAY}")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day of the calendar") from None
    if day < EARLIEST_DAY:
        raise ValueError(f"{text!r} is before {EARLIEST_DAY}, the earliest day that is asked for")
    return day


def parse_first_day(text: str, now: float) -> FirstDay:
    """Read a day, or how far back it is: ``90d``, ``1y`` of 365 days; ``now`` in unix seconds.

    Raises ValueError with a message.
    """
    if "-" in text:
        return FirstDay(parse_day(text))
    try:
        seconds = parse_duration(text)
    except DurationError:
        raise ValueError(f"{text!r} {_NO_DAY}, or how far back it is as 90d") from None
    if seconds % DAY_SECONDS or not 0 < seconds <= now - midnight(EARLIEST_DAY):
        raise ValueError(f"{text!r} must be whole days, and not before {EARLIEST_DAY}")
    return FirstDay(find_last_day_before(now - seconds + 1), int(seconds) // DAY_SECONDS)


def parse_moment(text: str) -> float:
    """Read a day (its 00:00 UTC) or a time with a zone; return unix seconds.

    Raises ValueError with a message.
    """
    if not _MOMENT.fullmatch(text):
        if "T" in text:
            raise ValueError(f"{text!r} is no time with a zone: write it as 2026-01-31T15:00Z")
        return float(midnight(parse_day(text)))
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time of the calendar") from None
    if moment < midnight(EARLIEST_DAY):
        raise ValueError(f"{text!r} is before {EARLIEST_DAY}, the earliest day that is asked for")
    return moment


def parse_step(text: str) -> int:
    """Read the time between samples, from a minute to a day; return seconds.

    Raises ValueError with a message.
    """
    seconds = parse_duration(text)
    if not MIN_STEP <= seconds <= DAY_SECONDS or seconds % 1:
        raise ValueError(f"{text!r} must be whole seconds, from 1m to 1d")
    return int(seconds)


def parse_label(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``; raises ValueError with a message."""
    name, equals, value = text.partition("=")
    if not equals or not _LABEL.fullmatch(name):
        raise ValueError(f"{text!r} is no label: write it as job=scaleengine")
    if name in _OWN_LABELS or name.startswith("__"):
        raise ValueError(f"{text!r}: the label {name} cannot be set")
    if not value:
        raise ValueError(f"{text!r} has no value")
    try:
        value.encode()
    except UnicodeEncodeError:  # Python's form of bytes on the command line that are no text
        raise ValueError(f"{text!r} is not UTF-8: write it in UTF-8") from None
    return name, value


def find_problems(
    options: BackfillOptions, known_accounts: Collection[str], now: float
) -> Iterator[str]:
    """Return what is wrong with options together, each as a message; ``now`` in unix seconds."""
    if options.end is not None and options.end > now:
        yield "--to is in the future: leave it out for the start of today"
    end = start_of_day(now) if options.end is None else options.end
    if options.start is not None and options.start.day > find_last_day_before(end):
        what = "the start of today" if options.end is None else "--to"
        yield f"--from must be before {what}, and {options.start.day} is not"
    names = [name for name, _ in options.labels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"--label has {name} twice: remove one"
    for account in options.accounts:
        if account not in known_accounts:
            known = ", ".join(sorted(known_accounts)) or "none"
            yield f"--account: there is no account {account!r} with disk usage (known: {known})"
    yield from _find_destination_problems(options.destination)


def describe_moment(moment: float) -> str:
    """Return unix seconds as a time in UTC, as a message shows it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _find_destination_problems(destination: Destination) -> Iterator[str]:
    if destination.stream:
        if destination.tsdb is not None:
            yield "--to-tsdb and --output=- exclude each other: leave one out"
        if destination.resume:
            yield "--resume needs a file: a run with --output=- leaves nothing to continue"
        return
    if destination.file is None and destination.tsdb is None:
        yield "nothing says where to write: set --output=FILE, --output=- or --to-tsdb=DIR"
