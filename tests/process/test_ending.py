"""The process ends when it should, with its status, also while something hangs."""

import signal
import sys
from collections.abc import Iterator

import pytest

from exporter.process.ending import FLUSH_SECONDS
from exporter.process.signals import GRACE_SECONDS
from tests.support.child import Child

SCRIPT = """\
import atexit, sys, threading
import exporter.__main__, exporter.cli, exporter.process.signals

def run(arguments, process):
    hang = threading.Event().wait
    threading.Thread(target=hang).start()
    atexit.register(hang)
    sys.stderr.write("begun\\n")
    {body}

exporter.cli.main = run
exporter.process.signals.GRACE_SECONDS = 0.5
exporter.__main__.main()
"""
"""The program without its work: a thread hangs that Python would wait for, and so on.

It has half a second for an end in good order: what is tested here is what follows.
"""


@pytest.fixture
def processes() -> Iterator[list[Child]]:
    """Return the list of processes that have to be gone at the end."""
    started: list[Child] = []
    yield started
    for child in started:
        child.close()


def start(processes: list[Child], body: str) -> Child:
    """Start the program with something else to do; wait until it does it."""
    process = Child([sys.executable, "-c", SCRIPT.format(body=body)], keep_stdout=True)
    processes.append(process)
    assert process.wait_for_line("^begun$")
    return process


@pytest.mark.parametrize(
    "body",
    [
        "hang()",
        "process.signals.on_stop(lambda: None); hang()",
        "process.signals.on_stop(lambda: 1 / 0); hang()",
        # What nothing interrupts, as in a library's own lock.
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "sys.stdout.write('x' * 10_000_000)",
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_while_something_hangs(
    processes: list[Child], body: str, number: signal.Signals
) -> None:
    """A signal ends it, also while something hangs."""
    process = start(processes, body)
    assert process.end(number) == 0


def test_an_end_takes_less_than_five_seconds() -> None:
    """An end in good order, by force after that, and the last lines take less than five seconds."""
    assert GRACE_SECONDS + FLUSH_SECONDS < 5.0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return 3", 3),
        ("sys.exit(2)", 2),
        ("raise ValueError('a defect')", 1),
        ("raise KeyboardInterrupt", 1),
        ("sys.stderr.write('x' * 100_000); return 3", 3),
    ],
)
def test_a_finished_process_ends_with_its_status(
    processes: list[Child], body: str, status: int
) -> None:
    """When it is done it ends with its status, and waits for no thread."""
    assert start(processes, body).wait() == status


def test_the_last_lines_are_written(processes: list[Child]) -> None:
    """What was written just before the end is written; a defect shows its traceback."""
    process = start(processes, "print('out'); sys.stderr.write('error\\n'); raise ValueError('x')")
    assert process.wait() == 1
    assert process.printed == "out\n"
    _, first, second, *_, last = process.lines
    assert (first, second, last) == ("error", "Traceback (most recent call last):", "ValueError: x")
