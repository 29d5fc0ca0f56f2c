"""What each command does and how it ends, without the time that a process of its own takes."""

import errno
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog

from exporter import cli, serve, version
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process
from exporter.service import ConfigSource, WebOptions
from exporter.settings import Settings
from tests.support.fixtures import RunMain

GOOD = """\
accounts:
  - cdn: 158
    api_key: key
    api_secret: ${SECRET}
    files:
      paths: [sestore4/jb, sestore4/jb/archive]
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as it was."""
    root, own = logging.getLogger(), logging.getLogger("exporter")
    before = root.handlers, root.level, own.level
    yield
    root.handlers, root.level, own.level = before
    structlog.reset_defaults()


@pytest.fixture
def main(tmp_path: Path) -> RunMain:
    """Return a function that runs the program with a good `config.yaml`, at a free port."""
    file = tmp_path / "config.yaml"
    file.write_text(GOOD)

    def run(*arguments: str, **environ: str) -> int:
        usual = {
            "SECRET": "secret",
            "SCALEENGINE_EXPORTER_CONFIG_FILE": str(file),
            "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
        }
        signals, stderr = SignalThread(lambda _: pytest.fail("ended")), BackgroundWriter(2)
        return cli.main(arguments, Process({**usual, **environ}, signals, stderr))

    return run


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, str]]:
    """Let nothing be served; give the list of what would have been: the settings and the path."""
    seen: list[tuple[Settings, str]] = []

    def run(
        settings: Settings, _: ConfigSource[object], web_options: WebOptions, __: Process
    ) -> None:
        for sock in web_options.sockets:
            sock.close()
        seen.append((settings, web_options.telemetry_path))

    monkeypatch.setattr(serve, "run", run)
    return seen


def test_a_good_configuration_passes_the_check(
    main: RunMain, capsys: pytest.CaptureFixture[str]
) -> None:
    """--config.check of a good configuration says so, warns where it should, and ends with 0."""
    assert main("--config.check") == 0
    out, err = capsys.readouterr()
    assert out.endswith("config.yaml: good\n")
    (warning,) = err.splitlines()
    assert ' level=warning msg="configuration may be wrong" warning=' in warning
    assert "config.yaml:6:28: accounts[0].files.paths[1]: " in warning


@pytest.mark.parametrize("flags", [(), ("--config.check",)])
def test_a_wrong_configuration_ends_with_2(
    main: RunMain, capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """A wrong configuration ends with 2 and its mistakes, whether it is to be checked or used."""
    (tmp_path / "config.yaml").write_text(GOOD.replace("158", "many"))
    assert main(*flags) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("config.yaml:2:10: accounts[0].cdn: must be a whole number\n")


def test_a_missing_configuration_file_ends_with_2(
    main: RunMain, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A missing file is named, and ends with 2."""
    (tmp_path / "config.yaml").unlink()
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/config.yaml: the configuration file ")


def test_a_configuration_check_does_not_listen(main: RunMain) -> None:
    """--config.check works while the exporter runs: it needs no port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main("--config.check", f"--web.listen-address=127.0.0.1:{port}") == 0


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_a_taken_port_ends_with_1_before_any_poll(
    main: RunMain,
    capsys: pytest.CaptureFixture[str],
    ran: list[tuple[Settings, str]],
    command: list[str],
) -> None:
    """A taken port ends with 1 and a message; nothing is polled, and no URL to try is printed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(*command, f"--web.listen-address=127.0.0.1:{port}") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"cannot listen on 127.0.0.1:{port}: it is taken: ")
    assert ran == []


def test_the_service_serves_what_flags_and_configuration_say(
    main: RunMain, ran: list[tuple[Settings, str]]
) -> None:
    """What is served is what the configuration and the flags say; then it ends with 0."""
    assert main("--web.telemetry-path=/prom") == 0
    ((settings, path),) = ran
    assert [account.cdn for account in settings.accounts] == [158]
    assert [target.path for target in settings.targets] == [
        "",
        "sestore4/jb",
        "sestore4/jb/archive",
    ]
    assert path == "/prom"


def test_the_demo_needs_no_configuration(
    main: RunMain, ran: list[tuple[Settings, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo needs no configuration: it polls a ScaleEngine of its own, which ends with it."""
    assert main("demo", "--web.telemetry-path=/prom", SCALEENGINE_EXPORTER_CONFIG_FILE="no") == 0
    ((settings, path),) = ran
    assert [account.name for account in settings.accounts] == ["demo", "ingest"]
    assert settings.endpoint.url.startswith("http://127.0.0.1:")
    assert {target.collector for target in settings.targets} == {"disk_usage", "files"}
    assert path == "/prom"
    out = capsys.readouterr().out
    assert "curl -s http://127.0.0.1:" in out
    assert "/prom | grep" in out
    simulated = urlsplit(settings.endpoint.url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((simulated.hostname, simulated.port), 5)


def test_keyboard_interrupt_reaches_the_caller(
    main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyboardInterrupt reaches the caller: it is neither caught nor turned into a status."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "open_sockets", interrupt)
    with pytest.raises(KeyboardInterrupt):
        main()


def test_an_unexpected_broken_pipe_is_logged_and_ends_with_1(
    main: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken pipe that was not expected is logged with its traceback, and ends with 1."""

    def crash(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(serve, "open_sockets", crash)
    assert main() == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert 'msg="command crashed; please report it"' in line
    assert "Traceback" in line


def test_a_package_knows_its_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A built package shows its revision; a checkout does not know it."""
    monkeypatch.setattr(version, "__file__", str(tmp_path / "version.py"))
    assert version.revision() == "unknown"
    (tmp_path / "_revision.txt").write_text("0123abc\n")
    assert version.revision() == "0123abc"
    assert "(revision 0123abc, Python " in version.version_string()
