"""Certificates as openssl makes them, and a site that a web configuration protects."""

import asyncio
import http.client
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from exporter.web.config_file import LiveWebConfig, WebConfig, install_web_config, load_web_config
from exporter.yamlfile.problems import ConfigError, Problem
from tests.support.clocks import FakeClock
from tests.support.http import Response, send_request
from tests.support.waiting import TIMEOUT

TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(  # noqa: S603 - the arguments are the tests' own
        ["openssl", *arguments],  # noqa: S607 - the one that the machine has
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )


def certify(folder: Path, name: str, *more: str, key: str = "ec") -> None:
    """Make `name.pem` and `name.key`; a certificate of the authority, if `more` names it."""
    options = {
        "ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "rsa": ("-newkey", "rsa:2048"),
        "weak": ("-newkey", "rsa:1024"),
    }[key]
    out = ("-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30")
    openssl(folder, "req", "-x509", *options, *out, "-subj", f"/CN={name}", *more)


def names(*alternatives: str) -> tuple[str, ...]:
    """Return the options for a certificate that is no authority and has these names."""
    return (
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", f"subjectAltName={','.join(alternatives)}"),
    )


@pytest.fixture(scope="session")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of certificates, once: good ones and bad ones."""
    folder = tmp_path_factory.mktemp("certificates")
    of_authority = ("-CA", "authority.pem", "-CAkey", "authority.key")
    of_stranger = ("-CA", "stranger.pem", "-CAkey", "stranger.key")
    here = names("DNS:localhost", "IP:127.0.0.1")
    certify(folder, "authority")
    certify(folder, "stranger")
    for name in ("server", "successor"):
        certify(folder, name, *of_authority, *here)
    certify(folder, "rsa", *of_authority, *here, key="rsa")
    certify(folder, "weak", *here, key="weak")
    certify(
        folder,
        "prometheus",
        *of_authority,
        *names(
            "DNS:one.example", "IP:10.0.0.1", "IP:fe80::1", "email:a@b.example", "URI:spiffe://x/y"
        ),
    )
    certify(folder, "intruder", *of_stranger, *names("DNS:one.example"))
    openssl(
        folder,
        "pkey",
        "-in",
        "server.key",
        "-aes256",
        "-passout",
        "pass:canary",
        "-out",
        "locked.key",
    )
    begin, end = "-----BEGIN {}-----\n", "-----END {}-----\n"
    for name, kind in (("broken.pem", "CERTIFICATE"), ("broken.key", "PRIVATE KEY")):
        (folder / name).write_text(begin.format(kind) + "Y2FuYXJ5\n" + end.format(kind))
    (folder / "empty.pem").touch()
    return folder


@pytest.fixture
def folder(tmp_path: Path, drawer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of one's own, the current one too, with all the certificates."""
    for file in drawer.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    """Return a function that makes a text the web configuration, in a new file each time."""

    def write_it(text: str) -> Path:
        (folder / "new").write_text(text, encoding="utf-8")
        return (folder / "new").rename(folder / "web.yml")

    return write_it


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], WebConfig]:
    """Return a function that loads a text as `web.yml`."""

    def load_it(text: str) -> WebConfig:
        write(text)
        return load_web_config(Path("web.yml"))

    return load_it


@pytest.fixture
def mistakes(load: Callable[[str], WebConfig]) -> Callable[[str], list[str]]:
    """Return a function that gives the lines of the error that a bad text ends in.

    Its traceback must not have the word canary, which stands for a secret in the text.
    """

    def lines(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        return str(caught.value).splitlines()

    return lines


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that is fixed at 1000."""
    return FakeClock()


@pytest.fixture
def begin(write: Callable[[str], Path], clock: FakeClock) -> Callable[[str], LiveWebConfig]:
    """Return a function that starts with a text as web configuration and looks once."""

    def begin_it(text: str) -> LiveWebConfig:
        write(text)
        own = LiveWebConfig(Path("web.yml"), clock)
        own.refresh()
        return own

    return begin_it


def refresh_twice(live: LiveWebConfig, clock: FakeClock) -> tuple[Problem, ...]:
    """Look at the files twice, a second apart, and return what is wrong then."""
    live.refresh()
    clock.monotonic += 1.0
    return live.refresh()


class Site:
    """A page behind a web configuration, served in a thread."""

    def __init__(self, live: LiveWebConfig, folder: Path, clock: FakeClock) -> None:
        self.live = live
        self.clock = clock
        self.port = 0
        self.folder = folder
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Serve until stopped."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Stop serving, if that was not done before."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def wait(self) -> None:
        """Wait until the port is known."""
        assert self._listening.wait(TIMEOUT)

    def refresh_twice(self) -> tuple[Problem, ...]:
        """Look at the files twice, a second apart, and return what is wrong then."""
        return refresh_twice(self.live, self.clock)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        install_web_config(app, self.live, time.monotonic)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.live.ssl_context).start()
        self.port = runner.addresses[0][1]
        self._listening.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text="good 1\n")

    def trust(self, client: str | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts the authority, with the certificate of a client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "authority.pem")
        if client:
            context.load_cert_chain(self.folder / f"{client}.pem", self.folder / f"{client}.key")
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Return a connection, by TLS where the site uses it."""
        if self.live.ssl_context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=TIMEOUT, context=context or self.trust()
        )

    def ask(
        self,
        path: str = "/metrics",
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        method: str = "GET",
    ) -> Response:
        """Make one request."""
        return send_request(self.connect(context), path, method, headers)


@pytest.fixture
def serve(write: Callable[[str], Path], folder: Path) -> Iterator[Callable[[str], Site]]:
    """Return a function that serves behind a text as web configuration, until the test ends."""
    running: list[tuple[Site, threading.Thread]] = []

    def start(text: str) -> Site:
        clock = FakeClock()
        site = Site(LiveWebConfig(write(text), clock), folder, clock)
        thread = threading.Thread(target=site.run)
        thread.start()
        running.append((site, thread))
        site.wait()
        return site

    yield start
    for site, thread in running:
        site.stop()
        thread.join(TIMEOUT)
