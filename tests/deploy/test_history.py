"""The two scripts of compose.yaml that give Prometheus a history."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "history"
PROMTOOL = which("promtool")


class Stack:
    """The folders of a stack, and programs in the place of those of its images."""

    def __init__(self, folder: Path) -> None:
        self.history = folder / "history"
        self.tsdb = folder / "tsdb"
        self.programs = folder / "bin"
        for made in (self.history, self.tsdb, self.programs):
            made.mkdir()
        self.write("scaleengine-exporter", f'exec {sys.executable} -m exporter "$@"')

    def write(self, name: str, text: str) -> None:
        program = self.programs / name
        program.write_text(f'#!/bin/sh\necho "$0" >>{self.history}/calls\n{text}\n')
        program.chmod(0o755)

    def run(self, script: str, backfill: str, status: int = 0) -> str:
        """Run a script; return what it shows. It ends with 0, also after a failure."""
        environ = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "BACKFILL": backfill,
            "HISTORY": str(self.history),
            "TSDB": str(self.tsdb),
            "SCALEENGINE_CDN": "",
        }
        done = subprocess.run(  # noqa: S603 - a script of this project
            ["/bin/sh", str(FOLDER / script)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stderr

    @property
    def calls(self) -> int:
        """Return how often a program was called."""
        file = self.history / "calls"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Return an empty stack."""
    return Stack(tmp_path)


def test_without_a_first_day_no_history_is_made(stack: Stack) -> None:
    stack.run("collect.sh", "")
    stack.run("blocks.sh", "")
    assert (stack.calls, list(stack.tsdb.iterdir())) == (0, [])


@pytest.mark.skipif(PROMTOOL is None and not os.environ.get("CI"), reason="there is no promtool")
def test_the_demo_has_a_history(stack: Stack) -> None:
    """It is made once, and again only when something else is asked for."""
    for _ in range(2):
        stack.run("collect.sh", "--demo --from=40d")
        stack.run("blocks.sh", "")
    assert stack.calls == 1
    blocks = {path.name for path in stack.tsdb.iterdir() if path.is_dir()}
    assert blocks
    labels = '{account="demo",cpu_user="series",instance="exporter:10058",job="scaleengine"}'
    assert f"scaleengine_disk_usage_bytes{labels} " in (stack.history / "history.om").read_text()


def test_a_failure_does_not_prevent_the_start(stack: Stack) -> None:
    stack.write("scaleengine-exporter", f'echo "$@" >{stack.history}/flags; exit 1')
    assert "there is no history" in stack.run("collect.sh", "--from=1y --to=2026-01-31")
    *_, last_end = re.findall(r"--to=(\S+)", (stack.history / "flags").read_text())
    assert last_end == "2026-01-31", "the last flag wins"
    stack.run("blocks.sh", "")
    stack.run("collect.sh", "--from=1y")
    assert stack.calls == 2
    (stack.history / "asked").write_text("x")
    stack.write("promtool", 'for work; do :; done; mkdir "$work/01HALF"; exit 1')
    assert "there is no history" in stack.run("blocks.sh", "")
    assert list(stack.tsdb.iterdir()) == []


@pytest.mark.parametrize("moves", range(4))
def test_blocks_are_not_doubled_after_a_kill(stack: Stack, moves: int) -> None:
    """The next start moves the rest: no block is made a second time."""
    (stack.history / "asked").write_text("x")
    stack.write("promtool", 'for work; do :; done; mkdir "$work/01A" "$work/01B"')
    kill = f'[ "$(grep -c mv {stack.history}/calls)" -le {moves} ] || kill -9 $PPID'
    stack.write("mv", f'{kill} && exec {which("mv")} "$@"')
    stack.run("blocks.sh", "", status=-9)
    (stack.programs / "mv").unlink()
    made = moves > 0
    stack.write(
        "promtool", "exit 1" if made else 'for work; do :; done; mkdir "$work/01A" "$work/01B"'
    )
    stack.run("blocks.sh", "")
    assert {path.name for path in stack.tsdb.iterdir()} == {"01A", "01B", "history-asked"}
    assert (stack.tsdb / "history-asked").read_text() == "x\n"
