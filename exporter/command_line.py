"""Commands and flags on click: a flag has its environment variable and its section of the help.

A flag may be given before the name of a command or after it, as ``--name=value`` or ``--name
value``; a switch as ``--name``, ``--name=true`` or ``--name=false``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol, TypeAlias

import click
from click.core import ParameterSource

_MAX_FLAG_WIDTH: Final = 24
"""Columns for flags in the help: with more, the longest name of a variable would be wrapped."""

ValueType: TypeAlias = click.ParamType[object, str] | Callable[[str], object]
"""How to read a value: click's type, or a function that raises ValueError."""


class ContextObject(Protocol):
    """What ``Context.obj`` must have."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment to read flags from."""


class Flag(click.Option):
    """A flag such as ``--web.listen-address``, and the variable that sets it where no flag does.

    ``section`` is the heading of the flag in the help, ``argument`` the parameter of a command that
    gets the value, where its name is not that of the flag. A flag whose default is a tuple is
    repeatable, and has its values separated by commas in the environment.
    """

    def __init__(  # noqa: PLR0913 - each says one thing of the flag
        self,
        name: str,
        value_type: ValueType,
        help_text: str,
        *,
        section: str,
        default: str | tuple[str, ...] | None,
        metavar: str | None = None,
        is_switch: bool = False,
        argument: str | None = None,
    ) -> None:
        attribute = re.sub("[.-]", "_", name)
        super().__init__(
            [f"--{name}", argument or attribute],
            type=value_type,
            help=help_text,
            default=default,
            multiple=isinstance(default, tuple),
            metavar=metavar,
            envvar=f"SCALEENGINE_EXPORTER_{attribute.upper()}",
            show_envvar=True,
            show_default="off" if is_switch else "none" if default is None else True,
        )
        self.section = section
        self.is_switch = is_switch

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, object], args: list[str]
    ) -> tuple[object, list[str]]:
        """Read the value; in a group, keep what is given as it is, for the command to read."""
        if isinstance(ctx.command, click.Group):
            if self.name in opts:
                ctx.params[self.name] = opts[self.name]
                ctx.set_parameter_source(self.name, ParameterSource.COMMANDLINE)
            return None, args
        given_before = ctx.parent.params if ctx.parent else {}
        return super().handle_parse_result(ctx, {**given_before, **opts}, args)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the variable; an empty variable is not set."""
        source: ContextObject = ctx.obj
        return source.environ.get(str(self.envvar)) or None

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return where a value comes from: the flag or its variable."""
        if ctx and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"environment variable {self.envvar}"
        return self.opts[0]

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem[str]]":
        """Complete the value; what follows a switch is not its value."""
        if self.is_switch:
            return ctx.command.shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete)


class FlagCommand(click.Command):
    """A command that takes flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; a switch never takes the next word as its value."""
        flags = {param.opts[0]: param for param in self.params if isinstance(param, Flag)}
        switches = {name for name, flag in flags.items() if flag.is_switch}
        for word, following in pairwise(args):
            is_forgotten = word in flags.keys() - switches and following.startswith("-")
            if is_forgotten and not ctx.resilient_parsing:
                raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.", ctx)
        return super().parse_args(
            ctx, [f"{word}=true" if word in switches else word for word in args]
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags below the headings of their sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.list_shown(ctx):
            section = param.section if isinstance(param, Flag) else "Other"
            if record := param.get_help_record(ctx):
                sections.setdefault(section, []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records, col_max=_MAX_FLAG_WIDTH)

    def list_shown(self, ctx: click.Context) -> list[click.Parameter]:
        """Return what the help shows."""
        return [param for param in self.get_params(ctx) if isinstance(param, click.Option)]


class Program(FlagCommand, click.Group):
    """A group that takes the flags of its commands, and runs ``default`` where none is named."""

    def __init__(
        self,
        name: str,
        default: click.Command,
        commands: Sequence[click.Command],
        params: Iterable[click.Parameter],
        epilog: str,
    ) -> None:
        flags = [
            param
            for command in (default, *commands)
            for param in command.params
            if isinstance(param, Flag)
        ]
        super().__init__(
            name,
            commands=commands,
            callback=self._start,
            invoke_without_command=True,
            params=[*_drop_repeated_names(flags), *params],
            help=default.help,
            epilog=epilog,
            subcommand_metavar="[COMMAND]",
        )
        self._default = default

    def _start(self, **given: object) -> object:
        """Run the default command where none is named; raises UsageError for what that lacks."""
        ctx = click.get_current_context()
        command = self.commands.get(ctx.invoked_subcommand or "", self._default)
        known = {param.name for param in command.params}
        for param in self.params:
            if param.name in given.keys() - known:
                doing = ctx.invoked_subcommand or "serving"
                raise click.UsageError(f"{param.opts[0]} means nothing to {doing}: leave it out")
        if ctx.invoked_subcommand is None:
            with command.make_context("", [], parent=ctx) as command_context:
                return command.invoke(command_context)
        return None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def list_shown(self, ctx: click.Context) -> list[click.Parameter]:
        """Return what means something without a command."""
        others = {*self.params} - {*self._default.params}
        return [
            param
            for param in self.get_params(ctx)
            if not (isinstance(param, Flag) and param in others)
        ]


def _drop_repeated_names(flags: Iterable[Flag]) -> Iterable[Flag]:
    """Return flags without those whose name is there already: a command reads its own."""
    by_name: dict[str | None, Flag] = {}
    for flag in flags:
        by_name.setdefault(flag.name, flag)
    return by_name.values()
