"""The whole program: how a check ends, and what it does on a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import DescribeAccount, WriteAccounts
from tests.support.waiting import TIMEOUT

PROGRAM = (sys.executable, "-W", "error", "-m", "exporter", "check")
ESCAPE = "\x1b"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended, and what it wrote."""

    status: int
    out: str
    error: str


class Run(Protocol):
    """Run the check in the folder of the configuration."""

    def __call__(self, *arguments: str, **environ: str) -> Ended: ...


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs the check in the folder of the configuration."""

    def program(*arguments: str, **environ: str) -> Ended:
        ended = subprocess.run(  # noqa: S603 - the program is this project's own
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            timeout=TIMEOUT,
            text=True,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return program


class Terminal:
    """The program on a terminal of its own, which shows standard output and standard error."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(  # noqa: S603 - the program is this project's own
            [*PROGRAM, *arguments],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **environ},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, part: str) -> None:
        """Read what it shows until there is this part."""
        while part not in self.shown:
            assert self._read(), f"no {part!r} in {self.shown!r}"

    def end(self) -> int:
        """Read all that it shows, and return its exit status."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT)

    def close(self) -> None:
        """End it by force if it still runs."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self._ours)

    def _read(self) -> bool:
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # so Linux says that the other side is closed
            return False
        self.shown += piece.decode()
        return bool(piece)


class StartTerminal(Protocol):
    """Start the check on a terminal."""

    def __call__(self, *arguments: str, **environ: str) -> Terminal: ...


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[StartTerminal]:
    """Return a function that starts the check on a terminal."""
    with ExitStack() as at_the_end:

        def start(*arguments: str, **environ: str) -> Terminal:
            started = Terminal(tmp_path, *arguments, **environ)
            at_the_end.callback(started.close)
            return started

        yield start


def test_a_good_run_ends_with_0(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Where nothing failed it ends with 0, and writes nothing on standard error."""
    configure(scaleengine.url, main())
    ended = run()

    assert (ended.status, ended.error) == (0, "")
    assert ended.out.splitlines()[-1] == "11 ok"
    assert ESCAPE not in ended.out


def test_a_failed_run_ends_with_1(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Where something failed it ends with 1; the document is all there is on standard output."""
    configure(scaleengine.url, main(files={"paths": ["sestore4/no"]}))
    ended = run("--output=json")

    assert (ended.status, ended.error) == (1, "")
    assert json.loads(ended.out)["ok"] is False


def test_an_unknown_account_ends_with_2_and_a_suggestion(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """A wrong account on the command line ends with 2 and what was probably meant."""
    configure(scaleengine.url, main())
    ended = run("--account=mian")

    assert (ended.status, ended.out) == (2, "")
    assert "error: no account 'mian' is polled: did you mean 'main'?" in ended.error
    assert scaleengine.request_count == 0


def test_a_warning_of_the_configuration_is_shown_and_no_failure(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """What a configuration is warned of is to be looked at, and no failure."""
    configure(scaleengine.url, main(files={"paths": ["sestore4/small", "sestore4/small/1"]}))
    ended = run()

    assert ended.status == 0
    assert ended.out.startswith("warn  configuration: config.yaml:1:")
    assert ended.out.splitlines()[-1] == "11 ok, 1 to be looked at"


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_wrong_configuration_ends_with_2(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount, output: str
) -> None:
    """A wrong configuration ends with 2 and its mistakes, before any request."""
    configure(scaleengine.url, main(cdn="many"))
    ended = run(f"--output={output}")

    assert (ended.status, ended.out) == (2, "")
    assert ended.error.endswith("accounts[0].cdn: must be a whole number\n")
    assert scaleengine.request_count == 0


@pytest.mark.parametrize(
    ("number", "flags", "trying"),
    [
        (signal.SIGINT, ["--full"], "trying main disk usage (1 of 3) [---"),
        (signal.SIGTERM, [], "trying main disk usage (1 of 3)"),
    ],
)
def test_an_interrupt_ends_it_with_130(
    terminal: StartTerminal,
    configure: WriteAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    number: signal.Signals,
    flags: list[str],
    trying: str,
) -> None:
    """Who interrupts it while a request hangs ends it with 130, and without a traceback."""
    scaleengine.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    configure(scaleengine.url, main(), timeout="10m")
    started = terminal(*flags)
    started.read_until(trying)
    assert scaleengine.wait_for_requests(1, TIMEOUT)
    started.process.send_signal(number)

    assert started.end() == 130
    assert "Traceback" not in started.shown
    message = f"{ESCAPE}[2Kinterrupted: the check is incomplete"
    assert started.shown.rstrip().endswith(message), "the line of progress was left there"


def test_a_terminal_shows_colours_and_progress(
    terminal: StartTerminal,
    configure: WriteAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
) -> None:
    """A terminal shows colours, and what is being tried as long as it is."""
    configure(scaleengine.url, main(files={"paths": ["sestore4/no"]}))
    started = terminal()

    assert started.end() == 1
    assert f"{ESCAPE}[32mok" in started.shown
    assert f"{ESCAPE}[31mFAIL" in started.shown
    assert "trying main sestore4/no video (2 of 2)" in started.shown


@pytest.mark.parametrize(
    ("environ", "progress"), [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)]
)
def test_no_color_and_a_dumb_terminal_show_no_colours(
    terminal: StartTerminal,
    configure: WriteAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    *,
    environ: Mapping[str, str],
    progress: bool,
) -> None:
    """NO_COLOR is applied; a dumb terminal gets plain text."""
    configure(scaleengine.url, main())
    started = terminal(**environ)

    assert started.end() == 0
    assert not re.search(rf"{ESCAPE}\[[0-9;]*m", started.shown)
    assert ("trying main" in started.shown) is progress
    assert "ok    main disk usage: 2 CPU users" in started.shown


def test_without_a_terminal_there_are_no_colours_and_no_progress(
    run: Run, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Without a terminal there are neither colours nor progress, for any environment.

    `test_a_good_run_ends_with_0` is the same without that request.
    """
    configure(scaleengine.url, main())
    ended = run(FORCE_COLOR="1")

    assert ESCAPE not in ended.out + ended.error
    assert ended.error == ""


def test_a_closed_pipe_does_not_change_the_exit_status(
    tmp_path: Path, configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """The exit status is the same where the reader of its output has left."""
    configure(scaleengine.url, main())
    ours, theirs = os.pipe()
    os.close(ours)
    ended = subprocess.run(  # noqa: S603 - the program is this project's own
        PROGRAM, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, timeout=TIMEOUT, check=False
    )
    os.close(theirs)

    assert (ended.returncode, ended.stderr) == (0, b"")
