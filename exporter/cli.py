"""The commands, and how each ends: 0 as asked, 1 could not run, 2 wrong usage or configuration."""

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from exporter.config import ConfigError, Loaded, load
from exporter.demo import hints, start_demo
from exporter.flags import Flags, parse_flags
from exporter.logs import set_up_logs
from exporter.plan import Plan, plan_from
from exporter.service import run
from exporter.web.addresses import ListenError, listen, url

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
            return _demo(flags)
        return _serve(flags, load(flags.config_file, environ))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        return _COULD_NOT_RUN
    except KeyboardInterrupt:
        return _AS_ASKED


def _serve(flags: Flags, loaded: Loaded) -> int:
    for warning in loaded.warnings:
        log.warning(str(warning))
    if flags.config_check:
        sys.stdout.write(f"{flags.config_file}: good\n")
        return _AS_ASKED
    return _run(plan_from(loaded.config), listen(flags.web_listen_address), flags)


def _demo(flags: Flags) -> int:
    sockets = listen(flags.web_listen_address)
    simulator, plan = start_demo()
    try:
        # A browser opens no unix socket; where one listens, the log tells.
        for each in [each for each in sockets if each.family != socket.AF_UNIX][:1]:
            sys.stdout.write(hints(url(each), flags.web_telemetry_path))
            sys.stdout.flush()
        return _run(plan, sockets, flags)
    finally:
        simulator.stop()


def _run(plan: Plan, sockets: Sequence[socket.socket], flags: Flags) -> int:
    if not run(plan, sockets, flags.web_telemetry_path):
        # A thread hangs in the resolver, which nothing can interrupt and Python would wait for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_AS_ASKED)
    return _AS_ASKED
