"""The commands, and how each ends: 0 as asked, 1 could not run, 2 wrong usage or configuration.

``check`` ends with 1 where something failed; a check of either kind that a signal interrupts, with
130.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import structlog

from exporter.check.command import check
from exporter.check.terminal import Progress
from exporter.config import ConfigError, Loaded, load
from exporter.demo import hints, start_demo
from exporter.documents.problems import Problem
from exporter.flags import Flags, parse_flags
from exporter.logs import set_log_level, set_up_logs
from exporter.plan import Plan, endpoint_from, plan_from
from exporter.process.ending import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
)
from exporter.process.resource_limits import find_resource_limit
from exporter.process.start import Process
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.masking import KnownSecrets
from exporter.scaleengine.transport import Endpoint
from exporter.service import Front, Source, run
from exporter.timed_read import TimedRead
from exporter.web.addresses import ListenError, listen, url
from exporter.web.config_file import LiveWebConfig
from exporter.web.descriptors import raise_limit
from exporter.web.inherited import inherited
from exporter.web.log_limit import LogLimit

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_PRINT_SECONDS: Final = 1.0
_READ_SECONDS: Final = 20.0
"""Seconds that reading the configuration may take while the exporter runs."""


def main(arguments: Sequence[str], process: Process) -> int:
    """Run the program with these command line arguments; return its exit status.

    What goes wrong is written to standard error. Raises SystemExit for wrong usage, ``--help`` and
    ``--version``.
    """
    flags = parse_flags(arguments, process.environ)
    secrets = KnownSecrets()
    set_up_logs(flags.log_level, flags.log_format, secrets.hide, process.stderr)
    try:
        if flags.command == "demo":
            return _demo(flags, secrets, process)
        if flags.command == "check":
            return _check(flags, secrets, process)
        return _serve(flags, secrets, process)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
    except Exception as error:
        limit = find_resource_limit(error)
        if limit is None:
            log.exception("crashed, please report it")
        else:
            sys.stderr.write(f"{limit}\n")
    return EXIT_FAILURE


def _serve(flags: Flags, secrets: KnownSecrets, process: Process) -> int:
    environ = process.environ
    if flags.config_check:
        process.signals.end_at_once(EXIT_INTERRUPTED)
    loaded, web_config = _load(flags, environ)
    accept = partial(_heeded, flags=flags, log_limit=LogLimit(since_boot))
    plan = accept(loaded)
    if flags.config_check:
        for file in filter(None, (flags.config_file, flags.web_config_file)):
            sys.stdout.write(f"{file}: good\n")
        return EXIT_OK
    sockets = _sockets(flags, process)
    read = TimedRead(flags.config_file, partial(load, flags.config_file, environ), _READ_SECONDS)
    source = Source(read, _endpoint, accept, secrets)
    return _run(plan, source, sockets, web_config, flags, process)


def _check(flags: Flags, secrets: KnownSecrets, process: Process) -> int:
    progress = Progress(sys.stderr)
    process.signals.end_at_once(EXIT_INTERRUPTED, progress.close)
    loaded = load(flags.config_file, process.environ)
    set_log_level(loaded.config.log.level or flags.log_level)
    good = check(
        plan_from(loaded.config),
        map(str, loaded.warnings),
        secrets,
        flags.output,
        (sys.stdout, progress),
    )
    return EXIT_OK if good else EXIT_FAILURE


def _heeded(loaded: Loaded, flags: Flags, log_limit: LogLimit) -> Plan:
    """Return the plan of a configuration, and heed what else it says.

    A warning is logged once a minute, however often requests have the configuration read again.
    """
    set_log_level(loaded.config.log.level or flags.log_level)
    for warning in map(str, loaded.warnings):
        if log_limit.is_due(warning):
            log.warning(warning)
    return plan_from(loaded.config)


def _endpoint(loaded: Loaded) -> Endpoint:
    return endpoint_from(loaded.config)


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


def _sockets(flags: Flags, process: Process) -> list[socket.socket]:
    """Return the sockets to serve on: those of systemd, if it hands any over.

    From now on a signal to stop takes effect when they are served: they may have to be removed.
    """
    process.signals.on_stop(lambda: None)
    return inherited(dict(process.environ), os.getpid()) or listen(flags.web_listen_address)


def _demo(flags: Flags, secrets: KnownSecrets, process: Process) -> int:
    web_config = _web_config(flags)
    sockets = _sockets(flags, process)
    simulator, plan = start_demo()
    try:
        # A browser opens no unix socket; where one listens, the log tells.
        for each in [each for each in sockets if each.family != socket.AF_UNIX][:1]:
            page = url(each, tls=web_config is not None and web_config.ssl_context is not None)
            _print_meanwhile(hints(page, flags.web_telemetry_path))
        source = Source(lambda: plan, lambda plan: plan.endpoint, _same_plan, secrets)
        return _run(plan, source, sockets, web_config, flags, process)
    finally:
        simulator.stop()


def _print_meanwhile(text: str) -> None:
    """Print a text in a thread: where it is not read, the rest goes on after a second."""

    def write() -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    thread = threading.Thread(target=write, name="stdout", daemon=True)
    thread.start()
    thread.join(_PRINT_SECONDS)


def _same_plan(plan: Plan) -> Plan:
    return plan


def _run(
    plan: Plan,
    source: Source[T],
    sockets: Sequence[socket.socket],
    web_config: LiveWebConfig | None,
    flags: Flags,
    process: Process,
) -> int:
    raise_limit()
    front = Front(sockets, flags.web_telemetry_path, web_config, flags.web_enable_lifecycle)
    run(plan, source, front, process)
    return EXIT_OK
