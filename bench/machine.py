"""The machine that a benchmark runs on: its cores, its tools, the CPU time of its processes."""

import os
import platform
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("aiohttp", "prometheus-client", "bcrypt")
_TOOLS: Final[Mapping[str, str]] = {
    "prometheus-pushgateway": "--version",
    "nginx": "-v",
}
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SEARCH_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers and the core of the load: the same, where there is only one."""

    server: int
    load: int


def two_cores() -> Cores:
    """Return the first and the last core that this process may run on."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(server=allowed[0], load=allowed[-1])


@contextmanager
def pinned_to(core: int) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tool(name: str) -> str | None:
    """Return where a tool is installed, in the folders for root's programs too, or None."""
    return shutil.which(name, path=_SEARCH_PATH)


def said_by(*command: str) -> str:
    """Return what a tool prints about itself, to whichever of its outputs."""
    done = subprocess.run(  # noqa: S603 - a tool that this machine has installed
        command, capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout + done.stderr


def describe(cores: Cores) -> str:
    """Return cores, CPU, Python and versions, as a Markdown list."""
    pinned = f"server on core {cores.server}, load on core {cores.load}"
    if cores.server == cores.load:
        pinned = "server and load share one core: read the ratios with care"
    lines = [
        f"{os.cpu_count()} cores, {_cpu_name()}, {platform.system()} {platform.release()}",
        pinned,
        f"load average before: {os.getloadavg()[0]:.1f}",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        *(f"{name}: {_tool_version(name)}" for name in _TOOLS),
    ]
    return "\n".join(f"- {line}" for line in lines)


def resident_memory(process: int) -> int:
    """Return how many bytes of memory a process holds now (proc(5)); raises OSError without it."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def peak_memory(process: int) -> int:
    """Return the most bytes of memory that a process has held; 0 where it has ended.

    It is what the process has held since it runs its program: that of wait4(2) would include what
    the process held that it was forked from. Raises OSError without the process.
    """
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process, with all its threads and the processes below it.

    User and system time from ``/proc/PID/stat`` (proc(5)), which counts in hundredths of a second;
    what has ended is counted too.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; state is the first field after it.
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since it was listed
        found = int(entry.parent.name)
        parents[found] = int(fields[1])
        ticks[found] = sum(map(int, fields[11:15]))
    return sum(ticks[pid] for pid in ticks if _is_below(pid, process, parents)) / _TICKS


def _is_below(process: int, top: int, parents: Mapping[int, int]) -> bool:
    while process != top:
        if process not in parents:
            return False
        process = parents[process]
    return True


def _cpu_name() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _tool_version(name: str) -> str:
    path = tool(name)
    if path is None:
        return "not installed"
    found = re.search(r"\d+\.\d+\.\d+", said_by(path, _TOOLS[name]))
    return found[0] if found else "of unknown version"
