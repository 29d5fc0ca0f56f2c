"""Measure scrapes with a password while an attacker sends hundreds of wrong ones a second.

Each wrong password is a new one and needs a bcrypt of its own. A core checks ten or twenty a
second, so most of them wait. They come from one address, or each from another one of 127.0.0.0/8.

At the same time there are scrapes with the right password. Some are of a user whose password was
right before. Others are the first of their user, and need a bcrypt too: from the address of the
scraper, from another network, or from the addresses of the attack.

Each request has a connection of its own and waits for ten seconds, as a Prometheus does whose
scrapes are further apart than a connection is kept.
"""

import argparse
import asyncio
import math
import random
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt

from bench.machine import describe, pinned_to, two_cores
from bench.servers import Server, this_exporter

SERIES: Final = 10_000
BCRYPT_COST: Final = 10
WRONG: Final = 200
"""Wrong passwords a second, by default."""
RIGHT: Final = 10
"""Scrapes a second with a right password that was checked before."""
FIRST: Final = 0.5
"""Scrapes a second of each kind with a right password that was never checked before."""

_KNOWN: Final = "prometheus"
_PASSWORD: Final = "nobodys-password"  # noqa: S105 - it opens nothing but this benchmark
_RIGHT: Final = "right"
_HERE: Final = "right, first time"
_ELSEWHERE: Final = "right, first time, another network"
_AMONG: Final = "right, first time, among the attack"
_TARGETS: Final = (_RIGHT, _HERE, _ELSEWHERE)
_MOST_MS: Final = 250.0
_TIMEOUT_SECONDS: Final = 10.0
_SCRAPER: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Request:
    """A scrape that is due, in seconds from the start, from an address, of a user."""

    kind: str
    due: float
    source: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The response to a request, and after how many milliseconds it came."""

    kind: str
    response: str
    milliseconds: float


def requests_for(seconds: float, wrong: int, addresses: Callable[[], str]) -> Iterator[Request]:
    """Yield all requests of a measurement that takes this number of seconds."""
    for number in range(int(wrong * seconds)):
        # Half of the guesses are at the user who is there, half at users who are not.
        user = _KNOWN if number % 2 else f"nobody {number}"
        yield Request("wrong", number / wrong, addresses(), user, f"guess {number}")
    for number in range(int(RIGHT * seconds)):
        yield Request(_RIGHT, number / RIGHT, _SCRAPER, _KNOWN, _PASSWORD)
    sources = {_HERE: lambda: _SCRAPER, _ELSEWHERE: lambda: "::1", _AMONG: addresses}
    for place, (kind, source) in enumerate(sources.items()):
        for number, user in enumerate(first_users(kind, seconds)):
            due = (number + (place + 1) / len(sources)) / FIRST
            yield Request(kind, due, source(), user, _PASSWORD)


def first_users(kind: str, seconds: float) -> list[str]:
    """Return the users who scrape once only."""
    return [f"{kind} {number}" for number in range(int(FIRST * seconds))]


async def attack(server: Server, requests: Iterator[Request]) -> list[Outcome]:
    """Send every request when it is due, without waiting for earlier responses."""
    start = time.perf_counter()
    return await asyncio.gather(*(_sent(server, request, start) for request in requests))


async def _sent(server: Server, request: Request, start: float) -> Outcome:
    await asyncio.sleep(start + request.due - time.perf_counter())
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            response = await _request_status(server, request)
    except TimeoutError:
        response = "none in time"
    except OSError as error:
        response = type(error).__name__
    return Outcome(request.kind, response, (time.perf_counter() - began) * 1e3)


async def _request_status(server: Server, request: Request) -> str:
    """Make a request from its address; return the status."""
    port = server.address.rpartition(":")[2]
    host = request.source if ":" in request.source else "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, port, local_addr=(request.source, 0))
    try:
        credentials = b64encode(f"{request.user}:{request.password}".encode()).decode()
        head = ("GET /metrics HTTP/1.1", "Host: bench", f"Authorization: Basic {credentials}")
        writer.write("\r\n".join((*head, "Connection: close", "", "")).encode())
        status = await reader.readline()
        while await reader.read(1 << 20):
            pass
    finally:
        writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return status.decode().split()[1] if status else "none"


@contextmanager
def guarded_exporter(seconds: float, core: int) -> Iterator[Server]:
    """Run the exporter with a password for each user; only the scraper's was checked before."""
    kinds = (_HERE, _ELSEWHERE, _AMONG)
    users = [_KNOWN, *(user for kind in kinds for user in first_users(kind, seconds))]
    hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "web.yaml")
        lines = ["basic_auth_users:", *(f"  {user}: {hashed}" for user in users)]
        file.write_text("\n".join(lines))
        flag = f"--web.config.file={file}"
        auth = (_KNOWN, _PASSWORD)
        with this_exporter(SERIES, core, flag, auth=auth, listen=":0") as server:
            yield server


def table(outcomes: list[Outcome]) -> str:
    """Return a row for each kind of request: how many, with which responses, how fast."""
    rows = ["| password | requests | responses | p50 ms | p99 ms | slowest ms |"]
    rows.append("| --- | ---: | --- | ---: | ---: | ---: |")
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        responses = Counter(outcome.response for outcome in of_kind)
        statuses = ", ".join(
            f"{count} x {response}" for response, count in sorted(responses.items())
        )
        figures = [f"{_quantile(of_kind, share):,.1f}" for share in (0.5, 0.99, 1.0)]
        rows.append(f"| {kind} | {len(of_kind)} | {statuses} | {' | '.join(figures)} |")
    return "\n".join(rows)


def targets(outcomes: list[Outcome]) -> str:
    """Return whether each kind of right password was served, and fast enough."""
    lines = []
    for kind in _TARGETS:
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        p99, wanted = _quantile(of_kind, 0.99), f"all served, p99 under {_MOST_MS:.0f} ms"
        good = p99 < _MOST_MS and all(outcome.response == "200" for outcome in of_kind)
        lines.append(f"- {kind}: {wanted}: {'met' if good else 'MISSED'}, {p99:.1f} ms")
    return "\n".join(lines)


def _quantile(outcomes: list[Outcome], share: float) -> float:
    return sorted(outcome.milliseconds for outcome in outcomes)[
        math.ceil(share * len(outcomes)) - 1
    ]


def main() -> None:
    """Read the command line, measure, and print what was found as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.auth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default: 20)")
    parser.add_argument("--wrong", type=int, default=WRONG, help="a second (default: 200)")
    parser.add_argument("--many", action="store_true", help="each from an address of its own")
    arguments = parser.parse_args()
    rng = random.Random(1)  # noqa: S311 - it makes up addresses

    def addresses() -> str:
        return f"127.{'.'.join(str(rng.randrange(1, 255)) for _ in range(3))}"

    source = addresses if arguments.many else lambda: "127.9.9.9"
    requests = requests_for(arguments.seconds, arguments.wrong, source)
    cores = two_cores()
    print(describe(cores), end="\n\n", flush=True)
    with guarded_exporter(arguments.seconds, cores.server) as server, pinned_to(cores.load):
        outcomes = asyncio.run(attack(server, requests))
    print(table(outcomes), targets(outcomes), sep="\n\n")


if __name__ == "__main__":
    main()
