"""Hostile clients of ``bench.hostile.many_clients``, which connect again after each misbehaviour.

Runs in a process of its own. The address (host:port) comes as the first line of standard input;
counts go as one line of JSON to standard output when the time is over.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

SCRAPE: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
WHOLE: Final = SCRAPE.replace(b"gzip", b"identity")
UNFINISHED: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "
BETWEEN_BYTES: Final = 2.0
BETWEEN_FAILURES: Final = 0.1

Address: TypeAlias = tuple[str, int]
Behaviour: TypeAlias = Callable[["Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """A connection of which only the end is of interest, and how much has come."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = 0
        self.transport = asyncio.Transport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what writes to it."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Count what has come."""
        self.received += len(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """Record that it has ended."""
        if not self.ended.done():
            self.ended.set_result(None)


async def send_slowly(connection: Connection) -> None:
    """Send a header that never ends, a byte at a time."""
    connection.transport.write(UNFINISHED)
    while not connection.ended.done():
        await asyncio.wait([connection.ended], timeout=BETWEEN_BYTES)
        connection.transport.write(b"x")


async def stay(connection: Connection) -> None:
    """Scrape once, and keep the connection as long as the server does."""
    connection.transport.write(SCRAPE)
    await connection.ended


async def leave_early(connection: Connection) -> None:
    """Ask for the metrics, and be gone before they come."""
    connection.transport.write(SCRAPE)
    await asyncio.sleep(0)
    connection.transport.abort()
    await connection.ended


async def stop_reading(connection: Connection) -> None:
    """Ask for the metrics as they are, and take next to nothing of them."""
    connection.transport.write(WHOLE)
    connection.transport.pause_reading()
    await connection.ended


BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "slow": send_slowly,
    "idle": stay,
    "early": leave_early,
    "unread": stop_reading,
}


async def come_again(address: Address, name: str, pause: float, counts: Counter[str]) -> None:
    """Connect and misbehave, again and again, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            _, sock = await loop.create_connection(Connection, *address)
        except OSError:
            counts[f"{name} refused"] += 1
            await asyncio.sleep(BETWEEN_FAILURES)
            continue
        counts[name] += 1
        await BEHAVIOURS[name](sock)
        await asyncio.sleep(pause)


async def run_clients(address: Address, sizes: dict[str, int], pause: float, seconds: float) -> str:
    """Run clients of each kind for some seconds; return the counts of connections as JSON."""
    counts: Counter[str] = Counter()
    clients = [
        asyncio.create_task(come_again(address, name, pause, counts))
        for name, size in sizes.items()
        for _ in range(size)
    ]
    await asyncio.sleep(seconds)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return json.dumps(counts)


def main() -> None:
    """Read the command line and the address, and misbehave."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in BEHAVIOURS:
        parser.add_argument(f"--{name}", type=int, default=0, help="clients of this kind")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before coming again")
    given = parser.parse_args()
    host, _, port = sys.stdin.readline().strip().rpartition(":")
    sizes = {name: getattr(given, name) for name in BEHAVIOURS}
    print(asyncio.run(run_clients((host, int(port)), sizes, given.pause, given.seconds)))


if __name__ == "__main__":
    main()
