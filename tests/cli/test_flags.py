"""The command line and the environment: what can be said, who wins, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import __version__
from exporter.flags import _FLAGS, Flags, parse_flags
from exporter.web.addresses import TcpAddress, UnixAddress

Refused = Callable[..., str]

PREFIX = "SCALEENGINE_EXPORTER_"
DEFAULTS = Flags(
    command=None,
    config_file=Path("config.yaml"),
    config_check=False,
    web_listen_address=(TcpAddress("", 10058),),
    web_telemetry_path="/metrics",
    web_config_file=None,
    web_enable_lifecycle=False,
    log_level="info",
    log_format="logfmt",
)

VALUES = [
    ("config.file", "/etc/x.yaml", Path("/etc/x.yaml")),
    ("web.listen-address", "[::1]:80", (TcpAddress("::1", 80),)),
    ("web.telemetry-path", "/prom/x", "/prom/x"),
    ("web.telemetry-path", "/", "/"),
    ("web.config.file", "web.yaml", Path("web.yaml")),
    ("log.level", "debug", "debug"),
    ("log.level", "error", "error"),
    ("log.format", "json", "json"),
]
"""Flags, each with a value as it is written and as it is read."""

HOW = (
    "is no address to listen on: write host:port, [IPv6]:port, :port for every address of this "
    "machine, or unix:/path"
)
MISTAKES = [
    ("web.listen-address", "10058", f"'10058' {HOW}"),
    (
        "web.listen-address",
        "unix:x.sock",
        "'unix:x.sock' is no address: write the whole path, as unix:/run/x.sock",
    ),
    *(
        (
            "web.telemetry-path",
            path,
            f"{path!r} cannot be served: write a path such as /metrics, not below /-/",
        )
        for path in ("metrics", "", "/-/metrics", "/-", "/é", "/a b", "/a?b", "/a#b", "/{x}", '/"')
    ),
    ("log.level", "loud", "'loud' is none of debug, info, warn, error"),
    ("log.level", "INFO", "'INFO' is none of debug, info, warn, error"),
    ("log.format", "xml", "'xml' is none of logfmt, json"),
]
"""Flags, each with a value that it does not take and the sentence that says so."""


def attribute(flag: str) -> str:
    """Return what Flags calls a flag."""
    return flag.replace(".", "_").replace("-", "_")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Give a function that parses what is wrong; it returns the last line of the refusal."""

    def parse(*arguments: str, **environ: str) -> str:
        with pytest.raises(SystemExit) as ended:
            parse_flags(arguments, environ)
        assert ended.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("usage: scaleengine-exporter")
        return printed.err.splitlines()[-1].partition(": error: ")[2]

    return parse


def test_nothing_said() -> None:
    """Without flags and environment the defaults hold; other programs' variables do not matter."""
    assert parse_flags([], {"PATH": "/bin", "LOG_LEVEL": "debug"}) == DEFAULTS


@pytest.mark.parametrize(("flag", "text", "value"), VALUES)
def test_three_ways_to_say_it(flag: str, text: str, value: object) -> None:
    """A value is taken with an equals sign, as the next word, and from the environment."""
    variable = PREFIX + attribute(flag).upper()
    for flags in (
        parse_flags([f"--{flag}={text}"], {}),
        parse_flags([f"--{flag}", text], {}),
        parse_flags([], {variable: text}),
    ):
        assert getattr(flags, attribute(flag)) == value


@pytest.mark.parametrize(("flag", "text", "value"), VALUES)
def test_a_flag_wins(flag: str, text: str, value: object) -> None:
    """Where a flag is given, what the environment says is not even read."""
    variable = PREFIX + attribute(flag).upper()
    flags = parse_flags([f"--{flag}={text}"], {variable: "\0 nonsense"})
    assert getattr(flags, attribute(flag)) == value


def test_several_addresses() -> None:
    """The address can be said again and again, and in the environment with commas."""
    addresses = (TcpAddress("127.0.0.1", 1), UnixAddress(Path("/x")), TcpAddress("", 2))
    said = ["--web.listen-address=127.0.0.1:1", "--web.listen-address", "unix:/x"]
    by_flags = parse_flags([*said, "--web.listen-address=:2"], {})
    listed = "127.0.0.1:1, unix:/x ,:2"
    by_environment = parse_flags([], {f"{PREFIX}WEB_LISTEN_ADDRESS": listed})
    assert by_flags.web_listen_address == by_environment.web_listen_address == addresses


@pytest.mark.parametrize("flag", ["config.file", "log.level"])
def test_the_last_one_holds(flag: str) -> None:
    """A flag that is not repeatable holds as it was said last."""
    flags = parse_flags([f"--{flag}=debug", f"--{flag}=error"], {})
    assert str(getattr(flags, attribute(flag))) == "error"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("false", False),
        ("FALSE", False),
        ("0", False),
        ("", False),
    ],
)
def test_a_switch_in_the_environment(text: str, *, check: bool) -> None:
    """A switch is turned on and off by true and false, or 1 and 0."""
    assert parse_flags([], {f"{PREFIX}CONFIG_CHECK": text}).config_check is check


def test_a_switch() -> None:
    """A switch is on when it is there, whatever the environment says."""
    assert parse_flags(["--config.check"], {f"{PREFIX}CONFIG_CHECK": "0"}).config_check


@pytest.mark.parametrize(("flag", "text", "sentence"), MISTAKES)
def test_a_wrong_value(refused: Refused, flag: str, text: str, sentence: str) -> None:
    """A value that cannot be is refused with 2, by name, with what would be right."""
    assert refused(f"--{flag}={text}") == f"argument --{flag}: {sentence}"


@pytest.mark.parametrize(
    ("flag", "text", "sentence"), [mistake for mistake in MISTAKES if mistake[1]]
)
def test_a_wrong_variable(refused: Refused, flag: str, text: str, sentence: str) -> None:
    """The same in the environment is refused by the name of the variable."""
    variable = PREFIX + attribute(flag).upper()
    assert refused(**{variable: text}) == f"environment variable {variable}: {sentence}"


def test_a_wrong_switch(refused: Refused) -> None:
    """A switch that is neither on nor off is refused."""
    assert refused(**{f"{PREFIX}CONFIG_CHECK": "yes"}) == (
        f"environment variable {PREFIX}CONFIG_CHECK: 'yes' is neither true nor false"
    )


def test_empty_variables() -> None:
    """A variable that is empty, as Compose writes one that is not set, is one that is not set."""
    names = {attribute(flag.name) for flag in _FLAGS}
    assert names >= {"config_file", "config_check", "web_listen_address", "log_level", "output"}
    assert parse_flags([], {f"{PREFIX}{name.upper()}": "" for name in names}) == DEFAULTS


def test_one_wrong_of_several_addresses(refused: Refused) -> None:
    """One wrong address among several is the one that is named."""
    variable = f"{PREFIX}WEB_LISTEN_ADDRESS"
    assert refused(**{variable: ":1,,:2"}) == f"environment variable {variable}: '' {HOW}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--web.port=80"], "unrecognized arguments: --web.port=80"),
        (["--config.fil=x"], "unrecognized arguments: --config.fil=x"),
        (["--log.l=debug"], "unrecognized arguments: --log.l=debug"),
        (["--conf"], "unrecognized arguments: --conf"),
        (["--vers"], "unrecognized arguments: --vers"),
        (["-c", "x"], "argument COMMAND: invalid choice: 'x'"),
        (["serve"], "argument COMMAND: invalid choice: 'serve'"),
        (["demo", "--log.lev=debug"], "unrecognized arguments: --log.lev=debug"),
        (["demo", "demo"], "unrecognized arguments: demo"),
        (["--config.file"], "argument --config.file: expected one argument"),
        (["--config.file", "--config.check"], "argument --config.file: expected one argument"),
        (["--config.check=no"], "argument --config.check: ignored explicit argument 'no'"),
    ],
)
def test_wrong_usage(refused: Refused, arguments: list[str], sentence: str) -> None:
    """Unknown flags, unknown commands and abbreviations are refused: a typing error is no guess."""
    assert refused(*arguments).startswith(sentence)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log.level=debug", "--web.listen-address=:1", "demo"],
        ["demo", "--log.level=debug", "--web.listen-address=:1"],
        ["--log.level=debug", "demo", "--web.listen-address", ":1"],
    ],
)
def test_the_demo(arguments: list[str]) -> None:
    """The demo takes its flags before or after its name."""
    flags = parse_flags(arguments, {})
    assert flags.command == "demo"
    assert flags.log_level == "debug"
    assert flags.web_listen_address == (TcpAddress("", 1),)
    assert flags.web_telemetry_path == "/metrics"


def test_the_demo_in_an_environment() -> None:
    """The demo heeds the environment; what is there for the service does not disturb it."""
    environ = {f"{PREFIX}LOG_LEVEL": "debug", f"{PREFIX}CONFIG_FILE": "/etc/x.yaml"}
    flags = parse_flags(["demo"], environ)
    assert (flags.command, flags.log_level) == ("demo", "debug")


@pytest.mark.parametrize("flag", ["--config.file=x", "--config.check"])
def test_what_the_demo_has_no_use_for(refused: Refused, flag: str) -> None:
    """A flag that means nothing to the demo is refused, before its name as after it."""
    name = flag.partition("=")[0]
    assert refused(flag, "demo") == f"{name} means nothing to demo: leave it out"
    assert refused("demo", flag) == f"unrecognized arguments: {flag}"


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "demo"]])
def test_version(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """--version tells version, revision and Python in one line, and ends with 0."""
    with pytest.raises(SystemExit) as ended:
        parse_flags(arguments, {})
    assert ended.value.code == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"scaleengine-exporter {__version__} (revision ")


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """--help names each flag of the command with its default, in letters that any terminal has."""
    with pytest.raises(SystemExit) as ended:
        parse_flags([*command, "--help"], {})
    assert ended.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.isascii()
    for flag, default in {
        "--web.listen-address": ":10058",
        "--web.telemetry-path": "/metrics",
        "--web.config.file": "none",
        "--log.level": "info",
        "--log.format": "logfmt",
    }.items():
        meaning = printed.partition(f" {flag} VALUE ")[2].partition(" --")[0]
        assert f"(default: {default})" in meaning
    assert ("--config.file VALUE" in printed) is (command == [])
