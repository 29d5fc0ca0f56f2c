"""Scrapes by one client over one connection that is kept open: their bodies, and their time."""

import gzip
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from bench.client import KeptAlive
from bench.machine import cpu_seconds
from bench.series import NAME
from bench.servers import TIMEOUT, Server

ENCODINGS: Final = ("gzip", "identity")
"""The requested encodings of a body: values of Accept-Encoding."""

_FEWEST: Final = 5
_MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Scrapes of one server: the seconds that each took, and the server's CPU seconds for all."""

    seconds: tuple[float, ...]
    cpu: float

    @property
    def cpu_each(self) -> float:
        """Return the server's CPU seconds for one scrape."""
        return self.cpu / len(self.seconds)

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share of the scrapes got a response."""
        return sorted(self.seconds)[math.ceil(share * len(self.seconds)) - 1]


def together(rounds: Iterable[Scrapes]) -> Scrapes:
    """Return the scrapes of several rounds as one."""
    rounds = tuple(rounds)
    seconds = tuple(second for scrapes in rounds for second in scrapes.seconds)
    return Scrapes(seconds, sum(scrapes.cpu for scrapes in rounds))


def checked(server: Server, encoding: str, series: int) -> bytes:
    """Scrape once and return the body as it was sent; it must hold this number of series."""
    with KeptAlive(server.address, TIMEOUT) as connection:
        body = _scrape(connection, encoding)
    text = gzip.decompress(body) if encoding == "gzip" else body
    found = text.count(f"\n{NAME}{{".encode())
    if found != series:
        raise SystemExit(f"{server.address} served {found} series instead of {series}")
    return body


def scrape_for(seconds: float, server: Server, encoding: str) -> Scrapes:
    """Scrape one after another for a number of seconds: 5 times at least, 2000 at most.

    CPU time is counted in hundredths of a second, so a fast server must be scraped often.
    """
    took: list[float] = []
    with KeptAlive(server.address, TIMEOUT) as connection:
        cpu = cpu_seconds(server.process)
        deadline = time.perf_counter() + seconds
        while len(took) < _FEWEST or (len(took) < _MOST and time.perf_counter() < deadline):
            start = time.perf_counter()
            _scrape(connection, encoding)
            took.append(time.perf_counter() - start)
        return Scrapes(tuple(took), cpu_seconds(server.process) - cpu)


def _scrape(connection: KeptAlive, encoding: str) -> bytes:
    response = connection.get("/metrics", {"Accept-Encoding": encoding})
    got = response.headers.get("content-encoding", "identity")
    if response.status != HTTPStatus.OK or got != encoding:
        raise SystemExit(f"a scrape in {encoding} got {response.status} in {got}")
    return response.body
