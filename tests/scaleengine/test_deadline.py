"""A request has one limit in time for all that it does, and close ends it at once."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from exporter.scaleengine.connecting import AddressMemory, PeerAddress
from exporter.scaleengine.deadline import RequestAttempt
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import NetworkError, RequestTimeoutError
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timers import TIMERS
from exporter.scaleengine.transport import Transport
from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import (
    FindDroppingAddress,
    MakeTransport,
    SendRequest,
    SetAddresses,
    StartServer,
)
from tests.support.sentences import CHECK_NETWORK, NOT_RESOLVED

LIMIT = 0.5
SLACK = 40.0
"""Seconds that a busy machine may add."""

SENTENCE = (
    "no complete response came within 0.5 s: it may be temporary; if it lasts, raise api.timeout"
)
NO_CONNECTION = f"no connection to 127.0.0.1 was made within 0.5 s: check api.url, {CHECK_NETWORK}"
STOPPING = "the exporter is stopping: start it again"


@contextmanager
def ends_in_time(sentence: str = SENTENCE) -> Iterator[None]:
    """Expect a timeout, after the limit and soon after it."""
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError) as caught:
        yield
    assert LIMIT <= time.monotonic() - began < LIMIT + SLACK
    assert str(caught.value) == sentence


def send_until_response(sender: Transport, context: RequestContext) -> HttpResponse:
    """Send until the response comes within the limit: a busy machine may need longer for one."""
    deadline = time.monotonic() + SLACK
    while time.monotonic() < deadline:
        with suppress(RequestTimeoutError):
            return sender.send("{}", context)
    raise AssertionError("no response came in time")


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_HEADERS, Fault.SLOW_BODY])
def test_a_slow_server_is_left_at_the_deadline(
    simulator: Simulator, send: SendRequest, fault: Fault
) -> None:
    """A server that sends nothing, or a byte now and then, is left when the time is over."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),), drip=0.02))
    with ends_in_time():
        send(simulator.url, LIMIT)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_peer_is_left_at_the_deadline(silent: str, send: SendRequest, scheme: str) -> None:
    """A peer that accepts and says nothing, nor shakes hands, is left when the time is over."""
    with ends_in_time():
        send(f"{scheme}://{silent}/", LIMIT)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
)
def test_an_endless_peer_is_left_at_the_deadline(
    listen: StartServer, send: SendRequest, first: bytes, again: bytes
) -> None:
    """A peer that goes on without ever coming to an end is left when the time is over."""
    left = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(first)
        while not left.wait(0.01):
            sock.sendall(again)

    url = listen(serve)
    with ends_in_time():
        send(url, LIMIT)
    left.set()


def test_connecting_ends_at_the_deadline(dropping: FindDroppingAddress, send: SendRequest) -> None:
    """Connecting is a part of the request."""
    with ends_in_time(NO_CONNECTION):
        send(f"http://127.0.0.1:{dropping().port}/", LIMIT)


def test_five_unreachable_addresses_end_at_the_deadline(
    dropping: FindDroppingAddress, resolving: SetAddresses, send: SendRequest
) -> None:
    """Five addresses that cannot be reached take no longer than one."""
    port = dropping().port
    resolving(*(PeerAddress(socket.AF_INET, (f"127.0.0.{host}", port)) for host in range(1, 6)))
    listed = "127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.0.4 and others"
    with ends_in_time(NO_CONNECTION.replace("127.0.0.1", listed)):
        send("http://api.example/", LIMIT)


def test_a_slow_resolver_begins_no_connection(
    send: SendRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing interrupts the resolver; when it is back too late, no connection is begun."""
    over = threading.Event()

    def resolve(*_: object, **__: object) -> object:
        over.wait(LIMIT + 0.1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with ends_in_time(f"{NOT_RESOLVED} within 0.5 s: check api.url and the DNS"):
        send("http://api.example/", LIMIT)


def test_the_next_request_has_its_own_deadline(
    simulator: Simulator, transport: MakeTransport, context: RequestContext
) -> None:
    """After a timeout the next request begins again, on a connection of its own."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG, requests=(1,)),)))
    sender = transport(simulator.url, LIMIT)
    with ends_in_time():
        sender.send("{}", context)

    assert send_until_response(sender, context).status == 200


def test_a_kept_connection_has_a_deadline(
    simulator: Simulator, transport: MakeTransport, context: RequestContext
) -> None:
    """A connection that served a request before is limited in the next one."""
    sender = transport(simulator.url, LIMIT)
    send_until_response(sender, context)
    simulator.behave(Behaviour(faults=(FaultRule(Fault.SLOW_HEADERS),), drip=0.02))
    with ends_in_time():
        sender.send("{}", context)


def test_concurrent_requests_have_their_own_deadlines(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """The end of one request's time does nothing to another request."""
    over = threading.Event()

    def serve(sock: socket.socket, request: bytes) -> None:
        if b"slow" not in request:
            over.wait(SLACK)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    url = listen(serve)
    with ThreadPoolExecutor(1) as threads:
        good = threads.submit(transport(url).send, "quick", context)
        with ends_in_time():
            transport(url, LIMIT).send("slow", context)
        over.set()

        assert good.result(SLACK) == HttpResponse(200, b"{}")


class HangingRequest:
    """A request that hangs in a thread, and the transport that makes it."""

    def __init__(self, sender: Transport, context: RequestContext) -> None:
        self._sender = sender
        self._threads = ThreadPoolExecutor(1)
        self._question = context
        self._call: Future[HttpResponse] = self._threads.submit(sender.send, "{}", context)

    def ends_at_once(self) -> bool:
        """Close the transport; return whether the request ended, and a later one does not begin."""
        began = time.monotonic()
        self._sender.close()
        error = self._call.exception(SLACK)
        self._threads.shutdown()
        with pytest.raises(NetworkError) as caught:
            self._sender.send("{}", self._question)
        took = time.monotonic() - began
        return took < SLACK and str(error) == str(caught.value) == STOPPING


def test_close_ends_a_wait_for_a_response(
    simulator: Simulator, transport: MakeTransport, context: RequestContext
) -> None:
    """A request that waits for its response ends when the transport is closed."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    hanging = HangingRequest(transport(simulator.url, 60), context)

    assert simulator.wait_for_requests(1)
    assert hanging.ends_at_once()


def test_close_ends_a_handshake(transport: MakeTransport, context: RequestContext) -> None:
    """A request that waits for the other side's part of TLS ends when the transport is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        hanging = HangingRequest(transport(url, 60), context)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1) == b"\x16"
            assert hanging.ends_at_once()


def test_close_ends_connecting(
    dropping: FindDroppingAddress,
    resolving: SetAddresses,
    transport: MakeTransport,
    context: RequestContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that waits for one of several connections ends when the transport is closed."""
    connecting = threading.Semaphore(0)
    connect = socket.socket.connect

    def tell(sock: socket.socket, address: tuple[str, int]) -> None:
        connecting.release()
        connect(sock, address)

    port = dropping().port
    resolving(*(PeerAddress(socket.AF_INET, (f"127.0.0.{host}", port)) for host in range(1, 4)))
    monkeypatch.setattr(socket.socket, "connect", tell)
    hanging = HangingRequest(transport("http://api.example/", 60), context)

    for _ in range(3):
        assert connecting.acquire(timeout=SLACK)
    assert hanging.ends_at_once()


def test_close_ends_the_reading_of_a_response(
    listen: StartServer, transport: MakeTransport, context: RequestContext
) -> None:
    """A request that reads its response ends when the transport is closed."""
    reading = threading.Event()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        reading.set()

    hanging = HangingRequest(transport(listen(serve), 60), context)

    assert reading.wait(SLACK)
    assert hanging.ends_at_once()


def test_an_unused_or_closed_transport_can_be_closed(
    simulator: Simulator, transport: MakeTransport
) -> None:
    """A transport that has made no request, or is closed already, can be closed."""
    sender = transport(simulator.url)
    sender.close()
    sender.close()


def test_no_thread_is_left(
    simulator: Simulator, transport: MakeTransport, context: RequestContext
) -> None:
    """Neither good requests nor timeouts leave a thread behind, except the one of all deadlines."""
    TIMERS.add(0.0, lambda: None)
    before = set(threading.enumerate())
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG, requests=(2,)),)))
    transport(simulator.url, 20).send("{}", context)
    with ends_in_time():
        transport(simulator.url, LIMIT).send("{}", context)
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(SLACK)

    assert not any(thread.is_alive() for thread in left)


def test_an_attempt_that_is_over_holds_no_connection() -> None:
    """Once the time is over no further connection is begun."""
    with RequestAttempt(60, AddressMemory()) as attempt, socket.socket() as sock:
        attempt.abort()

        assert attempt.is_over
        with pytest.raises(TimeoutError):
            attempt.attach(sock, PeerAddress(socket.AF_INET, ("127.0.0.1", 9)))
        with pytest.raises(TimeoutError):
            attempt.watch(sock)


def test_an_attempt_that_has_ended_is_not_over() -> None:
    """Aborting an attempt that has ended changes nothing."""
    with RequestAttempt(60, AddressMemory()) as attempt:
        pass
    attempt.abort()

    assert not attempt.is_over


def test_a_paused_attempt_uses_no_time() -> None:
    """Time does not pass while a response waits for memory, and goes on afterwards."""
    ours, theirs = socket.socketpair()
    with ours, theirs, RequestAttempt(LIMIT, AddressMemory()) as attempt:
        attempt.watch(ours)
        with attempt.paused():
            theirs.settimeout(2 * LIMIT)
            with pytest.raises(TimeoutError):
                theirs.recv(1)
        theirs.settimeout(SLACK)
        assert theirs.recv(1) == b""  # it was shut down
        attempt.unwatch(ours)
