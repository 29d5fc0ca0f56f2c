"""Of the addresses of a name, silent ones cost a moment, and never the number."""

import errno
import gc
import inspect
import os
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3.connection
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util.ssltransport import SSLTransport

from exporter.scaleengine.connecting import AddressMemory, PeerAddress, connect_first
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import NetworkError, RequestTimeoutError
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timers import TIMERS
from exporter.scaleengine.transport import Endpoint, Transport
from tests.support.fixtures import (
    FindDroppingAddress,
    MakeTransport,
    SendRequest,
    SetAddresses,
    StartServer,
)
from tests.support.sentences import REFUSED_CONNECTION
from tests.support.waiting import wait_until

V4, V6 = socket.AF_INET, socket.AF_INET6
HOSTS = {V4: "127.0.0.1", V6: "::1"}
GOOD = HttpResponse(200, b"{}")
API = "http://api.example/stable/"
LONG = 60.0
"""Seconds that no request of these tests needs, however slow the machine is."""


def respond(sock: socket.socket, _: bytes) -> None:
    """Respond to a request, and end the connection."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    raise ConnectionAbortedError


def at(url: str) -> PeerAddress:
    """Return the address of a server that listens on loopback."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    if ":" in parts.hostname:
        return PeerAddress(V6, (parts.hostname, parts.port, 0, 0))
    return PeerAddress(V4, (parts.hostname, parts.port))


class RecordedConnects:
    """The targets to which connections are begun, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.targets: list[object] = []
        connect = socket.socket.connect

        def note(sock: socket.socket, target: tuple[str, int]) -> None:
            self.targets.append(target)
            connect(sock, target)

        monkeypatch.setattr(socket.socket, "connect", note)


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> RecordedConnects:
    """Note which connections are begun."""
    return RecordedConnects(monkeypatch)


class FakeWatch:
    """Watches over nothing."""

    def watch(self, sock: socket.socket) -> None:
        pass

    def unwatch(self, sock: socket.socket) -> None:
        pass


def descriptors() -> set[Path]:
    """Return the descriptors that are open, except the one that lists them."""
    return {path for path in Path("/proc/self/fd").iterdir() if path.exists()}


@pytest.mark.parametrize("dead", [V4, V6])
@pytest.mark.parametrize("alive", [V4, V6])
def test_a_silent_address_delays_the_next_a_little(
    dropping: FindDroppingAddress,
    listen: StartServer,
    resolving: SetAddresses,
    send: SendRequest,
    dead: int,
    alive: socket.AddressFamily,
) -> None:
    """An address that drops packets delays the next one by a moment, for any address families."""
    good = at(listen(respond, host=HOSTS[alive]))
    resolving(dropping(dead), good)
    began = time.monotonic()

    assert send(API, LONG) == GOOD
    assert time.monotonic() - began < LONG / 2


def test_a_silent_address_after_a_good_one_does_no_harm(
    dropping: FindDroppingAddress, listen: StartServer, resolving: SetAddresses, send: SendRequest
) -> None:
    """A silent address behind a good one does no harm."""
    resolving(at(listen(respond)), dropping())

    assert send(API, LONG) == GOOD


def test_a_silent_address_of_a_proxy_delays_the_next_a_little(
    dropping: FindDroppingAddress,
    listen: StartServer,
    resolving: SetAddresses,
    send: SendRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The addresses of a proxy are tried in the same way."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    resolving(dropping(V6), at(listen(respond)))

    assert send(API, LONG) == GOOD


def test_many_silent_addresses_are_each_tried(
    dropping: FindDroppingAddress, listen: StartServer, resolving: SetAddresses, send: SendRequest
) -> None:
    """However many addresses are silent, each is tried within the time of the request."""
    port = dropping().port
    dead = [PeerAddress(V4, (f"127.0.0.{host}", port)) for host in range(1, 51)]
    resolving(*dead, at(listen(respond)))

    assert send(API, 10.0) == GOOD, "50 times a quarter of a second is more than there is"


def test_the_next_address_is_tried_after_a_refusal(
    closed: str,
    listen: StartServer,
    resolving: SetAddresses,
    send: SendRequest,
    connects: RecordedConnects,
) -> None:
    """After an address that refuses the next one is tried at once."""
    refusing, good = at(f"http://{closed}/"), at(listen(respond))
    resolving(refusing, good)

    assert send(API, LONG) == GOOD
    assert connects.targets == [refusing.target, good.target]


def test_an_address_that_worked_is_tried_first(
    dropping: FindDroppingAddress,
    listen: StartServer,
    resolving: SetAddresses,
    transport: MakeTransport,
    context: RequestContext,
    connects: RecordedConnects,
) -> None:
    """The second request wastes no time with the address that was silent at the first."""
    dead, good = dropping(), at(listen(respond))
    connects.targets.clear()
    resolving(dead, good)
    sender = transport(API, LONG)
    for _ in range(3):
        assert sender.send("{}", context) == GOOD

    assert connects.targets == [dead.target, good.target, good.target, good.target]


def test_an_address_that_accepts_and_fails_is_tried_last(
    listen: StartServer,
    resolving: SetAddresses,
    transport: MakeTransport,
    context: RequestContext,
    connects: RecordedConnects,
) -> None:
    """An address that accepts and does not respond is the last to be tried at the next request."""

    def abort(_: socket.socket, __: bytes) -> None:
        raise ConnectionAbortedError

    bad, good = at(listen(abort)), at(listen(respond))
    resolving(bad, good)
    sender = transport(API, LONG)
    with pytest.raises(NetworkError):
        sender.send("{}", context)
    for _ in range(2):
        assert sender.send("{}", context) == GOOD

    assert connects.targets == [bad.target, good.target, good.target]


def test_an_address_that_became_silent_is_forgotten(
    listen: StartServer,
    resolving: SetAddresses,
    transport: MakeTransport,
    context: RequestContext,
    connects: RecordedConnects,
) -> None:
    """An address that worked is forgotten when a request by it takes too long."""
    requests = 0

    def hang_at_the_second(sock: socket.socket, request: bytes) -> None:
        nonlocal requests
        requests += 1
        if requests == 1:
            respond(sock, request)

    first, second = at(listen(hang_at_the_second)), at(listen(respond))
    resolving(first, second)
    sender = transport(API, 2.0)
    sender.send("{}", context)
    with pytest.raises(RequestTimeoutError):
        sender.send("{}", context)
    assert sender.send("{}", context) == GOOD

    assert connects.targets == [first.target, first.target, second.target]


def test_a_refusal_is_shown_before_a_missing_route(
    closed: str, resolving: SetAddresses, send: SendRequest, connects: RecordedConnects
) -> None:
    """IPv6 that is not there says little; that the other address refuses is what matters."""
    nowhere = PeerAddress(V4, ("255.255.255.255", 9))
    with socket.socket() as sock:
        assert sock.connect_ex(nowhere.target) == errno.ENETUNREACH
    resolving(at(f"http://{closed}/"), nowhere)
    with pytest.raises(NetworkError) as caught:
        send(API)

    assert caught.value.cause == REFUSED_CONNECTION
    assert connects.targets[-1] == nowhere.target


def test_a_missing_route_is_shown_as_the_system_says(
    resolving: SetAddresses, send: SendRequest
) -> None:
    """Where no address has a route, the system's words are shown."""
    resolving(PeerAddress(V4, ("255.255.255.255", 9)))
    with pytest.raises(NetworkError) as caught:
        send(API)

    assert os.strerror(errno.ENETUNREACH) in caught.value.cause


def test_no_descriptor_and_no_thread_is_left(
    dropping: FindDroppingAddress,
    closed: str,
    listen: StartServer,
    resolving: SetAddresses,
    context: RequestContext,
) -> None:
    """No descriptor and no thread is left: of winners, losers, refusals, or at a timeout."""
    port = dropping().port
    dead = [PeerAddress(V4, (f"127.0.0.{host}", port)) for host in range(1, 6)]
    good, refusing = at(listen(respond)), at(f"http://{closed}/")
    gc.collect()
    TIMERS.add(0.0, lambda: None)
    threads = set(threading.enumerate())
    before = descriptors()
    for addresses, timeout in (
        ([*dead, good], LONG),
        ([good, *dead], LONG),
        ([refusing, *dead, good], LONG),
        ([refusing], LONG),
        (dead, 0.3),
    ):
        resolving(*addresses)
        sender = Transport(Endpoint(API, timeout, 2))
        try:
            sender.send("{}", context)
        except (NetworkError, RequestTimeoutError):
            assert good not in addresses
        sender.close()
    gc.collect()

    # The server, which is a part of this process, may still be closing its side.
    wait_until(lambda: descriptors() <= before)
    wait_until(lambda: set(threading.enumerate()) <= threads)


addresses = st.builds(
    lambda family, host: PeerAddress(family, (f"host-{host}", 80)),
    st.sampled_from([V4, V6]),
    st.integers(0, 20),
)


@given(st.lists(addresses, unique=True), st.lists(st.tuples(addresses, st.booleans())))
def test_good_addresses_come_first_and_failed_ones_last(
    found: list[PeerAddress], history: list[tuple[PeerAddress, bool]]
) -> None:
    """Every address is tried once; what worked last comes first, and what failed last is last."""
    memory = AddressMemory()
    memory.sort(sorted({address for address, _ in history}))
    for address, worked in history:
        (memory.record_success if worked else memory.record_failure)(address)
    order = memory.sort(found)

    assert sorted(order) == sorted(found)
    newest = dict(history)
    recent = [address for address, _ in reversed(history) if address in found]
    if recent and newest[recent[0]]:
        assert order[0] == recent[0]
    elif recent:
        assert order[-1] == recent[0]


def test_address_families_alternate() -> None:
    """Of new addresses those of both families take turns, and the resolver's first is the first."""
    six = [PeerAddress(V6, (f"2001:db8::{n}", 80, 0, 0)) for n in range(3)]
    four = [PeerAddress(V4, (f"192.0.2.{n}", 80)) for n in range(2)]

    assert AddressMemory().sort([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert AddressMemory().sort([four[0], six[0]]) == [four[0], six[0]]


def test_addresses_that_a_name_lost_are_forgotten() -> None:
    """What is known of an address is forgotten when the name no longer has it."""
    memory = AddressMemory()
    old, new = PeerAddress(V4, ("192.0.2.1", 80)), PeerAddress(V4, ("192.0.2.2", 80))
    memory.record_failure(old)
    memory.sort([new])

    assert memory.sort([old, new]) == [old, new]


def test_a_name_without_addresses_is_an_error() -> None:
    """Nothing to connect to is an error of its own."""
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        connect_first([], 1.0, FakeWatch())


def test_the_private_parts_of_urllib3_are_there() -> None:
    """The private parts of urllib3 that are used are there and take what they took.

    Its version is capped; when the cap is raised, these tests say whether it holds.
    """
    connection = urllib3.connection.HTTPConnection
    assert list(inspect.signature(vars(connection)["_new_conn"]).parameters) == ["self"]
    assert list(inspect.signature(connection.putrequest).parameters) == [
        "self",
        "method",
        "url",
        "skip_host",
        "skip_accept_encoding",
    ]
    made = connection("api.example.", 80)
    assert (vars(made)["_dns_host"], made.port, made.sock) == ("api.example.", 80, None)
    assert made.is_connected is False
    tunnel = vars(SSLTransport)["__init__"].__code__.co_names
    assert {"incoming", "socket", "sslobj"} <= set(tunnel)
    pools = urllib3.PoolManager().pool_classes_by_scheme
    assert pools == {
        "http": urllib3.HTTPConnectionPool,
        "https": urllib3.HTTPSConnectionPool,
    }
    assert urllib3.HTTPConnectionPool.ConnectionCls is connection
    pinned = Path("pyproject.toml").read_text(encoding="utf-8")
    assert '"urllib3>=2.6,<2.9"' in pinned
