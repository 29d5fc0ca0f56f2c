"""Scrapes succeed while many hostile clients attack a process.

``bench.hostile.many_clients`` measures how fast: here other tests run at the same time.
"""

import asyncio
import http.client
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.support.child import Child
from tests.support.http import connect
from tests.support.waiting import TIMEOUT

END_SECONDS = 20.0
"""Seconds in which it ends, however busy the machine is."""

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
UNFINISHED = SCRAPE.removesuffix(b"\r\n") + b"X-Slow: "


class Exporter:
    """A process that serves metrics of some size with some descriptors."""

    def __init__(self, descriptors: int, size: int) -> None:
        script = Path(__file__).with_name("serve_alone.py")
        self.child = Child([sys.executable, script, str(descriptors), str(size)])
        self.port = int(self.child.wait_for_line("^[0-9]+$"))

    def scrape(self) -> float:
        """Scrape once by a new connection, from an address of its own; return the seconds."""
        began = time.monotonic()
        with closing(
            http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=TIMEOUT, source_address=("127.0.0.2", 0)
            )
        ) as connection:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            assert (response.status, len(response.read())) == (
                200,
                int(response.headers["Content-Length"]),
            )
        return time.monotonic() - began

    def memory(self) -> int:
        """Return how many bytes of memory it holds."""
        pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def descriptors(self) -> int:
        """Return how many descriptors it has open."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))

    def unsent(self) -> int:
        """Return how many bytes the kernel keeps until its clients read them (proc(5), net/tcp)."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        own = [fields for fields in map(str.split, lines) if int(fields[1][-4:], 16) == self.port]
        return sum(int(fields[4].partition(":")[0], 16) for fields in own if fields[3] == "01")

    def end(self) -> tuple[float, list[str]]:
        """End it by SIGTERM; return how many seconds that took, and its log."""
        began = time.monotonic()
        assert self.child.end() == 0
        took = time.monotonic() - began
        port, *logged = self.child.lines
        assert port == str(self.port)
        return took, logged


@pytest.fixture
def start() -> Iterator[Callable[[int, int], Exporter]]:
    """Return what starts an exporter; it is gone when the test is over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for the clients
    with ExitStack() as stack:

        def start_one(descriptors: int, size: int) -> Exporter:
            exporter = Exporter(descriptors, size)
            stack.callback(exporter.child.close)
            return exporter

        yield start_one
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def come_again(port: int, sent: bytes, more: bytes) -> None:
    """Connect, send something and then more every two seconds, and come again when cut off."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with closing(writer):
                writer.write(sent)
                while not reader.at_eof():
                    try:
                        async with asyncio.timeout(2):
                            await reader.read(65536)
                    except TimeoutError:
                        writer.write(more)
        await asyncio.sleep(0.5)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)


async def cut_descriptors_during(exporter: Exporter, sends: list[tuple[bytes, bytes]]) -> None:
    """Leave an exporter 512 descriptors while clients send these, and scrape."""
    clients = [asyncio.create_task(come_again(exporter.port, sent, more)) for sent, more in sends]
    try:
        await until(lambda: exporter.descriptors() > 500)
        resource.prlimit(exporter.child.pid, resource.RLIMIT_NOFILE, (512, 512))
        await until(lambda: exporter.descriptors() < 480)
        for _ in range(5):
            await asyncio.to_thread(exporter.scrape)
            assert exporter.descriptors() < 480
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


def test_scrapes_succeed_with_more_clients_than_descriptors(
    start: Callable[[int, int], Exporter],
) -> None:
    """With 512 descriptors, cut while 700 hold on to theirs, every scrape gets its response."""
    exporter = start(4096, 10_000)
    exporter.scrape()
    sends = [(UNFINISHED, b"x"), (SCRAPE, b"")] * 350

    asyncio.run(cut_descriptors_during(exporter, sends))

    _, logged = exporter.end()
    assert logged  # one line, and another each minute
    for line in logged:
        assert 'level=warning msg="too many connections, closing some"' in line


def test_hundreds_of_slow_clients_delay_no_scrape_and_no_stop(
    start: Callable[[int, int], Exporter],
) -> None:
    """Five hundred unfinished requests delay neither a scrape nor the end."""
    exporter = start(4096, 10_000)
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(connect(exporter.port, UNFINISHED))
        exporter.scrape()
        assert exporter.descriptors() > 500
        took, logged = exporter.end()
    assert took < END_SECONDS
    assert logged == []


def test_readers_that_take_nothing_cost_little_memory(
    start: Callable[[int, int], Exporter],
) -> None:
    """Fifty who take nothing of ten megabytes cost a few pages each, and delay no other client."""
    exporter = start(4096, 10_000_000)
    before = exporter.memory()
    with ExitStack() as stack:
        for _ in range(50):
            sock = stack.enter_context(connect(exporter.port, SCRAPE))
            assert sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
        exporter.scrape()
        grown, unsent = exporter.memory() - before, exporter.unsent()
        took, logged = exporter.end()
    assert grown < 10_000_000
    assert unsent < 50 * 256 * 1024
    assert took < END_SECONDS
    assert logged == []
