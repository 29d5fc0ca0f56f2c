"""The command line: its commands and flags, and the environment that can set them."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.version import described
from exporter.web.addresses import Address, AddressError, parse_address

DEFAULT_ADDRESS: Final = ":10058"
LOG_LEVELS: Final = ("debug", "info", "warn", "error")
LOG_FORMATS: Final = ("logfmt", "json")
OUTPUTS: Final = ("text", "json")

_TELEMETRY_PATH: Final = re.compile(r"/|/(?!-(/|$))((?!\.{1,2}(/|$))[A-Za-z0-9._~-]+(/(?!$)|$))+")
_SWITCH: Final[Mapping[str, bool]] = {
    "true": True,
    "1": True,
    "false": False,
    "0": False,
    "": False,
}


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line and the environment ask for; no command means to serve."""

    command: str | None
    config_file: Path
    config_check: bool
    web_listen_address: tuple[Address, ...]
    web_telemetry_path: str
    web_config_file: Path | None
    web_enable_lifecycle: bool
    log_level: str
    log_format: str
    output: str = "text"


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag: what it is when nothing sets it, and how to read what sets it."""

    name: str
    default: str
    read: Callable[[str], object]
    meaning: str
    commands: tuple[str | None, ...] = (None, "demo")
    repeatable: bool = False
    switch: bool = False

    @property
    def variable(self) -> str:
        """Return the environment variable that sets the flag."""
        return "SCALEENGINE_EXPORTER_" + re.sub("[.-]", "_", self.name).upper()

    @property
    def attribute(self) -> str:
        """Return the name of the flag in Flags."""
        return re.sub("[.-]", "_", self.name)


def parse_flags(arguments: Sequence[str], environ: Mapping[str, str]) -> Flags:
    """Read the command line; a flag that it lacks is taken from the environment.

    Exits with status 2 and a sentence for wrong usage, with 0 after ``--help`` and ``--version``.
    """
    parser = argparse.ArgumentParser(
        prog="scaleengine-exporter",
        description="Serve the disk usage and file counts of ScaleEngine accounts to Prometheus.",
        epilog="Every flag can be set by the environment too: --web.listen-address by "
        "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS, and so on. A flag wins; an empty variable is one "
        "that is not set.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=described())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    by_name = {
        name: commands.add_parser(name, help=meaning, allow_abbrev=False)
        for name, meaning in _COMMANDS.items()
    }
    for flag in _FLAGS:
        _add(flag, parser, None)
        for name in by_name.keys() & flag.commands:
            _add(flag, by_name[name], argparse.SUPPRESS)
    given = vars(parser.parse_args(arguments))
    for flag in _FLAGS:
        if given[flag.attribute] is not None and given["command"] not in flag.commands:
            doing = given["command"] or "serving"
            parser.error(f"--{flag.name} means nothing to {doing}: leave it out")
        if given[flag.attribute] is None:
            given[flag.attribute] = _from_environment(flag, environ, parser)
    given["web_listen_address"] = tuple(given["web_listen_address"])
    return Flags(**given)


def _add(flag: _Flag, parser: argparse.ArgumentParser, default: str | None) -> None:
    meaning = f"{flag.meaning} (default: {flag.default or ('off' if flag.switch else 'none')})"
    if default is None and None not in flag.commands:
        meaning = argparse.SUPPRESS  # it is understood before a command too, and shown behind it
    if flag.switch:
        parser.add_argument(
            f"--{flag.name}",
            dest=flag.attribute,
            action="store_const",
            const=True,
            default=default,
            help=meaning,
        )
        return
    parser.add_argument(
        f"--{flag.name}",
        dest=flag.attribute,
        action="append" if flag.repeatable else "store",
        type=flag.read,
        default=default,
        metavar="VALUE",
        help=meaning,
    )


def _from_environment(
    flag: _Flag, environ: Mapping[str, str], parser: argparse.ArgumentParser
) -> object:
    text = environ.get(flag.variable) or flag.default  # an empty one is not set
    try:
        if flag.repeatable:
            return [flag.read(part.strip()) for part in text.split(",")]
        return flag.read(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"environment variable {flag.variable}: {error}")


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _telemetry_path(text: str) -> str:
    if not _TELEMETRY_PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be served: write a path such as /metrics, not below /-/"
        )
    return text


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return read


def _switch(text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from None


_COMMANDS: Final[Mapping[str, str]] = {
    "check": "try each account and path for real, and say what is wrong and what to do",
    "demo": "serve a simulated account: no account and no configuration needed",
}

_ALL: Final = (None, *_COMMANDS)

_FLAGS: Final = (
    _Flag("config.file", "config.yaml", Path, "the configuration", commands=(None, "check")),
    _Flag(
        "config.check",
        "",
        _switch,
        "check the configuration and end: 0 if it is good, 2 with every error",
        commands=(None,),
        switch=True,
    ),
    _Flag(
        "web.listen-address",
        DEFAULT_ADDRESS,
        _address,
        "where to listen: host:port, [IPv6]:port, :port for every address of this machine, or "
        "unix:/path; repeatable, in the environment separated by commas",
        repeatable=True,
    ),
    _Flag("web.telemetry-path", "/metrics", _telemetry_path, "the path of the metrics"),
    _Flag(
        "web.config.file",
        "",
        _optional_path,
        "TLS, basic auth and more, in the format of Prometheus' exporter-toolkit",
    ),
    _Flag(
        "web.enable-lifecycle",
        "",
        _switch,
        "let POST /-/reload read the configuration again, as SIGHUP does",
        switch=True,
    ),
    _Flag("log.level", "info", _one_of(LOG_LEVELS), ", ".join(LOG_LEVELS), commands=_ALL),
    _Flag("log.format", "logfmt", _one_of(LOG_FORMATS), ", ".join(LOG_FORMATS), commands=_ALL),
    _Flag("output", "text", _one_of(OUTPUTS), ", ".join(OUTPUTS), commands=("check",)),
)
