"""Measure scrapes with a password while somebody sends wrong ones, two hundred a second.

Each wrong password is a new one and wants a bcrypt of its own; a core checks some ten or twenty a
second, so they pile up. Meanwhile come the right ones: of a scraper that the exporter knows by now,
and of users whose first scrape this is, which wants a bcrypt too. Every request has a connection of
its own, as with Prometheus, whose scrapes are further apart than a connection is kept.
"""

import argparse
import asyncio
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import bcrypt

from bench.machine import describe, pinned_to, two_cores
from bench.servers import Server, this_exporter

SERIES: Final = 10_000
BCRYPT_COST: Final = 10
WRONG: Final = 200
"""Wrong passwords a second."""
RIGHT: Final = 10
"""Scrapes a second with a right password that was checked before."""
FIRST: Final = 0.5
"""Scrapes a second with a right password that was never checked before."""

_KNOWN: Final = "prometheus"
_PASSWORD: Final = "nobodys-password"  # noqa: S105 - it opens nothing but this benchmark
_RIGHT_KINDS: Final = ("right", "right, first time")
_MOST_MS: Final = 250.0
_LAST_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """A scrape that is due, in seconds from the start, with a user and a password."""

    kind: str
    due: float
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request was answered, and after how many milliseconds."""

    kind: str
    answer: str
    milliseconds: float


def requests_for(seconds: float) -> Iterator[Request]:
    """Give all requests of a measurement that takes so many seconds."""
    for number in range(int(WRONG * seconds)):
        # Half of the guesses are at the user who is there, half at users who are not.
        user = _KNOWN if number % 2 else f"nobody {number}"
        yield Request("wrong", number / WRONG, user, f"guess {number}")
    for number in range(int(RIGHT * seconds)):
        yield Request(_RIGHT_KINDS[0], number / RIGHT, _KNOWN, _PASSWORD)
    for number, user in enumerate(first_users(seconds)):
        yield Request(_RIGHT_KINDS[1], (number + 0.5) / FIRST, user, _PASSWORD)


def first_users(seconds: float) -> list[str]:
    """Return the users who scrape once only."""
    return [f"user {number}" for number in range(int(FIRST * seconds))]


async def attack(server: Server, seconds: float) -> list[Outcome]:
    """Send every request when it is due, whether earlier ones have been answered or not."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        start = time.perf_counter()
        end = start + seconds + _LAST_SECONDS
        sent = (_sent(session, server, each, start, end) for each in requests_for(seconds))
        return await asyncio.gather(*sent)


async def _sent(
    session: aiohttp.ClientSession, server: Server, request: Request, start: float, end: float
) -> Outcome:
    await asyncio.sleep(start + request.due - time.perf_counter())
    began = time.perf_counter()
    try:
        async with asyncio.timeout(end - began):
            answer = await _answer(session, server, request)
    except TimeoutError:
        answer = "none in time"
    except aiohttp.ClientError as error:
        answer = type(error).__name__
    return Outcome(request.kind, answer, (time.perf_counter() - began) * 1e3)


async def _answer(session: aiohttp.ClientSession, server: Server, request: Request) -> str:
    url = f"http://{server.address}/metrics"
    headers = {"Authorization": aiohttp.encode_basic_auth(request.user, request.password)}
    async with session.get(url, headers=headers) as answer:
        await answer.read()
        return str(answer.status)


@contextmanager
def guarded_exporter(seconds: float, core: int) -> Iterator[Server]:
    """Run the exporter with a password for each user; it has seen only the scraper's so far."""
    users = [_KNOWN, *first_users(seconds)]
    hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "web.yaml")
        lines = ["basic_auth_users:", *(f"  {user}: {hashed}" for user in users)]
        file.write_text("\n".join(lines))
        flag = f"--web.config.file={file}"
        with this_exporter(SERIES, core, flag, auth=(_KNOWN, _PASSWORD)) as server:
            yield server


def table(outcomes: list[Outcome]) -> str:
    """Return a row for each kind of request: how many, with which answers, how fast."""
    rows = ["| password | requests | answers | p50 ms | p99 ms | slowest ms |"]
    rows.append("| --- | ---: | --- | ---: | ---: | ---: |")
    for kind in dict.fromkeys(each.kind for each in outcomes):
        of_kind = [each for each in outcomes if each.kind == kind]
        answers = Counter(each.answer for each in of_kind)
        told = ", ".join(f"{count} x {answer}" for answer, count in sorted(answers.items()))
        figures = [f"{_quantile(of_kind, share):,.1f}" for share in (0.5, 0.99, 1.0)]
        rows.append(f"| {kind} | {len(of_kind)} | {told} | {' | '.join(figures)} |")
    return "\n".join(rows)


def targets(outcomes: list[Outcome]) -> str:
    """Return whether the right passwords were answered, and fast enough, for each kind of them."""
    lines = []
    for kind in _RIGHT_KINDS:
        of_kind = [each for each in outcomes if each.kind == kind]
        p99, wanted = _quantile(of_kind, 0.99), f"all answered, p99 under {_MOST_MS:.0f} ms"
        good = p99 < _MOST_MS and all(each.answer == "200" for each in of_kind)
        lines.append(f"- {kind}: {wanted}: {'met' if good else 'MISSED'}, {p99:.1f} ms")
    return "\n".join(lines)


def _quantile(outcomes: list[Outcome], share: float) -> float:
    return sorted(each.milliseconds for each in outcomes)[math.ceil(share * len(outcomes)) - 1]


def main() -> None:
    """Read the command line, measure, and print what was found as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.auth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default: 20)")
    seconds = parser.parse_args().seconds
    cores = two_cores()
    print(describe(cores), end="\n\n", flush=True)
    with guarded_exporter(seconds, cores.server) as server, pinned_to(cores.load):
        outcomes = asyncio.run(attack(server, seconds))
    print(table(outcomes), targets(outcomes), sep="\n\n")


if __name__ == "__main__":
    main()
