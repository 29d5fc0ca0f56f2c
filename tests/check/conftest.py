"""A ScaleEngine to check a configuration against, with and without TLS, and ways to check it."""

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest
import requests

from exporter.check.runner import CheckOptions, check
from exporter.config import load
from exporter.scaleengine.redaction import SecretRedactor
from exporter.settings import Settings, build_settings
from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator, steady_usage
from exporter.terminal import Progress
from tests.support.authority import Authority
from tests.support.credentials import CANARY_KEY, CANARY_SECRET
from tests.support.fixtures import CheckAccounts, DescribeAccount, MakeSettings, WriteAccounts
from tests.support.waiting import TIMEOUT

JSON = CheckOptions("json")

Said = Mapping[str, object]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxies, certificates and colours out of the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in (
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NO_COLOR",
        "FORCE_COLOR",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in tuple(os.environ):
        if name.startswith("SCALEENGINE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def account() -> SimulatedAccount:
    """Return an account with two CPU users, a path of 250 videos, and one with two folders."""
    films = {f"{number}.mp4": FileType.VIDEO for number in range(250)}
    small = Folder(
        files={"a.mp4": FileType.VIDEO, "b.mp4": FileType.VIDEO},
        folders={"1": Folder(files={"c.mp4": FileType.VIDEO}), "2": Folder()},
    )
    store = Folder(folders={"jb": Folder(files=films), "small": small})
    return SimulatedAccount(
        cdn=158,
        api_key=CANARY_KEY,
        api_secret=CANARY_SECRET,
        usage=steady_usage({"": 1024, "web": 5_000_000_000}),
        storage=Folder(folders={"sestore4": store}),
    )


@pytest.fixture
def scaleengine(account: SimulatedAccount) -> Iterator[Simulator]:
    """Run a ScaleEngine with that account."""
    with Simulator([account]) as running:
        yield running


@pytest.fixture
def main() -> DescribeAccount:
    """Return a function that describes an account whose key and secret are right, and changes."""

    def build_account(**changes: object) -> Said:
        return {
            "name": "main",
            "cdn": 158,
            "api_key": CANARY_KEY,
            "api_secret": CANARY_SECRET,
            "files": {"paths": ["sestore4/jb", "sestore4/small"]},
            **changes,
        }

    return build_account


@pytest.fixture
def configure(tmp_path: Path) -> WriteAccounts:
    """Return a function that writes a configuration of accounts and returns its file."""

    def write(url: str, *accounts: Mapping[str, object], **api: object) -> Path:
        api_section = {"url": url, "requests_per_second": None, "timeout": "1m", **api}
        file = tmp_path / "config.yaml"
        # JSON is YAML.
        file.write_text(json.dumps({"api": api_section, "accounts": accounts}))
        return file

    return write


@pytest.fixture
def settings(configure: WriteAccounts) -> MakeSettings:
    """Return a function that builds the settings of a configuration of accounts."""
    return lambda url, *accounts, **api: build_settings(
        load(configure(url, *accounts, **api), {}).config
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check: whether it was good, and the findings as the document has them."""

    good: bool
    findings: Sequence[Said]

    def of(self, what: str, outcome: str | None = None) -> list[Said]:
        """Return the findings about one thing, or those of them that end so."""
        return [
            finding
            for finding in self.findings
            if finding["what"] == what and outcome in (None, finding["outcome"])
        ]

    def outcomes(self, account: str | None = None) -> list[str]:
        """Return how it stands with each thing, or with each of an account."""
        return [
            f"{finding['what']} {finding['outcome']}"
            for finding in self.findings
            if account in (None, finding["account"])
        ]


@pytest.fixture
def checked(settings: MakeSettings) -> CheckAccounts:
    """Return a function that checks a configuration of accounts."""

    def run(
        url: str, *accounts: Mapping[str, object], options: CheckOptions = JSON, **api: object
    ) -> Checked:
        return check_settings(settings(url, *accounts, **api), options)

    return run


def check_settings(settings: Settings, options: CheckOptions = JSON) -> Checked:
    """Check the settings."""
    out = StringIO()
    good = check(settings, (), SecretRedactor(), options, (out, Progress(StringIO())))
    document = json.loads(out.getvalue())
    assert document["ok"] is good
    return Checked(good, document["findings"])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that only a test trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def under_tls(scaleengine: Simulator) -> Iterator[Callable[[Path], str]]:
    """Return a function that serves the ScaleEngine with a certificate, and returns its address."""
    with ExitStack() as at_the_end:

        def serve(certificate: Path) -> str:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server = HTTPServer(("127.0.0.1", 0), partial(_PassOn, scaleengine.url))
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            at_the_end.callback(thread.join, TIMEOUT)
            at_the_end.callback(server.server_close)
            at_the_end.callback(server.shutdown)
            return f"https://127.0.0.1:{server.server_port}/stable/"

        yield serve


class _PassOn(BaseHTTPRequestHandler):
    """Responds to a request with the response of another server."""

    def __init__(
        self, behind: str, sock: socket.socket, address: tuple[str, int], server: HTTPServer
    ) -> None:
        self._behind = behind
        super().__init__(sock, address, server)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        with requests.post(
            self._behind, body, headers={"Content-Type": kind}, timeout=TIMEOUT
        ) as response:
            self.send_response_only(response.status_code)
            self.send_header("Date", response.headers["Date"])
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)
