"""The commands, and how each ends: 0 as asked, 1 could not run, 2 wrong usage or configuration.

``check`` ends with 1 where something failed, and with 130 when it was interrupted.
"""

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from exporter.check.command import check
from exporter.config import ConfigError, Loaded, load
from exporter.demo import hints, start_demo
from exporter.documents.problems import Problem
from exporter.flags import Flags, parse_flags
from exporter.logs import set_log_level, set_up_logs
from exporter.plan import Plan, plan_from
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.masking import KnownSecrets
from exporter.service import Front, Source, run
from exporter.web.addresses import ListenError, listen, url
from exporter.web.config_file import LiveWebConfig
from exporter.web.descriptors import raise_limit
from exporter.web.inherited import inherited

log: Final = structlog.get_logger(__name__)

_AS_ASKED: Final = 0
_COULD_NOT_RUN: Final = 1
_WRONG: Final = 2
_INTERRUPTED: Final = 130
"""As a shell says it of SIGINT: a check that is not finished has no verdict."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the program with command line arguments and environment; return its exit status."""
    # Until the server takes signals itself, both mean the same: end as asked.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environ = os.environ if environ is None else environ
    try:
        flags = parse_flags(sys.argv[1:] if arguments is None else arguments, environ)
        secrets = KnownSecrets()
        set_up_logs(flags.log_level, flags.log_format, secrets.hide)
        if flags.command == "demo":
            return _demo(flags, environ, secrets)
        if flags.command == "check":
            return _check(flags, environ, secrets)
        return _serve(flags, environ, secrets)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        return _COULD_NOT_RUN
    except KeyboardInterrupt:
        return _AS_ASKED


def _serve(flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets) -> int:
    loaded, web_config = _load(flags, environ)

    def read() -> Plan:
        return _heeded(load(flags.config_file, environ), flags)

    plan = _heeded(loaded, flags)
    if flags.config_check:
        for file in filter(None, (flags.config_file, flags.web_config_file)):
            sys.stdout.write(f"{file}: good\n")
        return _AS_ASKED
    return _run(plan, Source(read, secrets.learn), _sockets(flags, environ), web_config, flags)


def _check(flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets) -> int:
    try:
        loaded = load(flags.config_file, environ)
        set_log_level(loaded.config.log.level or flags.log_level)
        good = check(
            plan_from(loaded.config),
            map(str, loaded.warnings),
            secrets,
            flags.output,
            (sys.stdout, sys.stderr),
        )
    except KeyboardInterrupt:
        return _INTERRUPTED
    return _AS_ASKED if good else _COULD_NOT_RUN


def _heeded(loaded: Loaded, flags: Flags) -> Plan:
    """Return the plan of a configuration, and heed what else it says."""
    set_log_level(loaded.config.log.level or flags.log_level)
    for warning in loaded.warnings:
        log.warning(str(warning))
    return plan_from(loaded.config)


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
    return None if file is None else LiveWebConfig(file, since_boot)


def _sockets(flags: Flags, environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets to serve on: those of systemd, if it hands any over."""
    return inherited(dict(environ), os.getpid()) or listen(flags.web_listen_address)


def _demo(flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets) -> int:
    web_config = _web_config(flags)
    sockets = _sockets(flags, environ)
    simulator, plan = start_demo()
    try:
        # A browser opens no unix socket; where one listens, the log tells.
        for each in [each for each in sockets if each.family != socket.AF_UNIX][:1]:
            page = url(each, tls=web_config is not None and web_config.ssl_context is not None)
            sys.stdout.write(hints(page, flags.web_telemetry_path))
            sys.stdout.flush()
        return _run(plan, Source(lambda: plan, secrets.learn), sockets, web_config, flags)
    finally:
        simulator.stop()


def _run(
    plan: Plan,
    source: Source,
    sockets: Sequence[socket.socket],
    web_config: LiveWebConfig | None,
    flags: Flags,
) -> int:
    # Until the server takes it: a reload of what was read a moment ago would change nothing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_limit()
    front = Front(sockets, flags.web_telemetry_path, web_config, flags.web_enable_lifecycle)
    if not run(plan, source, front):
        # A thread hangs in the resolver, which nothing can interrupt and Python would wait for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_AS_ASKED)
    return _AS_ASKED
