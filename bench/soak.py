"""Poll for a month, compressed into minutes, with a fault one time in five; check what is left.

The exporter runs in this process on a clock that runs fast, the simulated ScaleEngine in another
one. Folders and users come and go. It ends with 1 unless memory, threads and descriptors stay
flat, no wrong number is ever published, and all targets are good again after the last fault.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from bench.faults.exporter import Pace, Running, running
from bench.faults.fast_time import FastTime, fast_time
from bench.faults.metrics_observer import Shown
from bench.faults.month import (
    CDNS,
    DAY,
    KEY,
    PATHS,
    SECRET,
    SLOT,
    Slot,
    account_script,
    simulate,
    slots,
)
from bench.faults.tls_proxy import without_proxy
from bench.faults.truth import Truth
from bench.machine import resident_memory
from exporter.config import load
from exporter.polling.targets import Target
from exporter.scaleengine.clock import Clock
from exporter.settings import Settings, build_settings

_START: Final = 1_790_000_000.0
_SEED: Final = "soak"
_PUBLICATIONS: Final = 20.0
_TIMEOUT: Final = 240.0
_LOOK: Final = 0.1
_PARTS: Final = 10
_MOST_DEFECTS: Final = 10
_MEMORY_SHARE, _MEMORY_MIB = 1.10, 5.0
_SPARE_THREADS: Final = 1
_CONCURRENCY: Final = 4
_CONFIGURATION: Final = "api: {{url: '{url}', concurrency: {max_concurrency}}}\naccounts:\n"
_ACCOUNT: Final = """\
  - name: {name}
    cdn: {cdn}
    api_key: {key}
    api_secret_file: secret
    disk_usage: {{interval: 1h}}
    files: {{interval: 15m, paths: [{paths}]}}
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds: MiB of memory, threads, descriptors."""

    memory: float
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Part:
    """A tenth of the time: its last day, what was held all along, what was counted by its end.

    ``most_memory`` are the MiB that were held at some moment.
    """

    day: float
    held: Held
    most_memory: float
    polls: float
    failures: float
    wrong: int


@dataclass(slots=True)
class LogTally:
    """A processor for structlog: it counts the lines by level, and keeps those of defects."""

    levels: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """Count a line, and drop it."""
        self.levels[level] += 1
        if level not in ("debug", "info", "warning") and len(self.defects) < _MOST_DEFECTS:
            self.defects.append(str(event))
        raise structlog.DropEvent


@dataclass(slots=True)
class Machine:
    """What is wrong on the exporter's own machine: its clock, the file of its secret."""

    time: FastTime
    secret: Path
    clock_off: float = 0.0

    @property
    def clock(self) -> Clock:
        """Return the clock of the machine."""
        return Clock(lambda: self.time.now() + self.clock_off, self.time.monotonic, self.time.sleep)

    def apply_faults(self, slot: Slot) -> None:
        """Apply the faults of a slot, and undo others."""
        self.clock_off = slot.clock_off
        if slot.secret_gone:
            self.secret.unlink(missing_ok=True)
        elif not self.secret.exists():
            self.secret.write_text(SECRET)


@dataclass(frozen=True, slots=True)
class Soaked:
    """The results: sentences, and whether each of them holds; ``remarks`` have more."""

    results: Mapping[str, bool]
    remarks: Sequence[str]


def soak(days: float, minutes: float, seed: str = _SEED) -> Soaked:
    """Poll for ``days`` in ``minutes``; print a row for each tenth of them."""
    speed = days * DAY / (minutes * 60)
    with (
        tempfile.TemporaryDirectory() as folder,
        without_proxy(),
        _tallied() as tally,
        _simulator(speed, seed, days) as (url, fast),
    ):
        machine = Machine(fast, Path(folder, "secret"))
        machine.apply_faults(Slot())
        settings = _build_settings(Path(folder), url)
        truths = _truths(settings, seed, days)
        pace = Pace(speed, _PUBLICATIONS)
        with running(settings, truths, machine.clock, pace, seed=0) as exporter:
            parts = list(_watched(machine, exporter, days, slots(seed, days)))
            machine.apply_faults(Slot())
            good = exporter.observer.wait_for(lambda shown: _is_good(shown, truths), _TIMEOUT)
            dead = exporter.list_dead_threads()
    observer = exporter.observer
    results = {
        "memory is flat": _memory_is_flat(parts),
        "threads and descriptors are flat": _rest_is_flat(parts),
        "no wrong number was published": not observer.wrong_count,
        "every target was good again after the last fault": good is not None,
        "no thread ended, and the log has no defect": not dead and not tally.defects,
        "every thread has ended": exporter.ended,
    }
    counted = ", ".join(f"{level} {lines:,}" for level, lines in sorted(tally.levels.items()))
    looked_at = f"publications looked at: {observer.publications:,}; lines of the log: {counted}"
    return Soaked(results, (looked_at, *dead, *observer.wrong, *tally.defects))


@contextmanager
def _tallied() -> Iterator[LogTally]:
    """Count the lines of the log, and write none."""
    before = structlog.get_config()["processors"]
    tally = LogTally()
    structlog.configure(processors=[tally])
    try:
        yield tally
    finally:
        structlog.configure(processors=before)


@contextmanager
def _simulator(speed: float, seed: str, days: float) -> Iterator[tuple[str, FastTime]]:
    """Run the simulator in a process of its own, so that its memory does not count."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    fast = fast_time(speed, _START)
    process = processes.Process(target=simulate, args=(theirs, fast, seed, days), daemon=True)
    process.start()
    try:
        if not ours.poll(_TIMEOUT):
            raise SystemExit("the simulator did not start")
        yield ours.recv(), fast
    finally:
        ours.send("end")
        process.join(_TIMEOUT)


def _build_settings(folder: Path, url: str) -> Settings:
    text = _CONFIGURATION.format(url=url, max_concurrency=_CONCURRENCY)
    for name, paths in PATHS.items():
        counted = ", ".join(f"{{path: {path}, folder_depth: 1}}" for path in paths)
        text += _ACCOUNT.format(name=name, cdn=CDNS[name], key=KEY, paths=counted)
    config = folder / "config.yaml"
    config.write_text(text)
    return build_settings(load(config, {}).config)


def _truths(settings: Settings, seed: str, days: float) -> Mapping[Target, Truth]:
    """Return what will be true at every moment of all the days."""
    truths: dict[Target, Truth] = {}
    for name in PATHS:
        targets = [target for target in settings.targets if target.account == name]
        lived = account_script(name, targets, seed, days)
        lived.advance(days * DAY)
        truths |= lived.holdings.truths
    return truths


def _watched(
    machine: Machine, exporter: Running, days: float, wrong: Sequence[Slot]
) -> Iterator[Part]:
    """Go through the days; give each tenth, and print its row."""
    print(" day  memory MiB  at most  threads  descriptors   polls  failed  wrong", flush=True)
    for number in range(1, _PARTS + 1):
        day = days * number / _PARTS
        samples = []
        while (monotonic := machine.time.monotonic()) < day * DAY:
            machine.apply_faults(wrong[min(int(monotonic / SLOT), len(wrong) - 1)])
            samples.append(_held())
            time.sleep(_LOOK)
        part = _part(day, samples or [_held()], exporter)
        held = part.held
        print(
            f"{part.day:4.1f}  {held.memory:10.1f}  {part.most_memory:7.1f}"
            f"  {held.threads:7}  {held.descriptors:11}"
            f"  {part.polls:6,.0f}  {part.failures:6,.0f}  {part.wrong:5}",
            flush=True,
        )
        yield part


def _held() -> Held:
    """Return what this process holds now (proc(5))."""
    memory = resident_memory(os.getpid()) / 2**20
    return Held(memory, threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))


def _part(day: float, samples: Sequence[Held], exporter: Running) -> Part:
    """Sum a part up: polls come and go with threads and connections, so the least is what stays."""
    held = Held(
        median(sample.memory for sample in samples),
        min(sample.threads for sample in samples),
        min(sample.descriptors for sample in samples),
    )
    shown = exporter.observer.newest
    return Part(
        day,
        held,
        max(sample.memory for sample in samples),
        shown.total("scaleengine_polls_total"),
        shown.total("scaleengine_poll_failures_total"),
        exporter.observer.wrong_count,
    )


def _is_good(shown: Shown, truths: Mapping[Target, Truth]) -> bool:
    return all(
        shown.of_poll("scaleengine_poll_success", target) == 1
        and shown.numbers(target) == truth.newest()
        for target, truth in truths.items()
    )


def _memory_is_flat(parts: Sequence[Part]) -> bool:
    second, last = _quarters(parts)
    before = median(part.held.memory for part in second)
    return max(part.held.memory for part in last) <= before * _MEMORY_SHARE + _MEMORY_MIB


def _rest_is_flat(parts: Sequence[Part]) -> bool:
    """Return whether threads and descriptors have grown only by connections that are kept open."""
    second, last = _quarters(parts)
    spare = _CONCURRENCY * len(PATHS)
    threads = min(part.held.threads for part in last) - max(part.held.threads for part in second)
    descriptors = min(part.held.descriptors for part in last) - max(
        part.held.descriptors for part in second
    )
    return threads <= _SPARE_THREADS and descriptors <= spare


def _quarters(parts: Sequence[Part]) -> tuple[Sequence[Part], Sequence[Part]]:
    """Return the second quarter and the last."""
    return parts[2:5], parts[-3:]


def main() -> int:
    """Read the command line, soak, print the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of real time")
    parser.add_argument("--days", type=float, default=30.0, help="of the exporter's time")
    parser.add_argument("--seed", default=_SEED, help="of changes and faults")
    given = parser.parse_args()
    print(f"{given.days:g} days in {given.minutes:g} minutes, a fault one time in five", flush=True)
    soaked = soak(given.days, given.minutes, given.seed)
    print(*soaked.remarks, sep="\n")
    for sentence, holds in soaked.results.items():
        print(f"{'yes' if holds else 'NO '} {sentence}")
    return int(not all(soaked.results.values()))


if __name__ == "__main__":
    sys.exit(main())
