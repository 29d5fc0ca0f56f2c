"""The demo: a simulated account, served without an account and without a configuration."""

import re
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.fixtures import StartProgram
from tests.support.program import Program


def listening_places(pid: int) -> list[tuple[str, int]]:
    """Return where a process listens by IPv4, from proc(5), net/tcp."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed since
            links.append(str(link.readlink()))
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links]
    return [(socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)) for host, port in places]


def children(pid: int) -> str:
    """Return the numbers of the processes that a process started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@pytest.fixture(scope="module")
def demo(start: StartProgram, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Start the demo in an empty folder, and wait for its first polls.

    Each proxy of the environment is one that does not respond.
    """
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    program = start(tmp_path_factory.mktemp("demo"), "demo", **proxies)
    program.wait_for(msg="poll", collector="disk_usage")
    program.wait_for(msg="poll", path="sestore7/podcast")
    return program


def test_the_demo_serves_a_simulated_account(demo: Program) -> None:
    """A simulated account is polled and served, with many files, folders and users."""
    files = demo.value("scaleengine_files", path="sestore7/podcast")
    usage = demo.value("scaleengine_disk_usage_bytes", account="demo", cpu_user="series")
    assert files is not None
    assert files > 500
    assert usage is not None
    assert usage > 2**40
    assert demo.value("scaleengine_up", account="demo") == 1
    assert demo.get("/-/healthy")[0] == 200


def test_the_demo_shows_failures_and_quotas(demo: Program) -> None:
    """A quota is nearly full, a path fails, and the smallest folders are summed."""
    quota = demo.value("scaleengine_disk_quota_bytes", cpu_user="series")
    usage = demo.value("scaleengine_disk_usage_bytes", cpu_user="series")
    assert quota is not None
    assert usage is not None
    assert 0.85 < usage / quota < 1
    failed = demo.wait_for(path="sestore4/retired", result="failed")
    assert failed["reason"] == "api"
    demo.wait_for(path="sestore4/séries", file_type="video", result="ok")
    other = demo.value(
        "scaleengine_folder_files", path="sestore4/séries", folder="_other", file_type="video"
    )
    assert other


def test_the_demo_shows_an_account_over_its_rate_limit(demo: Program) -> None:
    """One account needs more requests than its rate limit allows, as metrics and the log say."""
    late = demo.wait_for(msg="poll outlasted its interval")
    assert (late["account"], late["level"]) == ("ingest", "warning")
    demo.wait_for(
        msg="request demand near or above the rate limit",
        account="ingest",
        level="warning",
    )
    overdue = demo.value(
        "scaleengine_poll_overdue_seconds", path="sestore9/ingest", account="ingest"
    )
    assert overdue
    demand = demo.value("scaleengine_account_request_demand_ratio", account="ingest")
    assert demand is not None
    assert demand > 0.9


def test_the_demo_shows_an_account_with_more_than_its_users(demo: Program) -> None:
    """The whole account has more bytes than its CPU users together."""
    users = {
        sample.labels["cpu_user"]: sample.value
        for sample in demo.scrape().samples
        if sample.name == "scaleengine_disk_usage_bytes"
    }
    assert users.pop("") > sum(users.values())


def test_the_demo_listens_on_loopback_in_one_process(demo: Program) -> None:
    """The demo listens on loopback alone, itself and its ScaleEngine, in a single process."""
    hosts = [host for host, _ in listening_places(demo.pid)]
    assert hosts == ["127.0.0.1", "127.0.0.1"]
    assert children(demo.pid) == ""


def test_the_demo_uses_no_proxy(demo: Program) -> None:
    """A proxy of the environment is not asked for the simulated account."""
    assert demo.wait_for(msg="poll", collector="disk_usage")["result"] == "ok"


def test_the_demo_ends_with_0_and_leaves_no_listener(start: StartProgram, tmp_path: Path) -> None:
    """It prints what to try; Ctrl-C ends it with 0, and nothing listens any more."""
    own = start(tmp_path, "demo")
    host, port = own.address
    places = listening_places(own.pid)
    assert (host, port) in places

    assert own.end(signal.SIGINT) == 0

    for place in places:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, 5)
    assert f"Open     http://{host}:{port}/\n" in own.printed
    assert list(tmp_path.iterdir()) == []


def test_the_demo_on_a_unix_socket_shows_no_url(start: StartProgram, tmp_path: Path) -> None:
    """A browser opens no unix socket, so the log has where it listens, and no URL is printed."""
    file = tmp_path / "x.sock"
    program = start(tmp_path, "demo", f"--web.listen-address=unix:{file}", "--log.format=logfmt")
    program.wait_for_line(re.escape(f" level=info msg=listening address=unix:{file} path="))
    assert program.end() == 0
    assert program.printed == ""
    assert not file.exists()
