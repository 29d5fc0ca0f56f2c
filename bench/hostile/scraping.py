"""Honest scrapes during an attack, each on a new connection, as the first of a Prometheus."""

import base64
import http.client
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from bench.hostile.program import PASSWORD, USER, Victim

TIMEOUT = 10.0
"""Seconds that a scrape may take: Prometheus' default."""


@dataclass(slots=True)
class Scrapes:
    """The seconds until each response, and why other scrapes got none."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Return how many there were."""
        return len(self.seconds) + len(self.failures)

    def milliseconds(self, share: float) -> float:
        """Return the milliseconds within which this share of the responses came."""
        if not self.seconds:
            return math.inf
        return sorted(self.seconds)[math.ceil(share * len(self.seconds)) - 1] * 1000


def fetch(victim: Victim, path: str, user: str = USER) -> tuple[int, bytes]:
    """Make one honest request; return status and body. Raises OSError and HTTPException."""
    context = victim.tls_context()
    connection = (
        http.client.HTTPConnection("127.0.0.1", victim.port, timeout=TIMEOUT)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", victim.port, timeout=TIMEOUT, context=context)
    )
    fields = {"Accept-Encoding": "gzip"} if path == "/metrics" else {}
    if victim.setup.password:
        token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        fields["Authorization"] = f"Basic {token}"
    with closing(connection):
        connection.request("GET", path, headers=fields)
        response = connection.getresponse()
        return response.status, response.read()


def scrape(victim: Victim, scrapes: Scrapes) -> None:
    """Scrape once and note what came of it."""
    began = time.perf_counter()
    try:
        status, body = fetch(victim, "/metrics")
    except (OSError, http.client.HTTPException) as error:
        scrapes.failures.append(type(error).__name__)
        return
    took = time.perf_counter() - began
    if status != HTTPStatus.OK or not body:
        scrapes.failures.append(f"HTTP {status}")
    elif took > TIMEOUT:
        scrapes.failures.append("took too long")
    else:
        scrapes.seconds.append(took)


@contextmanager
def scraping(victim: Victim, pause: float) -> Iterator[Scrapes]:
    """Scrape again and again until the end of the ``with``."""
    scrapes = Scrapes()
    ended = threading.Event()

    def scrape_on() -> None:
        while not ended.is_set():
            scrape(victim, scrapes)
            ended.wait(pause)

    thread = threading.Thread(target=scrape_on, name="scrapes")
    thread.start()
    try:
        yield scrapes
    finally:
        ended.set()
        thread.join()


def read_samples(victim: Victim, names: Sequence[str]) -> list[str]:
    """Return the samples of these metrics as lines of text. Raises OSError and HTTPException."""
    wanted = "&".join(f"name[]={name}" for name in names)
    _, body = fetch(victim, f"/metrics?{wanted}")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]
