"""The manual page, made of the commands and flags themselves."""

from collections.abc import Iterable, Iterator
from typing import Final

import click

from exporter import __version__
from exporter.command_line import FlagCommand, Program

_AFTER_FLAGS: Final = """\
.SH ENVIRONMENT
Each flag can be set by the variable that it names.
A flag wins over its variable, and an empty variable is one that is not set.
.SH EXIT STATUS
.TP
.B 0
It ended as it was asked to.
.TP
.B 1
It could not run, or a check failed.
.TP
.B 2
The usage or the configuration is wrong.
.TP
.B 130
A signal interrupted a check or a backfill.
.SH SIGNALS
.TP
.B SIGHUP
Read the configuration again.
.TP
.B SIGTERM, SIGINT
Finish the scrapes under way and end, within five seconds.
.SH SEE ALSO
.BR prometheus (1),
.BR promtool (1)
"""


def build_manual(program: Program) -> str:
    """Return the manual page of the program in the language of man(7)."""
    name = str(program.name)
    with click.Context(program, info_name=name) as context:
        parts = [
            f'.TH {name.upper()} 1 "" "{name} {__version__}" "User Commands"\n',
            f".SH NAME\n{_escape(name)} \\- {_escape(_format_summary(program))}\n",
            f".SH SYNOPSIS\n.B {_escape(name)}\n[\\fIflags\\fR]",
            " [\\fIcommand\\fR [\\fIflags\\fR]]\n",
            ".SH DESCRIPTION\n",
            "Without a command it serves the metrics until a signal ends it.\n",
            ".SH FLAGS\n",
            *_format_flags(program.list_shown(context), context),
            ".SH COMMANDS\n",
        ]
        for command_name, command in program.commands.items():
            with click.Context(command, parent=context, info_name=command_name) as own:
                usage = " ".join([command_name, *_list_arguments(command, own)])
                parts.append(f".SS {_escape(usage)}\n{_escape(_format_summary(command))}\n")
                parts += _format_flags(_list_shown(command, own), own)
    return "".join([*parts, _AFTER_FLAGS])


def _format_summary(command: click.Command) -> str:
    return " ".join((command.help or "").split())


def _list_shown(command: click.Command, context: click.Context) -> Iterable[click.Parameter]:
    return command.list_shown(context) if isinstance(command, FlagCommand) else ()


def _list_arguments(command: click.Command, context: click.Context) -> Iterator[str]:
    for param in command.params:
        if isinstance(param, click.Argument):
            yield param.make_metavar(context)


def _format_flags(params: Iterable[click.Parameter], context: click.Context) -> Iterator[str]:
    """Format each flag: how it is written, what it means, its variable and default."""
    for param in params:
        if record := param.get_help_record(context):
            written, help_text = record
            yield f".TP\n.B {_escape(written)}\n{_escape(help_text)}\n"


def _escape(text: str) -> str:
    """Write text so that man shows it as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
