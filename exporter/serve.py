"""The command that serves: from the files and flags of an operator to the running service."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from exporter.config import (
    ConfigError,
    Fingerprint,
    LoadedConfig,
    compress_redacted_config,
    format_config,
    list_inline_secrets,
    list_named_files,
    load_files,
    take_fingerprint,
)
from exporter.config_watch import ConfigWatch
from exporter.flags import WebFlags
from exporter.logs import set_log_level
from exporter.process.ending import EXIT_INTERRUPTED
from exporter.process.log_limit import LogLimit
from exporter.process.memory import reduce_collections
from exporter.process.start import Process
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.transport import Endpoint
from exporter.service import ConfigSource, WebOptions, run
from exporter.settings import Settings, build_endpoint, build_settings
from exporter.sharding import EVERYTHING, Shard
from exporter.systemd import listen_fds
from exporter.timed_read import TimedRead
from exporter.web.acceptor import raise_fd_limit
from exporter.web.listeners import ListenAddress, listen
from exporter.yamlfile.problems import Problem

if TYPE_CHECKING:
    from exporter.web.config_file import LiveWebConfig

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_READ_SECONDS: Final = 20.0
"""Seconds that reading the configuration may take while the exporter runs."""


def check_files(
    config_files: Sequence[Path],
    shard: Shard,
    web_config_file: Path | None,
    log_level: str,
    process: Process,
) -> None:
    """Read both configurations and print that they are good; raises ConfigError."""
    process.signals.end_at_once(EXIT_INTERRUPTED)
    loaded, _ = _load(config_files, web_config_file, process.environ)
    _accept(loaded, shard, log_level, LogLimit(since_boot, max_events=None))
    for file in filter(None, (*config_files, web_config_file)):
        sys.stdout.write(f"{file}: good\n")


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """Where the configuration is, what of it to poll, and how often to look for changes.

    ``auto_reload_interval`` is in seconds; None where changes wait for a request.
    """

    paths: Sequence[Path]
    shard: Shard = EVERYTHING
    auto_reload_interval: float | None = None

    @property
    def names(self) -> str:
        """Return the names of the files and folders, for messages."""
        return ", ".join(map(str, self.paths))


def serve_config(
    files: ConfigFiles,
    web: WebFlags,
    log_level: str,
    secrets: SecretRedactor,
    process: Process,
) -> None:
    """Poll what the configuration names, and serve it until a signal ends that.

    Raises ConfigError, or ListenError where an address cannot be listened on.
    """
    reduce_collections()
    current = _CurrentConfig(files.shard, log_level, secrets)
    settings, web_config = _accept_first(current, files.paths, web.config_file, process.environ)
    sockets = open_sockets(web.listen_address, process)
    load = partial(load_files, files.paths, process.environ)
    source = ConfigSource(
        TimedRead(files.names, load, _READ_SECONDS),
        _build_status_endpoint,
        current.accept,
        secrets,
        files.names,
        _watch(files, load, current),
    )
    web_options = WebOptions(
        sockets, web.telemetry_path, web_config, web.enable_lifecycle, files.names, current.write
    )
    serve_settings(settings, source, web_options, process)


def load_live_web_config(file: Path | None) -> "LiveWebConfig | None":
    """Read the web configuration, if there is one; raises ConfigError."""
    if file is None:
        return None
    # What reads it takes a megabyte, and most installations have none.
    from exporter.web.config_file import LiveWebConfig  # noqa: PLC0415

    return LiveWebConfig(file, since_boot)


def open_sockets(addresses: Sequence[ListenAddress], process: Process) -> list[socket.socket]:
    """Return the sockets to serve on: those of systemd, if it hands any over.

    From now on a signal to stop takes effect when they are served: they may have to be removed.
    Raises ListenError.
    """
    process.signals.on_stop(lambda: None)
    return listen_fds(dict(process.environ), os.getpid()) or listen(addresses)


def serve_settings(
    settings: Settings, source: ConfigSource[T], web_options: WebOptions, process: Process
) -> None:
    """Poll and serve by the settings until a signal ends that."""
    raise_fd_limit()
    run(settings, source, web_options, process)


def _watch(
    files: ConfigFiles, load: Callable[[], LoadedConfig], current: "_CurrentConfig"
) -> ConfigWatch[LoadedConfig] | None:
    """Return how to look for changes of the configuration's files; None if that is off."""
    if files.auto_reload_interval is None:
        return None

    def look() -> Fingerprint:
        return take_fingerprint(files.paths, current.named_files)

    def find_problems() -> Sequence[str]:
        try:
            read()
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        return ()

    read = TimedRead(files.names, load, _READ_SECONDS)
    return ConfigWatch(
        files.auto_reload_interval,
        TimedRead(files.names, look, _READ_SECONDS),
        lambda: current.fingerprint,
        lambda loaded: loaded.fingerprint,
        find_problems,
    )


class _CurrentConfig:
    """The configuration that was accepted last: its fingerprint, named files and compressed text.

    The loaded models are not kept, because they take 4 KB for each account.
    """

    def __init__(self, shard: Shard, log_level: str, secrets: SecretRedactor) -> None:
        self.fingerprint = Fingerprint(b"", b"")
        self.named_files: tuple[Path, ...] = ()
        self._compressed = b""
        self._shard = shard
        self._log_level = log_level
        self._secrets = secrets
        self._log_limit = LogLimit(since_boot, max_events=None)

    def accept(self, loaded: LoadedConfig) -> Settings:
        """Return the settings of a configuration, and apply its log level."""
        settings = _accept(loaded, self._shard, self._log_level, self._log_limit)
        # Polls register secrets too, but those of disabled accounts and other shards never.
        self._secrets.register(*list_inline_secrets(loaded.config))
        self._compressed = compress_redacted_config(loaded.config)
        self.fingerprint = loaded.fingerprint
        self.named_files = list_named_files(loaded.config)
        return settings

    def write(self) -> str:
        """Return the configuration as YAML without secrets, even misplaced ones."""
        return self._secrets.redact(format_config(self._compressed))


def _accept_first(
    current: _CurrentConfig,
    config_files: Sequence[Path],
    web_config_file: Path | None,
    environ: Mapping[str, str],
) -> "tuple[Settings, LiveWebConfig | None]":
    """Read both configurations and put them in force; raises ConfigError.

    The models end with this function: a caller that serves would keep them for as long.
    """
    loaded, web_config = _load(config_files, web_config_file, environ)
    return current.accept(loaded), web_config


def _accept(loaded: LoadedConfig, shard: Shard, log_level: str, log_limit: LogLimit) -> Settings:
    """Return the settings of a configuration, log all warnings, and set the log level.

    A warning is logged once a minute, however often requests have the configuration read again.
    """
    set_log_level(loaded.config.log.level or log_level)
    settings = build_settings(loaded.config, shard)
    for warning in (*map(str, loaded.warnings), *settings.find_warnings()):
        if log_limit.is_due(warning):
            log.warning("configuration may be wrong", warning=warning)
    return settings


def _build_status_endpoint(loaded: LoadedConfig) -> Endpoint:
    return build_endpoint(loaded.config)


def _load(
    config_files: Sequence[Path], web_config_file: Path | None, environ: Mapping[str, str]
) -> "tuple[LoadedConfig, LiveWebConfig | None]":
    """Read both configurations; raises ConfigError with the problems of both."""
    try:
        loaded = load_files(config_files, environ)
    except ConfigError as error:
        problems = (*error.problems, *_find_web_problems(web_config_file))
        raise ConfigError(problems) from None
    return loaded, load_live_web_config(web_config_file)


def _find_web_problems(file: Path | None) -> Sequence[Problem]:
    try:
        load_live_web_config(file)
    except ConfigError as error:
        return error.problems
    return ()
