"""Read a command line as the program does, without running its command."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import click
import pytest

from exporter import cli
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process

Flags = Mapping[str, object]

ERROR = "scaleengine-exporter: error: "


class CommandLine(NamedTuple):
    """The exit status, and the command that would run with these flags, if any."""

    status: int
    command: str | None
    flags: Flags


def read_command_line(*arguments: str, **environ: str) -> CommandLine:
    """Return what the arguments mean in an environment."""
    found: list[tuple[str, Flags]] = []

    def record(command: click.Command, **flags: object) -> int:
        found.append((str(command.name), flags))
        return 0

    process = Process(environ, SignalThread(lambda _: None), BackgroundWriter(2))
    with pytest.MonkeyPatch.context() as patched:
        for command in (cli.serve, *cli.program.commands.values()):
            patched.setattr(command, "callback", partial(record, command))
        status = cli.main(arguments, process)
    command_name, flags = found[0] if found else (None, {})
    return CommandLine(status, command_name, flags)


def read_wrong_command_line(
    capsys: pytest.CaptureFixture[str], *arguments: str, **environ: str
) -> str:
    """Return the one sentence that says what is wrong with a command line."""
    assert read_command_line(*arguments, **environ) == (2, None, {})
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(ERROR)
    return line.removeprefix(ERROR)
