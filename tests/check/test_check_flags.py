"""The command line of `check`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.flags import parse_flags

PREFIX = "SCALEENGINE_EXPORTER_"

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Give a function that parses what is wrong; it returns the last line of the refusal."""

    def parse(*arguments: str, **environ: str) -> str:
        with pytest.raises(SystemExit) as ended:
            parse_flags(arguments, environ)
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1].partition(": error: ")[2]

    return parse


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--config.file=x.yaml", "--output=json", "--log.level=debug"],
        ["--config.file=x.yaml", "--output", "json", "check", "--log.level", "debug"],
    ],
)
def test_its_flags(arguments: list[str]) -> None:
    """The check takes the configuration, the form of its output and those of the log."""
    flags = parse_flags(arguments, {})

    assert flags.command == "check"
    assert flags.config_file == Path("x.yaml")
    assert (flags.output, flags.log_level) == ("json", "debug")


def test_its_defaults() -> None:
    """Nothing needs to be said: it prints text."""
    flags = parse_flags(["check"], {})

    assert (flags.config_file, flags.output) == (Path("config.yaml"), "text")


def test_in_an_environment() -> None:
    """The environment sets the flags; what is there for the service does not disturb it."""
    environ = {f"{PREFIX}OUTPUT": "json", f"{PREFIX}WEB_LISTEN_ADDRESS": ":80"}

    assert parse_flags(["check"], environ).output == "json"


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
def test_what_it_has_no_use_for(refused: Refused, flag: str) -> None:
    """A flag that means nothing to the check is refused, before its name as after it."""
    name = flag.partition("=")[0]

    assert refused(flag, "check") == f"{name} means nothing to check: leave it out"
    assert refused("check", flag) == f"unrecognized arguments: {flag}"


@pytest.mark.parametrize(("command", "doing"), [([], "serving"), (["demo"], "demo")])
def test_what_only_it_has_a_use_for(refused: Refused, command: list[str], doing: str) -> None:
    """The form of the output is refused where there is no check."""
    said = f"--output means nothing to {doing}: leave it out"

    assert refused("--output=json", *command) == said


def test_a_form_that_is_none(refused: Refused) -> None:
    """A form of output that is not known is refused, with those that are."""
    sentence = "'xml' is none of text, json"

    assert refused("check", "--output=xml") == f"argument --output: {sentence}"
    assert refused("check", **{f"{PREFIX}OUTPUT": "xml"}) == (
        f"environment variable {PREFIX}OUTPUT: {sentence}"
    )


@pytest.mark.parametrize(("command", "shown"), [([], False), (["check"], True), (["demo"], False)])
def test_help(capsys: pytest.CaptureFixture[str], command: list[str], *, shown: bool) -> None:
    """--help shows the form of the output where it means something."""
    with pytest.raises(SystemExit):
        parse_flags([*command, "--help"], {})
    printed = capsys.readouterr().out

    assert ("--output VALUE" in printed) is shown
    assert ("--config.file VALUE" in printed) is (command != ["demo"])
    assert ("--web.listen-address" in printed) is (command != ["check"])
