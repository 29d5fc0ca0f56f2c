"""What the status page and `/api/v1/status` show.

The text below each field is its description in the JSON Schema, too.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict


class State(StrEnum):
    """How a target, an account or the whole exporter is."""

    OK = "ok"
    WAITING = "waiting"
    """The first poll has not ended yet."""
    FAILING = "failing"
    """The last poll failed; the last good numbers are still served."""
    STALE = "stale"
    """There are no numbers, or they are too old to be served."""


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    WARNING = "warning"


class _Documented:
    """Fields are described by the text below them."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class StatusProblem(_Documented):
    """Something that is wrong now."""

    severity: Severity
    """An error where numbers are missing, a warning where they are still served."""

    reason: str
    """A value of the label `reason`, or one of `overdue`, `demand`, `quota`,
    `rejected_rows`, `configuration`, `web_configuration` and `thread`."""

    cause: str
    """What is wrong, in words."""

    advice: str
    """What to do about it."""

    account: str | None = None
    """The account that it concerns; null for the exporter itself."""

    subjects: tuple[str, ...] = ()
    """The targets, CPU users, files or threads that it concerns."""

    since: datetime | None = None
    """Since when; null where that is not known."""

    next_attempt: datetime | None = None
    """When the first of the targets is polled next; null where it is no matter of polls."""


@dataclass(frozen=True, slots=True)
class RequestMade(_Documented):
    """An API request of a poll."""

    began_seconds: float
    """When it was sent, counted from the start of the poll."""

    duration_seconds: float
    """How long it took."""

    path: str
    """The path that was listed; empty for a disk usage."""

    offset: int
    """How many results were to be skipped."""

    attempt: int
    """Which attempt it was, from 1 on."""

    status: int | None
    """The status of HTTP; null where there was no response."""

    code: str | None
    """The code of a failure that ScaleEngine reported."""

    reason: str | None
    """Why it failed, as in the label `reason`; null where it succeeded."""

    response_bytes: int | None
    """The size of the response; null where there was none."""


@dataclass(frozen=True, slots=True)
class FolderRequests(_Documented):
    """The requests of a poll for one folder itself."""

    path: str
    """The path of the folder."""

    requests: int
    """How many requests."""

    duration_seconds: float
    """How long they took together."""


@dataclass(frozen=True, slots=True)
class LastPoll(_Documented):
    """How the last finished poll of a target went."""

    finished: datetime
    """When it ended."""

    duration_seconds: float
    """How long it took."""

    requests: int
    """How many API requests it made."""

    reason: str | None
    """Why it failed, as in the label `reason`; null where it succeeded."""

    cause: str | None
    """What happened, in words; null where it succeeded."""

    last_requests: tuple[RequestMade, ...] = ()
    """Its last requests, at most 50, the oldest first; empty but for `?account=NAME`."""

    costly_folders: tuple[FolderRequests, ...] = ()
    """The folders that took most requests, at most 20; empty but for `?account=NAME`."""


@dataclass(frozen=True, slots=True)
class ScheduleStatus(_Documented):
    """How a target is polled, and how that goes."""

    state: State
    """How the target is."""

    interval_seconds: float
    """The configured time from one poll to the next."""

    stale_after_seconds: float
    """How old the last good numbers may become before they are no longer served."""

    last_poll: LastPoll | None
    """The last finished poll; null before the first."""

    last_success: datetime | None
    """When the last good poll ended; null before the first."""

    failing_since: datetime | None
    """When the first failed poll after the last good one ended; null where the last was good."""

    next_poll: datetime | None
    """When the next poll is due; in the past while it is under way."""

    requests_per_hour: float | None
    """How many API requests the target needs, by its last good poll; null before the first."""

    rate_limit_share: float | None
    """These as a share of `api.requests_per_second`; null without that limit."""


@dataclass(frozen=True, slots=True)
class UsageChanges(_Documented):
    """Changes of a number of bytes up to the newest day; null where a day is missing."""

    day: int | None
    """Since the day before."""

    week: int | None
    """Since seven days before."""

    month: int | None
    """Since 29 days before, the first day of the response."""


@dataclass(frozen=True, slots=True)
class UserStatus(_Documented):
    """The disk usage of a CPU user."""

    cpu_user: str
    """The name; what an empty one means is not documented by ScaleEngine."""

    day: date
    """The newest day that ScaleEngine gives."""

    bytes: int
    """The bytes on disk on that day."""

    quota_bytes: int | None
    """The configured quota; null without one."""

    changes: UsageChanges
    """How the bytes have changed."""

    days: tuple[int | None, ...]
    """The bytes of the last thirty days, the newest last; null for a missing day."""


@dataclass(frozen=True, slots=True)
class DiskUsageStatus(_Documented):
    """The disk usage of an account."""

    schedule: ScheduleStatus
    """How it is polled."""

    users: tuple[UserStatus, ...] | None
    """The CPU users, the largest first; null where there are no numbers that count."""

    users_without_number: tuple[str, ...]
    """CPU users without a number, because rows of the response were rejected."""


@dataclass(frozen=True, slots=True)
class FolderStatus(_Documented):
    """The files of a folder, and of all below it where the depth cuts."""

    folder: str
    """The path below the counted path; `.` for the files directly in it, `_other` for the smallest
    folders together."""

    files: int
    """How many files."""


@dataclass(frozen=True, slots=True)
class FilesStatus(_Documented):
    """The files of one type below a path."""

    path: str
    """The path."""

    file_type: str
    """The type of file."""

    schedule: ScheduleStatus
    """How it is polled."""

    files: int | None
    """How many files; null where there is no number that counts."""

    folders: int | None
    """How many folders; null where there is no number that counts."""

    largest_folders: tuple[FolderStatus, ...]
    """The folders with most files, at most ten; empty without `folder_depth`."""


@dataclass(frozen=True, slots=True)
class Summary(_Documented):
    """An account in a few numbers."""

    name: str
    """The value of the label `account`."""

    cdn: int
    """The number of the CDN."""

    state: State
    """The worst state of its targets."""

    targets: int
    """How many targets it has."""

    failing_targets: int
    """How many of them fail, or have numbers that are too old to be served."""

    waiting_targets: int
    """How many of them wait for their first poll."""

    users: int | None
    """How many CPU users have a number; null where there are no numbers that count."""

    bytes: int | None
    """The bytes of the CPU user with an empty name, or of all others where they have more; null
    where any number is missing."""

    files: int | None
    """The files of all paths and types; null where any number is missing. Paths may overlap."""

    last_success: datetime | None
    """When the last good poll of any target ended; null before the first."""


@dataclass(frozen=True, slots=True)
class AccountStatus(_Documented):
    """An account with all that is known of it."""

    summary: Summary
    """The account in a few numbers."""

    disk_usage: DiskUsageStatus | None
    """The disk usage; null where it is not polled."""

    files: tuple[FilesStatus, ...]
    """The paths and file types."""

    requests_per_hour: float | None
    """How many API requests its targets need, by the last good poll of each; null where one had
    none yet."""

    rate_limit_share: float | None
    """These as a share of `api.requests_per_second`; null without that limit."""


@dataclass(frozen=True, slots=True)
class Reloads(_Documented):
    """How the configuration was read last."""

    successful: bool
    """Whether what is in force is what was read last."""

    last_success: datetime
    """When it was last read well."""


@dataclass(frozen=True, slots=True)
class ExporterStatus(_Documented):
    """The exporter itself."""

    version: str
    """Its version."""

    revision: str
    """The revision of its source."""

    python_version: str
    """The version of Python."""

    started: datetime
    """When it was started."""

    memory_bytes: int | None
    """The memory that the process has now (RSS); null where the system does not tell."""

    accounts: int
    """How many accounts it polls."""

    targets: int
    """How many targets they have."""

    shard: int
    """Which part of the accounts it polls: the number of its shard, from 0 on."""

    total_shards: int
    """How many shards the accounts are divided among; 1 where it polls all."""

    config_file: str | None
    """The configuration file; null where there is none, as in the demo."""

    config: Reloads
    """How the configuration was read last."""

    web_config: Reloads | None
    """How the web configuration was read last; null without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusVerdict(_Documented):
    """What is wrong now, and how the exporter is."""

    time: datetime
    """When this was seen."""

    state: State
    """The worst state of any account shown; `failing` where only another problem is known."""

    problems: tuple[StatusProblem, ...]
    """What is wrong now: the errors first."""

    exporter: ExporterStatus
    """The exporter itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview(StatusVerdict):
    """What is wrong now, and each account in a few numbers."""

    summaries: tuple[Summary, ...]
    """The accounts, those with problems first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(StatusVerdict):
    """What the exporter knows now."""

    accounts: tuple[AccountStatus, ...]
    """The accounts, those with problems first."""
