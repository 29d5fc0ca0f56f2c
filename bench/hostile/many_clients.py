"""Measure scrapes during attacks by many slow, idle, leaving and never reading clients.

The clients of an attack are a process of ``bench.hostile.clients``, on loopback, for a set time.
The exporter runs as its users run it, with 10,000 series. There are ten scrapes a second, each on a
new connection. In the last attack it has 512 descriptors for twice as many clients.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from bench.client import KeptAlive
from bench.machine import (
    Cores,
    cpu_seconds,
    describe,
    pinned_to,
    resident_memory,
    two_cores,
)
from bench.servers import Server, this_exporter

_SERIES: Final = 10_000
_BETWEEN_SCRAPES: Final = 0.1
_TIMEOUT: Final = 10.0
_FEW: Final = 512


@dataclass(frozen=True, slots=True)
class Attack:
    """How many clients of each kind; ``descriptors`` of the exporter, None for all it can get."""

    name: str
    clients: Sequence[str]
    descriptors: int | None = None


SLOW_AND_IDLE: Final = ("--slow=500", "--idle=500")
ATTACKS: Final = (
    Attack("500 slow, 500 idle", SLOW_AND_IDLE),
    Attack("200 that leave early", ("--early=200",)),
    Attack("50 that do not read", ("--unread=50",)),
    Attack(f"500 slow, 500 idle, {_FEW} descriptors", SLOW_AND_IDLE, _FEW),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scrapes of an attack: the seconds until each response, and the load of the server."""

    sent: int
    seconds: Sequence[float]
    cpu: float
    memory: float
    descriptors: int

    def quantile(self, share: float) -> float:
        """Return the milliseconds within which this share of the responses came."""
        if not self.seconds:
            return math.inf
        return sorted(self.seconds)[math.ceil(share * len(self.seconds)) - 1] * 1000


@contextmanager
def run_clients(
    attack: Attack, core: int, seconds: float, pause: float
) -> Iterator[subprocess.Popen[str]]:
    """Run the clients on one core; they begin when they get the address."""
    command = [sys.executable, "-m", "bench.hostile.clients", *attack.clients]
    command += [f"--seconds={seconds}", f"--pause={pause}"]
    with pinned_to(core):
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def scrape_for(server: Server, seconds: float) -> Outcome:
    """Scrape for this number of seconds, each time on a new connection."""
    took: list[float] = []
    sent = descriptors = 0
    cpu = cpu_seconds(server.process)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sent += 1
        began = time.perf_counter()
        try:
            with KeptAlive(server.address, _TIMEOUT) as connection:
                response = connection.get("/metrics", {"Accept-Encoding": "gzip"})
        except (OSError, ValueError):
            continue
        if response.status == HTTPStatus.OK:
            took.append(time.perf_counter() - began)
        descriptors = max(descriptors, len(list(Path(f"/proc/{server.process}/fd").iterdir())))
        time.sleep(_BETWEEN_SCRAPES)
    cpu = cpu_seconds(server.process) - cpu
    return Outcome(sent, took, cpu, resident_memory(server.process) / 2**20, descriptors)


def measure(attack: Attack, cores: Cores, seconds: float, pause: float) -> None:
    """Run one attack and print a row of the table."""
    with run_clients(attack, cores.load, seconds, pause) as clients:
        if attack.descriptors is not None:
            # The exporter inherits it; the clients, who run already, do not. There is no way back.
            resource.setrlimit(resource.RLIMIT_NOFILE, (attack.descriptors, attack.descriptors))
        with this_exporter(_SERIES, cores.server) as server:
            outcome = scrape_for(server, 2)
            began = outcome.memory
            if clients.stdin is None:
                raise SystemExit("the clients cannot get the address")
            clients.stdin.write(f"{server.address}\n")
            clients.stdin.flush()
            outcome = scrape_for(server, seconds)
        counts, _ = clients.communicate(timeout=_TIMEOUT)
    connections = sum(json.loads(counts).values())
    print(
        f"| {attack.name} | {connections} | {outcome.sent} | {len(outcome.seconds)} "
        f"| {outcome.quantile(0.5):.1f} | {outcome.quantile(0.99):.1f} | {outcome.quantile(1):.1f} "
        f"| {100 * outcome.cpu / seconds:.0f} % | {outcome.memory - began:+.1f} "
        f"| {outcome.descriptors} |",
        flush=True,
    )


def main() -> None:
    """Read the command line, attack, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each attack")
    parser.add_argument(
        "--pause", type=float, default=0.5, help="seconds until a client that was cut off is back"
    )
    given = parser.parse_args()
    cores = two_cores()
    print(describe(cores), end="\n\n")
    print("| attack | connections | scrapes | responses | p50 ms | p99 ms | max ms | CPU", end=" ")
    print("| memory MiB | descriptors |\n|---|---|---|---|---|---|---|---|---|---|")
    for attack in ATTACKS:
        measure(attack, cores, given.seconds, given.pause)


if __name__ == "__main__":
    main()
