"""Blocks that promtool makes of a history."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter.backfill.command import BackfillError, BackfillUsageError
from exporter.backfill.work_folder import OutputError
from tests.backfill.conftest import FIRST, YESTERDAY, Runner, truth

PROMTOOL = """#!{python}
import json, os, pathlib, sys
text, work = sys.argv[-2:]
print("a line of promtool", file=sys.stderr)
moments = [int(line.split()[-1]) for line in open(text) if not line.startswith("#")]
{tamper}
block = pathlib.Path(work, "01BLOCK")
block.mkdir()
meta = {{"stats": {{"numSamples": len(moments)}}, "minTime": min(moments) * 1000,
        "maxTime": max(moments) * 1000 + 1}}
(block / "meta.json").write_text(json.dumps(meta))
"""


def write_promtool(folder: Path, tamper: str = "") -> str:
    """Write a program that makes a block as promtool does."""
    program = folder / "promtool"
    program.write_text(PROMTOOL.format(python="/usr/bin/env python3", tamper=tamper))
    program.chmod(0o755)
    return str(program)


def test_blocks_have_every_sample(runner: Runner, tmp_path: Path) -> None:
    promtool = write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool) == 0
    assert runner.left == {"01BLOCK"}
    meta = json.loads((runner.folder / "01BLOCK" / "meta.json").read_text())
    assert meta["stats"]["numSamples"] == 2 * len(truth(FIRST, YESTERDAY))


def test_blocks_and_the_file_are_both_written(runner: Runner, tmp_path: Path) -> None:
    promtool = write_promtool(tmp_path)
    assert runner.run(tsdb=runner.folder / "new", promtool=promtool) == 0
    assert runner.left == {"h.om", "new"}
    assert runner.values() == truth(FIRST, YESTERDAY)


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        ("sys.exit(3)", "failed with status 3 (a line of promtool): run again with --resume"),
        ("os.kill(os.getpid(), 9)", "failed with signal 9 (a line of promtool): run again"),
        ("moments.pop()", "the blocks hold 655 samples"),
        ("moments[0] -= 5", "and 656 from 1788220800 to 1795262400 were written"),
        ("sys.exit(0)", "the blocks hold 0 samples from None to None"),
    ],
)
def test_a_promtool_that_fails_leaves_no_block(
    tamper: str, sentence: str, runner: Runner, tmp_path: Path
) -> None:
    """No block gets to its place, and the next run goes on from the rows."""
    promtool = write_promtool(tmp_path, tamper)
    with pytest.raises(BackfillError) as caught:
        runner.run(file=None, tsdb=runner.folder, promtool=promtool)
    assert sentence in str(caught.value)
    assert runner.left == {"scaleengine-backfill.partial"}
    write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool, resume=True) == 0
    assert (runner.left, runner.simulator.request_count) == ({"01BLOCK"}, 3)


def test_a_promtool_that_cannot_be_run_is_named(runner: Runner, tmp_path: Path) -> None:
    program = tmp_path / "promtool"
    program.write_text("no program")
    program.chmod(0o755)
    with pytest.raises(BackfillError, match=r"promtool cannot be run \(Exec format error\)"):
        runner.run(file=None, tsdb=runner.folder, promtool=str(program))


def test_an_interrupt_ends_a_script_that_runs_promtool(runner: Runner, tmp_path: Path) -> None:
    """What the script has started ends too: it would write to the folder later."""
    program, pipe = tmp_path / "promtool", tmp_path / "pipe"
    os.mkfifo(pipe)
    program.write_text(f"#!/bin/sh\nsleep 1000 >{pipe} &\nwait\n")
    program.chmod(0o755)

    with ThreadPoolExecutor(1) as pool:
        # It is open while a process can write to it.
        reading = pool.submit(pipe.read_bytes)
        runner.stop_after = 7  # three windows, and two families of two users
        assert runner.run(file=None, tsdb=runner.folder, promtool=str(program)) == 130
        assert reading.result(timeout=60) == b""


def test_the_folder_for_blocks_is_tried_first(runner: Runner, tmp_path: Path) -> None:
    """Not only when all is collected; what is made there needs no other file system to move to."""
    promtool = write_promtool(tmp_path, "print(work, file=sys.stderr); sys.exit(3)")
    with pytest.raises(BackfillError, match=r"b cannot be written \(No such file or directory\)"):
        runner.run(tsdb=runner.folder / "a" / "b", promtool=promtool)
    assert (runner.left, runner.simulator.request_count) == (set(), 0)
    tsdb = runner.folder / "data"
    with pytest.raises(BackfillError, match=f"{tsdb}/scaleengine-blocks.partial/blocks"):
        runner.run(tsdb=tsdb, promtool=promtool)
    assert (runner.left, list(tsdb.iterdir())) == ({"data", "h.om.partial"}, [])


TWO_BLOCKS = """#!{python}
import json, pathlib, sys, uuid
text, work = sys.argv[-2:]
moments = sorted(int(line.split()[-1]) for line in open(text) if not line.startswith("#"))
half = len(moments) // 2
for part in (moments[:half], moments[half:]):
    block = pathlib.Path(work, uuid.uuid4().hex)
    block.mkdir()
    meta = {{"stats": {{"numSamples": len(part)}}, "minTime": part[0] * 1000,
            "maxTime": part[-1] * 1000 + 1}}
    (block / "meta.json").write_text(json.dumps(meta))
"""


def kill(run: Callable[[], object], function: str, when: Callable[[Path], bool]) -> None:
    """Run in a process of its own, and kill it where it calls a function of a path."""
    with warnings.catch_warnings():
        # The threads of this process wait for requests, and hold nothing that a child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        return
    before = getattr(Path, function)

    def call(path: Path, *given: object, **more: object) -> object:
        if when(path):
            os.kill(os.getpid(), signal.SIGKILL)
        return before(path, *given, **more)

    try:
        setattr(Path, function, call)
        run()
    finally:
        os._exit(1)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(("function", "moved"), [("rename", 0), ("rename", 1), ("unlink", 2)])
def test_a_run_that_was_killed_is_resumed_without_doubled_blocks(
    function: str,
    moved: int,
    resume: bool,  # noqa: FBT001 - a case
    runner: Runner,
    tmp_path: Path,
) -> None:
    """The next run adds no sample a second time; at the end the rows go last, and at once."""
    program, data = tmp_path / "promtool", runner.folder
    program.write_text(TWO_BLOCKS.format(python="/usr/bin/env python3"))
    program.chmod(0o755)

    def run(*, resume: bool = False) -> int:
        return runner.run(file=None, tsdb=data, promtool=str(program), resume=resume)

    def now(path: Path) -> bool:
        there = len(list(data.glob("*/meta.json")))
        return there == moved and (function == "rename" or path.name == "rows.sqlite")

    kill(run, function, now)
    assert len(list(data.glob("*/meta.json"))) == moved
    assert run(resume=resume) == 0
    assert len(list(data.iterdir())) == 2
    read = [json.loads(file.read_bytes()) for file in data.glob("*/meta.json")]
    assert sum(meta["stats"]["numSamples"] for meta in read) == 2 * len(truth(FIRST, YESTERDAY))


@pytest.mark.parametrize("resume", [True, False])
def test_blocks_are_removed_where_the_file_cannot_be_written(
    resume: bool,  # noqa: FBT001 - a case
    runner: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What failed leaves no block, so that the next run adds none a second time."""
    promtool, data = write_promtool(tmp_path), runner.folder / "data"

    def fail(*_: object) -> None:
        assert [path.name for path in data.iterdir() if path.name.startswith("01")] == ["01BLOCK"]
        raise OutputError("no")

    monkeypatch.setattr("exporter.backfill.command.place_file", fail)
    with pytest.raises(BackfillError, match="no"):
        runner.run(tsdb=data, promtool=promtool)
    assert list(data.iterdir()) == []
    monkeypatch.undo()
    assert runner.run(tsdb=data, promtool=promtool, resume=resume) == 0
    assert [path.name for path in data.iterdir()] == ["01BLOCK"]


def test_a_missing_promtool_is_a_usage_error(runner: Runner) -> None:
    with pytest.raises(BackfillUsageError, match="install Prometheus' promtool, or name its path"):
        runner.run(file=None, tsdb=runner.folder, promtool="/nowhere/promtool")
    assert runner.simulator.request_count == 0
