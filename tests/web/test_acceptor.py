"""How many are let in, and who has to go, over real sockets."""

import asyncio
import errno
import gc
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from prometheus_client import Gauge
from structlog.testing import capture_logs

from exporter.web.connection import Connection
from exporter.web.connection_tracker import ConnectionTracker
from tests.support.sentences import THREAD_LIMIT
from tests.support.waiting import TIMEOUT, wait_until

if TYPE_CHECKING:
    from tests.web.conftest import Site

METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVENT = "too many connections, closing some"


def begin_to_read(site: "Site") -> socket.socket:
    sock = site.connect(METRICS)
    assert sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    return sock


def end_of(sock: socket.socket) -> bytes:
    """Return how a line ends: nothing more comes, or it is cut."""
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""


def enlarge(site: "Site") -> None:
    """Make the metrics larger than what buffers hold."""
    Gauge("large", "x" * 20_000_000, registry=site.registry)


def test_the_oldest_connection_is_closed_for_the_next(site: "Site") -> None:
    """The first that waited is cut off for the next, the others stay, and the log says so once."""
    site.max_connections = 3

    def visit() -> None:
        with ExitStack() as stack:
            silent = [stack.enter_context(site.connect()) for _ in range(3)]
            for number in range(2):
                assert site.ask("/-/ready").status == 200
                assert end_of(silent[number]) == b""
                silent.append(stack.enter_context(site.connect()))

    with capture_logs() as events:
        site.serve_while(visit)
    assert events == [
        {
            "event": EVENT,
            "cause": "more than there is room for",
            "log_level": "warning",
        }
    ]


def test_a_slow_client_is_kept_while_others_are_closed(site: "Site") -> None:
    """One who takes long for a request stays, while a hundred from another address come and go."""
    site.max_connections = 10
    first, second = METRICS[:20], METRICS[20:]

    def visit() -> bytes:
        with closing(site.connect(first, "127.0.0.2")) as slow, ExitStack() as stack:
            others = [stack.enter_context(site.connect(first)) for _ in range(100)]
            assert [end_of(sock) for sock in others[:90]] == [b""] * 90
            slow.sendall(second)
            return slow.recv(15, socket.MSG_WAITALL)

    with capture_logs():
        assert site.serve_while(visit) == b"HTTP/1.1 200 OK"


def test_half_open_handshakes_displace_each_other(site: "Site", tls: ssl.SSLContext) -> None:
    """They have a limit of their own, so that their memory has one."""
    site.limits = replace(site.limits, handshakes=2)
    site.tls = tls

    def visit() -> None:
        with ExitStack() as stack:
            silent = [stack.enter_context(site.connect()) for _ in range(5)]
            assert [end_of(sock) for sock in silent[:3]] == [b""] * 3
            silent[3].settimeout(0.2)
            with pytest.raises(TimeoutError):
                end_of(silent[3])

    with capture_logs():
        site.serve_while(visit)


def test_a_slow_reader_is_kept_before_one_that_does_not_read(site: "Site") -> None:
    """Of three responses where two are allowed, one that is not read ends, though it is newer."""
    site.limits = replace(site.limits, responses=2)
    enlarge(site)

    def visit() -> int:
        with closing(begin_to_read(site)) as slow, closing(begin_to_read(site)):
            length = len(slow.recv(8_000_000, socket.MSG_WAITALL))
            assert site.ask("/-/ready").status == 200
            while piece := slow.recv(1 << 20):
                length += len(piece)
                if length >= 20_000_000:
                    break
            return length

    with capture_logs():
        assert site.serve_while(visit) >= 20_000_000


def test_memory_of_many_connections_is_given_back(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, when they are closed; objects in reference cycles are freed too."""
    released: list[str] = []
    looks = threading.Semaphore(0)
    pop_surplus = ConnectionTracker.pop_surplus

    def look(connections: ConnectionTracker[Connection]) -> list[Connection]:
        looks.release()
        return pop_surplus(connections)

    def wait_for_looks() -> None:
        """Wait until the server has counted its connections, and has done what follows from it."""
        while looks.acquire(blocking=False):
            pass
        for _ in range(3):
            assert looks.acquire(timeout=TIMEOUT)

    monkeypatch.setattr(
        "exporter.web.acceptor.release_free_memory", lambda: released.append("free")
    )
    monkeypatch.setattr("exporter.web.acceptor.gc.collect", lambda: released.append("cycles"))
    site.limits = replace(site.limits, release_threshold=3)
    site.timeouts.reap_interval = 0.01
    monkeypatch.setattr(ConnectionTracker, "pop_surplus", look)

    def visit() -> None:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(begin_to_read(site))
            wait_for_looks()
            assert released == []
        deadline = time.monotonic() + TIMEOUT
        while not released and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        wait_for_looks()

    site.serve_while(visit)
    assert released == ["cycles", "free"]


def test_a_lower_limit_closes_connections(site: "Site") -> None:
    """Where the process gets fewer descriptors while it runs, those above the limit go at once."""
    site.max_connections = 6
    site.timeouts.reap_interval = 0.05

    def visit() -> list[bytes]:
        with ExitStack() as stack:
            silent = [stack.enter_context(site.connect()) for _ in range(5)]
            assert site.ask("/-/ready").status == 200  # so that all are in
            site.max_connections = 2
            return [end_of(sock) for sock in silent[:3]]

    with capture_logs() as events:
        assert site.serve_while(visit) == [b""] * 3
    assert [(event["event"], event["cause"]) for event in events] == [
        (EVENT, "the limit has been lowered")
    ]


def test_few_pipelined_requests_are_parsed(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand at once, four are parsed: each takes memory."""
    begun = threading.Event()

    async def wait(_: object, __: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(TIMEOUT)
        return web.Response()

    def visit() -> int:
        with closing(site.connect(METRICS)) as sock:
            assert begun.wait(TIMEOUT)
            (connection,) = (c for c in gc.get_objects() if isinstance(c, Connection))
            transport = connection.transport
            assert isinstance(transport, asyncio.ReadTransport)
            sock.sendall(b"GET / HTTP/1.1\r\nHost:x\r\n\r\n" * 1000)
            wait_until(lambda: not transport.is_reading())
            return len(connection._messages)  # noqa: SLF001 - what it is about

    site.timeouts.shutdown = 0.1
    monkeypatch.setattr("exporter.web.app._Pages.metrics", wait)
    gc.collect()
    assert site.serve_while(visit) == 4


def test_a_scrape_in_flight_is_not_closed(site: "Site") -> None:
    """A scrape in progress is not cut off for connections that come after it and wait."""
    site.max_connections = 3
    enlarge(site)

    def visit() -> int:
        with closing(begin_to_read(site)) as scrape, ExitStack() as stack:
            for _ in range(9):
                stack.enter_context(site.connect())
            assert site.ask("/-/ready").status == 200
            length = 0
            while length < 20_000_000:
                piece = scrape.recv(1 << 20)
                assert piece
                length += len(piece)
            return length

    with capture_logs():
        assert site.serve_while(visit) >= 20_000_000


def test_readers_that_take_nothing_are_closed_for_the_next(site: "Site") -> None:
    """As many readers that do not read as there is room for do not keep the next client out."""
    site.max_connections = 3
    enlarge(site)

    def visit() -> int:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(begin_to_read(site))
            return site.ask("/-/ready").status

    with capture_logs():
        assert site.serve_while(visit) == 200


def test_a_connection_that_is_not_read_is_closed_for_the_next(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection with too many requests is not read any more, and its descriptor is freed."""
    site.max_connections = 1
    begun = threading.Event()

    async def wait(_: object, __: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(TIMEOUT)
        return web.Response()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def visit() -> bool:
        with closing(site.connect(METRICS * 40)) as sock:
            assert begun.wait(TIMEOUT)
            before = descriptors()
            with closing(site.connect()):  # one more here, and one more or none at the server
                assert end_of(sock) == b""
                wait_until(descriptors, lambda number: number <= before + 1)
                return descriptors() == before + 1

    site.timeouts.shutdown = 0.1
    monkeypatch.setattr("exporter.web.app._Pages.metrics", wait)
    with capture_logs():
        assert site.serve_while(visit)


def test_every_phase_has_a_timeout(site: "Site") -> None:
    """A silent client and a slow reader are cut off in time."""
    site.timeouts.reap_interval = 0.05
    enlarge(site)

    def visit() -> int:
        with closing(begin_to_read(site)) as sock, closing(site.connect()) as silent:
            site.timeouts.response = 0.0  # it has begun
            assert end_of(silent) == b""
            length = 0
            try:
                while piece := sock.recv(1 << 20):
                    length += len(piece)
            except ConnectionResetError:
                pass
            return length

    assert site.serve_while(visit) < 20_000_000


class ExhaustedSocket(socket.socket):
    """A socket that fails to accept at first, as often as there are causes."""

    causes: tuple[int, ...] = ()

    def accept(self) -> tuple[socket.socket, object]:
        """Fail, or accept."""
        if self.causes:
            cause, *rest = self.causes
            self.causes = tuple(rest)
            raise OSError(cause, "refused by the test")
        return super().accept()


@pytest.mark.parametrize(
    ("causes", "logged"),
    [
        ((errno.ECONNABORTED,), []),
        ((errno.EMFILE,), ["the system has no room (too many open files)"]),
        ((errno.ENFILE, errno.ENFILE), ["the system has no room (too many open files in system)"]),
    ],
)
def test_accepting_continues_after_a_lack_of_descriptors(
    site: "Site", causes: tuple[int, ...], logged: list[str]
) -> None:
    """Without descriptors it makes room and tries again soon; the log says so once."""
    taken = ExhaustedSocket(fileno=site.sockets.pop().detach())
    taken.causes = causes
    site.sockets = [taken]

    with capture_logs() as events:
        response = site.serve_while(lambda: site.ask("/-/ready"))

    assert response.status == 200
    assert taken.causes == ()
    assert [(event["event"], event["cause"]) for event in events] == [
        (EVENT, cause) for cause in logged
    ]


def test_a_request_without_a_thread_gets_503(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for which no thread can be started gets 503; the log says so once, and why."""

    def visit() -> list[int]:
        monkeypatch.setattr(threading.Thread, "start", fail)
        try:
            return [site.ask("/metrics?name[]=files").status for _ in range(3)]
        finally:
            monkeypatch.undo()

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with capture_logs() as logged:
        assert site.serve_while(visit) == [503] * 3
    assert site.ask is not None
    (event,) = logged
    assert (event["event"], event["log_level"]) == ("request rejected, out of resources", "warning")
    assert str(event["cause"]).startswith(THREAD_LIMIT)
