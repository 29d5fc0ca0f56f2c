"""Variables that libraries read change nothing."""

import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.waiting import TIMEOUT

OF_LIBRARIES: Mapping[str, str] = {
    # prometheus_client
    "PROMETHEUS_MULTIPROC_DIR": "{folder}",
    "PROMETHEUS_DISABLE_CREATED_SERIES": "false",
    "PROMETHEUS_LEGACY_NAME_VALIDATION": "true",
    # aiohttp and what it builds on
    "AIOHTTP_NO_EXTENSIONS": "1",
    "AIOHTTP_NOSENDFILE": "1",
    "YARL_NO_EXTENSIONS": "1",
    "MULTIDICT_NO_EXTENSIONS": "1",
    "FROZENLIST_NO_EXTENSIONS": "1",
    "PROPCACHE_NO_EXTENSIONS": "1",
    # requests, urllib3, ssl
    "NETRC": "{folder}/netrc",
    "SSLKEYLOGFILE": "{folder}/keys",
    "SSL_CERT_FILE": "{folder}/missing.pem",
    "SSL_CERT_DIR": "{folder}/missing",
    "ftp_proxy": "http://127.0.0.1:1",
    "REQUEST_METHOD": "GET",
    # pydantic
    "PYDANTIC_DISABLE_PLUGINS": "nonsense",
    "PYDANTIC_PRIVATE_ALLOW_UNHANDLED_SCHEMA_TYPES": "1",
    # structlog
    "FORCE_COLOR": "1",
}
"""What the libraries that the program runs on read, as a search of their source finds it."""


def test_a_folder_for_multiprocess_mode_is_not_used(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """The folder for prometheus_client's other mode, under either name, is not used."""
    configure(tmp_path, scaleengine.url)
    names = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
    program = start(tmp_path, **dict.fromkeys(names, "/nonexistent"))
    program.wait_for(msg="poll", collector="files")
    assert program.value("scaleengine_files") == 130
    assert program.end() == 0


def test_variables_of_libraries_change_nothing(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """With all of them set, the program does and prints the same, and writes no file."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    configure(tmp_path, scaleengine.url)
    environ = {name: value.format(folder=folder) for name, value in OF_LIBRARIES.items()}
    for times in (4, 1):  # counters of the first would come back in the second
        program = start(tmp_path, **environ)
        program.wait_for(times, msg="poll", collector="files")
        program.wait_for(msg="poll", collector="disk_usage")
        assert program.value("scaleengine_files") == 130
        counted = program.value("scaleengine_polls_total", collector="files")
        metrics = program.get("/metrics")[1]
        assert "_created" not in metrics
        assert "process_resident_memory_bytes" in metrics
        assert program.end() == 0
        polls = [
            event
            for event in program.events
            if (event.get("msg"), event.get("collector")) == ("poll", "files")
        ]
        assert counted is not None
        assert times <= counted <= len(polls)
        assert not [line for line in program.lines if "\x1b" in line]
    assert list(folder.iterdir()) == []


@pytest.fixture
def plain_server() -> Iterator[int]:
    """Return a port where connections are accepted without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_tls_keys_are_written(
    start: StartProgram, configure: WriteConfig, plain_server: int, tmp_path: Path
) -> None:
    """No variable lets the program write down the keys of its connections to the API."""
    configure(tmp_path, f"https://127.0.0.1:{plain_server}/", api={"timeout": "1s"})
    program = start(tmp_path, SSLKEYLOGFILE=str(tmp_path / "keys"))
    program.wait_for(msg="poll", result="failed")
    assert not (tmp_path / "keys").exists()


class RecordingProxy:
    """A port that reports when a client has connected."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        connection.close()
        self.asked.set()

    def close(self) -> None:
        """Listen no longer."""
        self._server.close()


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    """Return a proxy."""
    listening = RecordingProxy()
    yield listening
    listening.close()


def test_a_proxy_is_used_in_spite_of_cgi_variables(
    start: StartProgram, configure: WriteConfig, proxy: RecordingProxy, tmp_path: Path
) -> None:
    """A proxy is asked, though a library would ignore it in a CGI script, or for an empty twin."""
    configure(tmp_path, "http://api.invalid/", api={"timeout": "1s"})
    program = start(tmp_path, HTTP_PROXY=proxy.address, REQUEST_METHOD="GET", http_proxy="")
    program.wait_for(msg="poll", result="failed")
    assert proxy.asked.wait(TIMEOUT)


def test_the_log_has_utc_in_any_time_zone(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """The log has UTC in any local time."""
    configure(tmp_path, scaleengine.url)
    program = start(tmp_path, TZ="Asia/Kathmandu")
    assert str(program.wait_for(msg="starting")["ts"]).endswith("Z")
    program.wait_for(collector="disk_usage", result="ok")
