"""Measure publications: all of 1, 100, 1,000 and 5,000 accounts, one poll of one, and no change.

All in one process, without polls or a web server: CPU milliseconds of the publisher alone, and the
size of what it publishes. Each account has a disk usage and a path.
"""

import argparse
import gc
import statistics
import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Final

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, UserUsage
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock

SIZES: Final = (1, 100, 1_000, 5_000)
_POLLS: Final = 50
_DAY: Final = date(2014, 11, 11)


class _Accounts:
    """A number of accounts, whose polls end when a method is called."""

    def __init__(self, number: int) -> None:
        self.names = [f"account-{cdn}" for cdn in range(number)]
        self.targets: dict[str, tuple[Target, ...]] = {
            name: (
                DiskUsageTarget(name, 300.0, 900.0),
                FilesTarget(name, 300.0, 900.0, "sestore4/jb", "video"),
            )
            for name in self.names
        }
        self._clock = Clock()
        self._store = Store([target for targets in self.targets.values() for target in targets])
        numbers = {name: cdn for cdn, name in enumerate(self.names)}
        self._metrics = build_metrics(self._store, numbers, self._clock)
        self.publisher = Publisher(self._metrics, self._store, self._clock, threading.Event())

    def poll(self, name: str, size: int) -> None:
        """Let a good poll of the disk usage of an account end."""
        target, now = self.targets[name][0], self._clock.monotonic()
        usage = DiskUsageSnapshot(
            (UserUsage("web", _DAY, size), UserUsage("archive", _DAY, 2 * size))
        )
        result = PollResult(now, 0.1 + size / 1e6, 1)
        self._metrics.record_exchange(
            Exchange(name, "disk.usage", 0.1, None, accepted=True, skew=0.5)
        )
        self._store.record(target, result, LastGood(usage, now))
        self._metrics.record_poll(target, result)

    def poll_paths(self) -> None:
        """Let a good poll of the path of each account end."""
        for name, (_, target) in self.targets.items():
            now = self._clock.monotonic()
            result = PollResult(now, 0.1, 1)
            self._metrics.record_exchange(Exchange(name, "files.list", 0.1, None, accepted=True))
            self._store.record(target, result, LastGood(FileCounts(3, 1), now))
            self._metrics.record_poll(target, result)


def measure(number: int) -> str:
    """Return a row of the table."""
    accounts = _Accounts(number)
    first = _milliseconds(accounts.publisher.publish)
    accounts.poll_paths()
    for name in accounts.names:
        accounts.poll(name, 10**12)
    everything = _milliseconds(accounts.publisher.publish)
    exposition = accounts.publisher.latest()
    assert exposition is not None  # noqa: S101 - it was published
    text, packed = exposition.text().length, exposition.gzip().length
    one, idle = [], []
    for turn in range(_POLLS):
        accounts.poll(accounts.names[turn * 7 % number], 10**12 + turn)
        one.append(_milliseconds(accounts.publisher.publish))
        idle.append(_milliseconds(accounts.publisher.publish))
    return (
        f"| {number:,} | {text / 1e3:,.0f} | {packed / 1e3:,.1f} | {first:,.1f} "
        f"| {everything:,.1f} | {statistics.median(one):,.2f} | {statistics.median(idle):,.3f} |"
    )


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.publication", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=list(SIZES))
    print("| accounts | KB | KB gzip | first ms | all polled ms | one poll ms | no change ms |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for number in parser.parse_args().accounts:
        print(measure(number), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
