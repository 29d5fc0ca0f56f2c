"""Each network failure is recognized, and shown in one sentence for an operator."""

import errno
import os
import socket
import threading
import traceback
from urllib.parse import urlsplit

import pytest

from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.errors import (
    NetworkError,
    ProtocolError,
    ResourceLimitError,
    ScaleEngineError,
)
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.timers import TimerThread
from tests.support.fixtures import SendRequest, StartFixedServer
from tests.support.sentences import (
    BAD_COMPRESSION,
    CHECK_NETWORK,
    CHECK_URL,
    NO_HOST_NAME,
    NOT_HTTP,
    NOT_RESOLVED,
    NOT_SENT,
    REFUSED_CONNECTION,
    TOO_MANY_FILES,
    TWO_LENGTHS,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
PASSES = "it may be temporary; if it lasts, check the network and any proxy"
CHECK_API_NETWORK = f"check api.url, {CHECK_NETWORK}"
BROKEN_OFF = "the response broke off (IncompleteRead)"


@pytest.mark.parametrize(
    ("data", "kind", "sentence"),
    [
        (b"", NetworkError, f"the connection broke off (RemoteDisconnected): {PASSES}"),
        (WHOLE[:-1], NetworkError, f"{BROKEN_OFF}: {PASSES}"),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n15\r\n{}",
            NetworkError,
            f"{BROKEN_OFF}: {PASSES}",
        ),
        (b"SSH-2.0-OpenSSH_9.7\r\n", ProtocolError, f"{NOT_HTTP} (BadStatusLine): {CHECK_URL}"),
        (b"{}", ProtocolError, f"{NOT_HTTP} (BadStatusLine): {CHECK_URL}"),
        (b"\x15\x03\x01\x00\x02", ProtocolError, f"{NOT_HTTP} (BadStatusLine): {CHECK_URL}"),
        (b"HTTP/2.0 200\r\n\r\n", ProtocolError, f"{NOT_HTTP} (UnknownProtocol): {CHECK_URL}"),
        (
            HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
            ProtocolError,
            f"{NOT_HTTP} (LineTooLong): {CHECK_URL}",
        ),
        (
            HEAD + b"X: x\r\n" * 200 + b"\r\n",
            ProtocolError,
            f"{NOT_HTTP} (more than 99 header lines): {CHECK_URL}",
        ),
        (
            HEAD + b"Content-Length: 5, 6\r\n\r\n",
            ProtocolError,
            f"{NOT_HTTP} ({TWO_LENGTHS}): {CHECK_URL}",
        ),
        (
            HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            ProtocolError,
            f"{BAD_COMPRESSION}: {CHECK_URL}",
        ),
    ],
)
def test_bytes_that_are_no_response_have_a_cause(
    fixed_server: StartFixedServer,
    send: SendRequest,
    data: bytes,
    kind: type[ScaleEngineError],
    sentence: str,
) -> None:
    """A response that breaks off, or is no HTTP, is recognized and shown in one sentence."""
    with pytest.raises(ScaleEngineError) as caught:
        send(fixed_server(data))

    assert (type(caught.value), str(caught.value)) == (kind, sentence)


@pytest.mark.parametrize("data", [b"", HEAD, WHOLE[:-1]])
def test_a_reset_connection_is_a_broken_one(
    fixed_server: StartFixedServer, send: SendRequest, data: bytes
) -> None:
    """A connection that is reset, at any point, has broken off."""
    with pytest.raises(NetworkError) as caught:
        send(fixed_server(data, reset=True))

    assert str(caught.value) == f"the connection broke off: {PASSES}"


def test_a_refused_connection_is_named(closed: str, send: SendRequest) -> None:
    """Where nothing listens the connection is refused."""
    with pytest.raises(NetworkError) as caught:
        send(f"http://{closed}/")

    assert str(caught.value) == f"{REFUSED_CONNECTION}: {CHECK_API_NETWORK}"


def test_an_unknown_name_is_named(send: SendRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the resolver does not know is named as one."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError) as caught:
        send("http://api.example/")

    assert str(caught.value) == f"{NOT_RESOLVED}: check api.url and the DNS"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "api..example"])
def test_an_invalid_name_leads_to_the_configuration(send: SendRequest, host: str) -> None:
    """A name that no resolver can be asked for leads back to the configuration."""
    with pytest.raises(NetworkError) as caught:
        send(f"http://{host}/")

    assert str(caught.value) == f"{NO_HOST_NAME}: check api.url"


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EPERM])
def test_other_system_errors_are_shown(
    send: SendRequest, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where the system has a reason of its own not to connect, its words are shown."""

    def fail(*_: object) -> None:
        raise OSError(number, "canary")

    monkeypatch.setattr(socket.socket, "connect", fail)
    with pytest.raises(NetworkError) as caught:
        send("http://127.0.0.1:9/")

    words = os.strerror(number)
    assert str(caught.value) == f"{NOT_SENT} ({words}): {CHECK_API_NETWORK}"


@pytest.mark.parametrize("function", ["socket", "dup"])
def test_too_few_descriptors_are_named_as_the_cause(
    fixed_server: StartFixedServer,
    send: SendRequest,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    """Where this process has no descriptor left, that is the cause, not ScaleEngine."""
    url = fixed_server(WHOLE)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "canary")

    place = socket if function == "socket" else os
    with monkeypatch.context() as limited:
        limited.setattr(place, function, fail)
        with pytest.raises(ResourceLimitError) as caught:
            send(url)

    assert caught.value.cause.startswith(f"{TOO_MANY_FILES} (limit ")
    assert caught.value.advice.startswith("raise the limit of open files")


def test_too_few_descriptors_for_the_resolver_are_named_as_the_cause(
    send: SendRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C library then says that it does not know the name, which is not the cause."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(socket, "socket", fail)
    with pytest.raises(ResourceLimitError, match="too many open files"):
        send("http://api.example/")


def test_too_few_threads_are_named_as_the_cause(
    closed: str, send: SendRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started for the time limit, the error says so."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("exporter.scaleengine.deadline.TIMERS", TimerThread())
    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError) as caught:
        send(f"http://{closed}/")

    assert find_resource_limit(caught.value) is not None


def test_every_address_is_tried(
    fixed_server: StartFixedServer, closed: str, send: SendRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a name has several addresses, one that refuses does not keep us from the next."""
    ports = [urlsplit(url).port for url in (f"http://{closed}/", fixed_server(WHOLE))]

    def two(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", two)

    assert send("http://api.example/") == HttpResponse(200, b"{}")


def test_a_name_without_addresses_is_a_failure(
    send: SendRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without any address cannot be connected to."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(NetworkError) as caught:
        send("http://api.example/")

    assert str(caught.value).startswith(f"{NOT_SENT} (")


def test_the_cause_is_that_of_the_last_failure(
    fixed_server: StartFixedServer, closed: str, send: SendRequest
) -> None:
    """The cause is that of this failure, not of the one that led to the retry."""
    url = fixed_server(b"SSH-2.0-OpenSSH_9.7\r\n")
    try:
        send(url)
    except ProtocolError:
        with pytest.raises(NetworkError, match=REFUSED_CONNECTION):
            send(f"http://{closed}/")
    else:
        pytest.fail("the first call must fail too")


@pytest.mark.parametrize("data", [b"", WHOLE[:-1], b"SSH-2.0-OpenSSH_9.7\r\n"])
def test_errors_keep_no_reference_to_the_request(
    fixed_server: StartFixedServer, send: SendRequest, data: bytes
) -> None:
    """An error does not hold on to the libraries' errors, which hold the request with its key."""
    with pytest.raises(ScaleEngineError) as caught:
        send(fixed_server(data))

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "requests" not in "".join(traceback.format_exception(caught.value))
