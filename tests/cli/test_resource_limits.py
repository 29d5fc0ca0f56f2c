"""Too few descriptors or threads are named as such; the program outlives them, or ends in order."""

import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program
from tests.support.sentences import TOO_MANY_FILES
from tests.support.waiting import TIMEOUT

FILES = f"{TOO_MANY_FILES} (limit "
ENOUGH_THREADS = 7
"""Signals, standard error, requests, deadlines, polling, publication and reloads: one for each."""
DEBUG = "--log.level=debug"
"""Where two targets fail for one cause, the second is logged at this level."""
EVERY_SECOND = {
    "disk_usage": {"interval": "1s"},
    "files": {"interval": "1s", "paths": ["sestore4/jb"]},
}
SITECUSTOMIZE = """\
import os
import resource
import threading

if "DESCRIPTORS" in os.environ:
    limit = int(os.environ["DESCRIPTORS"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
flag = os.environ.get("NO_MORE_THREADS", "")
left = int(os.environ.get("THREADS_LEFT", "1000000"))
start = threading.Thread.start


def start_if_allowed(thread):
    global left
    left -= 1
    if left < 0 or os.path.exists(flag):
        raise RuntimeError("can't start new thread")
    start(thread)


threading.Thread.start = start_if_allowed
"""
"""The kernel's limit counts all threads of a user, and not those of root: this is used instead."""


@pytest.fixture
def folder(configure: WriteConfig, scaleengine: Simulator, tmp_path: Path) -> Path:
    """Return a folder whose configuration has an account that is polled every second."""
    configure(tmp_path, scaleengine.url, account=EVERY_SECOND)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return tmp_path


def wait_for_polls(program: Program, *, cause: str = "") -> None:
    """Wait until both collectors have polled again, and failed for this cause if there is one."""
    seen = len(program.events)
    deadline = time.monotonic() + TIMEOUT
    waiting = {"disk_usage", "files"}
    while waiting:
        assert time.monotonic() < deadline, f"no poll of {waiting} in {program.lines[seen:]}"
        threading.Event().wait(0.05)
        for event in program.events[seen:]:
            if "result" in event and str(event.get("cause", "")).startswith(cause):
                as_meant = event["result"] == ("failed" if cause else "ok")
                waiting -= {str(event["collector"])} if as_meant else set()


def assert_only_the_limit_is_blamed(program: Program, cause: str) -> None:
    """Fail where a poll has failed for another cause, or a defect is reported."""
    failed = [event for event in program.events if event.get("result") == "failed"]
    assert failed
    assert [event for event in failed if not str(event["cause"]).startswith(cause)] == []
    assert {event["reason"] for event in failed} == {"network"}
    assert not any("Traceback" in line or "defect" in line for line in program.lines)


def test_polls_fail_without_descriptors_and_recover(start: StartProgram, folder: Path) -> None:
    """Without a free descriptor polls fail and say so; with one again they succeed."""
    program = start(folder, DEBUG)
    wait_for_polls(program)
    limits = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    wait_for_polls(program, cause=FILES)
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, limits)
    wait_for_polls(program)

    assert_only_the_limit_is_blamed(program, FILES)
    assert program.get("/-/healthy")[0] == 200
    assert program.end() == 0


def test_polls_and_scrapes_continue_without_free_threads(start: StartProgram, folder: Path) -> None:
    """Without a free thread polls and scrapes go on: those that run are enough."""
    flag = folder / "flag"
    program = start(folder, DEBUG, PYTHONPATH=str(folder / "site"), NO_MORE_THREADS=str(flag))
    wait_for_polls(program)
    flag.touch()
    for _ in range(3):
        wait_for_polls(program)

    assert not any("Traceback" in line or "defect" in line for line in program.lines)
    assert program.get("/-/healthy")[0] == 200
    flag.touch()
    assert program.end(signal.SIGTERM) == 0


def test_the_threads_of_the_start_are_enough_to_poll(start: StartProgram, folder: Path) -> None:
    """With the threads that it starts at once, and no other, both targets are polled."""
    program = start(
        folder,
        DEBUG,
        PYTHONPATH=str(folder / "site"),
        NO_MORE_THREADS=str(folder / "flag"),
        THREADS_LEFT=str(ENOUGH_THREADS),
    )
    wait_for_polls(program)

    assert program.get("/-/healthy")[0] == 200
    assert program.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("threads", range(ENOUGH_THREADS))
def test_too_few_threads_at_the_start_end_it_with_1(
    start: StartProgram, folder: Path, threads: int
) -> None:
    """With too few threads to begin the program ends with 1 and a sentence."""
    program = start(
        folder,
        PYTHONPATH=str(folder / "site"),
        NO_MORE_THREADS=str(folder / "flag"),
        THREADS_LEFT=str(threads),
    )

    assert program.wait() == 1
    (sentence,) = (event["unstructured"] for event in program.events if "unstructured" in event)
    assert "raise the limit of processes" in str(sentence)


def test_too_few_descriptors_at_the_start_end_it_with_1(start: StartProgram, folder: Path) -> None:
    """With too few descriptors to begin the program ends with 1 and a sentence."""
    program = start(folder, PYTHONPATH=str(folder / "site"), DESCRIPTORS="6")

    assert program.wait() == 1
    (sentence,) = (event["unstructured"] for event in program.events if "unstructured" in event)
    assert str(sentence).startswith(f"{FILES}6): raise the limit of open files")
