"""The command line, and how each command ends.

The exit status is 0 as asked, 1 where the command could not run or a check failed, 2 for wrong
usage or configuration, and 130 where a signal interrupts a check or a backfill.

A command imports what it runs when it runs: reading the command line takes a tenth of a second, all
that a command needs takes one.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from exporter.command_line import FlagCommand, Program
from exporter.flags import (
    BACKFILL_FLAGS,
    CHECK_FLAGS,
    CONFIG_AUTO_RELOAD_INTERVAL,
    CONFIG_CHECK,
    CONFIG_FILE,
    FILES_FLAGS,
    LOG_FLAGS,
    SHARD_FLAGS,
    WEB_CONFIG_FILE,
    WEB_FLAGS,
    WEB_LISTEN_ADDRESS,
    WebFlags,
)
from exporter.packaged_files import NAMES
from exporter.process.ending import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from exporter.process.resource_limits import find_resource_limit
from exporter.process.start import Process
from exporter.scaleengine.redaction import SecretRedactor
from exporter.sharding import Auto, Shard, ShardError, choose_shard
from exporter.web.listeners import ListenAddress, ListenError
from exporter.yamlfile.problems import ConfigError

if TYPE_CHECKING:
    from exporter.backfill.options import FirstDay
    from exporter.settings import Settings

_PROGRAM: Final = "scaleengine-exporter"
_COMPLETION: Final = "_SCALEENGINE_EXPORTER_COMPLETE"
"""The variable with which a shell requests completions (click's name for it)."""

_INCOMPLETE: Final = b"interrupted: the check is incomplete\n"


def main(arguments: Sequence[str], process: Process) -> int:
    """Run the program with these command line arguments; return its exit status.

    What goes wrong is written to standard error.
    """
    if asked := process.environ.get(_COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(program, {"obj": process}, _PROGRAM, _COMPLETION, asked)
    try:
        # Not program.main(), which handles broken pipes and KeyboardInterrupt in ways of its own.
        with program.make_context(_PROGRAM, list(arguments), obj=process) as context:
            status: int = program.invoke(context)
            return status
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code
    except click.UsageError as error:
        sys.stderr.write(f"{_PROGRAM}: error: {error.format_message()}\n")
        return EXIT_USAGE
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
    except Exception as error:
        limit = find_resource_limit(error)
        if limit is None:
            import structlog

            log = structlog.get_logger(__name__)
            log.exception("command crashed; please report it")
        else:
            sys.stderr.write(f"{limit}\n")
    return EXIT_FAILURE


@click.command(
    cls=FlagCommand,
    params=[
        CONFIG_FILE,
        CONFIG_CHECK,
        CONFIG_AUTO_RELOAD_INTERVAL,
        *SHARD_FLAGS,
        *WEB_FLAGS,
        *LOG_FLAGS,
    ],
)
@click.pass_obj
def serve(
    process: Process,
    *,
    config_file: Sequence[Path],
    config_check: bool,
    config_auto_reload_interval: float | None,
    shard: int | Auto,
    total_shards: int,
    web_listen_address: Sequence[ListenAddress],
    web_telemetry_path: str,
    web_config_file: Path | None,
    web_enable_lifecycle: bool,
    log_level: str,
    log_format: str,
) -> int:
    """Serve the disk usage and file counts of ScaleEngine accounts to Prometheus."""
    chosen = _choose_shard(shard, total_shards)
    secrets = _configure_logging(log_level, log_format, process)
    from exporter.serve import ConfigFiles, check_files, serve_config

    if config_check:
        check_files(config_file, chosen, web_config_file, log_level, process)
    else:
        web = WebFlags(
            web_listen_address, web_telemetry_path, web_config_file, web_enable_lifecycle
        )
        files = ConfigFiles(config_file, chosen, config_auto_reload_interval)
        serve_config(files, web, log_level, secrets, process)
    return EXIT_OK


@click.command(cls=FlagCommand, params=[CONFIG_FILE, *SHARD_FLAGS, *CHECK_FLAGS, *LOG_FLAGS])
@click.pass_obj
def check(
    process: Process,
    *,
    config_file: Sequence[Path],
    shard: int | Auto,
    total_shards: int,
    account: Sequence[str],
    path: Sequence[str],
    full: bool,
    output: str,
    log_level: str,
    log_format: str,
) -> int:
    """Try each account and path for real. Say what is wrong and what to do."""
    chosen = _choose_shard(shard, total_shards)
    secrets = _configure_logging(log_level, log_format, process)
    from exporter.check.runner import CheckOptions, SelectionError
    from exporter.check.runner import check as run_check
    from exporter.terminal import Progress

    progress = Progress(sys.stderr)

    def say_incomplete() -> None:
        progress.close()
        process.stderr.write(_INCOMPLETE)

    process.signals.end_at_once(EXIT_INTERRUPTED, say_incomplete)
    settings, warnings = _load_settings(config_file, chosen, log_level, process)
    options = CheckOptions(output, full, tuple(account), tuple(path))
    try:
        good = run_check(settings, warnings, secrets, options, (sys.stdout, progress))
    except SelectionError as error:
        raise click.UsageError(str(error)) from None
    return EXIT_OK if good else EXIT_FAILURE


@click.command(cls=FlagCommand, params=[WEB_LISTEN_ADDRESS, WEB_CONFIG_FILE])
@click.pass_context
def healthcheck(
    context: click.Context,
    *,
    web_listen_address: Sequence[ListenAddress],
    web_config_file: Path | None,
) -> int:
    """Ask the running exporter for its health, where the flags say or, without any, process 1."""
    from exporter.healthcheck import Listener, check_health, find_listener, read_command_line

    process: Process = context.obj
    is_given = ParameterSource.COMMANDLINE in map(
        context.get_parameter_source, ("web_listen_address", "web_config_file")
    )
    if is_given:
        listener = Listener(web_listen_address[0], web_config_file is not None)
    else:
        listener = find_listener(read_command_line(1), process.environ)
    healthy, message = check_health(listener)
    sys.stdout.write(f"{message}\n")
    return EXIT_OK if healthy else EXIT_FAILURE


@click.command(cls=FlagCommand, params=[*WEB_FLAGS, *LOG_FLAGS])
@click.pass_obj
def demo(
    process: Process,
    *,
    web_listen_address: Sequence[ListenAddress],
    web_telemetry_path: str,
    web_config_file: Path | None,
    web_enable_lifecycle: bool,
    log_level: str,
    log_format: str,
) -> int:
    """Serve a simulated account: no account and no configuration needed."""
    secrets = _configure_logging(log_level, log_format, process)
    from exporter.demo import serve_demo

    web = WebFlags(web_listen_address, web_telemetry_path, web_config_file, web_enable_lifecycle)
    serve_demo(web, secrets, process)
    return EXIT_OK


@click.command(cls=FlagCommand, params=[CONFIG_FILE, *SHARD_FLAGS, *BACKFILL_FLAGS, *LOG_FLAGS])
@click.pass_obj
def backfill(
    process: Process,
    *,
    config_file: Sequence[Path],
    shard: int | Auto,
    total_shards: int,
    start: "FirstDay | None",
    end: float | None,
    account: Sequence[str],
    step: int,
    label: Sequence[tuple[str, str]],
    demo: bool,
    output: str | None,
    to_tsdb: Path | None,
    promtool: str,
    overwrite: bool,
    resume: bool,
    log_level: str,
    log_format: str,
) -> int:
    """Write the past disk usage for a new Prometheus, from what ScaleEngine remembers."""
    chosen = _choose_shard(shard, total_shards)
    secrets = _configure_logging(log_level, log_format, process)
    from exporter.backfill.command import BackfillError, BackfillUsageError, Host
    from exporter.backfill.command import backfill as run_backfill
    from exporter.backfill.options import STREAM, BackfillOptions, Destination
    from exporter.backfill.progress import BackfillProgress
    from exporter.scaleengine.clock import Clock
    from exporter.terminal import escape_unprintable, is_capable

    is_stream = output == STREAM
    file = None if output is None or is_stream else Path(output)
    destination = Destination(file, is_stream, to_tsdb, promtool, overwrite, resume)
    options = BackfillOptions(start, end, tuple(account), step, tuple(label), destination)
    progress = BackfillProgress(sys.stderr, is_terminal=is_capable(sys.stderr))
    host = Host(process.signals.on_stop_or_hangup, progress, secrets, Clock())
    try:
        with _open_backfill_settings(
            config_file, chosen, log_level, process, demo=demo
        ) as settings:
            return run_backfill(settings, options, host)
    except BackfillUsageError as error:
        raise click.UsageError(str(error)) from None
    except BackfillError as error:
        # It may hold promtool's output, which can be anything.
        sys.stderr.write(f"{_PROGRAM}: error: {escape_unprintable(str(error), sys.stderr)}\n")
        return EXIT_FAILURE


@click.command(
    cls=FlagCommand,
    params=[
        click.Argument(["names"], type=click.Choice(NAMES), nargs=-1, metavar="[NAME]..."),
        *FILES_FLAGS,
    ],
)
@click.pass_obj
def files(_: Process, *, names: Sequence[str], output: Path | None, overwrite: bool) -> int:
    """List, print or write the files that come with the program."""
    from exporter.manual import build_manual
    from exporter.packaged_files import FilesError, print_file_list, print_files, write_files

    build = partial(build_manual, program)
    if output is None:
        if names:
            print_files(names, build, sys.stdout)
        else:
            print_file_list(sys.stdout)
        return EXIT_OK
    try:
        write_files(names or NAMES, output, build, overwrite=overwrite)
    except FilesError as error:
        sys.stderr.write(f"{_PROGRAM}: error: {error}\n")
        return EXIT_FAILURE
    return EXIT_OK


@contextmanager
def _open_backfill_settings(
    config_file: Sequence[Path], shard: Shard, log_level: str, process: Process, *, demo: bool
) -> Iterator["Settings"]:
    """Yield the settings of the configuration, or of the demo while its simulator runs."""
    if demo:
        from exporter.demo import start_demo_simulator

        simulator, settings = start_demo_simulator()
        try:
            yield settings
        finally:
            simulator.stop()
        return
    import structlog

    settings, warnings = _load_settings(config_file, shard, log_level, process)
    for warning in warnings:
        structlog.get_logger(__name__).warning(warning)
    yield settings


def _choose_shard(choice: int | Auto, total: int) -> Shard:
    """Return the shard that the flags name; raises UsageError."""
    try:
        return choose_shard(choice, total, socket.gethostname())
    except ShardError as error:
        raise click.UsageError(str(error)) from None


def _load_settings(
    config_file: Sequence[Path], shard: Shard, log_level: str, process: Process
) -> tuple["Settings", Sequence[str]]:
    """Return the settings of the configuration for a shard, and the warnings; set the log level.

    Raises ConfigError.
    """
    from exporter.config import load_files
    from exporter.logs import set_log_level
    from exporter.settings import build_settings

    loaded = load_files(config_file, process.environ)
    set_log_level(loaded.config.log.level or log_level)
    settings = build_settings(loaded.config, shard)
    return settings, [*map(str, loaded.warnings), *settings.find_warnings()]


def _print_version(context: click.Context, _: click.Parameter, is_set: bool) -> None:  # noqa: FBT001 - click calls it
    if is_set and not context.resilient_parsing:
        from exporter.version import version_string

        click.echo(version_string(), sys.stdout)
        context.exit()


program: Final = Program(
    _PROGRAM,
    serve,
    [check, backfill, files, healthcheck, demo],
    [
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Show version, revision and Python, and exit.",
        )
    ],
    "A flag wins over its environment variable. An empty variable is one that is not set.",
)


def _configure_logging(level: str, format_: str, process: Process) -> SecretRedactor:
    """Set up the log; return the secrets that it hides."""
    from exporter.logs import configure_logging

    secrets = SecretRedactor()
    configure_logging(level, format_, secrets.redact, process.stderr)
    return secrets
