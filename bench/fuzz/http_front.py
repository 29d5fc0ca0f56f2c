"""The web server against any bytes, with basic auth on: no request is let in, nothing fails.

Each response is no success, no 500, and repeats nothing that was sent. Nothing is logged as an
error. A scrape with the password afterwards gets the metrics.
"""

import asyncio
import http.client
import logging
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

import bcrypt
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from bench.fuzz.target import Target
from exporter.metrics.exposition import build_empty_layer, expose, render_process_layer
from exporter.web.app import AppState, build_app
from exporter.web.config_file import LiveWebConfig, install_web_config
from exporter.web.connection_tracker import ConnectionLimits
from exporter.web.listeners import TcpAddress, listen
from exporter.web.server import serve
from exporter.web.status.pages import StatusSource
from tests.support.http import read_to_end

_CANARY: Final = b"c4n4ry"
_AUTHORIZATION: Final = "Basic cHJvbWV0aGV1czpub2JvZHlzLXBhc3N3b3Jk"  # prometheus:nobodys-password
_PASSWORD: Final = b"nobodys-password"
_TIMEOUT: Final = 20.0
_START_SECONDS: Final = 30.0
_CONNECTIONS: Final = 100
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [A-Za-z -]*\r\n")

_METHODS = st.sampled_from(
    [b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"\0"]
)
_PATHS = st.sampled_from(
    [
        *(b"/", b"/metrics", b"/-/ready", b"/-/healthy", b"/-/reload", b"//metrics", b"*", b""),
        *(b"/api/v1/status", b"/config", b"/?account=" + _CANARY),
        *(b"/../metrics", b"/%6detrics", b"/metrics/", b"/metrics?name[]=" + _CANARY, b"/\xff"),
        *(b"http://x/metrics", b"http://[::1/", b"http://x:99999/", b"x:443", b"/" + b"a" * 8200),
    ]
)
_VERSIONS = st.sampled_from([*[b"HTTP/1.1"] * 6, b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"x", b""])
_NAMES = st.sampled_from(
    [
        *(b"Host", b"Expect", b"Connection", b"Upgrade", b"Content-Length", b"Transfer-Encoding"),
        *(b"Content-Encoding", b"Content-Type", b"Accept-Encoding", b"Authorization", b"Cookie"),
        *(
            b"Origin",
            b"Sec-Fetch-Site",
            b"Range",
            b"TE",
            b"Trailer",
            b"X-Forwarded-For",
            b"Forwarded",
        ),
        *(b"Proxy-Authorization", b"Sec-WebSocket-Key", b"Date", b"Keep-Alive", b"X" * 9000),
    ]
) | st.binary(max_size=4)
_VALUES = st.sampled_from(
    [
        *(b"", b"x", b"\xff", b"100-continue", b"chunked", b"gzip, chunked", b"gzip", b"deflate"),
        *(b"br", b"zstd", b"5", b"-1", b"5, 5", b"99999999999999999999", b"close", b"keep-alive"),
        *(b"upgrade", b"websocket", b"h2c", b"cross-site", b"https://" + _CANARY, b"bytes=0-1"),
        *(b"Basic " + _CANARY, b"Basic cHJvbWV0aGV1czpndWVzcw==", b"Basic cHJvbWV0aGV1czo="),
        *(b"Basic =", b"Basic \xff", b"basic", b"Bearer " + _CANARY, b"gzip;q=" + b"9" * 400),
        *(b"multipart/form-data", b"multipart/form-data; boundary=x", b"text/plain; charset=\xff"),
        *(b"application/x-www-form-urlencoded", _CANARY, b"a" * 8200, b"[", b"h:99999", b"\0"),
    ]
) | st.binary(max_size=6)
_BODIES = st.sampled_from(
    [
        *(
            b"",
            b"",
            b"abcde",
            b"5\r\nabcde\r\n0\r\n\r\n",
            b"-1\r\n",
            b"zz\r\n",
            b"f" * 20 + b"\r\n",
        ),
        *(
            b"5;x=" + _CANARY + b"\r\nabcde\r\n0\r\nX: y\r\n\r\n",
            b"0" * 5000,
            b"\x1f\x8b\x08" + b"\0" * 20,
        ),
        b"x" * 2000,
    ]
)
_BREAKS = st.sampled_from([*[b"\r\n"] * 8, b"\n", b"\r"])


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """Draw a request that is more or less one."""
    line = b" ".join([draw(_METHODS), draw(_PATHS), draw(_VERSIONS)])
    fields = [name + b": " + value for name, value in draw(st.lists(st.tuples(_NAMES, _VALUES)))]
    fields += [b"Host: h"] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    return draw(_BREAKS).join([line, *fields, b"", draw(_BODIES)])


@st.composite
def _mangled(draw: st.DrawFn) -> bytes:
    """Draw requests, one after the other, of which some bytes are changed, removed or added."""
    sent = bytearray(b"".join(draw(st.lists(_requests(), min_size=1, max_size=3))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        start = draw(st.integers(0, len(sent)))
        sent[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(sent)


_SENT: Final = st.lists(_mangled() | st.binary(max_size=200), min_size=1, max_size=4)


@contextmanager
def http_front() -> Iterator[Target[list[bytes]]]:
    """Run the web server in a thread, and check its responses."""
    with tempfile.TemporaryDirectory() as folder, capture_logs() as events, _records() as records:
        config = Path(folder, "web.yml")
        hashed = bcrypt.hashpw(_PASSWORD, bcrypt.gensalt(4)).decode()
        config.write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n")
        with _serving(config) as port:

            def check(sent: list[bytes]) -> None:
                del events[:], records[:]
                for received in _exchange(port, sent):
                    _check(received)
                _scrape(port)
                errors = [event for event in events if event["log_level"] in {"error", "critical"}]
                _require(not errors, f"logged: {errors}")
                _require(not records, f"logged: {[record.getMessage() for record in records]}")
                _require(_CANARY.decode() not in str(events), "the log repeats the request")

            yield Target(_SENT, check)


def _require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - it is what must hold
    if not holds:
        raise AssertionError(sentence)


def _check(received: bytes) -> None:
    _require(_CANARY not in received, "a response repeats the request")
    _require(not received or _STATUS.match(received) is not None, f"not HTTP: {received[:80]!r}")
    for status in map(int, _STATUS.findall(received)):
        success = 200 <= status < 300  # noqa: PLR2004 - RFC 9110, 15.3
        _require(not success, f"HTTP {status} without a password")
        _require(status < 500 or status in {503, 505}, f"HTTP {status}")  # noqa: PLR2004


def _exchange(port: int, sent: Sequence[bytes]) -> Iterator[bytes]:
    """Send each on a connection of its own; give what came until it was closed."""
    for data in sent:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
            with suppress(ConnectionError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            yield read_to_end(connection)


def _scrape(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as connection:
        connection.request("GET", "/metrics", headers={"Authorization": _AUTHORIZATION})
        response = connection.getresponse()
        body = response.read()
    _require(response.status == http.HTTPStatus.OK, f"a scrape got HTTP {response.status}")
    _require(body.endswith(b"files 3.0\n"), "a scrape did not get the metrics")


@contextmanager
def _records() -> Iterator[list[logging.LogRecord]]:
    """Collect what libraries log as errors."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append  # type: ignore[assignment,method-assign] # no more is needed of it
    logging.getLogger().addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger().removeHandler(handler)


def _no_status() -> NoReturn:
    """Raise an error: no request gets as far as the status page."""
    raise NotImplementedError


@contextmanager
def _serving(config: Path) -> Iterator[int]:
    """Serve one metric behind a password in a thread; give the port."""
    registry = CollectorRegistry()
    Gauge("files", "Files.", registry=registry).set(3)
    exposition = expose(build_empty_layer(()), render_process_layer(registry.collect()))
    sockets = listen([TcpAddress("127.0.0.1", 0)])
    listening = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        status = StatusSource(_no_status, None, lambda: False, time.monotonic)
        app = build_app(AppState(lambda: exposition, "/metrics", status, lambda: (), lambda: ()))
        install_web_config(app, LiveWebConfig(config, time.monotonic), time.monotonic)
        limits = ConnectionLimits(lambda: _CONNECTIONS)
        await serve(app, sockets, listening.set, stop, limits=limits)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="web server")
    thread.start()
    try:
        _require(listening.wait(_START_SECONDS), "the server does not listen")
        yield sockets[0].getsockname()[1]
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
