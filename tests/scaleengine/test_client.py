"""A client sends one signed request at a time, reports how it ended, and shows no secret."""

import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from itertools import count

import pytest

from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import request_disk_usage
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    NetworkError,
    ProtocolError,
    Reason,
    RequestTimeoutError,
    ResourceLimitError,
    ScaleEngineError,
    SignatureError,
)
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.json_values import JsonObject
from exporter.scaleengine.response_memory import ResponseMemoryBudget
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.credentials import KEY, SECRET
from tests.support.faults import BUSY, FAILING, Fault, HttpError, Refusal
from tests.support.fixtures import MakeClient, MakeTransport, StartServer
from tests.support.sentences import (
    LOOK_FOR_RELEASE,
    MAPPING_EXPECTED,
    NO_MEMORY,
    UNDOCUMENTED_RESPONSE,
)

NOW = 1415700000


def shows_no_secret(error: BaseException) -> bool:
    """Return whether all that can be printed of an error is free of the key and the secret."""
    printed = [str(error), repr(error), *traceback.format_exception(error)]
    return not any(secret in text for secret in (KEY, SECRET) for text in printed)


def test_a_request_is_signed_and_its_response_read(
    simulator: Simulator, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """A request carries account, key and time, and returns what is read of the response."""
    client = connect(simulator.url)
    found = client.call(credentials, "disk.usage", {"cpu": "", "starttime": NOW}, sorted)

    assert found == ["handle_time", "message", "status", "usage"]
    (call,) = simulator.requests
    assert (call.command, call.cdn, call.timestamp) == ("disk.usage", 158, NOW)
    assert (call.has_key, call.code, call.starttime) == (True, None, NOW)
    assert exchanges == [Exchange("main", "disk.usage", 0.25, reason=None, accepted=True, skew=0.0)]


def test_the_same_request_gets_another_timestamp(
    simulator: Simulator, connect: MakeClient, credentials: Credentials
) -> None:
    """The same request made twice has two timestamps: a signature is accepted once."""
    client = connect(simulator.url)
    for _ in range(3):
        list_files(client, credentials, "sestore4/jb", "video", 0)

    assert [request.timestamp for request in simulator.requests] == [NOW, NOW + 1, NOW + 2]
    assert {request.code for request in simulator.requests} == {None}


def test_a_request_is_signed_after_its_wait(
    simulator: Simulator,
    transport: MakeTransport,
    credentials: Credentials,
    exchanges: list[Exchange],
) -> None:
    """A request that has to wait is signed after the wait, which is no part of how long it took."""
    now = [0.0]

    def wait(seconds: float) -> bool:
        now[0] += seconds
        return False

    clock = Clock(now=lambda: NOW + now[0], monotonic=lambda: now[0])
    client = Client(
        "main",
        158,
        transport(simulator.url),
        TimestampAllocator(wait),
        clock,
        ServerTime(clock),
        exchanges.append,
    )
    for _ in range(3):
        list_files(client, credentials, "sestore4/jb", "video", 0)

    assert [request.timestamp for request in simulator.requests] == [NOW, NOW + 1, NOW + 2]
    assert [exchange.seconds for exchange in exchanges] == [0, 0, 0]


def test_a_retry_is_signed_with_its_own_time(
    simulator: Simulator, connect: MakeClient, credentials: Credentials
) -> None:
    """A failed request that is made again is signed with the time at which it is made again."""
    simulator.behave(Behaviour(faults=(FaultRule(BUSY, requests=(1,)),)))
    client = connect(simulator.url)
    with pytest.raises(ScaleEngineError):
        list_files(client, credentials, "sestore4/jb", "video", 0)
    list_files(client, credentials, "sestore4/jb", "video", 0)

    assert [request.timestamp for request in simulator.requests] == [NOW, NOW + 1]


@pytest.mark.parametrize(
    ("fault", "reason", "accepted"),
    [
        (Refusal("0000"), "api", True),
        (Refusal("0001"), "auth", False),
        (Refusal("0002"), "clock", None),
        (Refusal("0003"), "signature", False),
        (FAILING, "server", None),
        (Refusal("0005"), "auth", False),
        (Refusal("0006"), "api", True),
        (Refusal("0815", f"{KEY} and {SECRET}"), "api", True),
        (BUSY, "rate_limited", None),
        (HttpError(401), "auth", False),
        (HttpError(403), "auth", False),
        (HttpError(404), "protocol", None),
        (HttpError(429, retry_after="30"), "rate_limited", None),
        (HttpError(500), "server", None),
        (HttpError(503), "server", None),
        (Fault.NOT_A_FOLDER, "protocol", True),
        (Fault.HUGE_NUMBER, "protocol", None),
        (Fault.NAN, "protocol", None),
        (Fault.HTML_PAGE, "protocol", None),
        (Fault.EMPTY_BODY, "protocol", None),
        (Fault.TRUNCATED, "protocol", None),
        (Fault.NULL, "protocol", None),
        (Fault.A_LIST, "protocol", None),
        (Fault.DEEP_NESTING, "protocol", None),
        (Fault.DUPLICATE_KEYS, "protocol", None),
        (Fault.BAD_UTF8, "protocol", None),
        (Fault.GZIP_BOMB, "protocol", None),
        (Fault.ENDLESS_BODY, "protocol", None),
        (Fault.REDIRECT, "protocol", None),
        (Fault.RESET, "network", None),
        (Fault.RESET_IN_BODY, "network", None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_failure_has_its_reason_and_no_secret(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    exchanges: list[Exchange],
    fault: Fault | Refusal | HttpError,
    reason: str,
    accepted: bool | None,  # noqa: FBT001 - a column of the table
) -> None:
    """A failure has its reason, is observed, shows whether the key was accepted, hides secrets."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    with pytest.raises(ScaleEngineError) as caught:
        request_disk_usage(connect(simulator.url), credentials, ())

    assert caught.value.reason == Reason(reason)
    assert (caught.value.command, len(caught.value.cause) > 0) == ("disk.usage", True)
    (exchange,) = exchanges
    assert replace(exchange, skew=None) == Exchange(
        "main", "disk.usage", 0.25, Reason(reason), accepted
    )
    assert simulator.request_count == 1
    assert shows_no_secret(caught.value)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_HEADERS, Fault.SLOW_BODY])
def test_a_slow_response_is_a_timeout(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    exchanges: list[Exchange],
    fault: Fault,
) -> None:
    """A response that does not come whole in time is a timeout."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    with pytest.raises(ScaleEngineError) as caught:
        request_disk_usage(connect(simulator.url, timeout=0.2), credentials, ())

    assert exchanges == [Exchange("main", "disk.usage", 0.25, Reason.TIMEOUT, accepted=None)]
    assert shows_no_secret(caught.value)


def test_a_protocol_failure_says_what_is_wrong(
    simulator: Simulator, connect: MakeClient, credentials: Credentials
) -> None:
    """It says what is wrong with the response, and that a newer release may know better."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.NOT_A_FOLDER),)))
    with pytest.raises(ProtocolError) as caught:
        list_files(connect(simulator.url), credentials, "sestore4/jb", "video", 0)

    assert str(caught.value) == (
        f"{UNDOCUMENTED_RESPONSE}: the requested folder: "
        f"{MAPPING_EXPECTED} a text: "
        f"if it lasts, {LOOK_FOR_RELEASE}"
    )


@pytest.mark.parametrize(
    ("credentials", "kind"),
    [(Credentials("other", SECRET), AuthError), (Credentials(KEY, "other"), SignatureError)],
)
def test_a_wrong_key_and_a_wrong_secret_are_different_failures(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    kind: type[ScaleEngineError],
) -> None:
    """A key that is not the account's and a secret that is not the key's are different failures."""
    with pytest.raises(kind) as caught:
        request_disk_usage(connect(simulator.url), credentials, ())

    assert not any(secret in str(caught.value) for secret in ("other", KEY, SECRET))


@pytest.mark.parametrize(
    ("fault", "skew"),
    [
        (FAILING, 0.0),
        (HttpError(503), 0.0),
        (Fault.HTML_PAGE, 0.0),
        (Fault.REDIRECT, 0.0),
        (Fault.RESET, None),
        (Fault.ENDLESS_BODY, None),
    ],
)
def test_every_response_sets_the_clock_skew(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    exchanges: list[Exchange],
    fault: Fault | Refusal | HttpError,
    skew: float | None,
) -> None:
    """Every response gives the time, also a failure; what is no response gives none."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    with pytest.raises(ScaleEngineError):
        request_disk_usage(connect(simulator.url), credentials, ())

    assert [exchange.skew for exchange in exchanges] == [skew]


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        (BUSY, 120.0),
        (FAILING, None),
        (HttpError(429), None),
        (HttpError(429, retry_after="30"), 30.0),
        (HttpError(503, retry_after="Tue, 11 Nov 2014 10:02:00 GMT"), 120.0),
        (HttpError(503, retry_after="soon"), None),
    ],
)
def test_a_failure_has_the_requested_wait(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    fault: Refusal | HttpError,
    retry_after: float | None,
) -> None:
    """A failure says how many seconds to wait, where ScaleEngine does."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    with pytest.raises(ScaleEngineError) as caught:
        request_disk_usage(connect(simulator.url), credentials, ())

    assert caught.value.retry_after == retry_after


def test_the_message_about_an_unknown_path_is_shown(
    simulator: Simulator, connect: MakeClient, credentials: Credentials
) -> None:
    """What ScaleEngine says about a path that it does not know reaches the operator."""
    with pytest.raises(ApiError, match="without a code: Path not found") as caught:
        list_files(connect(simulator.url), credentials, "sestore4/nowhere", "video", 0)

    assert caught.value.command == "files.list"


def test_a_refused_connection_is_observed(
    closed: str, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """A refused connection is observed too, and shows no secret."""
    with pytest.raises(NetworkError) as caught:
        request_disk_usage(connect(f"http://{closed}/"), credentials, ())

    assert exchanges == [Exchange("main", "disk.usage", 0.25, Reason.NETWORK, accepted=None)]
    assert shows_no_secret(caught.value)


def test_a_message_that_repeats_the_request_is_redacted(
    listen: StartServer, connect: MakeClient, credentials: Credentials
) -> None:
    """A server that sends back what it was sent, key and all, gets nothing of it into an error."""
    message = f"api_key {KEY} with {SECRET} is not known"
    body = json.dumps({"status": "failure", "code": "0815", "message": message}).encode()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with pytest.raises(ApiError) as caught:
        request_disk_usage(connect(listen(serve)), credentials, ())

    assert "api_key *** with *** is not known" in str(caught.value)
    assert shows_no_secret(caught.value)


def test_a_key_as_the_name_of_a_broken_folder_is_redacted(
    listen: StartServer, connect: MakeClient, credentials: Credentials
) -> None:
    listing = {"status": "success", "data": {"sestore4/jb": {KEY: None}}}
    body = json.dumps(listing).encode()

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with pytest.raises(ProtocolError, match=r"folder '\*\*\*'") as caught:
        list_files(connect(listen(serve)), credentials, "sestore4/jb", "video", 0)

    assert shows_no_secret(caught.value)


def test_the_secret_is_not_sent(
    listen: StartServer, connect: MakeClient, credentials: Credentials
) -> None:
    """The secret signs the request and is no part of it; the key is sent in the body alone."""
    requests = []

    def serve(sock: socket.socket, request: bytes) -> None:
        requests.append(request)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with pytest.raises(ProtocolError):
        request_disk_usage(connect(listen(serve)), credentials, ())

    head, body = requests[0].split(b"\r\n\r\n")
    assert KEY.encode() in body
    assert KEY.encode() not in head
    assert SECRET.encode() not in requests[0]


def test_objects_show_no_secret(
    simulator: Simulator, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """No printed form of credentials, client and exchanges holds a secret."""
    client = connect(simulator.url)
    request_disk_usage(client, credentials, ())

    for thing in (credentials, client, client.transport, *exchanges):
        assert not any(secret in f"{thing} {thing!r}" for secret in (KEY, SECRET))


def test_a_defect_is_observed_as_a_failure(
    simulator: Simulator, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """A request that ends with something unforeseen counts as failed."""

    def read(_: JsonObject) -> None:
        raise LookupError("unforeseen")

    with pytest.raises(LookupError, match="unforeseen"):
        connect(simulator.url).call(credentials, "disk.usage", {"cpu": "", "starttime": 0}, read)

    assert exchanges == [
        Exchange("main", "disk.usage", 0.25, Reason.PROTOCOL, accepted=True, skew=0.0)
    ]


def test_a_lack_of_memory_is_a_network_failure(
    simulator: Simulator, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """A request for which there is no memory fails as network, and names what is missing."""

    def read(_: JsonObject) -> None:
        raise MemoryError

    with pytest.raises(ResourceLimitError, match=NO_MEMORY):
        connect(simulator.url).call(credentials, "disk.usage", {"cpu": "", "starttime": 0}, read)

    assert [exchange.reason for exchange in exchanges] == [Reason.NETWORK]


@contextmanager
def waiting_for_memory(patch: pytest.MonkeyPatch, monotonic: Callable[[], float]) -> Iterator[None]:
    """Let another response take all memory for parsing, and a wait end by this clock."""
    memory = ResponseMemoryBudget(small_parsed=100, look=0.001, monotonic=monotonic)
    patch.setattr("exporter.scaleengine.client.RESPONSE_MEMORY", memory)
    with memory.arrival() as other, other.parsing(100):
        yield


def test_the_wait_for_memory_is_limited(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    exchanges: list[Exchange],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request whose response cannot be read for lack of memory fails as timeout, and says so."""
    seconds = map(float, count())
    with (
        waiting_for_memory(monkeypatch, lambda: next(seconds)),
        pytest.raises(RequestTimeoutError, match=r"waited 5 s for memory.*raise api\.timeout"),
    ):
        request_disk_usage(connect(simulator.url, 5.0), credentials, ())

    assert [exchange.reason for exchange in exchanges] == [Reason.TIMEOUT]


def test_the_wait_for_memory_ends_with_the_client(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    exchanges: list[Exchange],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that is closed meanwhile ends the request at once, and reports nothing."""
    client = connect(simulator.url)

    def close() -> float:
        client.close()
        return 0.0

    with (
        waiting_for_memory(monkeypatch, close),
        pytest.raises(NetworkError, match="the exporter is stopping"),
    ):
        request_disk_usage(client, credentials, ())

    assert exchanges == []


def test_a_closed_client_sends_nothing(
    simulator: Simulator, connect: MakeClient, credentials: Credentials, exchanges: list[Exchange]
) -> None:
    """After close no request is sent any more, and none is observed."""
    client = connect(simulator.url)
    request_disk_usage(client, credentials, ())
    client.close()
    with pytest.raises(NetworkError, match="the exporter is stopping"):
        request_disk_usage(client, credentials, ())

    assert simulator.request_count == 1
    assert [exchange.reason for exchange in exchanges] == [None]


def test_the_skew_is_measured_at_the_head(
    listen: StartServer,
    transport: MakeTransport,
    credentials: Credentials,
    exchanges: list[Exchange],
) -> None:
    """The Date of a response is that of its head, however long its body takes or has to wait."""
    passed = 0.0
    head_arrived = threading.Event()

    def monotonic() -> float:
        at = passed
        head_arrived.set()
        return at

    def serve(sock: socket.socket, _: bytes) -> None:
        nonlocal passed
        body = b'{"status": "success", "message": ""}'
        date = formatdate(NOW, usegmt=True).encode()
        sock.sendall(b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: 36\r\n\r\n" % date)
        head_arrived.wait(60)
        passed = 30.0
        sock.sendall(body)

    machine = Clock(now=lambda: NOW + 0.5 + passed, monotonic=monotonic)
    client = Client(
        *("main", 158, transport(listen(serve)), TimestampAllocator(lambda _: False), Clock()),
        time=ServerTime(machine),
        observe=exchanges.append,
    )
    client.call(credentials, "disk.usage", {}, len)

    assert [exchange.skew for exchange in exchanges] == [0.0]
