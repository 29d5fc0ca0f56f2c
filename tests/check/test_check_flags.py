"""The command line of `check`."""

from pathlib import Path

import pytest

from tests.support.command_line import read_command_line, read_wrong_command_line
from tests.support.fixtures import ReadWrongFlags

PREFIX = "SCALEENGINE_EXPORTER_"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> ReadWrongFlags:
    """Return a function that reads what is wrong; it returns the sentence that says so."""
    return lambda *arguments, **environ: read_wrong_command_line(capsys, *arguments, **environ)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--config.file=x.yaml", "--output=json", "--log.level=debug"],
        ["--config.file=x.yaml", "--output", "json", "check", "--log.level", "debug"],
    ],
)
def test_check_reads_its_flags(arguments: list[str]) -> None:
    """The check takes the configuration, the form of its output and those of the log."""
    _, command, flags = read_command_line(*arguments)

    assert command == "check"
    assert flags["config_file"] == (Path("x.yaml"),)
    assert (flags["output"], flags["log_level"]) == ("json", "debug")


def test_check_prints_text_by_default() -> None:
    """No flag is needed: it prints text."""
    assert read_command_line("check") == (
        0,
        "check",
        {
            "config_file": (Path("config.yaml"),),
            "shard": 0,
            "total_shards": 1,
            "account": (),
            "path": (),
            "full": False,
            "output": "text",
            "log_level": "info",
            "log_format": "logfmt",
        },
    )


def test_account_and_path_flags_are_repeatable() -> None:
    """Accounts and paths are repeatable, and each target can be polled whole."""
    flags = read_command_line(
        "check", "--full", "--account=a", "--account=b", "--path=sestore4/jb"
    ).flags

    assert (flags["account"], flags["path"], flags["full"]) == (("a", "b"), ("sestore4/jb",), True)


def test_the_environment_sets_the_flags_of_check() -> None:
    """The environment sets the flags; what is there for the service does not disturb it."""
    environ = {f"{PREFIX}OUTPUT": "json", f"{PREFIX}WEB_LISTEN_ADDRESS": ":80"}

    assert read_command_line("check", **environ).flags["output"] == "json"


@pytest.mark.parametrize(
    "flag",
    [
        "--web.listen-address=:80",
        "--web.telemetry-path=/x",
        "--web.config.file=x",
        "--web.enable-lifecycle",
        "--config.check",
    ],
)
def test_flags_of_the_service_are_refused(refused: ReadWrongFlags, flag: str) -> None:
    """A flag that means nothing to the check is refused, before its name as after it."""
    name = flag.partition("=")[0]

    assert refused(flag, "check") == f"{name} means nothing to check: leave it out"
    assert refused("check", flag).startswith(f"No such option '{name}'.")


@pytest.mark.parametrize(("command", "doing"), [([], "serving"), (["demo"], "demo")])
def test_flags_of_check_are_refused_without_the_command(
    refused: ReadWrongFlags, command: list[str], doing: str
) -> None:
    """The form of the output is refused where there is no check."""
    message = f"--output means nothing to {doing}: leave it out"

    assert refused("--output=json", *command) == message


def test_an_unknown_output_format_is_refused(refused: ReadWrongFlags) -> None:
    """A form of output that is not known is refused, with those that are."""
    sentence = "'xml' is not one of 'text', 'json'."

    assert refused("check", "--output=xml") == f"Invalid value for --output: {sentence}"
    assert refused("check", **{f"{PREFIX}OUTPUT": "xml"}) == (
        f"Invalid value for environment variable {PREFIX}OUTPUT: {sentence}"
    )


@pytest.mark.parametrize(("command", "shown"), [([], False), (["check"], True), (["demo"], False)])
def test_help_shows_the_output_formats(
    capsys: pytest.CaptureFixture[str], command: list[str], *, shown: bool
) -> None:
    """--help shows the form of the output where it means something."""
    read_command_line(*command, "--help")
    printed = capsys.readouterr().out

    assert ("--output [text|json]" in printed) is shown
    assert ("--config.file PATH" in printed) is (command != ["demo"])
    assert ("--web.listen-address" in printed) is (command != ["check"])
