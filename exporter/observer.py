"""Collect what the status page shows from the running service."""

import platform
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from exporter import __version__
from exporter.metrics.registry import ReloadStatus
from exporter.metrics.self_metrics import WallTime
from exporter.polling.store import Store
from exporter.process.memory import read_memory
from exporter.scaleengine.clock import Clock
from exporter.settings import Settings
from exporter.version import revision
from exporter.web.status.observation import (
    ConfiguredAccount,
    Observation,
    ProcessStatus,
    ReadFile,
)


@dataclass(frozen=True, slots=True)
class Observer:
    """Observes the running service; any thread may call it.

    ``started`` is in seconds of monotonic time. ``settings`` returns those in force,
    ``list_dead_threads`` the names of the threads that should run and do not.
    """

    settings: Callable[[], Settings]
    store: Store
    clock: Clock
    wall_time: WallTime
    started: float
    list_dead_threads: Callable[[], Collection[str]]
    config_file: str | None
    config: ReloadStatus
    web_config: ReloadStatus | None
    redact: Callable[[str], str]

    def __call__(self) -> Observation:
        """Return what is known now."""
        settings = self.settings()
        accounts = {
            account.name: ConfiguredAccount(account.name, account.cdn, account.quotas)
            for account in settings.accounts
        }
        return Observation(
            now=self.clock.monotonic(),
            wall_offset=self.wall_time.offset,
            accounts=accounts,
            known={name: self.store.account(name) for name in accounts},
            process=ProcessStatus(
                version=__version__,
                revision=_REVISION,
                python_version=platform.python_version(),
                started=self.started,
                memory=read_memory(),
                dead_threads=tuple(self.list_dead_threads()),
                shard=settings.shard.ordinal,
                total_shards=settings.shard.total,
                config_file=self.config_file,
                config=_read(self.config),
                web_config=None if self.web_config is None else _read(self.web_config),
            ),
            requests_per_second=settings.requests_per_second,
            redact=self.redact,
        )


_REVISION: Final = revision()


def _read(reloaded: ReloadStatus) -> ReadFile:
    return ReadFile(reloaded.last_reload_successful, reloaded.last_success)
