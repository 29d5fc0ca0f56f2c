"""Connections of attackers: from many addresses, many at once, at a rate.

All are to loopback; their number and the time are bounded. Attackers have addresses of their own in
127.0.0.0/8: one, or as many as there are connections.
"""

import asyncio
import random
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from bench.hostile.program import Victim

ONE_ADDRESS: Final = "127.6.6.6"
RESET: Final = struct.pack("ii", 1, 0)
GRACEFUL: Final = struct.pack("ii", 0, 0)
TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What an attack saw, and which promises were broken.

    ``kept`` are the bytes that the exporter may keep, for numbers that it shows from now on.
    """

    text: str
    broken: tuple[str, ...] = ()
    kept: int = 0


def address_of_many() -> str:
    """Return an address of loopback at random, never that of honest clients."""
    numbers = random.Random()  # noqa: S311 - an address is no secret
    return f"127.{numbers.randint(1, 250)}.{numbers.randint(0, 255)}.{numbers.randint(1, 254)}"


def raise_descriptors() -> None:
    """Let this process open as many connections as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def connect(victim: Victim, source: str, buffer: int | None = None) -> socket.socket:
    """Return a connection that ends with a reset. Raises OSError."""
    connection = socket.socket()
    try:
        connection.setblocking(False)  # noqa: FBT003 - socket's own
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        # Linux chooses the port when it connects: else all sources would share one range of them.
        connection.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        connection.bind((source, 0))
        async with asyncio.timeout(TIMEOUT):
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", victim.port))
    except BaseException:
        connection.close()
        raise
    return connection


async def exchange(victim: Victim, source: str, sent: bytes, seconds: float) -> bytes:
    """Send these bytes; return the first of what comes within the time. Raises OSError."""
    loop = asyncio.get_running_loop()
    received = b""
    with await connect(victim, source) as connection, suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            await loop.sock_sendall(connection, sent)
            received = await loop.sock_recv(connection, 65536)
    return received


def status_of(received: bytes) -> str:
    """Return the status of a response, or "none" where nothing, or no HTTP, came."""
    return received[9:12].decode("latin-1") if received.startswith(b"HTTP/1.") else "none"


async def repeat(
    workers: int, seconds: float, work: Callable[[], Awaitable[None]], pause: float = 0.0
) -> None:
    """Let ``workers`` tasks do the work again and again for ``seconds``."""
    deadline = time.monotonic() + seconds

    async def repeat() -> None:
        while time.monotonic() < deadline:
            with suppress(OSError):
                await work()
            await asyncio.sleep(pause)

    tasks = [asyncio.create_task(repeat()) for _ in range(workers)]
    await asyncio.wait(tasks, timeout=seconds + TIMEOUT)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def start_at_rate(
    rate: float, seconds: float, start: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Start ``rate`` tasks a second for ``seconds``, then wait for the tasks to end."""
    tasks: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number in count():
        due = began + number / rate
        if due >= began + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(_without_os_errors(start()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=TIMEOUT)
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _without_os_errors(work: Coroutine[None, None, None]) -> None:
    with suppress(OSError):
        await work


def show_counts(statuses: Counter[str]) -> str:
    """Return how often each status came."""
    return ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))


async def run_in_turns(
    work: Callable[[], Awaitable[None]], times: int, max_concurrency: int
) -> None:
    """Do the work ``times`` times, at most ``max_concurrency`` of them at the same time."""
    numbers = iter(range(times))

    async def run() -> None:
        for _ in numbers:
            with suppress(OSError):
                await work()

    await asyncio.gather(*(run() for _ in range(max_concurrency)))
