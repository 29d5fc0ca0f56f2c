"""Measure scrapes: this exporter, prometheus_client's own server, a Go exporter and nginx.

Latency and CPU time for each scrape, at 100 to 100,000 series, with and without gzip. Every server
runs on one core, the one client on another. They take turns, so that what else the machine does
hits all alike. nginx serves what the exporter sent as static files: nothing serves it faster.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from bench.machine import Cores, describe, pinned_to, two_cores
from bench.report import GO, LIBRARY, NGINX, OURS, Measured, figures, table, targets
from bench.scraping import ENCODINGS, checked, scrape_for, together
from bench.servers import (
    MissingToolError,
    Server,
    client_python,
    nginx,
    pushgateway,
    this_exporter,
)


@dataclass(frozen=True, slots=True)
class Course:
    """What is measured: at how many series, in how many rounds, with turns of how many seconds."""

    sizes: Sequence[int]
    rounds: int
    turn: float


FULL: Final = Course(sizes=(100, 10_000, 100_000), rounds=4, turn=1.0)
QUICK: Final = Course(sizes=(100, 10_000), rounds=3, turn=0.1)


def measure(series: int, course: Course, cores: Cores) -> Iterator[Measured]:
    """Yield what the servers take for a number of series, once for each encoding."""
    with ExitStack() as stack, pinned_to(cores.load):
        servers, missing = started(series, cores.server, stack)
        cells = [(encoding, name) for encoding in ENCODINGS for name in servers]
        bodies = {
            (encoding, name): checked(servers[name], encoding, series) for encoding, name in cells
        }
        rounds = [
            {
                (encoding, name): scrape_for(course.turn, servers[name], encoding)
                for encoding, name in cells
            }
            for _ in range(course.rounds)
        ]
    for encoding in ENCODINGS:
        found = {
            name: figures(
                bodies[encoding, name], together(scrapes[encoding, name] for scrapes in rounds)
            )
            for name in servers
        }
        yield Measured(series, encoding, found, missing)


def started(
    series: int, core: int, stack: ExitStack
) -> tuple[Mapping[str, Server], Mapping[str, str]]:
    """Start the servers; return them, and for each that this machine lacks, why."""
    ours = stack.enter_context(this_exporter(series, core))
    identity, gzip = (checked(ours, encoding, series) for encoding in ("identity", "gzip"))
    others: dict[str, AbstractContextManager[Server]] = {
        LIBRARY: client_python(series, core),
        GO: pushgateway(series, core),
        NGINX: nginx({"metrics": identity, "metrics.gz": gzip}, core),
    }
    servers, missing = {OURS: ours}, dict[str, str]()
    for name, server in others.items():
        try:
            servers[name] = stack.enter_context(server)
        except MissingToolError as error:
            missing[name] = str(error)
    return servers, missing


def main() -> None:
    """Read the command line, measure, and print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    course = QUICK if parser.parse_args().quick else FULL
    cores = two_cores()
    print(describe(cores), end="\n\n", flush=True)
    measured = [
        measurement for series in course.sizes for measurement in measure(series, course, cores)
    ]
    print(table(measured), end="\n\n")
    print(targets(measured))


if __name__ == "__main__":
    main()
