"""What the operator wrote, as frozen models with every default.

The text below each key is its description in the JSON Schema, too.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.config.fields import (
    Bool,
    CaFile,
    Concurrency,
    FileType,
    HiddenSecret,
    Interval,
    Labels,
    LogLevel,
    OptionalInterval,
    OptionalStaleAfter,
    Positive,
    Rate,
    Size,
    StaleAfter,
    StorePath,
    Text,
    Timeout,
    Url,
    Workers,
)
from exporter.yamlfile.models import FieldError, StrictModel, require_items
from exporter.yamlfile.problems import is_store_path

# pydantic's own min_length counts only the items without a mistake.
_AT_LEAST_ONE = Field(json_schema_extra={"minItems": 1})


class ApiConfig(StrictModel):
    """How ScaleEngine's API is reached."""

    url: Url = "https://api.scaleengine.net/stable/"
    """The address of the API."""

    timeout: Timeout = 30.0
    """How long one request may take, from connecting to the last byte of the response."""

    concurrency: Concurrency = 4
    """How many requests may be in flight for one account."""

    max_workers: Workers = 32
    """How many requests may be in flight for all accounts together."""

    requests_per_second: Rate | None = 5.0
    """How many requests may begin in a second for one account, pages included; null: no limit."""

    max_requests_per_poll: Positive = 5000
    """How many requests one poll may make; a walk that needs more fails as incomplete."""

    ca_file: CaFile = None
    """A PEM file with the certificates to trust instead of the system's, as for a proxy.
    A relative path begins at the folder of this file."""


class LimitsConfig(StrictModel):
    """What one poll may find. One that finds more fails as incomplete: counts are never cut."""

    users_per_account: Positive = 50_000
    """How many CPU users an account may have; each is two series, or three with a quota."""

    folders_per_path: Positive = 200_000
    """How many folders may be below a path, at any depth. A poll may hold them all in memory,
    each in some 400 bytes."""

    label_length: Positive = 1024
    """How many characters a label may have that comes from ScaleEngine: the name of a CPU user, or
    the path of a folder."""


class DiskUsageConfig(StrictModel):
    """The bytes that each CPU user has stored."""

    enabled: Bool = True
    """Whether the account's disk usage is polled."""

    interval: Interval = 3600.0
    """The time from one poll to the next."""

    cpu_users: tuple[Text, ...] = ()
    """The CPU users to ask for; an empty list means every user."""

    stale_after: StaleAfter = Field(default_factory=lambda read: 3 * float(read.get("interval", 1)))
    """How long the last good values are served while polls fail; null: three intervals."""

    quotas: Mapping[str, Size] = {}
    """What each CPU user may store; "*" is each user without a quota of its own. It only sets the
    metric for alerts and dashboards."""


class CountedPath(StrictModel):
    """A path in ScaleEngine's storage whose files are counted."""

    path: StorePath
    """The path, beginning with its sestore: sestore4/jb."""

    file_types: Annotated[tuple[FileType, ...], AfterValidator(require_items), _AT_LEAST_ONE] = (
        "video",
    )
    """The types of file to count, each separately."""

    folder_depth: Positive | None = None
    """Count by sub-folder too, cut at this many levels, as `du --max-depth` does;
    null: no counts by sub-folder."""

    max_folders: Positive = 500
    """How many sub-folders have a count of their own; the others are summed in `_other`."""

    interval: OptionalInterval = None
    """The time from one poll of this path to the next; null: that of files."""

    stale_after: OptionalStaleAfter = None
    """How long the last good counts of this path are served while polls fail; null: three of its
    own intervals, or what files says where it has none."""


class Schedule(NamedTuple):
    """When a path is polled and how long its counts are served, both in seconds."""

    interval: float
    stale_after: float


def _expand_short_form(value: object) -> object:
    if isinstance(value, dict) and any(is_store_path(str(key)) for key in value):
        raise FieldError(
            "has a path as a key; write '- path: ' and the path, and its other keys below 'path'"
        )
    return {"path": value} if isinstance(value, str) else value


def _check_path_list(value: object) -> object:
    if isinstance(value, dict) and any(is_store_path(str(key)) for key in value):
        raise FieldError(
            "must be a list; write '- path: ' before each path, and its other keys below 'path'"
        )
    return value


class FilesConfig(StrictModel):
    """The numbers of files below paths."""

    interval: Interval = 900.0
    """The time from one poll of a path to the next."""

    stale_after: StaleAfter = Field(default_factory=lambda read: 3 * float(read.get("interval", 1)))
    """How long the last good counts are served while polls fail; null: three intervals."""

    paths: Annotated[
        tuple[
            Annotated[
                CountedPath,
                BeforeValidator(_expand_short_form, json_schema_input_type=StorePath | CountedPath),
            ],
            ...,
        ],
        BeforeValidator(_check_path_list),
    ] = ()
    """The paths to count. A text counts the video files of a path; a mapping says more."""

    def find_schedule(self, path: CountedPath) -> Schedule:
        """Return when one of the paths is polled, and for how long its counts are served."""
        if path.interval is None:
            return Schedule(self.interval, path.stale_after or self.stale_after)
        return Schedule(path.interval, path.stale_after or 3 * path.interval)


class AccountConfig(StrictModel):
    """One ScaleEngine account."""

    cdn: Positive
    """The number of the CDN, as the control panel shows it."""

    # pydantic before 2.14 asks for a default even where the key that it depends on is wrong.
    name: Text = Field(default_factory=lambda read: str(read.get("cdn", 1)))
    """The value of the label `account`; the CDN number when the key is left out."""

    enabled: Bool = True
    """Whether the account is polled. One that is not has no series, and its secrets are not
    read."""

    labels: Labels = Field(default_factory=dict)
    """Labels for scaleengine_account_info, such as {customer: acme}; a query joins them to other
    series of the account."""

    api_key: HiddenSecret
    """The API key of the account; required, here or in `api_key_file`."""

    api_secret: HiddenSecret
    """The API secret of the account, which signs each request; required, here or in
    `api_secret_file`."""

    disk_usage: DiskUsageConfig = DiskUsageConfig()
    """The disk usage of the account."""

    files: FilesConfig = FilesConfig()
    """The file counts of the account."""

    @property
    def secrets(self) -> tuple[HiddenSecret, HiddenSecret]:
        """Return the key and the secret, wherever each of them is."""
        return self.api_key, self.api_secret


class LogConfig(StrictModel):
    """What is logged."""

    level: LogLevel | None = None
    """The lowest level that is logged; null: as --log.level says. A reload applies it to a running
    exporter."""


class Config(StrictModel):
    """The whole configuration file."""

    api: ApiConfig = ApiConfig()
    """The API: where it is, and how much may be asked of it."""

    limits: LimitsConfig = LimitsConfig()
    """The limits of what a poll may find."""

    log: LogConfig = LogConfig()
    """The log: how much is written."""

    accounts: Annotated[tuple[AccountConfig, ...], AfterValidator(require_items), _AT_LEAST_ONE]
    """The accounts to poll."""
