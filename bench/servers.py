"""The servers that are compared, each in a process of its own on one core, with the same series."""

import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import requests

from bench.machine import said_by, tool
from bench.series import CDN, STORE_PATH, text, tree
from bench.walk import KEY, LISTENING, SECRET
from exporter.simulator import Behaviour, SimulatedAccount, Simulator
from tests.support.api_variants import ApiVariant, Unreached
from tests.support.child import Child

TIMEOUT: Final = 120.0
"""Seconds that a server may take to be ready, and to respond."""

_LAST_SECONDS: Final = 10.0
_CONFIGURATION: Final = """\
api: {{url: "{url}", timeout: 2m}}
accounts:
  - cdn: {cdn}
    api_key: {key}
    api_secret: {secret}
    disk_usage: {{enabled: false}}
    files:
      interval: 1d
      paths: [{{path: {path}, folder_depth: 1, max_folders: 1000000}}]
"""
_NGINX: Final = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{}}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type text/plain;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  server {{
    listen {address};
    root {folder};
    gzip_static on;
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready: its process, and the host and port where it listens."""

    process: int
    address: str


class MissingToolError(Exception):
    """This machine lacks a server; the text names it, and what to install."""


@contextmanager
def this_exporter(
    series: int,
    core: int,
    *flags: str,
    auth: tuple[str, str] | None = None,
    listen: str = "127.0.0.1:0",
) -> Iterator[Server]:
    """Run the exporter with ``series`` series, polled from the simulator, until it is ready.

    Where it listens everywhere, the server's address is that of 127.0.0.1.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        config = Path(folder, "config.yaml")
        with _simulator(series) as simulator:
            config.write_text(
                _CONFIGURATION.format(
                    url=simulator.url, cdn=CDN, key=KEY, secret=SECRET, path=STORE_PATH
                )
            )
            command = [sys.executable, "-m", "exporter", f"--config.file={config}", *flags]
            command.append(f"--web.listen-address={listen}")
            server = stack.enter_context(_running(command, core))
            _wait_until_ready(server, auth)
        del simulator  # a large heap makes Python's collector slow, and the load runs here
        yield server


@contextmanager
def client_python(series: int, core: int) -> Iterator[Server]:
    """Run prometheus_client's own server with this number of series."""
    with _running([sys.executable, "-m", "bench.series", str(series)], core) as server:
        yield server


@contextmanager
def pushgateway(series: int, core: int) -> Iterator[Server]:
    """Run a Go exporter, Prometheus' Pushgateway, with this number of series pushed to it.

    Raises MissingToolError.
    """
    path = tool("prometheus-pushgateway")
    if path is None:
        raise MissingToolError("not installed (apt-get install prometheus-pushgateway)")
    with _running([path, "--web.listen-address=127.0.0.1:0"], core) as server:
        url = f"http://{server.address}/metrics/job/bench"
        requests.put(url, data=text(series), timeout=TIMEOUT).raise_for_status()
        yield server


@contextmanager
def nginx(files: Mapping[str, bytes], core: int) -> Iterator[Server]:
    """Run nginx with these files at its root; ``x.gz`` is sent where ``x`` is requested in gzip.

    Raises MissingToolError.
    """
    path = tool("nginx")
    if path is None:
        raise MissingToolError("not installed (apt-get install nginx-light)")
    if "http_gzip_static_module" not in said_by(path, "-V"):
        raise MissingToolError("is built without gzip_static (apt-get install nginx-light)")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # started by root, its worker is another user
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        address = f"127.0.0.1:{_free_port()}"
        config = Path(folder, "nginx.conf")
        config.write_text(_NGINX.format(folder=folder, address=address))
        command = [path, "-p", folder, "-c", str(config), "-e", "stderr"]
        with _running(command, core, address) as server:
            _wait_for_connection(address)
            yield server


def _simulator(series: int) -> Simulator:
    account = SimulatedAccount(cdn=CDN, api_key=KEY, api_secret=SECRET, storage=tree(series))
    # Few responses show the whole tree: it is serving that is measured, not polling. The exporter
    # reads at most 100,000 files and folders in one.
    variant = ApiVariant(files_per_answer=50_000, unreached=Unreached.BEHIND_OFFSET)
    return Simulator([account], Behaviour(variant=variant))


@contextmanager
def _running(command: Sequence[str], core: int, address: str | None = None) -> Iterator[Server]:
    """Run a server on one core; where it listens is taken from its log, unless it is known."""
    with Child(["taskset", "--cpu-list", str(core), *command]) as child:
        listens = address or child.wait_for_line(LISTENING, TIMEOUT)
        yield Server(child.pid, f"127.0.0.1{listens}" if listens[0] == ":" else listens)


def _wait_until_ready(server: Server, auth: tuple[str, str] | None) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        response = requests.get(f"http://{server.address}/-/ready", auth=auth, timeout=TIMEOUT)
        if response.status_code == HTTPStatus.OK:
            return
        time.sleep(0.1)
    raise SystemExit(f"the exporter was not ready after {TIMEOUT:.0f} s")


def _wait_for_connection(address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"nothing listens on {address} after {_LAST_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
