"""The commands, and how each ends: 0 as asked, 1 could not run, 2 wrong usage or configuration.

``check`` ends with 1 where something failed; a check of either kind that a signal interrupts, with
130.
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import structlog

from exporter.check.command import check
from exporter.check.progress import Progress
from exporter.config import ConfigError, Loaded, load
from exporter.demo import hints, start_demo
from exporter.documents.problems import Problem
from exporter.flags import Flags, parse_flags
from exporter.logs import set_log_level, set_up_logs
from exporter.plan import Plan, plan_from
from exporter.process.ending import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    exit_process,
)
from exporter.process.signals import SignalThread
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.masking import KnownSecrets
from exporter.service import Front, Source, run
from exporter.timed_read import TimedRead
from exporter.web.addresses import ListenError, listen, url
from exporter.web.config_file import LiveWebConfig
from exporter.web.descriptors import raise_limit
from exporter.web.inherited import inherited

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_READ_SECONDS: Final = 20.0
"""Seconds that reading the configuration may take while the exporter runs."""


def main(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    signals: SignalThread | None = None,
) -> int:
    """Run the program with command line arguments and environment; return its exit status.

    ``signals`` tells when to stop and when to reload.
    """
    environ = os.environ if environ is None else environ
    signals = SignalThread(exit_process) if signals is None else signals
    try:
        flags = parse_flags(sys.argv[1:] if arguments is None else arguments, environ)
        secrets = KnownSecrets()
        set_up_logs(flags.log_level, flags.log_format, secrets.hide)
        if flags.command == "demo":
            return _demo(flags, environ, secrets, signals)
        if flags.command == "check":
            return _check(flags, environ, secrets, signals)
        return _serve(flags, environ, secrets, signals)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILURE


def _serve(
    flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets, signals: SignalThread
) -> int:
    if flags.config_check:
        _let_signals_interrupt(signals)
    loaded, web_config = _load(flags, environ)
    accept = partial(_heeded, flags=flags)
    plan = accept(loaded)
    if flags.config_check:
        for file in filter(None, (flags.config_file, flags.web_config_file)):
            sys.stdout.write(f"{file}: good\n")
        return EXIT_OK
    sockets = _sockets(flags, environ, signals)
    read = TimedRead(flags.config_file, partial(load, flags.config_file, environ), _READ_SECONDS)
    source = Source(read, accept, secrets.learn)
    return _run(plan, source, sockets, web_config, flags, signals)


def _check(
    flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets, signals: SignalThread
) -> int:
    progress = Progress(sys.stderr)
    _let_signals_interrupt(signals, progress.close)
    loaded = load(flags.config_file, environ)
    set_log_level(loaded.config.log.level or flags.log_level)
    good = check(
        plan_from(loaded.config),
        map(str, loaded.warnings),
        secrets,
        flags.output,
        (sys.stdout, progress),
    )
    return EXIT_OK if good else EXIT_FAILURE


def _let_signals_interrupt(
    signals: SignalThread, clean_up: Callable[[], object] = lambda: None
) -> None:
    """Let each signal, SIGHUP too, end the process at once, after ``clean_up``."""

    def interrupt() -> None:
        try:
            clean_up()
        finally:
            exit_process(EXIT_INTERRUPTED)

    signals.on_stop(interrupt)
    signals.on_reload(interrupt)


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


def _sockets(
    flags: Flags, environ: Mapping[str, str], signals: SignalThread
) -> list[socket.socket]:
    """Return the sockets to serve on: those of systemd, if it hands any over.

    From now on a signal to stop takes effect when they are served: they may have to be removed.
    """
    signals.on_stop(lambda: None)
    return inherited(dict(environ), os.getpid()) or listen(flags.web_listen_address)


def _demo(
    flags: Flags, environ: Mapping[str, str], secrets: KnownSecrets, signals: SignalThread
) -> int:
    web_config = _web_config(flags)
    sockets = _sockets(flags, environ, signals)
    simulator, plan = start_demo()
    try:
        # A browser opens no unix socket; where one listens, the log tells.
        for each in [each for each in sockets if each.family != socket.AF_UNIX][:1]:
            page = url(each, tls=web_config is not None and web_config.ssl_context is not None)
            sys.stdout.write(hints(page, flags.web_telemetry_path))
            sys.stdout.flush()
        source = Source(lambda: plan, _same_plan, secrets.learn)
        return _run(plan, source, sockets, web_config, flags, signals)
    finally:
        simulator.stop()


def _same_plan(plan: Plan) -> Plan:
    return plan


def _run(
    plan: Plan,
    source: Source[T],
    sockets: Sequence[socket.socket],
    web_config: LiveWebConfig | None,
    flags: Flags,
    signals: SignalThread,
) -> int:
    raise_limit()
    front = Front(sockets, flags.web_telemetry_path, web_config, flags.web_enable_lifecycle)
    run(plan, source, front, signals)
    return EXIT_OK
