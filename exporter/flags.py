"""The flags: each declared once, with its environment variable, for all commands that take it."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from exporter.backfill.options import (
    parse_first_day,
    parse_label,
    parse_moment,
    parse_step,
)
from exporter.command_line import Flag
from exporter.sharding import parse_shard, parse_total
from exporter.web.listeners import AddressError, ListenAddress, parse_address
from exporter.yamlfile.units import parse_duration

DEFAULT_ADDRESS: Final = ":10058"
MIN_AUTO_RELOAD_SECONDS: Final = 1.0
MAX_AUTO_RELOAD_SECONDS: Final = 365 * 86_400.0

_TELEMETRY_PATH: Final = re.compile(r"/|/(?!-(/|$))((?!\.{1,2}(/|$))[A-Za-z0-9._~-]+(/(?!$)|$))+")
_OTHER_PATHS: Final = frozenset({"/api/v1/status", "/config"})
_SWITCH: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class WebFlags:
    """The flags that say where and how to serve."""

    listen_address: Sequence[ListenAddress]
    telemetry_path: str
    config_file: Path | None
    enable_lifecycle: bool


class _AddressType(click.ParamType[ListenAddress, str]):
    name = "address"
    envvar_list_splitter = ","

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress:
        try:
            return parse_address(value.strip())
        except AddressError as error:
            self.fail(str(error), param, ctx)


class _ConfigPathType(click.Path):
    envvar_list_splitter = ","


def _telemetry_path(text: str) -> str:
    if not _TELEMETRY_PATH.fullmatch(text):
        raise ValueError(f"{text!r} cannot be served: write a path such as /metrics, not below /-/")
    if text in _OTHER_PATHS:
        raise ValueError(f"{text!r} is taken: write another path, such as /metrics")
    return text


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _interval(text: str) -> float | None:
    if not text:
        return None
    seconds = parse_duration(text)
    if seconds < MIN_AUTO_RELOAD_SECONDS:
        raise ValueError(f"{text!r} is too short: write 1s or more, or leave the flag out")
    if seconds > MAX_AUTO_RELOAD_SECONDS:
        raise ValueError(f"{text!r} is too long: write 1y or less, or leave the flag out")
    return seconds


def _required_text(text: str) -> str:
    if not text:
        raise ValueError("'' is empty: write a value, or leave the flag out")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError(f"{text!r} is neither true nor false")
    return _SWITCH[text.lower()]


def _one_of(*choices: str) -> click.Choice[str]:
    return click.Choice(choices, case_sensitive=False)


CONFIG_FILE: Final = Flag(
    "config.file",
    _ConfigPathType(path_type=Path),
    "Configuration file, or a folder with *.yaml files. Repeatable; separated by commas in the "
    "environment.",
    section="Configuration",
    default=("config.yaml",),
)
CONFIG_CHECK: Final = Flag(
    "config.check",
    _switch,
    "Validate the configuration and exit: with status 0 if it is valid, with 2 and every error if "
    "not.",
    section="Configuration",
    default="false",
    metavar="[=false]",
    is_switch=True,
)
CONFIG_AUTO_RELOAD_INTERVAL: Final = Flag(
    "config.auto-reload-interval",
    _interval,
    "Interval for checking the configuration files and reloading them upon detecting changes.",
    section="Configuration",
    default=None,
    metavar="DURATION",
)
SHARD: Final = Flag(
    "shard",
    parse_shard,
    "Shard ordinal of this process (zero indexed), or auto for the number at the end of the host "
    "name, as in a StatefulSet.",
    section="Configuration",
    default="0",
    metavar="NUMBER",
)
TOTAL_SHARDS: Final = Flag(
    "total-shards",
    parse_total,
    "Total number of shards. Each polls its part of the accounts.",
    section="Configuration",
    default="1",
    metavar="NUMBER",
)
WEB_LISTEN_ADDRESS: Final = Flag(
    "web.listen-address",
    _AddressType(),
    "Addresses on which to expose metrics and web interface: host:port, [IPv6]:port, :port for "
    "every address, or unix:/path. Repeatable; separated by commas in the environment.",
    section="Web",
    default=(DEFAULT_ADDRESS,),
)
WEB_TELEMETRY_PATH: Final = Flag(
    "web.telemetry-path",
    _telemetry_path,
    "Path under which to expose metrics. At / they replace the status page.",
    section="Web",
    default="/metrics",
    metavar="PATH",
)
WEB_CONFIG_FILE: Final = Flag(
    "web.config.file",
    _optional_path,
    "Path to configuration file that can enable TLS or authentication, in the format of the "
    "exporter-toolkit.",
    section="Web",
    default=None,
    metavar="PATH",
)
WEB_ENABLE_LIFECYCLE: Final = Flag(
    "web.enable-lifecycle",
    _switch,
    "Enable reload via HTTP request: POST /-/reload.",
    section="Web",
    default="false",
    metavar="[=false]",
    is_switch=True,
)
LOG_LEVEL: Final = Flag(
    "log.level",
    _one_of("debug", "info", "warn", "error"),
    "Only log messages with the given severity or above.",
    section="Log",
    default="info",
)
LOG_FORMAT: Final = Flag(
    "log.format",
    _one_of("logfmt", "json"),
    "Output format of log messages.",
    section="Log",
    default="logfmt",
)
_SCOPE: Final = "Scope"
CHECK_FLAGS: Final = (
    Flag(
        "account",
        _required_text,
        "An account, by its name; repeatable. Without it, all.",
        section=_SCOPE,
        default=(),
        metavar="NAME",
    ),
    Flag(
        "path",
        _required_text,
        "A path of the configuration, in each account that has it; repeatable. Without it, all "
        "paths and the disk usage.",
        section=_SCOPE,
        default=(),
        metavar="PATH",
    ),
    Flag(
        "full",
        _switch,
        "Poll each path whole, as serving does, and say what that cost. It may take many requests.",
        section=_SCOPE,
        default="false",
        metavar="[=false]",
        is_switch=True,
    ),
    Flag("output", _one_of("text", "json"), "How to print.", section="Output", default="text"),
)
WEB_FLAGS: Final = (WEB_LISTEN_ADDRESS, WEB_TELEMETRY_PATH, WEB_CONFIG_FILE, WEB_ENABLE_LIFECYCLE)
LOG_FLAGS: Final = (LOG_LEVEL, LOG_FORMAT)
SHARD_FLAGS: Final = (SHARD, TOTAL_SHARDS)

FILES_FLAGS: Final = (
    Flag(
        "output",
        _optional_path,
        "The folder to write to. Without it, the named files are printed, or all are listed.",
        section="Output",
        default=None,
        metavar="DIR",
    ),
    Flag(
        "overwrite",
        _switch,
        "Replace files that exist.",
        section="Output",
        default="false",
        metavar="[=false]",
        is_switch=True,
    ),
)

_HISTORY: Final = "History"
_DESTINATION: Final = "Destination"
BACKFILL_FLAGS: Final = (
    Flag(
        "from",
        lambda text: parse_first_day(text, time.time()),
        "The first day (UTC), or how far back it is: 2026-01-31, 90d, 1y. Without it, as far back "
        "as there is data.",
        section=_HISTORY,
        default=None,
        metavar="DAY",
        argument="start",
    ),
    Flag(
        "to",
        parse_moment,
        "Where the history ends: at 00:00 UTC of a day, or at a time such as 2026-01-31T15:00Z. "
        "Without it, at the start of today.",
        section=_HISTORY,
        default=None,
        metavar="DAY",
        argument="end",
    ),
    Flag(
        "account",
        _required_text,
        "An account, by its name; repeatable. Without it, all.",
        section=_HISTORY,
        default=(),
        metavar="NAME",
    ),
    Flag(
        "step",
        parse_step,
        "How often the value of a day is repeated, from 1m to 1d.",
        section=_HISTORY,
        default="1h",
        metavar="DURATION",
    ),
    Flag(
        "label",
        parse_label,
        "A label to add to each series, as Prometheus does: job=scaleengine; repeatable.",
        section=_HISTORY,
        default=(),
        metavar="NAME=VALUE",
    ),
    Flag(
        "demo",
        _switch,
        "Fill in the simulated account of demo, not those of the configuration.",
        section=_HISTORY,
        default="false",
        metavar="[=false]",
        is_switch=True,
    ),
    Flag(
        "output",
        _required_text,
        "The OpenMetrics file to write, or - for standard output.",
        section=_DESTINATION,
        default=None,
        metavar="FILE",
    ),
    Flag(
        "to-tsdb",
        _optional_path,
        "A folder in which promtool makes blocks, such as Prometheus' data folder.",
        section=_DESTINATION,
        default=None,
        metavar="DIR",
    ),
    Flag(
        "promtool",
        _required_text,
        "The program promtool, by its name or path.",
        section=_DESTINATION,
        default="promtool",
        metavar="PATH",
    ),
    Flag(
        "overwrite",
        _switch,
        "Replace the file where it exists.",
        section=_DESTINATION,
        default="false",
        metavar="[=false]",
        is_switch=True,
    ),
    Flag(
        "resume",
        _switch,
        "Continue a run that was not completed.",
        section=_DESTINATION,
        default="false",
        metavar="[=false]",
        is_switch=True,
    ),
)
