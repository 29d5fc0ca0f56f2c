"""Signals to the whole program: from its first moments, in any number, and as process 1."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.waiting import END_SECONDS, wait_until

FIFO = "config.fifo"
INTERRUPTED = "interrupted: the check is incomplete"


def wait_for_first_line(pid: int) -> None:
    """Wait until the program blocks signals (proc(5), SigBlk), which is the first thing it does."""
    wanted = sum(1 << (number - 1) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))

    def blocks_all() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("\nSigBlk:\t")[2].split()[0], 16) & wanted == wanted

    wait_until(blocks_all)


def is_opening(pid: int) -> bool:
    """Return whether a program waits, and not for an import: for the file, so."""
    modules = Path(f"/proc/{pid}/maps").read_text()
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return "/pydantic_core/" in modules and state == "S"


@pytest.fixture(autouse=True)
def _own_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program start itself again, as it usually does: that is one of its first moments."""
    monkeypatch.delenv("PYTHONMALLOC", raising=False)


@pytest.fixture
def folder(configure: WriteConfig, scaleengine: Simulator, tmp_path: Path) -> Path:
    """Return a folder with a good configuration, and a pipe without a writer.

    ScaleEngine does not respond, so that no check ends before it is interrupted.
    """
    scaleengine.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    configure(tmp_path, scaleengine.url)
    os.mkfifo(tmp_path / FIFO)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 0),
        (["demo"], 0),
        (["check"], 130),
        (["--config.check"], 130),
        # Long after the first moments: the file hangs.
        ([f"--config.file={FIFO}"], 0),
        (["check", f"--config.file={FIFO}"], 130),
        (["--config.check", f"--config.file={FIFO}"], 130),
    ],
)
def test_a_signal_during_the_imports_ends_it(
    start: StartProgram, folder: Path, arguments: list[str], status: int, number: signal.Signals
) -> None:
    """Who stops it before it serves ends it as asked; an interrupted check has no verdict."""
    while True:
        program = start(folder, *arguments)
        wait_for_first_line(program.pid)
        if f"--config.file={FIFO}" in arguments:
            wait_until(partial(is_opening, program.pid))
        ended = program.end(number)
        logged = [event for event in program.events if event.get("unstructured") != INTERRUPTED]
        assert {event.get("level") for event in logged} <= {"debug", "info"}
        if not logged and not program.printed:
            break  # otherwise the signal came after the first moments, on a busy machine
    assert ended == status


def test_sighup_during_the_start_reloads_later(start: StartProgram, folder: Path) -> None:
    """SIGHUP before it serves does not end it: the configuration is read again when it serves."""
    program = start(folder)
    wait_for_first_line(program.pid)
    for _ in range(3):
        program.send(signal.SIGHUP)
    program.wait_for(msg="listening")
    program.wait_for(msg="configuration reloaded")
    assert program.end() == 0


@pytest.fixture
def _ignored() -> Iterator[None]:
    """Let programs that are started ignore SIGHUP, as nohup does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_ignored")
def test_an_ignored_sighup_does_not_end_it(start: StartProgram, folder: Path) -> None:
    """Started so, no SIGHUP ends it, however early it comes, and a later one is a reload."""
    program = start(folder)
    while not program.events:
        program.send(signal.SIGHUP)
        threading.Event().wait(0.001)
    program.wait_for(msg="configuration reloaded")
    assert program.end() == 0


@pytest.mark.parametrize("argument", ["check", "--config.check"])
def test_sighup_ends_a_check(start: StartProgram, folder: Path, argument: str) -> None:
    """SIGHUP means a terminal that is gone, to what serves nothing: a check ends."""
    program = start(folder, argument, f"--config.file={FIFO}")
    wait_until(lambda: is_opening(program.pid))
    assert program.end(signal.SIGHUP) == 130


class FirstProcess:
    """The program as process 1 of a container."""

    def __init__(self, folder: Path) -> None:
        unshare = shutil.which("unshare") or "unshare"
        separate = [unshare, "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
        self.outer = subprocess.Popen(  # noqa: S603 - the program is this project's own
            [*separate, sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0"],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        self.pid = 0
        wait_until(self._is_there)

    def _is_there(self) -> bool:
        if self.outer.poll() is not None:
            pytest.skip("this machine allows no process 1")
        path = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        self.pid = int(path.read_text() or 0)
        return bool(self.pid)

    def end(self) -> None:
        """End it by force."""
        self.outer.kill()
        self.outer.wait()


@pytest.fixture
def first_process(folder: Path) -> Iterator[FirstProcess]:
    """Run the program as process 1."""
    started = FirstProcess(folder)
    yield started
    started.end()


def test_sigterm_ends_process_1_during_its_start(first_process: FirstProcess) -> None:
    """As process 1, which has no default action, SIGTERM in its first moments ends it."""
    wait_for_first_line(first_process.pid)
    os.kill(first_process.pid, signal.SIGTERM)
    assert first_process.outer.wait(END_SECONDS) == 0


@contextmanager
def busy_processors() -> Iterator[None]:
    """Keep two processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_many_sighups_do_not_delay_sigterm(start: StartProgram, folder: Path) -> None:
    """SIGHUPs, thousands a second before SIGTERM and after, do not keep it from ending.

    It ends as it was asked to, not by one of them, also where the processors are busy.
    """
    program = start(folder)
    wait_for_first_line(program.pid)
    calm = threading.Event()

    def storm() -> None:
        while not calm.wait(0.0005):
            program.send(signal.SIGHUP)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        program.wait_for(2, msg="configuration reloaded")
        with busy_processors():
            program.wait_for(4, msg="configuration reloaded")
            assert program.end() == 0
    finally:
        calm.set()
        thread.join()
