"""A file that hangs is given up, and one that is being written is not taken for complete."""

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from exporter.config import load
from exporter.timed_read import MAX_HANGING, MAX_READS, SETTLE_SECONDS, SettledRead, TimedRead
from exporter.yamlfile.problems import ConfigError
from tests.support.waiting import TIMEOUT

SOON = 0.01
FILE = "config.yaml"

HALF = """\
accounts: [{cdn: 158, api_key: k, api_secret: s}]
api:
  url: https://api.sc"""


class HangingRead:
    """A read that hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.begun = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def __call__(self) -> str:
        self.threads.append(threading.current_thread())
        self.begun.release()
        assert self.released.wait(TIMEOUT)
        return "late"

    def release(self) -> None:
        """Let all reads end, and wait for it."""
        self.released.set()
        for thread in self.threads:
            thread.join(TIMEOUT)


@pytest.fixture
def hanging() -> Iterator[HangingRead]:
    """Return a read that hangs, and leave none behind."""
    read = HangingRead()
    yield read
    read.release()


def fault(read: Callable[[], object]) -> str:
    """Call it, and return the problem that it has."""
    with pytest.raises(ConfigError) as failed:
        read()
    return str(failed.value)


def test_a_result_in_time_is_returned() -> None:
    """What is read in time is returned."""
    assert TimedRead(FILE, lambda: "read", TIMEOUT)() == "read"


@pytest.mark.parametrize("error", [ConfigError(()), TimeoutError("of its own"), ValueError("x")])
def test_a_failure_in_time_is_raised(error: Exception) -> None:
    """What fails in time fails as it did."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as failed:
        TimedRead(FILE, fail, TIMEOUT)()
    assert failed.value is error


def test_a_read_over_its_time_is_a_problem_of_the_file(hanging: HangingRead) -> None:
    """What takes too long is a problem of the file, with what to look for."""
    assert fault(TimedRead(FILE, hanging, SOON)) == (
        "config.yaml: was not read within 0.01 s, or a file that it names was not; check for a "
        "pipe without a writer, or a mount whose server does not respond"
    )
    assert hanging.begun.acquire(timeout=TIMEOUT)


def test_the_number_of_reads_that_hang_is_limited(hanging: HangingRead) -> None:
    """While as many hang as may, no other is begun; when they have ended, it is read again."""
    read = TimedRead(FILE, hanging, SOON)
    for _ in range(MAX_HANGING):
        assert "was not read within" in fault(read)
        assert hanging.begun.acquire(timeout=TIMEOUT)
    assert "earlier attempts to read it still hang; restart the exporter" in fault(read)
    assert len(hanging.threads) == MAX_HANGING
    hanging.release()
    assert TimedRead(FILE, hanging, TIMEOUT)() == "late"
    assert len(hanging.threads) == MAX_HANGING + 1


def test_a_pipe_without_a_writer_is_given_up(tmp_path: Path) -> None:
    """A configuration that is a pipe without a writer is given up."""
    file = tmp_path / "config.fifo"
    os.mkfifo(file)
    assert "was not read within" in fault(TimedRead(str(file), partial(load, file, {}), SOON))
    writer = os.open(file, os.O_WRONLY)  # there is a reader by now, whose thread can end
    os.close(writer)


class ScriptedReads:
    """Reads that return these results in turn; the pauses between them are noted, not waited."""

    def __init__(self, *results: str, stopped: bool = False) -> None:
        self.left = list(results)
        self.pauses: list[float] = []
        self._stopped = stopped

    def __call__(self) -> str:
        result = self.left.pop(0)
        if result == "bad":
            raise ConfigError(())
        return result

    def wait(self, seconds: float) -> bool:
        """Note a pause, and say whether it is time to stop."""
        self.pauses.append(seconds)
        return self._stopped

    def settled(self) -> SettledRead[str]:
        """Return what reads these; a result is critical where its text begins with "other"."""
        return SettledRead(self, lambda result: result.startswith("other"), self.wait, "a.yaml")


@pytest.mark.parametrize(
    ("results", "returned", "pauses"),
    [
        (["usual"], "usual", 0),
        (["other", "other"], "other", 1),
        (["other ho", "usual"], "usual", 1),
        (["other ho", "other host", "other host"], "other host", 2),
        (["other", "other two", "other", "other"], "other", 3),
    ],
)
def test_a_critical_result_needs_two_equal_reads(
    results: list[str], returned: str, pauses: int
) -> None:
    """A critical result is returned when two reads in a row agree, any other one at once."""
    reads = ScriptedReads(*results)
    assert reads.settled()() == returned
    assert reads.left == []
    assert reads.pauses == [SETTLE_SECONDS] * pauses


def test_an_error_at_the_second_read_is_raised() -> None:
    """Its error is raised, and the critical result of the first read is gone."""
    with pytest.raises(ConfigError):
        ScriptedReads("other", "bad").settled()()


def test_a_file_that_keeps_changing_is_an_error() -> None:
    """It is given up after some reads, with what to do."""
    reads = ScriptedReads(*(f"other {number}" for number in range(MAX_READS)))
    assert fault(reads.settled()) == (
        "a.yaml: api: changed, and the file was different at each of 5 reads, 1 s apart; reload "
        "again when it is no longer being written"
    )


def test_a_stop_before_the_second_read_ends_it() -> None:
    """It is not waited for: the read ends, and nothing is accepted."""
    reads = ScriptedReads("other", "other", stopped=True)
    assert "the exporter stops" in fault(reads.settled())
    assert reads.left == ["other"]


def test_half_an_api_url_is_never_returned(tmp_path: Path) -> None:
    """Given a file that is valid with half an address, then that is never returned."""
    file = tmp_path / "config.yaml"
    file.write_text(HALF)

    def complete(_: float) -> bool:
        file.write_text(HALF + "aleengine.net/stable/")
        return False

    usual = "https://api.scaleengine.net/stable/"
    read = SettledRead(
        partial(load, file, {}), lambda loaded: loaded.config.api.url != usual, complete
    )
    assert load(file, {}).config.api.url == "https://api.sc"
    assert read().config.api.url == usual
