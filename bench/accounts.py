"""Measure what 1, 100, 1,000 and 5,000 accounts cost: start, rest, polls and scrapes.

The exporter and the simulated ScaleEngine are processes of their own. Each account has a disk usage
and one path; one account more hangs: the API takes its requests and never sends a response. Between
the first round of polls and the second, the exporter is left alone, and then scraped once a second.
"""

import argparse
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from bench.client import KeptAlive
from bench.machine import cpu_seconds, peak_memory, resident_memory
from bench.walk import LISTENING
from exporter.polling.poller import compute_spread
from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.child import Child
from tests.support.faults import Fault

SIZES: Final = (1, 100, 1_000, 5_000)
HANGING: Final = "hanging"
"""The name of the account whose requests get no response."""

_HANGING_PATH: Final = "sestore9/hangs"
_LATENCY: Final = 0.05
_TIMEOUT: Final = 600.0
_BETWEEN_LOOKS: Final = 0.25
_POLLED: Final = """\
  - name: account-{cdn}
    cdn: {cdn}
    api_key: {key}
    api_secret: {secret}
    disk_usage: {{interval: {interval:g}s}}
    files: {{interval: {interval:g}s, paths: [sestore4/jb]}}
"""
_HANGS: Final = """\
  - name: {name}
    cdn: {cdn}
    api_key: {key}
    api_secret: {secret}
    disk_usage: {{enabled: false}}
    files: {{interval: {interval:g}s, paths: [{path}]}}
"""
_COLUMNS: Final = (
    "accounts",
    "healthy s",
    "all polled s",
    "CPU s until then",
    "threads",
    "RSS MB",
    "peak MB",
    "CPU at rest",
    "CPU ms a poll",
    "late p99 s",
    "CPU ms a scrape",
    "scrape p50 ms",
    "scrape p99 ms",
    "SIGTERM s",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a number of accounts cost.

    ``healthy`` and ``all_polled`` are seconds from the start of the process, ``start_cpu`` the CPU
    seconds until all were polled. ``rest`` is the share of a core while nothing is polled or
    scraped, ``poll_cpu`` and ``scrape_cpu`` the CPU seconds of one, ``late`` the seconds by which
    99 % of the second polls began at most too late. ``scrapes`` are seconds, while accounts were
    polled too; ``stopped`` is how many seconds SIGTERM took.
    """

    accounts: int
    healthy: float
    all_polled: float
    start_cpu: float
    threads: int
    memory: int
    peak: int
    rest: float
    poll_cpu: float
    late: float
    scrape_cpu: float
    scrapes: tuple[float, ...]
    stopped: float

    def row(self) -> str:
        """Return the result as a row of the table."""
        columns = [
            f"{self.accounts:,}",
            f"{self.healthy:.1f}",
            f"{self.all_polled:.1f}",
            f"{self.start_cpu:.1f}",
            f"{self.threads:,}",
            f"{self.memory / 1e6:.0f}",
            f"{self.peak / 1e6:.0f}",
            f"{self.rest:.2%}",
            f"{self.poll_cpu * 1e3:.1f}",
            f"{self.late:.1f}",
            f"{self.scrape_cpu * 1e3:.2f}",
            f"{quantile(self.scrapes, 0.5) * 1e3:.1f}",
            f"{quantile(self.scrapes, 0.99) * 1e3:.1f}",
            f"{self.stopped:.1f}",
        ]
        return f"| {' | '.join(columns)} |"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def measure(accounts: int, interval: float, rest: float) -> Result:
    """Run the exporter with this number of accounts, polled every ``interval`` seconds.

    It is watched at rest for ``rest`` seconds, and then as long while it is scraped. Both must fit
    between two rounds of polls.
    """
    with api(accounts) as simulated, tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(configuration(simulated.url, accounts, interval))
        began = time.monotonic()
        with start_exporter(config, Path(folder)) as exporter:
            watched = _Watched(exporter.pid, exporter.wait_for_line(LISTENING))
            watched.wait_until_healthy()
            healthy = time.monotonic() - began
            with watched.scraped():
                watched.wait_until_polled()
                all_polled = time.monotonic() - began
                start_cpu = cpu_seconds(exporter.pid)
            at_rest = watched.cpu_for(rest) / rest
            with watched.scraped() as seconds:
                scraped_cpu = watched.cpu_for(rest) - at_rest * rest
                scrape_cpu = max(0.0, scraped_cpu) / max(1, len(seconds))
                polls_begin, cpu_before = time.monotonic(), cpu_seconds(exporter.pid)
                simulated.wait_for_second_polls(accounts)
                took = time.monotonic() - polls_begin
                polls_cpu = cpu_seconds(exporter.pid) - cpu_before - at_rest * took
            memory, peak = resident_memory(exporter.pid), peak_memory(exporter.pid)
            terminated = time.monotonic()
            exporter.end()
            return Result(
                accounts=accounts,
                healthy=healthy,
                all_polled=all_polled,
                start_cpu=start_cpu,
                threads=watched.threads,
                memory=memory,
                peak=peak,
                rest=at_rest,
                poll_cpu=polls_cpu / (2 * accounts),
                late=quantile(simulated.lateness(interval), 0.99),
                scrape_cpu=scrape_cpu,
                scrapes=tuple(watched.scrape_seconds),
                stopped=time.monotonic() - terminated,
            )


def configuration(url: str, accounts: int, interval: float) -> str:
    """Return the configuration of this number of accounts, and of one that hangs."""
    text = [f"api: {{url: {url}}}\naccounts:\n"]
    for cdn in range(1, accounts + 1):
        key, secret = credentials(cdn)
        text.append(_POLLED.format(cdn=cdn, key=key, secret=secret, interval=interval))
    last = accounts + 1
    key, secret = credentials(last)
    text.append(
        _HANGS.format(
            name=HANGING, cdn=last, key=key, secret=secret, interval=interval, path=_HANGING_PATH
        )
    )
    return "".join(text)


def credentials(cdn: int) -> tuple[str, str]:
    """Return the key and the secret of an account, as unlike those of others as real ones are."""
    digest = hashlib.sha512(str(cdn).encode()).hexdigest()
    return digest[:32].upper(), digest[64:]


def start_exporter(config: Path, folder: Path) -> Child:
    """Start the exporter; ``folder`` may be written to."""
    # structlog imports rich, and requests chardet, where they are: with the development tools.
    for module in ("rich", "chardet"):
        Path(folder, f"{module}.py").write_text("raise ImportError")
    command = [sys.executable, "-m", "exporter", f"--config.file={config}"]
    command += ["--web.listen-address=127.0.0.1:0", "--log.level=info"]
    return Child(command, environ={"PYTHONPATH": str(folder)})


class _Watched:
    """The exporter as it is seen from outside: its pages, its threads, its CPU time."""

    def __init__(self, process: int, address: str) -> None:
        self._process = process
        self._address = address
        self.threads = 0
        self.scrape_seconds: list[float] = []

    def wait_until_healthy(self) -> None:
        """Wait until the page of the health says so."""
        self._wait_for("/-/healthy", lambda status, _: status == HTTPStatus.OK)

    def wait_until_polled(self) -> None:
        """Wait until all targets but those that hang have been polled."""

        def only_hanging(status: int, text: str) -> bool:
            waiting = [line.split()[0] for line in text.splitlines()[1:]]
            return status == HTTPStatus.OK or set(waiting) <= {HANGING}

        self._wait_for("/-/ready", only_hanging)

    def cpu_for(self, seconds: float) -> float:
        """Return the CPU seconds that the exporter takes in the next ``seconds``."""
        before = cpu_seconds(self._process)
        time.sleep(seconds)
        return cpu_seconds(self._process) - before

    @contextmanager
    def scraped(self) -> Iterator[list[float]]:
        """Scrape once a second until the end of the ``with``; give the seconds of each scrape."""
        over, seconds = threading.Event(), list[float]()

        def scrape() -> None:
            with KeptAlive(self._address, _TIMEOUT) as connection:
                while not over.wait(1.0):
                    began = time.perf_counter()
                    response = connection.get("/metrics", {"Accept-Encoding": "gzip"})
                    if response.status == HTTPStatus.OK:
                        seconds.append(time.perf_counter() - began)
                    self._count_threads()

        scraper = threading.Thread(target=scrape)
        scraper.start()
        try:
            yield seconds
        finally:
            over.set()
            scraper.join()
            self.scrape_seconds += seconds

    def _count_threads(self) -> None:
        status = Path(f"/proc/{self._process}/status").read_text()
        found = re.search(r"^Threads:\s+(\d+)$", status, re.MULTILINE)
        self.threads = max(self.threads, int(found[1]) if found else 0)

    def _wait_for(self, path: str, condition: Callable[[int, str], bool]) -> None:
        deadline = time.monotonic() + _TIMEOUT
        with KeptAlive(self._address, _TIMEOUT) as connection:
            while time.monotonic() < deadline:
                response = connection.get(path, {})
                self._count_threads()
                if condition(response.status, response.body.decode()):
                    return
                time.sleep(_BETWEEN_LOOKS)
        raise SystemExit(f"{path} has not come true after {_TIMEOUT:.0f} s")


class _Api:
    """The simulated ScaleEngine in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read()

    def times(self) -> Mapping[str, Sequence[float]]:
        """Return when each target of each account was requested, in unix seconds."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write("times\n")
        self._process.stdin.flush()
        times: Mapping[str, Sequence[float]] = json.loads(self._read())
        return times

    def wait_for_second_polls(self, accounts: int) -> None:
        """Wait until each target but those that hang was requested twice."""
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            times = self.times()
            if sum(len(requested) > 1 for requested in times.values()) >= 2 * accounts:
                return
            time.sleep(1.0)
        raise SystemExit(f"not all were polled again after {_TIMEOUT:.0f} s")

    def lateness(self, interval: float) -> list[float]:
        """Return by how many seconds each second poll began later than it had to, or 0."""
        times = self.times().values()
        due = min(requested[0] for requested in times) + interval + compute_spread(len(times))
        return [max(0.0, requested[1] - due) for requested in times if len(requested) > 1]

    def _read(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return self._process.stdout.readline().strip()


@contextmanager
def api(accounts: int) -> Iterator[_Api]:
    """Simulate this number of accounts, and one that hangs, in a process of its own."""
    command = [sys.executable, "-m", "bench.accounts", f"--simulate={accounts}"]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Api(process)
        finally:
            process.kill()


def simulate(accounts: int) -> None:
    """Simulate the accounts until standard input ends; write times of requests when asked to."""
    storage = Folder()
    for number in range(3):
        storage.add(f"sestore4/jb/{number}.mp4", FileType.VIDEO)
    usage = steady_usage({"web": 10**12, "archive": 10**13})
    simulated = [
        SimulatedAccount(cdn, *credentials(cdn), usage, storage) for cdn in range(1, accounts + 2)
    ]
    hangs = FaultRule(Fault.HANG, path=_HANGING_PATH)
    with Simulator(simulated, Behaviour(latency=_LATENCY, faults=(hangs,))) as simulator:
        print(simulator.url, flush=True)
        for _ in sys.stdin:
            times: dict[str, list[float]] = {}
            for request in simulator.requests:
                if request.path != _HANGING_PATH:
                    times.setdefault(f"{request.cdn} {request.command}", []).append(request.time)
            print(json.dumps(times), flush=True)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.accounts", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--interval", type=float, help="seconds; default: 60, 300 from 5,000 on")
    parser.add_argument("--rest", type=float, default=12.0, help="seconds to watch it at rest")
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.simulate is not None:
        with suppress(BrokenPipeError, KeyboardInterrupt):
            simulate(given.simulate)
        return
    print(f"load average before: {os.getloadavg()[0]:.1f}\n")
    print(f"| {' | '.join(_COLUMNS)} |\n|{' ---: |' * len(_COLUMNS)}", flush=True)
    for accounts in given.accounts:
        interval = given.interval or (60.0 if accounts < SIZES[-1] else 300.0)
        print(measure(accounts, interval, given.rest).row(), flush=True)


if __name__ == "__main__":
    main()
