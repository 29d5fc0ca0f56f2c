"""Files that hang, as on a mount whose server is gone: the program ends all the same."""

import http.client
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.child import Child
from tests.support.credentials import CANARY_SECRET
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program
from tests.support.waiting import TIMEOUT

FILES = ["config.yaml", "secret", "web.yaml"]
HOLDER = """\
import fcntl, os, signal, sys, time
def lease():
    # Refused with EAGAIN while a process has it open: a poll may just be reading it.
    while True:
        try:
            return fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            time.sleep(0.01)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
file = os.open(sys.argv[1], os.O_RDWR)
lease()
print("held", flush=True)
signal.sigwait({signal.SIGIO})
print("wanted", flush=True)
time.sleep(600)
"""
"""Hold a file by a lease (fcntl(2)): a process that opens it waits, and we get a signal."""


class HeldFile:
    """A regular file that cannot be opened for some time."""

    def __init__(self, file: Path) -> None:
        self._holder = Child([sys.executable, "-c", HOLDER, file])
        if self._holder.wait_for_line("held|OSError") != "held":
            self.close()
            pytest.skip("this file system knows no leases")

    def wait_for_reader(self) -> None:
        """Wait until a process waits to open it."""
        self._holder.wait_for_line("wanted")

    def close(self) -> None:
        """Let the file go."""
        self._holder.close()


@pytest.fixture
def hold() -> Iterator[Callable[[Path], HeldFile]]:
    """Return a function that holds a file until the test is over."""
    with ExitStack() as stack:

        def begin(file: Path) -> HeldFile:
            held = HeldFile(file)
            stack.callback(held.close)
            return held

        yield begin


Hold = Callable[[Path], HeldFile]


@pytest.fixture
def folder(configure: WriteConfig, scaleengine: Simulator, tmp_path: Path) -> Path:
    """Return a folder with a configuration whose secret is in a file, and a web configuration."""
    usage = {"interval": "1s", "stale_after": "1h"}
    account = {"api_secret": None, "api_secret_file": "secret", "disk_usage": usage, "files": None}
    configure(tmp_path, scaleengine.url, account=account)
    (tmp_path / "secret").write_text(f"{CANARY_SECRET}\n")
    (tmp_path / "web.yaml").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("arguments", "status"), [([], 0), (["--config.check"], 130)], ids=["serve", "check"]
)
def test_sigterm_ends_it_while_the_first_read_hangs(
    start: StartProgram, hold: Hold, folder: Path, name: str, arguments: list[str], status: int
) -> None:
    """SIGTERM ends it while it waits for its first look at a file."""
    held = hold(folder / name)
    program = start(folder, "--web.config.file=web.yaml", *arguments)
    held.wait_for_reader()
    assert program.end() == status


def ask_for_reload(program: Program) -> None:
    """Ask for a reload, and do not wait for the response."""
    with closing(http.client.HTTPConnection(*program.address, timeout=TIMEOUT)) as connection:
        connection.request("POST", "/-/reload")


def hang_up(program: Program) -> None:
    """Ask for a reload by SIGHUP."""
    program.send(signal.SIGHUP)


def nothing(_: Program) -> None:
    """Do nothing: the file is read again anyway."""


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("config.yaml", ask_for_reload),
        ("config.yaml", hang_up),
        ("secret", nothing),
        ("secret", ask_for_reload),
        ("web.yaml", nothing),
    ],
)
def test_a_read_that_hangs_delays_no_scrape_and_no_stop(
    start: StartProgram, hold: Hold, folder: Path, name: str, ask: Callable[[Program], None]
) -> None:
    """A file that hangs keeps no scrape waiting, and not the program from ending."""
    program = start(folder, "--web.config.file=web.yaml", "--web.enable-lifecycle")
    program.wait_for(collector="disk_usage", result="ok")
    held = hold(folder / name)
    os.utime(folder / name)  # it has changed, and was not read since
    ask(program)
    held.wait_for_reader()
    assert program.get("/metrics?name[]=scaleengine_up")[0] == 200
    assert program.end() == 0
