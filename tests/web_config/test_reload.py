"""The file and its certificates are read again when they change, without a restart."""

import shutil
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.web.config_file import LiveWebConfig, live
from exporter.web.config_file.web_config import RateLimit
from exporter.yamlfile.problems import ConfigError
from tests.support.clocks import FakeClock
from tests.support.sentences import ANOTHER_KEY, NO_SWITCH
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

Serve = Callable[[str], "Site"]
Write = Callable[[str], Path]

GOOD_TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
REQUIRED = "  client_auth_type: RequireAndVerifyClientCert\n"
HASH = "$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"
SWITCH = f"web.yml: tls_server_config: {NO_SWITCH}"


class ScriptedStop(threading.Event):
    """A signal to stop that comes after some looks, without waiting for any."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it is time to stop."""
        self.waits.append(timeout)
        return len(self.waits) > self.looks


def replace(folder: Path, name: str, by: str) -> None:
    """Put another file in a file's place, as a certificate's renewal does."""
    shutil.copy(folder / by, folder / "copy")
    (folder / "copy").rename(folder / name)


def serial(site: "Site") -> object:
    """Return what identifies the certificate that a new client gets."""
    connection = site.connect()
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    certificate = connection.sock.getpeercert()
    connection.close()
    assert certificate
    return certificate["serialNumber"]


def test_a_renewed_certificate_is_served_to_new_connections(serve: Serve, folder: Path) -> None:
    """Given a client that is connected, then it goes on, and the next gets the new certificate."""
    site = serve(GOOD_TLS)
    first = serial(site)
    sock = site.connect()
    sock.request("GET", "/metrics")
    assert sock.getresponse().read() == b"good 1\n"
    replace(folder, "server.pem", "successor.pem")
    replace(folder, "server.key", "successor.key")
    assert site.live.refresh() == ()
    sock.request("GET", "/metrics")
    assert sock.getresponse().read() == b"good 1\n"
    sock.close()
    assert serial(site) != first


def test_half_a_renewal_changes_nothing(serve: Serve, folder: Path) -> None:
    """Given a new certificate before its key, then the old pair stays until both are there."""
    site = serve(GOOD_TLS)
    first = serial(site)
    replace(folder, "server.pem", "successor.pem")
    assert [str(problem).rpartition("/")[2] for problem in site.live.refresh()] == [
        (f"web.yml:3:13: tls_server_config.key_file: names a file that {ANOTHER_KEY}")
    ]
    assert serial(site) == first
    replace(folder, "server.key", "successor.key")
    assert site.live.refresh() == ()
    assert serial(site) != first


def test_a_changed_client_ca_holds_for_new_connections(serve: Serve, write: Write) -> None:
    """What a running SSLContext cannot change holds for new connections all the same."""
    site = serve(GOOD_TLS)
    assert site.ask().status == 200
    write(GOOD_TLS + REQUIRED + "  client_ca_file: authority.pem\n  max_version: TLS12\n")
    assert site.live.refresh() == ()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        site.ask()
    assert site.ask(context=site.trust("prometheus")).status == 200
    write(GOOD_TLS + REQUIRED + "  client_ca_file: stranger.pem\n")
    assert site.refresh_twice() == ()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        site.ask(context=site.trust("prometheus"))


STRICTER = {
    "certificates required": (GOOD_TLS, GOOD_TLS + REQUIRED + "  client_ca_file: authority.pem\n"),
    "another authority": (
        GOOD_TLS + REQUIRED + "  client_ca: |\n{both}",
        GOOD_TLS + REQUIRED + "  client_ca_file: stranger.pem\n",
    ),
    "newer TLS": (GOOD_TLS, GOOD_TLS + "  min_version: TLS13\n"),
    "fewer suites": (
        GOOD_TLS,
        GOOD_TLS + "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), STRICTER.values(), ids=STRICTER.keys())
def test_stricter_tls_closes_kept_connections(
    serve: Serve, write: Write, folder: Path, before: str, after: str
) -> None:
    """A client that was let in under less strict settings must connect again."""
    pems = [(folder / name).read_text() for name in ("authority.pem", "stranger.pem")]
    both = "".join(f"    {sock}\n" for pem in pems for sock in pem.splitlines())
    site = serve(before.format(both=both))
    client = site.connect(site.trust("prometheus"))
    client.request("GET", "/metrics")
    assert client.getresponse().read() == b"good 1\n"

    write(after.format(both=both))
    assert site.refresh_twice() == ()

    client.request("GET", "/metrics")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.getresponse()
    client.close()


def test_other_changes_keep_connections_open(serve: Serve, write: Write, folder: Path) -> None:
    """Given a new certificate, or settings that are less strict, then it goes on."""
    site = serve(GOOD_TLS + "  min_version: TLS13\n")
    client = site.connect()
    for text in (GOOD_TLS + "  min_version: TLS13\n", GOOD_TLS):
        write(text)
        replace(folder, "server.pem", "successor.pem")
        replace(folder, "server.key", "successor.key")
        assert site.refresh_twice() == ()
        client.request("GET", "/metrics")
        assert client.getresponse().read() == b"good 1\n"
    client.close()


def test_users_headers_and_limit_change_for_a_connected_client_too(
    serve: Serve, write: Write
) -> None:
    """They are looked at with each request."""
    site = serve("http_server_config: {headers: {X-XSS-Protection: '1'}}\n")
    sock = site.connect()
    sock.request("GET", "/metrics")
    response = sock.getresponse()
    assert (response.status, response.headers["X-XSS-Protection"]) == (200, "1")
    response.read()
    write(f"basic_auth_users: {{jane: {HASH}}}\n")
    assert site.refresh_twice() == ()
    sock.request("GET", "/metrics")
    response = sock.getresponse()
    assert (response.status, response.headers["X-XSS-Protection"]) == (401, None)
    sock.close()


@pytest.mark.parametrize(("before", "after"), [("", GOOD_TLS), (GOOD_TLS, "")])
def test_tls_is_not_switched_while_running(
    begin: Callable[[str], LiveWebConfig], write: Write, before: str, after: str
) -> None:
    """Sockets listen with TLS or without; above all, nothing ever falls back to plain HTTP."""
    own = begin(before)
    config = own.current
    write(after)
    assert [str(problem) for problem in own.refresh()] == [SWITCH]
    assert own.current is config
    assert not own.last_reload_successful


@pytest.mark.parametrize("bad", ["junk: 1\n", "tls_server_config: {}\n", "\t", None])
def test_a_bad_file_leaves_the_old_configuration_in_force(
    begin: Callable[[str], LiveWebConfig],
    write: Write,
    folder: Path,
    clock: FakeClock,
    bad: str | None,
) -> None:
    """A file that becomes bad or is removed is logged once, and so is the good one after it."""
    own = begin(GOOD_TLS)
    config = own.current
    clock.monotonic = 2000.0
    if bad is None:
        (folder / "web.yml").unlink()
    else:
        write(bad)
    with capture_logs() as lines:
        problems = own.refresh()
        assert own.refresh() == problems
    assert [(line["event"], line["problem"]) for line in lines] == [
        ("web configuration not reloaded", str(problem)) for problem in problems
    ]
    assert problems
    assert (own.current, own.last_reload_successful, own.last_success) == (config, False, 1000.0)
    write(GOOD_TLS)
    with capture_logs() as lines:
        assert own.refresh() == ()
    assert [line["event"] for line in lines] == ["web configuration reloaded"]
    assert (own.last_reload_successful, own.last_success) == (True, 2000.0)


def test_a_bad_file_at_the_start_is_an_error(begin: Callable[[str], LiveWebConfig]) -> None:
    """There is no old configuration to keep."""
    with pytest.raises(ConfigError):
        begin("junk: 1\n")


def test_files_that_did_not_change_are_not_read_again(
    begin: Callable[[str], LiveWebConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs no more than asking the system about each file."""
    own = begin(GOOD_TLS)

    def refuse(_: Path) -> None:
        pytest.fail("it was read")

    monkeypatch.setattr(live, "load_web_config", refuse)
    assert own.refresh() == ()


def test_the_same_contents_written_again_are_not_logged(
    begin: Callable[[str], LiveWebConfig], write: Write, folder: Path
) -> None:
    """Some programs write a file every second: each look reads it, and the log stays as it is."""
    text = f"{GOOD_TLS}basic_auth_users: {{}}\n"  # it has a warning
    own = begin(text)
    config = own.current
    assert config.warnings
    with capture_logs() as lines:
        write(text)
        own.refresh()
        replace(folder, "server.pem", "server.pem")
        own.refresh()
    assert lines == []
    assert own.current is not config
    with capture_logs() as lines:
        write(f"{text}# a comment\n")
        own.refresh()
    assert [line["event"] for line in lines] == [
        "web configuration reloaded",
        "web configuration may be wrong",
    ]


@pytest.mark.parametrize(
    ("error", "events"),
    [
        (MemoryError(), ["web configuration not reloaded"]),
        (
            KeyError("defect"),
            [
                "reload crashed; please report it",
                "web configuration not reloaded",
            ],
        ),
    ],
)
def test_an_error_does_not_end_the_watch(
    begin: Callable[[str], LiveWebConfig],
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    events: list[str],
) -> None:
    """Given reading that fails twice, then it is logged once, and the third look reads the file."""
    own = begin("")
    write("rate_limit: {interval: 1s, burst: 1}\n")

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(live, "load_web_config", fail)
        own.watch(ScriptedStop(looks=2))
    assert [line["event"] for line in lines] == events
    assert (own.last_reload_successful, own.current.rate_limit) == (False, None)
    assert own.refresh() == ()
    assert (own.last_reload_successful, own.current.rate_limit) == (True, RateLimit(1.0, 1))


def test_files_that_another_configuration_names_are_followed(
    begin: Callable[[str], LiveWebConfig], write: Write, folder: Path
) -> None:
    """Given a reload that names another certificate, then that one's renewal is seen."""
    own = begin(GOOD_TLS)
    write(GOOD_TLS.replace("server", "successor").replace("tls_successor_", "tls_server_"))
    own.refresh()
    own.refresh()
    config = own.current
    replace(folder, "successor.pem", "rsa.pem")
    replace(folder, "successor.key", "rsa.key")
    own.refresh()
    assert own.current is not config


def test_a_change_during_the_first_read_is_noticed(write: Write, clock: FakeClock) -> None:
    """The first look reads once more, for what it could not know."""
    write("rate_limit: {interval: 1s, burst: 1}\n")
    own = LiveWebConfig(Path("web.yml"), clock)
    first = own.current
    own.refresh()
    assert own.current is not first
    assert own.current == first


def test_files_are_looked_at_once_a_second_until_the_stop(
    begin: Callable[[str], LiveWebConfig], write: Write
) -> None:
    """Given three looks, then the change before them is in force and the fourth wait ends it."""
    own = begin("")
    write("rate_limit: {interval: 1s, burst: 1}\n")
    stop = ScriptedStop(looks=3)
    own.watch(stop)
    assert own.current.rate_limit
    assert stop.waits == [1.0] * 4


@pytest.mark.parametrize(("took", "pause"), [(0.01, 1.0), (0.5, 5.0), (100.0, 60.0), (-9.0, 1.0)])
def test_a_file_that_is_hard_to_read_is_looked_at_less_often(
    begin: Callable[[str], LiveWebConfig],
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    took: float,
    pause: float,
) -> None:
    """Given a huge file that is bad, then reading it again and again takes no whole core."""
    own = begin("")

    def refresh() -> tuple[()]:
        clock.monotonic += took
        return ()

    monkeypatch.setattr(own, "refresh", refresh)
    stop = ScriptedStop(looks=1)
    own.watch(stop)
    assert stop.waits == [1.0, pytest.approx(pause)]


def test_an_application_follows_its_file_while_it_runs(serve: Serve) -> None:
    """The thread that looks begins and ends with the application."""
    before = set(threading.enumerate())  # that of another test may not have ended yet
    site = serve("")
    started = set(threading.enumerate()) - before
    (looking,) = [thread for thread in started if thread.name == "web config"]
    site.stop()
    looking.join(TIMEOUT)
    assert not looking.is_alive()
