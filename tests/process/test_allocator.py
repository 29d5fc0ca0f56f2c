"""The program runs with the allocator of the C library, which returns memory that is free."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from exporter.process.allocator import use_system_allocator

PROGRAM = """\
import os, sys
print(os.getpid(), os.environ.get("PYTHONMALLOC"), sys.argv[1:], flush=True)
from exporter.process.allocator import use_system_allocator
use_system_allocator()
print("runs", flush=True)
"""


def run(command: Sequence[str | Path], environ: Mapping[str, str]) -> list[str]:
    """Run a command; return the lines of its output."""
    found = subprocess.run(  # noqa: S603 - a program of our own
        command, check=True, capture_output=True, text=True, env=environ
    )
    return found.stdout.splitlines()


def test_the_program_is_started_again_once(tmp_path: Path) -> None:
    """It is the same process, with the same arguments, and as a script it has the same name."""
    script = tmp_path / "program"
    script.write_text(f"#!{sys.executable}\nprint(open('/proc/self/comm').read())\n{PROGRAM}")
    script.chmod(0o755)
    environ = {"PYTHONPATH": str(Path.cwd())}

    name, _, before, again, _, after, runs = run([script, "-a", "b c"], environ)
    process = before.split()[0]
    assert (name, again) == ("program", "program")
    assert before == f"{process} None ['-a', 'b c']"
    assert after == f"{process} malloc ['-a', 'b c']"
    assert runs == "runs"


MAIN = """\
import sys
import exporter.__main__ as program

def start(_):
    raise RuntimeError

program.start_process = start
program.use_system_allocator = lambda: print(*sys.argv[1:])
for arguments in ARGUMENTS:
    sys.argv[1:] = arguments
    try:
        program.main()
    except SystemExit:
        pass
"""


def test_a_command_that_ends_soon_is_started_once() -> None:
    """Only what runs for long, or holds much, is started again."""
    long = [[], ["demo"], ["--config.file=check"], ["backfill", "--demo"]]
    short = [["check"], ["files", "x"], ["healthcheck"], ["--version"], ["demo", "--help"]]
    code = MAIN.replace("ARGUMENTS", repr([*long, *short, ["--config.check"]]))
    assert run([sys.executable, "-c", code], {}) == [" ".join(words) for words in long]


@pytest.mark.parametrize(("options", "value"), [((), "pymalloc"), (("-E",), None)])
def test_a_chosen_allocator_is_kept(options: Sequence[str], value: str | None) -> None:
    """The operator's own variable counts, and an interpreter that ignores it is left alone."""
    environ = {"PYTHONMALLOC": value} if value else {}
    lines = run([sys.executable, *options, "-c", PROGRAM, "x"], environ)
    assert [line.partition(" ")[2] for line in lines] == [f"{value} ['x']", ""]


def test_a_module_is_started_by_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of the interpreter are kept."""
    started: list[tuple[str, Sequence[str], Mapping[str, str]]] = []
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "utf8", "-m", "exporter", "--help"])
    use_system_allocator({"A": "b"}, lambda *given: started.append(given))
    command = [sys.executable, "-X", "utf8", "-m", "exporter", "--help"]
    assert started == [(sys.executable, command, {"A": "b", "PYTHONMALLOC": "malloc"})]


def test_the_program_runs_without_a_restart_where_it_fails() -> None:
    """The program runs on as it is."""

    def refuse(*_: object) -> None:
        raise PermissionError

    use_system_allocator({}, refuse)
