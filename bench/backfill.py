"""Measure backfills of a year for 1, 100 and 10,000 CPU users: requests, time and memory.

The simulated ScaleEngine runs in this process, the command as a child whose output is discarded.
Its memory is the largest resident set that the system has counted for it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from bench.machine import peak_memory
from exporter.simulator import SimulatedAccount, Simulator

DAYS: Final = 365
FEWEST: Final = -(-DAYS // 30)
"""Requests for a year, where each gives thirty days."""
MAX_MB: Final = 150.0
"""What a year of ten thousand users may take."""

_KEY: Final = "BENCHKLM0RKQLSP2FBO1ROPKSSW47DZE"
_SECRET: Final = "bench8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b63"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Result:
    """What a run took: requests, seconds until all rows were there and in all, and memory."""

    users: int
    step: str
    requests: int
    seconds_collecting: float
    seconds: float
    memory_mb: float
    samples: int
    bytes_written: int


def main() -> int:
    """Run the benchmark; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--step", default="1h")
    arguments = parser.parse_args()
    print(
        "| users | step | requests | collected in s | all in s | peak MB | samples | MB written |"
    )
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    good = True
    for users in arguments.users:
        result = measure(users, arguments.step)
        good = good and result.requests == FEWEST and result.memory_mb <= MAX_MB
        print(
            f"| {result.users:,} | {result.step} | {result.requests} "
            f"| {result.seconds_collecting:.1f} | {result.seconds:.1f} | {result.memory_mb:.0f} "
            f"| {result.samples:,} | {result.bytes_written / 1e6:,.1f} |",
            flush=True,
        )
    target = "met" if good else "MISSED"
    print(f"\n- {FEWEST} requests for a year, and at most {MAX_MB:.0f} MB of memory: {target}")
    return 0 if good else 1


def measure(users: int, step: str) -> Result:
    """Fill in a year of ``users`` users, and return what that took."""
    names = [f"customer-{number:06}" for number in range(users)]
    account = SimulatedAccount(158, _KEY, _SECRET, lambda day: _usage(names, day))
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator([account]) as simulator,
    ):
        config = Path(folder, "config.yaml")
        # JSON is YAML.
        config.write_text(json.dumps(_config(simulator.url)))
        # structlog imports rich where it is: with the development tools, not with the program.
        Path(folder, "rich.py").write_text("raise ImportError")
        began = time.monotonic()
        log, bytes_written, memory_mb = _run(
            [
                *(sys.executable, "-m", "exporter", "backfill", f"--config.file={config}"),
                *("--output=-", "--from=1y", f"--step={step}", "--log.format=json"),
            ],
            {**os.environ, "PYTHONPATH": folder},
        )
        seconds = time.monotonic() - began
        events = {str(event["msg"]): event for event in map(json.loads, log)}
        collected = _seconds(events["writing"]) - _seconds(events["collecting"])
        return Result(
            users,
            step,
            simulator.request_count,
            collected,
            seconds,
            memory_mb,
            int(events["history written"]["samples"]),
            bytes_written,
        )


def _usage(names: Sequence[str], day: date) -> Mapping[str, int]:
    start = 10**12 + day.toordinal() * 1_000_003
    return {name: start + number for number, name in enumerate(names)}


def _config(url: str) -> object:
    account = {"cdn": 158, "api_key": _KEY, "api_secret": _SECRET, "disk_usage": {}}
    return {
        "api": {"url": url, "requests_per_second": None, "timeout": "5m"},
        "accounts": [account],
    }


def _run(command: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], int, float]:
    """Run the command; return its log, the bytes it wrote, and its largest memory in MB."""
    with subprocess.Popen(  # noqa: S603 - the program is this project's own
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None  # noqa: S101 - for the types: it is a pipe
        assert running.stderr is not None  # noqa: S101
        size, peak = 0, 0
        while piece := os.read(running.stdout.fileno(), 1024 * 1024):
            size += len(piece)
            peak = max(peak, peak_memory(running.pid))
        log = running.stderr.read().decode().splitlines()
    if running.returncode:
        raise SystemExit("\n".join(log))
    return log, size, peak / 1e6


def _seconds(event: Mapping[str, object]) -> float:
    """Return the time of a log line in unix seconds."""
    return datetime.fromisoformat(str(event["ts"])).timestamp()


if __name__ == "__main__":
    raise SystemExit(main())
