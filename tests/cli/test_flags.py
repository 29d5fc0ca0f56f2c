"""The command line and the environment: which values are read, which win, which are refused."""

from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import program
from exporter.flags import BACKFILL_FLAGS, CHECK_FLAGS
from exporter.web.listeners import TcpAddress, UnixAddress
from tests.support.command_line import read_command_line, read_wrong_command_line
from tests.support.fixtures import ReadWrongFlags
from tests.support.sentences import BARE_NUMBER, NO_DURATION, NO_LISTEN_ADDRESS, NO_SOCKET_PATH

PREFIX = "SCALEENGINE_EXPORTER_"
DEFAULTS = {
    "config_file": (Path("config.yaml"),),
    "config_check": False,
    "config_auto_reload_interval": None,
    "shard": 0,
    "total_shards": 1,
    "web_listen_address": (TcpAddress("", 10058),),
    "web_telemetry_path": "/metrics",
    "web_config_file": None,
    "web_enable_lifecycle": False,
    "log_level": "info",
    "log_format": "logfmt",
}

VALUES = [
    ("config.file", "/etc/x.yaml", (Path("/etc/x.yaml"),)),
    ("config.auto-reload-interval", "1m30s", 90.0),
    ("shard", "3", 3),
    ("total-shards", "4", 4),
    ("web.listen-address", "[::1]:80", (TcpAddress("::1", 80),)),
    ("web.telemetry-path", "/prom/x", "/prom/x"),
    ("web.telemetry-path", "/", "/"),
    ("web.config.file", "web.yaml", Path("web.yaml")),
    ("log.level", "debug", "debug"),
    ("log.level", "error", "error"),
    ("log.level", "DEBUG", "debug"),
    ("log.format", "json", "json"),
]
"""Flags, each with a value as it is written and as it is read."""

MISTAKES = [
    ("web.listen-address", "10058", f"'10058' {NO_LISTEN_ADDRESS}"),
    (
        "web.listen-address",
        "unix:x.sock",
        f"'unix:x.sock' {NO_SOCKET_PATH}",
    ),
    *(
        (
            "web.telemetry-path",
            path,
            f"{path!r} cannot be served: write a path such as /metrics, not below /-/",
        )
        for path in ("metrics", "", "/-/metrics", "/-", "/é", "/a b", "/a?b", "/a#b", "/{x}", '/"')
    ),
    *(
        ("web.telemetry-path", path, f"{path!r} is taken: write another path, such as /metrics")
        for path in ("/config", "/api/v1/status")
    ),
    ("log.level", "loud", "'loud' is not one of 'debug', 'info', 'warn', 'error'."),
    ("log.format", "xml", "'xml' is not one of 'logfmt', 'json'."),
    (
        "config.auto-reload-interval",
        "30",
        f"{NO_DURATION}: {BARE_NUMBER}",
    ),
    (
        "config.auto-reload-interval",
        "999ms",
        "'999ms' is too short: write 1s or more, or leave the flag out",
    ),
    (
        "config.auto-reload-interval",
        "366d",
        "'366d' is too long: write 1y or less, or leave the flag out",
    ),
    ("config.check", "yes", "'yes' is neither true nor false"),
    ("web.enable-lifecycle", "", "'' is neither true nor false"),
]
"""Flags, each with a value that it does not take and the sentence that says so."""


SWITCHES = [
    ("true", True),
    ("True", True),
    ("1", True),
    ("false", False),
    ("FALSE", False),
    ("0", False),
]


def attribute(flag: str) -> str:
    """Return the name of the argument that a command gets for a flag."""
    return flag.replace(".", "_").replace("-", "_")


def variable(flag: str) -> str:
    """Return the environment variable of a flag."""
    return PREFIX + attribute(flag).upper()


def value(flag: str, *arguments: str, **environ: str) -> object:
    """Return the value of a flag of the command that serves."""
    return read_command_line(*arguments, **environ).flags[attribute(flag)]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> ReadWrongFlags:
    """Return a function that reads what is wrong; it returns the sentence that says so."""
    return lambda *arguments, **environ: read_wrong_command_line(capsys, *arguments, **environ)


def test_without_flags_the_defaults_are_used() -> None:
    """Without flags and environment the defaults hold; other programs' variables do not matter."""
    assert read_command_line(PATH="/bin", LOG_LEVEL="debug") == (0, "serve", DEFAULTS)


@pytest.mark.parametrize(("flag", "text", "expected"), VALUES)
def test_a_value_comes_after_an_equals_sign_or_a_space_or_from_the_environment(
    flag: str, text: str, expected: object
) -> None:
    """A value is taken with an equals sign, as the next word, and from the environment."""
    assert value(flag, f"--{flag}={text}") == expected
    assert value(flag, f"--{flag}", text) == expected
    assert value(flag, **{variable(flag): text}) == expected


@pytest.mark.parametrize(("flag", "text", "expected"), VALUES)
def test_a_flag_wins_over_the_environment(flag: str, text: str, expected: object) -> None:
    """Where a flag is given, what the environment says is not even read."""
    assert value(flag, f"--{flag}={text}", **{variable(flag): "\0 nonsense"}) == expected


def test_listen_addresses_are_repeatable() -> None:
    """The address can be given again and again, and in the environment with commas."""
    addresses = (TcpAddress("127.0.0.1", 1), UnixAddress(Path("/x")), TcpAddress("", 2))
    words = ["--web.listen-address=127.0.0.1:1", "--web.listen-address", "unix:/x"]
    listed = "127.0.0.1:1, unix:/x ,:2"
    flag = "web.listen-address"
    assert value(flag, *words, "--web.listen-address=:2") == addresses
    assert value(flag, **{variable(flag): listed}) == addresses


def test_configuration_files_are_repeatable() -> None:
    """They can be given again and again, and in the environment with commas."""
    files = (Path("a.yaml"), Path("b"))
    assert value("config.file", "--config.file=a.yaml", "--config.file", "b") == files
    assert value("config.file", **{variable("config.file"): "a.yaml,b"}) == files


@pytest.mark.parametrize(
    ("flag", "first", "last"),
    [("web.telemetry-path", "/first", "/last"), ("log.level", "debug", "error")],
)
def test_the_last_value_of_a_flag_wins(flag: str, first: str, last: str) -> None:
    """A flag that is not repeatable has its last value."""
    assert str(value(flag, f"--{flag}={first}", f"--{flag}={last}")) == last


@pytest.mark.parametrize("flag", ["config.check", "web.enable-lifecycle"])
@pytest.mark.parametrize(("text", "expected"), SWITCHES)
def test_a_switch_takes_a_boolean_value(flag: str, text: str, *, expected: bool) -> None:
    """A switch is turned on and off by true and false, or 1 and 0, as flag and by variable."""
    assert value(flag, f"--{flag}={text}") is expected
    assert value(flag, **{variable(flag): text}) is expected


@pytest.mark.parametrize("flag", ["config.check", "web.enable-lifecycle"])
def test_a_switch_wins_over_the_environment(flag: str) -> None:
    """A switch without a value is on; it and its value win over the environment."""
    assert value(flag, f"--{flag}", **{variable(flag): "0"}) is True
    assert value(flag, f"--{flag}=false", **{variable(flag): "1"}) is False


def test_the_word_after_a_switch_is_not_its_value(refused: ReadWrongFlags) -> None:
    """The word behind a switch is not its value."""
    assert read_command_line("--web.enable-lifecycle", "demo").command == "demo"
    assert refused("--config.check", "false").startswith("No such command 'false'.")


@pytest.mark.parametrize(("flag", "text", "sentence"), MISTAKES)
def test_a_wrong_value_is_refused_with_the_name_of_the_flag(
    refused: ReadWrongFlags, flag: str, text: str, sentence: str
) -> None:
    """A value that cannot be is refused with 2, by name, with what would be right."""
    assert refused(f"--{flag}={text}") == f"Invalid value for --{flag}: {sentence}"


@pytest.mark.parametrize(
    ("flag", "text", "sentence"), [mistake for mistake in MISTAKES if mistake[1]]
)
def test_a_wrong_variable_is_refused_with_its_name(
    refused: ReadWrongFlags, flag: str, text: str, sentence: str
) -> None:
    """The same in the environment is refused by the name of the variable."""
    name = variable(flag)
    message = refused(**{name: text})
    assert message == f"Invalid value for environment variable {name}: {sentence}"


def test_empty_variables_are_not_set() -> None:
    """A variable that is empty, as Compose writes one that is not set, is one that is not set."""
    names = {param.name for param in program.params if param.envvar}
    of_others = {param.name for param in (*BACKFILL_FLAGS, *CHECK_FLAGS)}
    assert names == {*DEFAULTS, *of_others}
    empty = {f"{PREFIX}{name.upper()}": "" for name in names}
    assert read_command_line(**empty) == (0, "serve", DEFAULTS)


def test_the_wrong_one_of_several_addresses_is_named(refused: ReadWrongFlags) -> None:
    """One wrong address among several is the one that is named."""
    name = f"{PREFIX}WEB_LISTEN_ADDRESS"
    message = refused(**{name: ":1,,:2"})
    assert message == f"Invalid value for environment variable {name}: '' {NO_LISTEN_ADDRESS}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--web.port=80"], "No such option '--web.port'."),
        (["--config.fil=x"], "No such option '--config.fil'. (Did you mean one of: "),
        (["--log.l=debug"], "No such option '--log.l'."),
        (["--conf"], "No such option '--conf'."),
        (["--vers"], "No such option '--vers'."),
        (["-c", "x"], "No such option '-c'."),
        (["serve"], "No such command 'serve'."),
        (["demo", "--log.lev=debug"], "No such option '--log.lev'."),
        (["demo", "demo"], "Got unexpected extra argument (demo)"),
        (["--config.file"], "Option '--config.file' requires an argument."),
        (["--config.file", "--config.check"], "Option '--config.file' requires an argument."),
        (["demo", "--log.level", "-x"], "Option '--log.level' requires an argument."),
    ],
)
def test_unknown_flags_and_abbreviations_are_refused(
    refused: ReadWrongFlags, arguments: list[str], sentence: str
) -> None:
    """Unknown flags, unknown commands and abbreviations are refused: a typing error is no guess."""
    assert refused(*arguments).startswith(sentence)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log.level=debug", "--web.listen-address=:1", "demo"],
        ["demo", "--log.level=debug", "--web.listen-address=:1"],
        ["--log.level=debug", "demo", "--web.listen-address", ":1"],
        ["--log.level=loud", "demo", "--log.level=debug", "--web.listen-address=:1"],
        ["--web.listen-address=:2", "demo", "--log.level=debug", "--web.listen-address=:1"],
    ],
)
def test_demo_flags_after_the_command_win(arguments: list[str]) -> None:
    """The demo takes its flags before or after its name; those after it win."""
    _, command, flags = read_command_line(*arguments, **{variable("log.level"): "nonsense"})
    assert command == "demo"
    assert flags["log_level"] == "debug"
    assert flags["web_listen_address"] == (TcpAddress("", 1),)
    assert flags["web_telemetry_path"] == "/metrics"


def test_the_environment_sets_the_flags_of_the_demo() -> None:
    """Variables set the flags of the demo; those of the service do not disturb it."""
    environ = {f"{PREFIX}LOG_LEVEL": "debug", f"{PREFIX}CONFIG_FILE": "/etc/x.yaml"}
    status, command, flags = read_command_line("demo", **environ)
    assert (status, command, flags["log_level"]) == (0, "demo", "debug")
    assert "config_file" not in flags


@pytest.mark.parametrize("flag", ["--config.file=x", "--config.check"])
def test_flags_of_the_service_are_refused_for_the_demo(refused: ReadWrongFlags, flag: str) -> None:
    """A flag that means nothing to the demo is refused, before its name as after it."""
    name = flag.partition("=")[0]
    assert refused(flag, "demo") == f"{name} means nothing to demo: leave it out"
    assert refused("demo", flag).startswith(f"No such option '{name}'.")


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "demo"]])
def test_version_prints_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """--version prints version, revision and Python in one line, and ends with 0."""
    assert read_command_line(*arguments) == (0, None, {})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"scaleengine-exporter {__version__} (revision ")


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_help_names_each_flag_with_its_variable_and_default(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """--help names each flag of the command with its variable and default, in ASCII letters."""
    assert read_command_line(*command, "--help") == (0, None, {})
    out = capsys.readouterr().out
    assert out.isascii()
    printed = " ".join(out.split())
    for flag, default in {
        **(
            {}
            if command
            else {"--config.auto-reload-interval": "(none)", "--shard": "0", "--total-shards": "1"}
        ),
        "--web.listen-address": ":10058",
        "--web.telemetry-path": "/metrics",
        "--web.config.file": "(none)",
        "--web.enable-lifecycle": "(off)",
        "--log.level": "info",
        "--log.format": "logfmt",
    }.items():
        meaning = printed.partition(f" {flag} ")[2].partition(" --")[0]
        name = PREFIX + attribute(flag[2:]).upper()
        assert f"[env var: {name}; default: {default}]" in meaning
    assert (" --config.file PATH" in printed) is (command == [])
    sections = [line for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    configuration = [] if command else ["Configuration:"]
    commands = [] if command else ["Commands:"]
    assert sections == [*configuration, "Web:", "Log:", "Other:", *commands]
