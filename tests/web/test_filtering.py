"""Requests with ``name[]``: built once for all, one at a time, and only while a client waits."""

import asyncio
import socket
import struct
import threading
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from exporter.metrics.exposition import Body, Exposition
from exporter.web.build_scheduler import MAX_WAITING, BuildScheduler, build_filtered
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web.conftest import Site

T = TypeVar("T")


class SlowExposition:
    """An exposition whose bodies are built when the test lets them, and that knows every name."""

    def __init__(self) -> None:
        self.built: list[tuple[str, ...]] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Return all names."""
        return frozenset(names)

    def text(self, names: Collection[str] | None = None) -> Body:
        """Build a body, when it may end."""
        self.built.append(tuple(sorted(names or ())))
        self.begun.release()
        assert self.may_end.acquire(timeout=TIMEOUT)
        return Body((repr(self.built[-1]).encode(),))

    gzip = text


class Clients:
    """Clients that request bodies of a slow exposition."""

    def __init__(self) -> None:
        self.slow = SlowExposition()
        self.scheduler = BuildScheduler()

    def request(self, *names: str, client: str = "192.0.2.1") -> "asyncio.Task[Body | None]":
        """Request the samples of these names."""
        exposition = cast("Exposition", self.slow)
        return asyncio.create_task(self._build(exposition, names, client))

    async def _build(
        self, exposition: Exposition, names: Collection[str], client: str
    ) -> Body | None:
        return await build_filtered(self.scheduler, exposition, names, gzip=True, client=client)

    async def wait_until_begun(self) -> None:
        """Wait until the next body is being built."""
        await asyncio.to_thread(self.slow.begun.acquire, timeout=TIMEOUT)

    def let_all_end(self) -> None:
        """Let every body be built."""
        self.slow.may_end.release(1000)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test in a loop of its own."""
    return asyncio.run(asyncio.wait_for(work, TIMEOUT))


def test_equal_requests_share_one_body() -> None:
    """However many request the same, in any order of names, it is built once."""

    async def visit() -> None:
        clients = Clients()
        first = clients.request("a", "b")
        await clients.wait_until_begun()
        others = [clients.request(*names) for names in ("ab", "ba", "aab")]
        await asyncio.sleep(0)
        clients.let_all_end()
        assert await asyncio.gather(first, *others) == [Body((b"('a', 'b')",))] * 4
        assert clients.slow.built == [("a", "b")]

    run(visit())


def test_nothing_is_built_for_clients_that_have_left() -> None:
    """What waits is not built once the last of its clients has left; the others get theirs."""

    async def visit() -> None:
        clients = Clients()
        first = clients.request("first")
        await clients.wait_until_begun()
        leaving = [clients.request(name) for name in ("gone", "gone", "shared", "last")]
        staying = [clients.request("shared"), clients.request("last")]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        clients.let_all_end()
        await asyncio.gather(first, *staying)
        assert sorted(clients.slow.built) == [("first",), ("last",), ("shared",)]
        again = await clients.request("gone")
        assert again == Body((b"('gone',)",))

    run(visit())


def test_too_many_requests_displace_those_of_the_busiest_client() -> None:
    """Beyond the limit, requests of the client with most are dropped, and others are served."""

    async def visit() -> None:
        clients = Clients()
        first = clients.request("first")
        await clients.wait_until_begun()
        flood = [clients.request(f"flood {number}") for number in range(2 * MAX_WAITING)]
        await asyncio.sleep(0)
        other = clients.request("other", client="192.0.2.2")
        await asyncio.sleep(0)
        clients.let_all_end()
        assert await first is not None
        assert await other is not None
        bodies = await asyncio.gather(*flood)
        assert bodies.count(None) == MAX_WAITING + 1
        assert len(clients.slow.built) == MAX_WAITING + 1

    run(visit())


def test_a_body_that_cannot_be_built_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients get the error, and the next body is built."""

    async def visit() -> None:
        clients = Clients()
        monkeypatch.setattr(clients.slow, "gzip", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await clients.request("a")
        monkeypatch.undo()
        clients.let_all_end()
        assert await clients.request("a") == Body((b"('a',)",))

    run(visit())


def test_requests_of_clients_that_left_cost_nothing(site: "Site") -> None:
    """Of many requests whose clients have left, those that have not begun cost nothing."""
    slow = SlowExposition()
    site.exposition = lambda: cast("Exposition", slow)

    def connect(name: int) -> socket.socket:
        sock = site.connect()
        sock.sendall(b"GET /metrics?name[]=%d HTTP/1.1\r\nHost: x\r\n\r\n" % name)
        return sock

    def visit() -> int:
        with connect(0):
            assert slow.begun.acquire(timeout=TIMEOUT)
            for number in range(1, 40):
                with connect(number) as sock:
                    # A reset, as by a client that is killed: a mere farewell may come from one
                    # that still reads.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Those came before, so they are noticed before these are served.
            (status,) = {site.ask("/-/ready").status for _ in range(3)}
            slow.may_end.release(1000)
            assert site.ask("/metrics?name[]=last").status == status
        return status

    assert site.serve_while(visit) == 200
    assert slow.built == [("0",), ("last",)]


def test_a_displaced_request_gets_503(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    """The response is 503, and says when to come again."""

    async def build(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(BuildScheduler, "build", build)
    response = site.serve_while(lambda: site.ask("/metrics?name[]=files"))
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert b"name[]" in response.body
