"""What the status page is made of: the state of all targets, the configuration, and the time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exporter.polling.store import TargetState
from exporter.yamlfile.files import escape_surrogates

_LAST_SECOND: Final = 253402300799  # 9999-12-31 23:59:59 UTC: the last one of datetime


@dataclass(frozen=True, slots=True)
class ConfiguredAccount:
    """An account as it is configured: its label, its CDN number, and quotas in bytes by user."""

    name: str
    cdn: int
    quotas: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """How a configuration was read last: whether well, and when, in seconds of monotonic time."""

    successful: bool
    last_success: float


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The process: what it is, when it started (monotonic), its memory, and what it has read.

    ``dead_threads`` names the threads that should run and do not. ``shard`` is the part of the
    accounts that it polls, from 0 on, of ``total_shards``.
    """

    version: str
    revision: str
    python_version: str
    started: float
    memory: int | None
    dead_threads: tuple[str, ...]
    shard: int
    total_shards: int
    config_file: str | None
    config: ReadFile
    web_config: ReadFile | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at one moment.

    ``now`` is that moment in seconds of monotonic time, and ``wall_offset`` what makes unix time of
    it. ``accounts`` and ``known``, the targets, are by name of the account. ``requests_per_second``
    is the limit of each account, None without one. ``redact`` keeps secrets out of texts that come
    from elsewhere.
    """

    now: float
    wall_offset: float
    accounts: Mapping[str, ConfiguredAccount]
    known: Mapping[str, Sequence[TargetState]]
    process: ProcessStatus
    requests_per_second: float | None = None
    redact: Callable[[str], str] = str

    def at(self, monotonic: float) -> datetime:
        """Return a moment of monotonic time, to the second, in UTC."""
        unix = min(max(0, round(monotonic + self.wall_offset)), _LAST_SECOND)
        return datetime.fromtimestamp(unix, UTC)

    def text(self, text: str) -> str:
        """Return a text from elsewhere without secrets, and without what UTF-8 cannot hold."""
        return escape_surrogates(self.redact(text))
