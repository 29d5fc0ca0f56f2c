"""TLS is verified always: against the name, the time, and the certificates that are trusted."""

import shutil
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from urllib3.util.ssltransport import SSLTransport

from exporter.scaleengine.deadline import _TlsConnection
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import NetworkError, RequestTimeoutError
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.transport import Connections, Endpoint, Transport
from tests.support.authority import Authority
from tests.support.fixtures import MakeTransport, SendRequest, StartServer
from tests.support.sentences import UNTRUSTED_CERTIFICATE

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    OPENSSL is None, reason="openssl is not installed; the CI installs it"
)


BODY = b'{"status": "success"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that only a test trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Path:
    """Return a certificate that the authority vouches for."""
    return authority.issue("good", "IP:127.0.0.1", days=2)


def serve(sock: socket.socket, _: bytes) -> None:
    """Respond to a request."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))


def server(certificate: Path) -> ssl.SSLContext:
    """Return the context of a server with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_server_of_the_configured_authority_is_trusted(
    listen: StartServer, send: SendRequest, authority: Authority, good: Path
) -> None:
    """A server whose certificate the file of api.ca_file signed is trusted."""
    url = listen(serve, server(good))

    assert send(url, ca_file=authority.certificate) == HttpResponse(200, BODY)


@pytest.mark.parametrize("replace", [False, True])
def test_a_connection_verified_by_other_certificates_is_not_reused(
    listen: StartServer,
    transport: MakeTransport,
    context: RequestContext,
    authority: Authority,
    good: Path,
    tmp_path: Path,
    *,
    replace: bool,
) -> None:
    """A connection that was verified with other certificates is not used again."""
    ca_file, other = tmp_path / "ca.pem", authority.self_signed("later", "IP:127.0.0.1")
    shutil.copy(authority.certificate, ca_file)
    sender = transport(listen(serve, server(good)), ca_file=ca_file)
    for _ in range(2):
        assert sender.send("{}", context) == HttpResponse(200, BODY)
    if replace:
        Path(shutil.copy(other, tmp_path / "new.pem")).replace(ca_file)
    else:
        shutil.copy(other, ca_file)

    with pytest.raises(NetworkError, match=UNTRUSTED_CERTIFICATE):
        sender.send("{}", context)
    shutil.copy(authority.certificate, ca_file)
    assert sender.send("{}", context) == HttpResponse(200, BODY)


def test_old_connections_are_closed_before_others_look(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of another thread sees the new certificates when no old connection is left."""
    ca_file = tmp_path / "ca.pem"
    shutil.copy(authority.certificate, ca_file)
    connections = Connections(Endpoint("https://127.0.0.1", 1.0, 1, ca_file))
    closed: list[bool] = []

    def is_known() -> bool:
        known = connections._trust_version  # noqa: SLF001 - nothing public has it
        return known == connections.route.trust.find_version()

    monkeypatch.setattr(connections, "close", lambda: closed.append(is_known()))
    ca_file.write_text("")
    for _ in range(2):
        connections.check_trust()
        assert is_known()
    assert closed == [False]


def test_the_environment_does_not_overrule_the_configuration(
    listen: StartServer,
    send: SendRequest,
    authority: Authority,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What REQUESTS_CA_BUNDLE says does not matter where api.ca_file is set."""
    other = authority.self_signed("other", "IP:127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other))

    assert send(listen(serve, server(good)), ca_file=authority.certificate).body == BODY
    with pytest.raises(NetworkError, match=UNTRUSTED_CERTIFICATE):
        send(listen(serve, server(other)), ca_file=authority.certificate)


def test_a_server_of_an_unknown_authority_is_refused(
    listen: StartServer, send: SendRequest, good: Path
) -> None:
    """A server of an authority of our own is not trusted without it."""
    with pytest.raises(NetworkError) as caught:
        send(listen(serve, server(good)))

    assert str(caught.value) == (
        f"{UNTRUSTED_CERTIFICATE} (unable to get local issuer certificate): "
        "check api.url and api.ca_file"
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda authority: authority.issue("expired", "IP:127.0.0.1", days=-1),
            "certificate has expired",
        ),
        (
            lambda authority: authority.issue("elsewhere", "DNS:api.example", days=2),
            "certificate is not valid for '127.0.0.1'",
        ),
        (
            lambda authority: authority.self_signed("alone", "IP:127.0.0.1"),
            "self-signed certificate",
        ),
    ],
    ids=["expired", "another name", "self-signed"],
)
def test_bad_certificates_are_refused_with_the_cause(
    listen: StartServer,
    send: SendRequest,
    authority: Authority,
    make: Callable[[Authority], Path],
    why: str,
) -> None:
    """An expired certificate, another server's or an untrusted one is refused, with its cause."""
    seen: list[bytes] = []
    url = listen(lambda _, request: seen.append(request), server(make(authority)))
    with pytest.raises(NetworkError) as caught:
        send(url, ca_file=authority.certificate)

    assert caught.value.cause.startswith(f"{UNTRUSTED_CERTIFICATE} (")
    assert why in caught.value.cause
    assert caught.value.advice == "check api.url and api.ca_file"
    assert seen == []


def test_a_server_without_tls_is_refused(send: SendRequest) -> None:
    """A server that responds in plain text is refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        call = threads.submit(send, f"https://127.0.0.1:{listener.getsockname()[1]}/")
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(65536).startswith(b"\x16")
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        error = call.exception(60)

    assert isinstance(error, NetworkError)
    assert str(error) == (
        "TLS failed (WRONG_VERSION_NUMBER): check api.url, api.ca_file and any proxy"
    )


def test_a_missing_ca_file_is_named(send: SendRequest, tmp_path: Path) -> None:
    """Where the file of api.ca_file is gone, it is named."""
    with pytest.raises(NetworkError) as caught:
        send("https://127.0.0.1:9/", ca_file=tmp_path / "ca.pem")

    assert str(caught.value) == (
        f"the file of api.ca_file is missing ({tmp_path / 'ca.pem'}): "
        "put it there, readable for the exporter"
    )


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_server_of_the_environments_authority_is_trusted(
    listen: StartServer,
    send: SendRequest,
    authority: Authority,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """A server whose certificate the environment's file signed is trusted."""
    monkeypatch.setenv(variable, str(authority.certificate))

    assert send(listen(serve, server(good))) == HttpResponse(200, BODY)


def make_missing(_: Path) -> None:
    """Leave the file away."""


def make_empty(file: Path) -> None:
    """Write a file without certificates."""
    file.touch()


def make_garbage(file: Path) -> None:
    """Write what is no certificate."""
    file.write_text("-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n")


def make_a_loop(file: Path) -> None:
    """Make a link to itself, which cannot be followed."""
    file.symlink_to(file)


@pytest.mark.parametrize("setting", ["api.ca_file", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (make_missing, "is missing ({file})"),
        (make_empty, "holds no certificate that can be read ({file})"),
        (make_garbage, "holds no certificate that can be read ({file})"),
        (make_a_loop, "cannot be read ({file}: Too many levels of symbolic links)"),
    ],
)
def test_certificates_that_cannot_be_read_are_named_with_their_setting(
    silent: str,
    send: SendRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    make: Callable[[Path], None],
    cause: str,
) -> None:
    """A file of certificates that cannot be used is named, with the setting that names it."""
    file = tmp_path / "ca.pem"
    make(file)
    if setting != "api.ca_file":
        monkeypatch.setenv(setting, str(file))
    with pytest.raises(NetworkError) as caught:
        send(f"https://{silent}/", ca_file=file if setting == "api.ca_file" else None)

    assert caught.value.cause == f"the file of {setting} {cause.format(file=file)}"
    assert setting in caught.value.advice or caught.value.advice.startswith("put it there")


def test_an_untrusted_certificate_names_the_setting(
    listen: StartServer,
    send: SendRequest,
    authority: Authority,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The setting that decides what is trusted is named, and a setting that is not read as well."""
    url = listen(serve, server(good))
    other = authority.self_signed("stranger", "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with pytest.raises(NetworkError) as caught:
        send(url)
    assert caught.value.advice == "check api.url and api.ca_file (SSL_CERT_FILE is not read)"

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with pytest.raises(NetworkError) as caught:
        send(url)
    assert caught.value.advice == "check api.url and REQUESTS_CA_BUNDLE"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_under_tls_must_be_trusted(
    listen: StartServer,
    send: SendRequest,
    authority: Authority,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    """A proxy that is reached by TLS must be trusted, too, for any request by it."""
    seen: list[bytes] = []

    def refuse(sock: socket.socket, request: bytes) -> None:
        seen.append(request)
        sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv(f"{scheme}_proxy", listen(refuse, server(good)))
    with pytest.raises(NetworkError) as caught:
        send(f"{scheme}://api.example/")
    assert caught.value.cause.startswith(f"at the proxy, {UNTRUSTED_CERTIFICATE} (")
    assert caught.value.advice == f"check {scheme}_proxy and api.ca_file"
    assert seen == []

    with pytest.raises(NetworkError, match="HTTP 407"):
        send(f"{scheme}://api.example/", ca_file=authority.certificate)
    assert len(seen) == 1


def test_a_surplus_response_under_tls_is_not_used(
    listen: StartServer, context: RequestContext, authority: Authority, good: Path
) -> None:
    """Given two responses in one record of TLS, then the second is not that of the next request.

    The first is as large as what is read at once: the second has arrived, and waits unread.
    """

    def serve_two(sock: socket.socket, _: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        body = BODY.ljust(8192 - len(head % 8000))
        unrequested = b'{"status": "unrequested"}'
        sock.sendall(head % len(body) + body + head % len(unrequested) + unrequested)

    endpoint = Endpoint(listen(serve_two, server(good)), 60.0, 2, authority.certificate)
    with closing(Connections(endpoint)) as connections:
        for _ in range(3):
            response = Transport(connections).send("{}", context)
            assert response.body.strip() == BODY


class Tunnel:
    """The server's end of TLS in the TLS of a proxy."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._line = sock
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sent, server_side=True)

    def shake_hands(self) -> None:
        self._repeat(self._tls.do_handshake)
        self._line.sendall(self._sent.read())

    def receive(self, ending: bytes) -> None:
        """Wait for bytes with this ending."""
        received = bytearray()
        while not received.endswith(ending):
            self._repeat(lambda: received.extend(self._tls.read(65536)))

    def send(self, *records: bytes) -> None:
        """Send the records of TLS at once."""
        for record in records:
            self._tls.write(record)
        self._line.sendall(self._sent.read())

    def _repeat(self, step: Callable[[], object]) -> None:
        while True:
            with suppress(ssl.SSLWantReadError):
                step()
                return
            self._line.sendall(self._sent.read())
            received = self._line.recv(16384)
            if not received:
                raise ConnectionAbortedError
            self._received.write(received)


def test_a_surplus_response_in_a_tunnel_is_not_used(
    listen: StartServer,
    context: RequestContext,
    authority: Authority,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given two responses in one record of a proxy's TLS, then the next request gets neither."""
    api = authority.issue("api", "DNS:api.example", days=2)

    def serve_tunnel(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        tunnel = Tunnel(sock, server(api))
        tunnel.shake_hands()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        while True:
            tunnel.receive(b"json=%7B%7D")
            unrequested = b'{"status": "unrequested"}'
            tunnel.send(head % len(BODY) + BODY, head % len(unrequested) + unrequested)

    monkeypatch.setenv("https_proxy", listen(serve_tunnel, server(good)))
    endpoint = Endpoint("https://api.example/", 60.0, 2, authority.certificate)
    with closing(Connections(endpoint)) as connections:
        for _ in range(3):
            assert Transport(connections).send("{}", context) == HttpResponse(200, BODY)


def test_unread_bytes_in_the_tls_of_a_proxy_close_the_connection(
    authority: Authority, good: Path
) -> None:
    """A connection is not used again while the proxy's TLS holds bytes that were not read."""
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2  # it sends nothing after the handshake
    near, far = socket.socketpair()
    near.settimeout(60)
    far.settimeout(60)
    with ThreadPoolExecutor(1) as threads, near, far:
        accepted = threads.submit(server(good).wrap_socket, far, server_side=True)
        with (
            trusting.wrap_socket(near, server_hostname="127.0.0.1") as outer,
            accepted.result(60) as proxy,
        ):
            shaken = threads.submit(Tunnel(proxy, server(good)).shake_hands)
            connection = _TlsConnection("127.0.0.1")
            connection.sock = SSLTransport(outer, trusting, "127.0.0.1")
            shaken.result(60)
            assert connection.is_connected
            proxy.sendall(b"more")
            assert outer.recv(1) == b"m"
            assert not connection.is_connected


def test_a_slow_response_under_tls_is_left_at_the_deadline(
    listen: StartServer, send: SendRequest, authority: Authority, good: Path
) -> None:
    """The limit in time holds under TLS as well."""
    url = listen(lambda line, _: line.sendall(b"HTTP/1.1 200 OK\r\n"), server(good))
    with pytest.raises(RequestTimeoutError, match=r"within 0\.2 s"):
        send(url, 0.2, ca_file=authority.certificate)
