"""systemd is notified of what the service does."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exporter.systemd import Notifier
from tests.support.fixtures import StartProgram
from tests.support.waiting import TIMEOUT

CONFIG = "accounts: [{cdn: 1, api_key: k, api_secret: s}]\napi: {url: 'http://127.0.0.1:9/'}\n"


class FakeServiceManager:
    """A service manager that receives notifications."""

    def __init__(self, file: Path) -> None:
        self.environ = {"NOTIFY_SOCKET": str(file)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT)
        self._socket.bind(str(file))

    def receive(self) -> list[str]:
        """Wait for a notification, and return its lines."""
        return self._socket.recv(4096).decode().splitlines()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[FakeServiceManager]:
    manager = FakeServiceManager(tmp_path / "notify.sock")
    yield manager
    manager.close()


def test_start_reload_and_stop_are_notified(
    manager: FakeServiceManager, start: StartProgram, tmp_path: Path
) -> None:
    """It is ready when it listens, feeds the watchdog, reloads at SIGHUP, and stops."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    program = start(tmp_path, **manager.environ, WATCHDOG_USEC="600000000")
    first = [manager.receive() for _ in range(2)]
    assert sorted(first) == [["READY=1", "STATUS=serving"], ["WATCHDOG=1"]]
    assert program.get("/-/healthy")[0] == 200
    program.send(signal.SIGHUP)
    reloading, time, _ = manager.receive()
    assert (reloading, time.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
    assert manager.receive() == ["READY=1", "STATUS=serving"]
    assert program.end() == 0
    assert manager.receive() == ["STOPPING=1", "STATUS=stopping"]


def test_a_failed_reload_is_notified(manager: FakeServiceManager) -> None:
    """The service is ready afterwards, because the old configuration is in force."""

    def reload(*, over_http: bool) -> Sequence[str]:
        return [f"wrong: {over_http}"]

    notifier = Notifier(manager.environ, lambda: 5_000_000)
    assert notifier.wrap_reload(reload)(over_http=True) == ["wrong: True"]
    assert manager.receive()[:2] == ["RELOADING=1", "MONOTONIC_USEC=5000"]
    assert manager.receive() == ["READY=1", "STATUS=serving; the last reload failed, see the log"]


def test_a_crashed_reload_is_notified_as_ended(manager: FakeServiceManager) -> None:
    """Otherwise systemd would wait for its end."""

    def reload(*, over_http: bool) -> Sequence[str]:
        raise ZeroDivisionError(over_http)

    with pytest.raises(ZeroDivisionError):
        Notifier(manager.environ).wrap_reload(reload)(over_http=False)
    manager.receive()
    assert manager.receive()[0] == "READY=1"


def test_an_ended_thread_stops_the_watchdog_pings(manager: FakeServiceManager) -> None:
    """Who is not healthy is silent, and fed again when the thread is back."""
    dead = [("poll",), (), ("publish",), ()]
    checked = asyncio.Event()

    def find_dead() -> Sequence[str]:
        if len(dead) == 1:
            checked.set()
        return dead.pop() if dead else ("reload",)

    async def serve() -> None:
        async with Notifier({**manager.environ, "WATCHDOG_USEC": "3"}).watch(find_dead):
            await checked.wait()

    asyncio.run(serve())
    assert [manager.receive()[0] for _ in range(3)] == ["WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_on_where_systemd_says_so(
    environ: dict[str, str], seconds: float | None
) -> None:
    """It is there if systemd says how long it waits, and means this process."""
    assert Notifier(environ).watchdog_seconds == seconds


def test_an_abstract_address_is_notified() -> None:
    """A name that begins with @ is not in the file system."""
    name = f"scaleengine-exporter-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(TIMEOUT)
        receiver.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).notify_ready()
        assert receiver.recv(100).startswith(b"READY=1")


def test_a_missing_service_manager_is_no_error(tmp_path: Path) -> None:
    """The service goes on where the service manager is missing."""
    Notifier({"NOTIFY_SOCKET": f"{tmp_path}/gone"}).notify_ready()
    Notifier({}).notify_ready()
