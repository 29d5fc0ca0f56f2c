"""Attacks by requests: each function runs one, in a process of its own."""

import asyncio
import base64
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Final

from bench.hostile.program import PASSWORD, USER, Victim, web_config_text
from bench.hostile.sending import (
    GRACEFUL,
    ONE_ADDRESS,
    TIMEOUT,
    Finding,
    address_of_many,
    connect,
    exchange,
    raise_descriptors,
    repeat,
    run_in_turns,
    show_counts,
    start_at_rate,
    status_of,
)
from bench.machine import cpu_seconds

_QUIET_SECONDS: Final = 4.0
_MAX_CPU_SECONDS: Final = 120.0

_GET: Final = b"GET / HTTP/1.1\r\nHost: h\r\n"
_EARLY: Final = {
    "Expect: not ASCII": b"GET / HTTP/1.1\r\nHost: h\r\nExpect: \xff\r\n\r\n",
    "Expect: unknown": b"GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
    "Expect: 100-continue": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
    b"Expect: 100-continue\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x00\xff\r\n\r\n",
    "bad length": _GET + b"Content-Length: -1\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "bad gzip": _GET + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "upgrade": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "CONNECT": b"CONNECT \xff:1 HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "bad URL": b"GET http://[::1/ HTTP/1.1\r\nHost: [\r\n\r\n",
    "two passwords": b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eA==\r\n"
    b"Authorization: Basic eA==\r\n\r\n",
    "bad password": b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic \xff\r\n\r\n",
}


def flood_before_authentication(victim: Victim, seconds: float) -> Finding:
    """Send requests that are refused before, or by, authentication, as fast as possible."""
    statuses: Counter[tuple[str, str]] = Counter()
    requests = list(_EARLY.items())
    turns = count()

    async def send() -> None:
        name, sent = requests[next(turns) % len(requests)]
        statuses[name, status_of(await exchange(victim, ONE_ADDRESS, sent, 1.0))] += 1

    asyncio.run(repeat(32, seconds, send))
    let_in = {name for name, status in statuses if status.startswith("2")}
    failed = {name for name, status in statuses if status.startswith("5")}
    broken = [f"HTTP 500 for {name}" for name in sorted(failed)]
    broken += [f"HTTP 200 for {name}" for name in sorted(let_in)]
    return Finding(f"{statuses.total()} requests of {len(requests)} types", tuple(broken))


def send_cross_site_reloads(victim: Victim, seconds: float) -> Finding:  # noqa: ARG001 - once each
    """Ask for a reload as a web page elsewhere would."""
    fields = {
        "Origin": b"Origin: https://evil.example\r\n",
        "null Origin": b"Origin: null\r\n",
        "Sec-Fetch-Site": b"Sec-Fetch-Site: cross-site\r\n",
        "same-site": b"Sec-Fetch-Site: same-site\r\n",
    }
    statuses = {}
    for name, field in fields.items():
        sent = b"POST /-/reload HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n"
        received = asyncio.run(exchange(victim, ONE_ADDRESS, sent + field + b"\r\n", TIMEOUT))
        statuses[name] = status_of(received)
    broken = tuple(f"{name}: {status}" for name, status in statuses.items() if status != "403")
    return Finding(", ".join(f"{name}: {status}" for name, status in statuses.items()), broken)


def spend_rate_limit(victim: Victim, seconds: float) -> Finding:
    """Send two hundred requests a second without a password."""
    statuses: Counter[str] = Counter()

    async def send() -> None:
        sent = b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        statuses[status_of(await exchange(victim, ONE_ADDRESS, sent, 2.0))] += 1

    asyncio.run(start_at_rate(200, seconds, send))
    return Finding(show_counts(statuses))


def leave_filters(victim: Victim, seconds: float) -> Finding:  # noqa: ARG001 - by number
    """Ask 2,000 times for one large family and another name, and leave at once."""
    numbers = count()

    async def leave() -> None:
        names = b"name[]=scaleengine_folder_files&name[]=x%d" % next(numbers)
        request = b"GET /metrics?%s HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n" % names
        with await connect(victim, ONE_ADDRESS) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, GRACEFUL)
            await asyncio.get_running_loop().sock_sendall(connection, request)

    return _measure_cpu(victim, partial(run_in_turns, leave, 2000, 50), 10.0)


def flood_reloads(victim: Victim, seconds: float) -> Finding:  # noqa: ARG001 - by number
    """Ask 3,000 times for a reload, a hundred at once, and leave after a second."""
    request = (
        b"POST /-/reload HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    statuses: Counter[str] = Counter()

    async def ask() -> None:
        statuses[status_of(await exchange(victim, ONE_ADDRESS, request, 1.0))] += 1

    found = _measure_cpu(victim, partial(run_in_turns, ask, 3000, 100), 20.0)
    began = time.monotonic()
    status = status_of(asyncio.run(exchange(victim, "127.0.0.1", request, 30.0)))
    took = f"an honest reload afterwards: {status} after {time.monotonic() - began:.1f} s"
    broken = found.broken if status == "200" else (*found.broken, took)
    return Finding(f"{found.text}; {show_counts(statuses)}; {took}", broken)


def _measure_cpu(
    victim: Victim, attack: Callable[[], Coroutine[None, None, None]], most: float
) -> Finding:
    """Return the CPU seconds that the attack cost, until the exporter is at rest again."""
    began = before = cpu_seconds(victim.process)
    deadline = time.monotonic() + _MAX_CPU_SECONDS
    asyncio.run(attack())
    while time.monotonic() < deadline:
        before = cpu_seconds(victim.process)
        time.sleep(_QUIET_SECONDS)
        if cpu_seconds(victim.process) - before < _QUIET_SECONDS / 10:
            break
    spent = cpu_seconds(victim.process) - began
    broken = () if spent <= most else (f"{spent:.0f} s of CPU, more than {most:.0f}",)
    return Finding(f"{spent:.1f} s of CPU", broken)


def guess_passwords(victim: Victim, seconds: float) -> Finding:
    """Guess 800 passwords a second from as many addresses, while new users scrape."""
    statuses: Counter[str] = Counter()
    first: dict[str, list[float]] = {"127.0.0.1": [], "127.0.0.9": []}
    numbers = random.Random(7)  # noqa: S311 - guesses are no secret
    users = iter(victim.setup.users)

    async def guess() -> None:
        user = USER if numbers.random() < 0.5 else "nobody"  # noqa: PLR2004 - half of them
        sent = _scrape_as(user, f"guess {numbers.random()}")
        seconds_each = numbers.choice([0.05, 2.0])
        statuses[status_of(await exchange(victim, address_of_many(), sent, seconds_each))] += 1

    async def scrape_first(source: str) -> None:
        sent = _scrape_as(next(users), PASSWORD)
        began = time.monotonic()
        status = "none"
        while status != "200" and time.monotonic() < began + 60:
            with suppress(OSError):
                status = status_of(await exchange(victim, source, sent, TIMEOUT))
            await asyncio.sleep(0.2)
        first[source].append(time.monotonic() - began)

    async def attack() -> None:
        flood = asyncio.create_task(start_at_rate(800, seconds, guess))
        await asyncio.sleep(seconds / 4)
        tasks = []
        for _ in range(int(seconds // 4)):
            tasks += [asyncio.create_task(scrape_first(source)) for source in first]
            await asyncio.sleep(2)
        await asyncio.gather(flood, *tasks)

    raise_descriptors()
    asyncio.run(attack())
    slowest = {source: max(took, default=0.0) for source, took in first.items()}
    broken = [
        f"first scrape of {source} took {took:.1f} s"
        for source, took in slowest.items()
        if took > TIMEOUT
    ]
    text = ", ".join(
        f"first scrape from {source}: {took:.1f} s" for source, took in slowest.items()
    )
    return Finding(f"{text}; guesses: {show_counts(statuses)}", tuple(broken))


def _scrape_as(user: str, password: str) -> bytes:
    token = base64.b64encode(f"{user}:{password}".encode())
    return (
        b"GET /metrics?name[]=scaleengine_up HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        b"Authorization: Basic " + token + b"\r\n\r\n"
    )


def truncate_web_config(victim: Victim, seconds: float) -> Finding:
    """Write the web config file in place, again and again, and ask without a password."""
    path = victim.folder / "web.yml"
    whole = web_config_text(victim.setup)
    statuses: Counter[str] = Counter()
    parts = ["", whole[: len(whole) // 3], "# a comment\n", whole]

    async def rewrite() -> None:
        deadline = time.monotonic() + seconds
        for number in count():
            if time.monotonic() > deadline:
                break
            path.write_text(parts[number % len(parts)])
            await asyncio.sleep(0.01)
        path.write_text("")  # and once for longer than any look takes
        await asyncio.sleep(5)
        path.write_text(whole)

    async def ask() -> None:
        sent = b"GET /metrics?name[]=x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        statuses[status_of(await exchange(victim, ONE_ADDRESS, sent, 2.0))] += 1

    async def attack() -> None:
        await asyncio.gather(rewrite(), repeat(4, seconds + 5, ask))

    asyncio.run(attack())
    broken = (f"{statuses['200']} requests without a password got in",) if statuses["200"] else ()
    return Finding(show_counts(statuses), broken)
