"""The commands, and how each ends: 0 as asked, 1 could not run, 2 wrong usage or configuration."""

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from exporter.config import ConfigError, Loaded, load
from exporter.demo import hints, start_demo
from exporter.documents.problems import Problem
from exporter.flags import Flags, parse_flags
from exporter.logs import set_up_logs
from exporter.plan import Plan, plan_from
from exporter.service import Front, run
from exporter.web.addresses import ListenError, listen, url
from exporter.web.config_file import LiveWebConfig
from exporter.web.descriptors import raise_limit
from exporter.web.inherited import inherited

log: Final = structlog.get_logger(__name__)

_AS_ASKED: Final = 0
_COULD_NOT_RUN: Final = 1
_WRONG: Final = 2


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the program with command line arguments and environment; return its exit status."""
    # Until the server takes signals itself, both mean the same: end as asked.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environ = os.environ if environ is None else environ
    try:
        flags = parse_flags(sys.argv[1:] if arguments is None else arguments, environ)
        set_up_logs(flags.log_level, flags.log_format)
        if flags.command == "demo":
            return _demo(flags, environ)
        return _serve(flags, environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        return _COULD_NOT_RUN
    except KeyboardInterrupt:
        return _AS_ASKED


def _serve(flags: Flags, environ: Mapping[str, str]) -> int:
    loaded, web_config = _load(flags, environ)
    for warning in loaded.warnings:
        log.warning(str(warning))
    if flags.config_check:
        for file in filter(None, (flags.config_file, flags.web_config_file)):
            sys.stdout.write(f"{file}: good\n")
        return _AS_ASKED
    return _run(plan_from(loaded.config), _sockets(flags, environ), web_config, flags)


def _load(flags: Flags, environ: Mapping[str, str]) -> tuple[Loaded, LiveWebConfig | None]:
    """Read both configurations; the problems of both are told together."""
    try:
        loaded = load(flags.config_file, environ)
    except ConfigError as error:
        problems = (*error.problems, *_web_problems(flags))
        raise ConfigError(problems) from None
    return loaded, _web_config(flags)


def _web_problems(flags: Flags) -> Sequence[Problem]:
    try:
        _web_config(flags)
    except ConfigError as error:
        return error.problems
    return ()


def _web_config(flags: Flags) -> LiveWebConfig | None:
    file = flags.web_config_file
    return None if file is None else LiveWebConfig(file, time.time)


def _sockets(flags: Flags, environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets to serve on: those of systemd, if it hands any over."""
    return inherited(dict(environ), os.getpid()) or listen(flags.web_listen_address)


def _demo(flags: Flags, environ: Mapping[str, str]) -> int:
    web_config = _web_config(flags)
    sockets = _sockets(flags, environ)
    simulator, plan = start_demo()
    try:
        # A browser opens no unix socket; where one listens, the log tells.
        for each in [each for each in sockets if each.family != socket.AF_UNIX][:1]:
            page = url(each, tls=web_config is not None and web_config.ssl_context is not None)
            sys.stdout.write(hints(page, flags.web_telemetry_path))
            sys.stdout.flush()
        return _run(plan, sockets, web_config, flags)
    finally:
        simulator.stop()


def _run(
    plan: Plan,
    sockets: Sequence[socket.socket],
    web_config: LiveWebConfig | None,
    flags: Flags,
) -> int:
    raise_limit()
    if not run(plan, Front(sockets, flags.web_telemetry_path, web_config)):
        # A thread hangs in the resolver, which nothing can interrupt and Python would wait for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_AS_ASKED)
    return _AS_ASKED
