"""How the program ends: by a signal, because it cannot run, or because of wrong settings."""

import signal
import socket
from pathlib import Path

import pytest

from exporter.simulator import Behaviour, Checks, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program
from tests.support.sentences import PORT_TAKEN


@pytest.fixture(scope="module")
def hanging(
    start: StartProgram,
    configure: WriteConfig,
    scaleengine: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> "dict[signal.Signals, Program]":
    """Start a program for each signal, and wait until all their requests hang at ScaleEngine."""
    scaleengine.behave(Behaviour(checks=Checks(replay=False), faults=(FaultRule(Fault.HANG),)))
    programs = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path_factory.mktemp(number.name)
        configure(folder, scaleengine.url, api={"timeout": "10m"})
        programs[number] = start(folder)
    assert scaleengine.wait_for_requests(4, timeout=60)
    return programs


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_requests_hang(
    hanging: "dict[signal.Signals, Program]", number: signal.Signals
) -> None:
    """Either signal ends it with 0 within five seconds, and what was cut off is no failure."""
    program = hanging[number]
    host, port = program.address
    assert program.get("/-/ready")[0] == 503

    assert program.end(number) == 0

    logged = [event["msg"] for event in program.events if event["level"] != "debug"]
    assert logged == ["starting", "listening", "stopping"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), 5)


def test_a_signal_during_the_start_ends_it_with_0(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """A signal that comes before it listens ends it with 0 too, and leaves no thread behind."""
    configure(tmp_path, scaleengine.url, api={"timeout": "10m"})
    program = start(tmp_path)
    program.wait_for(msg="starting")
    assert program.end() == 0
    assert not [event for event in program.events if event.get("level") == "error"]


def test_a_taken_port_ends_it_with_1(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """A port that is taken ends it with 1 and one sentence."""
    configure(tmp_path, scaleengine.url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = start(tmp_path, f"--web.listen-address=127.0.0.1:{port}")
        assert program.wait() == 1
    (line,) = program.lines
    assert line == f"cannot listen on 127.0.0.1:{port}: {PORT_TAKEN}"


WRONG = """\
accounts:
  - cdn: many
    api_key: CANARYKEY
    api_secret: ${UNSET}
    api_secrets: canarysecret
    files:
      interval: 15
      paths: [jb]
"""


def test_a_wrong_configuration_ends_it_with_2(start: StartProgram, tmp_path: Path) -> None:
    """All mistakes are reported, each with its place and none with a secret; the status is 2."""
    (tmp_path / "config.yaml").write_text(WRONG)
    program = start(tmp_path)
    assert program.wait() == 2
    places = [line.split(": ")[:2] for line in program.lines]
    assert places == [
        ["config.yaml:2:10", "accounts[0].cdn"],
        ["config.yaml:4:17", "accounts[0].api_secret"],
        ["config.yaml:5:5", "accounts[0].api_secrets"],
        ["config.yaml:7:17", "accounts[0].files.interval"],
        ["config.yaml:8:15", "accounts[0].files.paths[0]"],
    ]
    assert program.printed == ""
    assert "canary" not in "\n".join(program.lines).lower()
