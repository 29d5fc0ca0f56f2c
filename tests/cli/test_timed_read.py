"""A file that does not answer is given up, and threads that hang at it do not pile up."""

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from exporter.config import load
from exporter.documents.problems import ConfigError
from exporter.timed_read import MAX_HANGING, TimedRead

PATIENCE = 60.0
SOON = 0.01
FILE = Path("config.yaml")


class Hanging:
    """A read that hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self) -> str:
        self.threads.append(threading.current_thread())
        assert self.released.wait(PATIENCE)
        return "late"

    def release(self) -> None:
        """Let all reads end, and wait for it."""
        self.released.set()
        for thread in self.threads:
            thread.join(PATIENCE)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Give a read that hangs, and leave none behind."""
    read = Hanging()
    yield read
    read.release()


def fault(read: Callable[[], object]) -> str:
    """Call it, and return the problem that it has."""
    with pytest.raises(ConfigError) as failed:
        read()
    return str(failed.value)


def test_what_is_read_in_time() -> None:
    """What is read in time is returned."""
    assert TimedRead(FILE, lambda: "read", PATIENCE)() == "read"


@pytest.mark.parametrize("error", [ConfigError(()), TimeoutError("of its own"), ValueError("x")])
def test_what_fails_in_time(error: Exception) -> None:
    """What fails in time fails as it did."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as failed:
        TimedRead(FILE, fail, PATIENCE)()
    assert failed.value is error


def test_what_takes_too_long(hanging: Hanging) -> None:
    """What takes too long is a problem of the file, with what to look for."""
    assert fault(TimedRead(FILE, hanging, SOON)) == (
        "config.yaml: was not read within 0.01 s, or a file that it names was not; check for a "
        "pipe without a writer, or a mount whose server does not answer"
    )


def test_few_hang(hanging: Hanging) -> None:
    """While as many hang as may, no other is begun; when they have ended, it is read again."""
    read = TimedRead(FILE, hanging, SOON)
    for _ in range(MAX_HANGING):
        assert "was not read within" in fault(read)
    assert "earlier attempts to read it still hang; restart the exporter" in fault(read)
    assert len(hanging.threads) == MAX_HANGING
    hanging.release()
    assert TimedRead(FILE, hanging, PATIENCE)() == "late"
    assert len(hanging.threads) == MAX_HANGING + 1


def test_a_pipe_without_a_writer(tmp_path: Path) -> None:
    """A configuration that is a pipe without a writer is given up."""
    file = tmp_path / "config.fifo"
    os.mkfifo(file)
    assert "was not read within" in fault(TimedRead(file, partial(load, file, {}), SOON))
    writer = os.open(file, os.O_WRONLY)  # there is a reader by now, whose thread can end
    os.close(writer)
