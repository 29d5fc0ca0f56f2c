"""A log that is not read: polls, scrapes, reloads and the end go on."""

import fcntl
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Simulator
from tests.support.fixtures import WriteConfig
from tests.support.waiting import END_SECONDS, TIMEOUT, wait_until

DROPPED = "scaleengine_exporter_log_lines_dropped_total"
WARNINGS = 125
CONFIG_FILE = f"{'x/../' * 600}config.yaml"
"""A long path, which is in each warning.

Reloads in a row pause in between: a few have to fill the megabyte that waits for a reader. A few
long warnings take less time than many short ones.
"""


class Connection(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, file: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._file = file

    def connect(self) -> None:
        """Connect to the file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._file))


class ProgramWithFullPipe:
    """The program, whose standard output and standard error are a full pipe."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "config.yaml"
        (folder / "x").mkdir()
        self.reloads = 0
        self._socket = folder / "x.sock"
        self.reader, theirs = os.pipe()
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(theirs, False)
        os.write(theirs, b"\n" * 4096)
        os.set_blocking(theirs, True)
        self.process = subprocess.Popen(  # noqa: S603 - the program is this project's own
            [
                *(sys.executable, "-m", "exporter", "--log.level=debug", "--web.enable-lifecycle"),
                f"--web.listen-address=unix:{self._socket}",
                f"--config.file={CONFIG_FILE}",
            ],
            cwd=folder,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        wait_until(self._serves)

    def _serves(self) -> bool:
        try:
            return self.ask("GET", "/-/healthy")[0] == 200
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Make a request; return the status and the text."""
        with closing(Connection(self._socket)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def reload(self) -> None:
        """Read the configuration again; its warnings are at other lines, and so logged again."""
        self.reloads += 1
        self._config.write_text("\n" + self._config.read_text())
        assert self.ask("POST", "/-/reload") == (200, "Reloaded.\n")

    def value(self, metric: str, **labels: str) -> float:
        """Scrape, and return the value of a series."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics")[1])
        samples = [sample for family in families for sample in family.samples]
        (value,) = [
            sample.value
            for sample in samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        ]
        return value

    def read_until(self, part: str) -> str:
        """Read the log until it has this part; return all that was read."""
        read = b""
        deadline = time.monotonic() + TIMEOUT
        while part.encode() not in read:
            ready, _, _ = select.select(
                [self.reader], [], [], max(0.0, deadline - time.monotonic())
            )
            assert ready, f"no {part!r} in {read[-1000:]!r}"
            read += os.read(self.reader, 65536)
        return read.decode(errors="replace")

    def close(self) -> None:
        """End it by force if it still runs."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self.reader)


def fill_log(program: ProgramWithFullPipe) -> None:
    """Reload until lines of the log are dropped."""
    deadline = time.monotonic() + TIMEOUT
    while not program.value(DROPPED):
        assert time.monotonic() < deadline, "no line was dropped"
        program.reload()


@pytest.fixture
def program(
    configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> Iterator[ProgramWithFullPipe]:
    """Start the program with a configuration that has many warnings, each logged at each reload."""
    quotas = {f"idle-{number}": "1TB" for number in range(WARNINGS)}
    usage = {"interval": "1s", "cpu_users": ["web"], "quotas": quotas}
    configure(tmp_path, scaleengine.url, account={"disk_usage": usage, "files": None})
    started = ProgramWithFullPipe(tmp_path)
    yield started
    started.close()


def test_lines_of_an_unread_log_are_dropped_and_counted(program: ProgramWithFullPipe) -> None:
    """Lines are dropped and counted; when the log is read again, it says how many are missing."""
    assert program.value(DROPPED) == 0
    fill_log(program)
    assert program.reloads > 1  # there is room for a while
    polls = program.value("scaleengine_polls_total", account="main")
    wait_until(lambda: program.value("scaleengine_polls_total", account="main") > polls + 1)
    assert program.ask("GET", "/-/healthy")[0] == 200

    text = program.read_until('msg="log lines dropped" lines=')
    line = next(line for line in text.splitlines() if 'msg="log lines dropped"' in line)
    assert " level=warning " in line
    assert 'cause="standard error was not read, or could not be written"' in line
    program.read_until("msg=poll result=")

    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(END_SECONDS) == 0


def test_an_unread_log_delays_neither_stop_nor_reload(program: ProgramWithFullPipe) -> None:
    """SIGTERM ends it, and SIGHUP reloads, while a log line waits for its reader."""
    fill_log(program)
    before = program.value("scaleengine_exporter_config_last_reload_success_timestamp_seconds")
    program.process.send_signal(signal.SIGHUP)
    name = "scaleengine_exporter_config_last_reload_success_timestamp_seconds"
    wait_until(lambda: program.value(name) > before)
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(END_SECONDS) == 0


def test_an_unread_standard_error_does_not_delay_an_error_exit(tmp_path: Path) -> None:
    """A message that cannot be written is not waited for: the status shows the mistake."""
    (tmp_path / "config.yaml").write_text("accounts: []\n")
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    while True:
        try:
            os.write(theirs, b"\n" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(theirs, True)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "exporter"],
            cwd=tmp_path,
            stderr=theirs,
            timeout=TIMEOUT,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert ended.returncode == 2
