"""Blocks that promtool makes of a history."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter.backfill.command import BackfillError, BackfillUsageError
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


def test_blocks(runner: Runner, tmp_path: Path) -> None:
    promtool = write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool) == 0
    assert runner.left == {"01BLOCK"}
    meta = json.loads((runner.folder / "01BLOCK" / "meta.json").read_text())
    assert meta["stats"]["numSamples"] == 2 * len(truth(FIRST, YESTERDAY))


def test_blocks_and_the_file(runner: Runner, tmp_path: Path) -> None:
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
def test_a_promtool_that_fails(tamper: str, sentence: str, runner: Runner, tmp_path: Path) -> None:
    """No block gets to its place, and the next run goes on from the rows."""
    promtool = write_promtool(tmp_path, tamper)
    with pytest.raises(BackfillError) as caught:
        runner.run(file=None, tsdb=runner.folder, promtool=promtool)
    assert sentence in str(caught.value)
    assert runner.left == {"scaleengine-backfill.partial"}
    write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool, resume=True) == 0
    assert (runner.left, runner.simulator.call_count) == ({"01BLOCK"}, 3)


def test_a_promtool_that_cannot_be_run(runner: Runner, tmp_path: Path) -> None:
    program = tmp_path / "promtool"
    program.write_text("no program")
    program.chmod(0o755)
    with pytest.raises(BackfillError, match=r"promtool cannot be run \(Exec format error\)"):
        runner.run(file=None, tsdb=runner.folder, promtool=str(program))


def test_interrupted_while_a_script_runs_promtool(runner: Runner, tmp_path: Path) -> None:
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
    assert (runner.left, runner.simulator.call_count) == (set(), 0)
    tsdb = runner.folder / "data"
    with pytest.raises(BackfillError, match=f"{tsdb}/scaleengine-blocks.partial/blocks"):
        runner.run(tsdb=tsdb, promtool=promtool)
    assert (runner.left, list(tsdb.iterdir())) == ({"data", "h.om.partial"}, [])


def test_no_promtool(runner: Runner) -> None:
    with pytest.raises(BackfillUsageError, match="install Prometheus' promtool, or name its path"):
        runner.run(file=None, tsdb=runner.folder, promtool="/nowhere/promtool")
    assert runner.simulator.call_count == 0
