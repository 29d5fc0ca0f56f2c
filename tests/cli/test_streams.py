"""Standard streams that are closed, full, unread or ASCII: nothing depends on them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from exporter.simulator import Simulator
from tests.support.fixtures import WriteConfig
from tests.support.waiting import END_SECONDS, TIMEOUT, wait_until

T = TypeVar("T")

PROGRAM = (sys.executable, "-W", "error", "-m", "exporter")
STREAMS = {
    "closed": "<&- >&- 2>&-",
    "stdin closed": "<&-",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "full": "</dev/full >/dev/full 2>/dev/full",
    "broken": "",
    "ascii": "",
}
COMMANDS: list[tuple[list[str], int]] = [
    (["--help"], 0),
    (["--version"], 0),
    (["--nonsense"], 2),
    (["--config.check"], 0),
    (["--config.check", "--config.file=bad é.yaml"], 2),
    (["--config.check", "--config.file=missing é.yaml"], 2),
    (["check"], 0),
    (["check", "--config.file=failing.yaml"], 1),
    (["--web.listen-address=unix:/proc/é"], 1),
]
COMMANDS_OF_STREAMS = {
    "closed": COMMANDS,
    "broken": COMMANDS,
    # One that prints a line, one that writes to standard error, and one that prints many lines.
    "full": [*COMMANDS[3:5], COMMANDS[6]],
    # Those that print letters that ASCII lacks; `test_an_ascii_stream_gets_escapes` has the rest.
    "ascii": [COMMANDS[4], *COMMANDS[7:9]],
    # One for standard output, and one for standard error.
    "stdin closed": COMMANDS[3:5],
    "stdout closed": COMMANDS[3:5],
    "stderr closed": COMMANDS[3:5],
}
SERVICES = [
    ("closed", []),
    ("closed", ["demo"]),
    ("full", []),
    ("full", ["demo"]),
    ("broken", []),
    ("broken", ["demo"]),
    ("ascii", ["demo"]),  # `test_a_json_log_in_ascii_is_the_same_json` runs the service
]


@pytest.fixture(scope="module")
def folder(
    configure: WriteConfig, scaleengine: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with a good configuration, a bad one, and one that fails; none is ASCII."""
    folder = tmp_path_factory.mktemp("streams")
    good = {"name": "büro", "files": {"paths": ["sestore4/jb"]}}
    configure(folder, scaleengine.url, account={**good, "files": {"paths": ["sestore4/nó"]}})
    (folder / "config.yaml").rename(folder / "failing.yaml")
    (folder / "bad é.yaml").write_text("é: 1\n")
    configure(folder, scaleengine.url, account=good)
    return folder


class ProgramWithStreams:
    """The program with streams of a kind; they are this process's own where that says nothing."""

    def __init__(self, folder: Path, streams: str, *arguments: str) -> None:
        words = " ".join(f"'{word}'" for word in (*PROGRAM, *arguments))
        environ = {**os.environ, "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0"}
        if streams == "ascii":
            environ["PYTHONIOENCODING"] = "ascii:strict"
        broken = _broken_pipe() if streams == "broken" else subprocess.PIPE
        self.process = subprocess.Popen(  # noqa: S603 - the program is this project's own
            ["/bin/sh", "-c", f"exec {words} {STREAMS[streams]}"],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=broken,
            stderr=broken,
        )
        if streams == "broken":
            os.close(broken)

    def end(self, number: signal.Signals | None = None) -> tuple[int, bytes, bytes]:
        """Wait for its end, asked for by a signal if any; return the status and its output."""
        if number is not None:
            self.process.send_signal(number)
        timeout = TIMEOUT if number is None else END_SECONDS
        out, error = self.process.communicate(timeout=timeout)
        return self.process.returncode, out or b"", error or b""

    def close(self) -> None:
        """End it by force if it still runs."""
        self.process.kill()
        self.process.communicate()


def _broken_pipe() -> int:
    """Return a stream that is never read."""
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


class StartWithStreams(Protocol):
    """Start the program with streams of a kind."""

    def __call__(self, streams: str, *arguments: str) -> ProgramWithStreams: ...


@pytest.fixture
def begin(folder: Path) -> Iterator[StartWithStreams]:
    """Return a function that starts the program with streams of a kind."""
    programs: list[ProgramWithStreams] = []

    def begin(streams: str, *arguments: str) -> ProgramWithStreams:
        programs.append(ProgramWithStreams(folder, streams, *arguments))
        return programs[-1]

    yield begin
    for program in programs:
        program.close()


@pytest.mark.parametrize("streams", COMMANDS_OF_STREAMS)
def test_the_exit_status_does_not_depend_on_the_streams(
    begin: StartWithStreams, streams: str
) -> None:
    """Each command ends with the same status for any streams."""
    commands = COMMANDS_OF_STREAMS[streams]
    statuses = {" ".join(words): begin(streams, *words).end()[0] for words, _ in commands}
    assert statuses == {" ".join(words): status for words, status in commands}


@pytest.mark.parametrize(
    ("streams", "words"),
    SERVICES,
    ids=[" ".join([streams, *(words or ["serve"])]) for streams, words in SERVICES],
)
def test_the_service_runs_without_standard_streams(
    begin: StartWithStreams, streams: str, words: list[str]
) -> None:
    """The service serves and ends as asked; no socket has the number of a standard stream."""
    program = begin(streams, *words)
    pid = program.process.pid
    address = wait_until(lambda: listening(pid))
    assert address is not None
    with closing(http.client.HTTPConnection(*address, timeout=TIMEOUT)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    assert "scaleengine_exporter_log_lines_dropped_total" in text
    links = [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)]
    if streams == "closed":
        assert links == ["/dev/null"] * 3
    assert not [link for link in links if link.startswith("socket:")]
    assert program.end(signal.SIGTERM)[0] == 0


def listening(pid: int) -> tuple[str, int] | None:
    """Return where a process listens, from proc(5): its log cannot be read."""
    links = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed since
            links.add(str(link.readlink()))
    # The simulated ScaleEngine of a demo listens there too, and has no response for GET /metrics.
    for row in [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]:
        if row[3] == "0A" and f"socket:[{row[9]}]" in links:
            host, _, port = row[1].partition(":")
            place = socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)
            if serves(place):
                return place
    return None


def serves(place: tuple[str, int]) -> bool:
    """Return whether the exporter's health is at a place."""
    with suppress(OSError), closing(http.client.HTTPConnection(*place, timeout=1)) as connection:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status == 200
    return False


def test_an_ascii_stream_gets_escapes(begin: StartWithStreams) -> None:
    """What ASCII lacks is escaped; a document or a log line in JSON stays JSON."""
    status, out, _ = begin("ascii", "check", "--output=json").end()
    assert status == 0
    assert "büro" in {finding["account"] for finding in json.loads(out)["findings"]}
    status, out, _ = begin("ascii", "check").end()
    assert status == 0
    assert b"b\\xfcro secrets: readable\n" in out
    status, _, error = begin("ascii", "--config.check", "--config.file=missing é.yaml").end()
    assert status == 2
    assert error.startswith(b"missing \\u00e9.yaml: ")


def test_a_json_log_in_ascii_is_the_same_json(begin: StartWithStreams) -> None:
    """A log line in JSON that ASCII lacks letters for says the same."""
    program = begin("ascii", "--log.format=json")
    assert program.process.stderr is not None
    polled = b""
    while b'"account"' not in polled:
        polled = program.process.stderr.readline()
        assert polled
    assert polled.isascii()
    assert json.loads(polled)["account"] == "büro"
    assert program.end(signal.SIGTERM)[0] == 0
