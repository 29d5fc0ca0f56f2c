"""Who writes never waits; what cannot be written is dropped, counted, and said to be missing."""

import fcntl
import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import pytest

from exporter.process.background_writer import BackgroundWriter
from tests.support.waiting import TIMEOUT

LOSS = re.compile(r"(\d+) lines were dropped here: standard error was not read, or was full")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what closes descriptors when the test is over."""
    with ExitStack() as stack:
        yield stack


def close(descriptor: int) -> None:
    """Close a descriptor, if it is open."""
    with suppress(OSError):
        os.close(descriptor)


@pytest.fixture
def writers() -> list[BackgroundWriter]:
    """Return the list of writers that have begun."""
    return []


@pytest.fixture
def pipe(stack: ExitStack, writers: list[BackgroundWriter]) -> tuple[int, int]:
    """Return the ends of a pipe that holds one page: where it is read, and where it is written.

    Its number is not free again before the threads that write to it are done: what is opened next
    would get the rest.
    """
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    stack.callback(close, theirs)
    stack.callback(wait_for_writers, writers)
    stack.callback(close, ours)  # first: what is left is refused then
    return ours, theirs


def wait_for_writers(writers: list[BackgroundWriter]) -> None:
    """Wait until all that was given to the writers is written or dropped."""
    assert all(writer.flush(TIMEOUT) for writer in writers)


class Start(Protocol):
    """Return a writer to a descriptor, which has begun."""

    def __call__(self, descriptor: int, max_waiting: int = ...) -> BackgroundWriter: ...


@pytest.fixture
def start(writers: list[BackgroundWriter]) -> Start:
    """Return a function that returns a writer to a descriptor, which has begun."""

    def start(descriptor: int, max_waiting: int = 1024 * 1024) -> BackgroundWriter:
        writer = BackgroundWriter(descriptor, max_waiting)
        writer.start()
        writers.append(writer)
        return writer

    return start


def read_lines(descriptor: int, enough: Callable[[list[str]], bool]) -> list[str]:
    """Read whole lines until there are enough."""
    read = b""
    while not (read.endswith(b"\n") and enough(read.decode().splitlines())):
        wait_until_readable(descriptor)
        piece = os.read(descriptor, 65536)
        assert piece
        read += piece
    return read.decode().splitlines()


def wait_until_readable(descriptor: int) -> None:
    """Wait until something can be read."""
    readable, _, _ = select.select([descriptor], [], [], TIMEOUT)
    assert readable, "nothing was written"


def test_lines_are_written_in_order(pipe: tuple[int, int], start: Start) -> None:
    """All lines are written, in their order, where they are read."""
    ours, theirs = pipe
    writer = start(theirs)
    expected = [f"line {number} {'x' * 100}" for number in range(1000)]
    for line in expected:
        writer.write(f"{line}\n".encode())
    assert read_lines(ours, lambda lines: len(lines) == 1000) == expected
    assert writer.flush(TIMEOUT)
    assert writer.lines_dropped == 0


def test_lines_of_a_full_pipe_are_dropped_and_counted(pipe: tuple[int, int], start: Start) -> None:
    """Lines that find no room are dropped and counted; later a line says so, where they lack."""
    ours, theirs = pipe
    writer = start(theirs, max_waiting=10_000)
    for number in range(10_000):
        writer.write(f"line {number}\n".encode())
    dropped = writer.lines_dropped
    assert 0 < dropped < 10_000
    assert not writer.flush(0.0)

    def lines_until(lines: list[str]) -> int:
        """Return how many lines these are, with those that are said to be missing."""
        losses = [int(found[1]) for line in lines if (found := LOSS.fullmatch(line))]
        return len(lines) - len(losses) + sum(losses)

    before = read_lines(ours, lambda lines: lines_until(lines) == 10_000)
    writer.write(b"the next\n")
    after = read_lines(ours, lambda lines: lines[-1] == "the next")

    # Each gap in the numbers is where this number of lines is said to be missing.
    position = 0
    for line in before:
        found = LOSS.fullmatch(line)
        assert found or line == f"line {position}"
        position += int(found[1]) if found else 1
    assert lines_until([line for line in before if not LOSS.fullmatch(line)]) + dropped == 10_000
    assert writer.lines_dropped == dropped
    assert after == ["the next"]
    assert writer.flush(TIMEOUT)


def test_a_large_line_is_written_while_nothing_waits(pipe: tuple[int, int], start: Start) -> None:
    """A line that is too large at any time is written while nothing waits."""
    ours, theirs = pipe
    writer = start(theirs, max_waiting=10)
    writer.write(b"x" * 100_000 + b"\n")
    assert read_lines(ours, bool) == ["x" * 100_000]
    assert writer.lines_dropped == 0


@pytest.mark.parametrize("refusal", ["no reader", "full", "closed"])
def test_lines_that_the_system_refuses_are_dropped_and_counted(
    stack: ExitStack, pipe: tuple[int, int], refusal: str, start: Start
) -> None:
    """What the system refuses is dropped and counted; nothing fails, and nothing waits."""
    ours, theirs = pipe
    if refusal == "no reader":
        os.close(ours)
    if refusal == "full":
        theirs = os.open("/dev/full", os.O_WRONLY)
        stack.callback(os.close, theirs)
    if refusal == "closed":
        theirs = 2**20
    writer = start(theirs)
    for _ in range(100):
        writer.write(b"line\nanother\n")
    assert writer.flush(TIMEOUT)
    assert writer.lines_dropped == 200


def test_a_returning_reader_gets_whole_lines(
    stack: ExitStack, tmp_path: Path, start: Start
) -> None:
    """What was cut off, and what was dropped then, stands on lines of its own."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    theirs = os.open(fifo, os.O_WRONLY)
    stack.callback(os.close, theirs)
    writer = start(theirs)
    writer.write(b"x" * 1_000_000 + b"\n")
    wait_until_readable(first)
    os.close(first)
    writer.write(b"dropped\n")
    assert writer.flush(TIMEOUT)
    assert writer.lines_dropped == 2

    second = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(second, True)
    stack.callback(os.close, second)
    writer.write(b"the next\n")
    *cut, loss, last = read_lines(second, lambda lines: lines[-1] == "the next")
    assert set("".join(cut)) <= {"x"}
    assert LOSS.fullmatch(loss)
    assert last == "the next"


def test_a_non_blocking_pipe_gets_all_lines(pipe: tuple[int, int], start: Start) -> None:
    """Where another process has set the pipe not to block, all is written all the same."""
    ours, theirs = pipe
    os.set_blocking(theirs, False)
    writer = start(theirs)
    for number in range(1000):
        writer.write(f"line {number:0100}\n".encode())
    assert len(read_lines(ours, lambda lines: len(lines) == 1000)) == 1000
    assert writer.lines_dropped == 0


def test_the_line_about_missing_lines_has_a_format(pipe: tuple[int, int], start: Start) -> None:
    """The line that says so can be given the form of the others."""
    ours, theirs = pipe
    writer = start(theirs, max_waiting=10_000)
    writer.describe_loss = lambda lines: f"lines={lines}"
    for _ in range(10_000):
        writer.write(b"line\n")
    # The last write may have found room: what says so is then not the last line.
    lines = read_lines(ours, lambda lines: set(lines) != {"line"})
    assert re.fullmatch(r"lines=[1-9][0-9]*", next(line for line in lines if line != "line"))


def test_a_nested_write_does_not_deadlock(pipe: tuple[int, int], start: Start) -> None:
    """A destructor that writes in the middle of a write of the same thread does not wait for it."""
    ours, theirs = pipe
    writer = start(theirs)
    with writer._lock:  # noqa: SLF001 - as in the middle of a write
        writer.write(b"line\n")
    assert read_lines(ours, bool) == ["line"]


def test_a_writer_without_a_thread_does_not_wait() -> None:
    """A writer without a thread has nothing to wait for."""
    assert BackgroundWriter(2).flush(TIMEOUT)
