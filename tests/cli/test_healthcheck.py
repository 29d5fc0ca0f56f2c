"""The health check finds the exporter wherever it listens, and reports its health."""

import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Protocol

import pytest

from exporter import cli, healthcheck
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process
from exporter.web.listeners import format_address, listen, parse_address
from tests.support.ports import refusing_port
from tests.support.waiting import TIMEOUT

VARIABLE = "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS"
WEB_CONFIG = "--web.config.file=web.yml"


class Serve(Protocol):
    """Listen, give every client the same response, and return the address."""

    def __call__(
        self, address: str, status: int = 200, tls: ssl.SSLContext | None = None
    ) -> str: ...


def check(command_line: bytes, environ: Mapping[str, str]) -> int:
    """Return the exit status of a health check next to a process with this command line."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(healthcheck, "read_command_line", lambda _: command_line)
        return run(["healthcheck"], environ)


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    process = Process(environ, SignalThread(lambda _: None), BackgroundWriter(2))
    return cli.main(arguments, process)


def has_ipv6() -> bool:
    """Return whether this machine has the IPv6 loopback address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def flags(*given: str) -> bytes:
    """Return a command line as proc(5) shows that of the image."""
    words = ("/opt/bin/python", "/opt/bin/scaleengine-exporter", "demo", *given)
    return b"".join(word.encode() + b"\0" for word in words)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that listens as the exporter does, with one response for every client."""
    listening: list[socket.socket] = []

    def serve_it(address: str, status: int = 200, tls: ssl.SSLContext | None = None) -> str:
        (server,) = listen([parse_address(address)])
        listening.append(server)
        Thread(target=respond_to_all, args=(server, status, tls), daemon=True).start()
        return format_address(server)

    yield serve_it
    for server in listening:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def respond_to_all(server: socket.socket, status: int, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):  # it is closed at the end of the test
        while True:
            client, _ = server.accept()
            client.settimeout(TIMEOUT)
            with suppress(OSError), client:  # a client may go in the middle of a handshake
                respond(
                    client if tls is None else tls.wrap_socket(client, server_side=True), status
                )


def respond(client: socket.socket, status: int) -> None:
    with client:
        here = client.recv(1024).startswith(b"GET /-/healthy HTTP/1.1\r\n")
        client.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (status if here else 599))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate and its key, in one file."""
    file = str(tmp_path_factory.mktemp("certificate") / "server.pem")
    subprocess.run(  # noqa: S603 - the arguments are the test's own
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=server", "-days", "30", "-keyout", file, "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    return Path(file)


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize(
    "address",
    [
        ":0",
        "127.0.0.1:0",
        "0.0.0.0:0",
        pytest.param("[::1]:0", marks=with_ipv6),
        pytest.param("[::]:0", marks=with_ipv6),
    ],
)
def test_the_flag_gives_the_address(serve: Serve, address: str) -> None:
    """The address may be one of this machine's, or all of them."""
    host, _, _ = address.rpartition(":")
    _, _, port = serve(address).rpartition(":")
    assert check(flags(f"--web.listen-address={host}:{port}"), {}) == 0


def test_the_address_may_be_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    """The address may be a path."""
    address = serve(f"unix:{tmp_path}/exporter.sock")
    assert check(flags("--web.listen-address", address), {}) == 0


def test_the_first_of_several_addresses_is_used(serve: Serve) -> None:
    """Of several addresses one is enough: they have one process behind them."""
    given = f"--web.listen-address={serve('127.0.0.1:0')}"
    assert check(flags(given, "--web.listen-address=127.0.0.1:1"), {}) == 0


@pytest.mark.parametrize(
    "command_line",
    [
        flags(),
        b"/sbin/docker-init\0--\0" + flags(),
        b"/opt/bin/scaleengine-exporter\0",
        b"/bin/sh\0-c\0exec scaleengine-exporter demo\0",
        b"",
    ],
)
def test_the_environment_gives_the_address(serve: Serve, command_line: bytes) -> None:
    """Where there is no flag, the environment has the address, for any process 1."""
    assert check(command_line, {VARIABLE: serve("127.0.0.1:0")}) == 0


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [
        pytest.param(200, 0, id="well"),
        pytest.param(401, 0, id="asks for a password"),
        pytest.param(429, 0, id="is asked too often"),
        pytest.param(503, 1, id="a thread is dead"),
    ],
)
def test_the_status_of_the_response_decides(serve: Serve, status: int, exit_status: int) -> None:
    """A response is healthy unless its status says that it is not."""
    assert check(flags(), {VARIABLE: serve("127.0.0.1:0", status)}) == exit_status


def test_a_refused_connection_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing listens, it says so."""
    with refusing_port() as port:
        address = f"127.0.0.1:{port}"
        assert check(flags(), {VARIABLE: address}) == 1
    assert capsys.readouterr().out.startswith(f"no response from {address}: ")


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_with_a_web_config_file_tls_is_used(
    serve: Serve, tls: ssl.SSLContext, status: int, exit_status: int
) -> None:
    """With a web configuration TLS is tried; whose certificate it is does not matter here."""
    address = serve("127.0.0.1:0", status, tls)
    assert check(flags(WEB_CONFIG), {VARIABLE: address}) == exit_status


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_requires_a_client_certificate_is_healthy(
    serve: Serve, tls: ssl.SSLContext, newest: ssl.TLSVersion
) -> None:
    """A server that turns away clients without a certificate is well enough to do so."""
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.maximum_version = newest
    assert check(flags(WEB_CONFIG), {VARIABLE: serve("127.0.0.1:0", tls=tls)}) == 0


@pytest.mark.parametrize(("status", "exit_status"), [(401, 0), (503, 1)])
def test_a_web_config_file_without_tls_is_reached_by_http(
    serve: Serve, status: int, exit_status: int
) -> None:
    """A web configuration may be there for passwords alone."""
    assert check(flags(WEB_CONFIG), {VARIABLE: serve("127.0.0.1:0", status)}) == exit_status


def test_flags_win_over_those_of_process_1(
    serve: Serve, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """Outside of a container, the operator says where the exporter listens."""
    secure = serve(f"unix:{tmp_path}/exporter.sock", tls=tls)
    environ = {VARIABLE: "127.0.0.1:1"}
    assert run(["healthcheck", f"--web.listen-address={secure}", WEB_CONFIG], environ) == 0
    assert run(["healthcheck", f"--web.listen-address={secure}"], environ) == 1


def test_an_unreadable_process_1_is_ignored() -> None:
    """Process 1 may be hidden from the user."""
    assert healthcheck.read_command_line(0) == b""
