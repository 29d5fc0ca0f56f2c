"""Attacks by connections that are held: each function runs one, in a process of its own."""

import asyncio
import resource
import socket
import ssl
import time
from collections import Counter
from contextlib import suppress

from bench.hostile.program import Victim
from bench.hostile.sending import (
    ONE_ADDRESS,
    TIMEOUT,
    Finding,
    address_of_many,
    connect,
    raise_descriptors,
    repeat,
    show_counts,
    start_at_rate,
    status_of,
)


def stop_in_handshake(victim: Victim, seconds: float, *, many: bool = False) -> Finding:
    """Hold 900 TLS handshakes that stop when the server has sent its certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = Counter[str]()

    async def hold() -> None:
        source = address_of_many() if many else ONE_ADDRESS
        with await connect(victim, source) as connection:
            loop = asyncio.get_running_loop()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            handshake = context.wrap_bio(incoming, outgoing)
            with suppress(ssl.SSLWantReadError):
                handshake.do_handshake()
            await loop.sock_sendall(connection, outgoing.read())
            began["begun"] += 1
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(seconds):
                    while await loop.sock_recv(connection, 65536):
                        began["answered"] += 1

    raise_descriptors()
    asyncio.run(repeat(900, seconds, hold, 0.5))
    return Finding(f"{began['begun']} handshakes")


def stop_reading(victim: Victim, seconds: float, *, many: bool = False) -> Finding:
    """Hold 3,000 connections that ask for the metrics four times and read nothing."""
    opened = Counter[str]()
    request = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"

    async def hold() -> None:
        source = address_of_many() if many else ONE_ADDRESS
        with await connect(victim, source, buffer=4096) as connection:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, request * 4)
            opened["opened"] += 1
            await _until_closed(connection, seconds)

    raise_descriptors()
    asyncio.run(repeat(3000, seconds, hold, 2.0))
    return Finding(f"{opened['opened']} connections")


async def _until_closed(connection: socket.socket, seconds: float) -> None:
    """Wait, without reading, until the other side has ended the connection."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        if state[0] != 1:  # TCP_ESTABLISHED
            return


def open_many(victim: Victim, seconds: float, *, many: bool = False) -> Finding:
    """Open 1,300 connections a second that send nothing, while there are slow honest clients."""
    raise_descriptors()
    return asyncio.run(_crowd_out(victim, seconds, 1300, many=many))


def cut_descriptors(victim: Victim, seconds: float) -> Finding:
    """Leave the exporter 512 descriptors, then open 200 connections a second to it."""
    raise_descriptors()
    resource.prlimit(victim.process, resource.RLIMIT_NOFILE, (512, 512))
    return asyncio.run(_crowd_out(victim, seconds, 200, many=True))


async def _crowd_out(victim: Victim, seconds: float, rate: float, *, many: bool) -> Finding:
    honest: Counter[str] = Counter()
    held: Counter[str] = Counter()

    async def hold() -> None:
        with await connect(victim, address_of_many() if many else ONE_ADDRESS) as connection:
            held["opened"] += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    await asyncio.get_running_loop().sock_recv(connection, 1)

    async def scrape_slowly() -> None:
        """Send a request in two halves, 0.8 s apart, as over a bad link."""
        loop = asyncio.get_running_loop()
        received = b""
        try:
            with await connect(victim, "127.0.0.3") as connection:
                await loop.sock_sendall(connection, b"GET /-/healthy HTTP/1.1\r\nHost: h\r\n")
                await asyncio.sleep(0.8)
                await loop.sock_sendall(connection, b"Connection: close\r\n\r\n")
                async with asyncio.timeout(TIMEOUT):
                    received = await loop.sock_recv(connection, 65536)
        except OSError as error:
            honest[type(error).__name__] += 1
        else:
            honest[status_of(received)] += 1

    await scrape_slowly()  # a scraper was there before the attack
    honest.clear()
    await asyncio.gather(
        start_at_rate(rate, seconds, hold), start_at_rate(5, seconds, scrape_slowly)
    )
    served = honest["200"] / max(1, honest.total())
    broken = () if served >= 0.95 else (f"{served:.0%} of slow clients served",)  # noqa: PLR2004
    return Finding(f"{held['opened']} opened; slow clients: {show_counts(honest)}", broken)
