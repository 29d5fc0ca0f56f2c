"""What a status page is made of, for tests that make it up."""

import time
from collections.abc import Callable, Mapping, Sequence

from exporter.polling.store import TargetState
from exporter.web.status.observation import ConfiguredAccount, Observation, ProcessStatus, ReadFile
from exporter.web.status.pages import StatusSource

NOW = 1_000_000.0
"""The moment of every observation, in seconds of monotonic time."""

WALL_OFFSET = 1_762_000_000.0 - NOW

PROCESS = ProcessStatus(
    version="0.1.0",
    revision="0123abc",
    python_version="3.11.7",
    started=NOW - 3 * 86400,
    memory=63_000_000,
    dead_threads=(),
    shard=0,
    total_shards=1,
    config_file="/etc/scaleengine-exporter/config.yaml",
    config=ReadFile(successful=True, last_success=NOW - 3 * 86400),
    web_config=None,
)


def observe(
    known: Mapping[str, Sequence[TargetState]] | None = None,
    accounts: Sequence[ConfiguredAccount] | None = None,
    process: ProcessStatus = PROCESS,
    redact: Callable[[str], str] = str,
) -> Observation:
    """Return an observation of these targets; each account is configured, if nothing is said."""
    known = known or {}
    if accounts is None:
        accounts = [ConfiguredAccount(name, 100 + n) for n, name in enumerate(known)]
    by_name = {account.name: account for account in accounts}
    return Observation(NOW, WALL_OFFSET, by_name, known, process, 5.0, redact)


def status_source(
    seen: Callable[[], Observation] = observe,
    configuration: Callable[[], str] | None = None,
    is_restricted: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> StatusSource:
    """Return a source of status pages; of nothing, unless it is given what is seen."""
    return StatusSource(seen, configuration, is_restricted, clock)
