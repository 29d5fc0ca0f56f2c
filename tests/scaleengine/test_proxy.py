"""Proxies are taken from the environment, as is usual; their failures are named as theirs."""

import socket
import threading
from collections.abc import Callable

import pytest

from exporter.scaleengine.errors import NetworkError, RequestTimeoutError
from exporter.scaleengine.message_body import HttpResponse
from tests.support.fixtures import SendRequest, StartServer
from tests.support.sentences import (
    CHECK_NETWORK,
    NO_HOST_NAME,
    NOT_RESOLVED,
    REFUSED_CONNECTION,
    STOPPED_AT_PROXY,
)

API = "api.example/stable/"


class FixedProxy:
    """A proxy with the same response to every request."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.heads: list[str] = []

    def __call__(self, sock: socket.socket, request: bytes) -> None:
        """Record the head of the request and respond to it."""
        self.heads.append(request.partition(b"\r\n\r\n")[0].decode())
        sock.sendall(self.data)


VARIABLES = {"http": "http_proxy", "https": "HTTPS_PROXY"}
"""What ``use_proxy`` sets, as it is read for an API in http:// and in https://."""


@pytest.fixture
def use_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that names a proxy in the environment."""

    def name(url: str) -> None:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("HTTPS_PROXY", url)

    return name


def test_a_proxy_from_the_environment_is_used(
    listen: StartServer, send: SendRequest, use_proxy: Callable[[str], None]
) -> None:
    """The request goes to the proxy that the environment names."""
    proxy = FixedProxy(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    use_proxy(listen(proxy))

    assert send(f"http://{API}") == HttpResponse(200, b"{}")
    assert proxy.heads[0].startswith(f"POST http://{API} HTTP/1.1\r\n")


def test_https_goes_through_a_tunnel(
    listen: StartServer, send: SendRequest, use_proxy: Callable[[str], None]
) -> None:
    """An address with TLS is reached through a tunnel, which shows the proxy the name alone."""
    proxy = FixedProxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    use_proxy(listen(proxy))
    with pytest.raises(NetworkError) as caught:
        send(f"https://{API}")

    assert str(caught.value) == (
        f"{STOPPED_AT_PROXY} (HTTP 403): check HTTPS_PROXY and NO_PROXY in the environment"
    )
    (head,) = proxy.heads
    assert head.startswith("CONNECT api.example:443 HTTP/1.")


def test_loopback_is_reached_without_a_proxy(
    listen: StartServer, send: SendRequest, use_proxy: Callable[[str], None]
) -> None:
    """An API on loopback is reached directly: a proxy would take itself for it."""
    proxy = FixedProxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    api = FixedProxy(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    use_proxy(listen(proxy))

    assert send(listen(api)) == HttpResponse(200, b"{}")
    assert (len(api.heads), len(proxy.heads)) == (1, 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_password(
    closed: str, send: SendRequest, use_proxy: Callable[[str], None], scheme: str
) -> None:
    """It is the proxy that refused the connection, and its password is not shown."""
    use_proxy(f"http://user:canary@{closed}")
    with pytest.raises(NetworkError) as caught:
        send(f"{scheme}://{API}")

    assert str(caught.value) == (
        f"at the proxy, {REFUSED_CONNECTION}: check {VARIABLES[scheme]}, {CHECK_NETWORK}"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requires_a_password_names_its_variable(
    listen: StartServer, send: SendRequest, use_proxy: Callable[[str], None], scheme: str
) -> None:
    """A proxy that requires a user and a password leads to the variable that names it."""
    head = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n"
    use_proxy(listen(FixedProxy(head + b"Content-Length: 0\r\n\r\n")))
    with pytest.raises(NetworkError) as caught:
        send(f"{scheme}://{API}")

    assert str(caught.value) == (
        f"{STOPPED_AT_PROXY} (HTTP 407): put the proxy's user and password into {VARIABLES[scheme]}"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no-such-proxy.invalid", f"{NOT_RESOLVED}: check {{}} and the DNS"),
        ("a..b", f"{NO_HOST_NAME}: check {{}}"),
    ],
)
def test_a_proxy_that_cannot_be_resolved_names_its_variable(
    send: SendRequest, use_proxy: Callable[[str], None], scheme: str, host: str, sentence: str
) -> None:
    """A proxy whose name cannot be resolved leads to the variable that names it."""
    use_proxy(f"http://user:canary@{host}:3128")
    with pytest.raises(NetworkError) as caught:
        send(f"{scheme}://{API}")

    assert str(caught.value) == "at the proxy, " + sentence.format(VARIABLES[scheme])


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("http://", "names no host"),
        ("http:///canary", "names no host"),
        ("socks5://canary@127.0.0.1:9", "is of a SOCKS proxy"),
        ("canary://127.0.0.1:9", "does not begin with http://"),
        ("http://user:canary@proxy:port", "is malformed"),
        ("http://user:can@ary/1@proxy:3128", "is malformed"),
        ("http://user:canary@proxy:99999", "is malformed"),
        ("http://user:1?canary@127.0.0.1:9", "is malformed"),
        ("http://user:canary/1@127.0.0.1", "is malformed"),
        ("pro xy:3128", "is malformed"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_invalid_proxy_address_names_its_variable(
    send: SendRequest, use_proxy: Callable[[str], None], scheme: str, url: str, flaw: str
) -> None:
    """An address that cannot be a proxy's leads to its variable, and is not shown."""
    use_proxy(url)
    with pytest.raises(NetworkError) as caught:
        send(f"{scheme}://{API}")

    assert str(caught.value) == (
        f"the proxy address in {VARIABLES[scheme]} {flaw}: write {VARIABLES[scheme]} as "
        "http://host:port, with characters such as / and @ in a password "
        "percent-encoded (%2F, %40), "
        "or name the host of api.url in NO_PROXY"
    )


@pytest.mark.parametrize(
    ("data", "data_in_tunnel"),
    [(b"HTTP/1.1 2", b""), (b"HTTP/1.1 200 Established\r\n\r\n", b"\x16\x03\x03\x40\x00")],
    ids=["while the tunnel is made", "while TLS begins"],
)
def test_a_slow_proxy_is_left_at_the_deadline(
    listen: StartServer,
    send: SendRequest,
    use_proxy: Callable[[str], None],
    data: bytes,
    data_in_tunnel: bytes,
) -> None:
    """The limit in time holds while the tunnel is made, and while TLS begins inside it."""
    left = threading.Event()

    def serve(sock: socket.socket, request: bytes) -> None:
        assert request.startswith(b"CONNECT")
        sock.sendall(data)
        if data_in_tunnel:
            if sock.recv(1) != b"\x16":  # otherwise the client has begun TLS
                raise ConnectionAbortedError
            sock.sendall(data_in_tunnel)
        while not left.wait(0.01):
            sock.sendall(b" ")

    use_proxy(listen(serve))
    with pytest.raises(RequestTimeoutError, match=r"within 1 s"):
        send(f"https://{API}", 1.0)

    left.set()


def test_tls_errors_in_a_tunnel_are_those_without_one(
    listen: StartServer, send: SendRequest, use_proxy: Callable[[str], None]
) -> None:
    """A TLS failure inside a tunnel has the same message as without one."""

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
        assert sock.recv(65536).startswith(b"\x16")
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    use_proxy(listen(serve))
    with pytest.raises(NetworkError) as caught:
        send(f"https://{API}")

    assert str(caught.value) == (
        "TLS failed (WRONG_VERSION_NUMBER): check api.url, api.ca_file and any proxy"
    )
