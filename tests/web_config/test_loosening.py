"""A file that lets more in is accepted only when it has stayed the same, and with a warning."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.config_file import LiveWebConfig, WebConfig, live
from exporter.web.config_file.loosening import find_loosenings
from tests.support.clocks import FakeClock

Load = Callable[[str], WebConfig]
Write = Callable[[str], Path]
Begin = Callable[[str], LiveWebConfig]

ONE, OTHER = (f"$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpv{end}" for end in "ST")
USERS = f"basic_auth_users: {{jane: {ONE}, john: {ONE}}}\n"
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
REQUIRED = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n"
IF_GIVEN = f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n"
OWN = "  client_ca_file: authority.pem\n"
BOTH = "  client_ca_file: both.pem\n"
SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
HEADERS = "http_server_config: {headers: {X-Frame-Options: deny}}\n"

USER_KEY = "basic_auth_users"
TYPE, SANS = (f"tls_server_config.client_{name}" for name in ("auth_type", "allowed_sans"))
CA, VERSION, SUITES = (
    f"tls_server_config.{name}" for name in ("client_ca", "min_version", "cipher_suites")
)
FRAMES = "http_server_config.headers.X-Frame-Options"


@pytest.mark.parametrize(
    ("before", "after", "there", "back"),
    [
        ("", "", [], []),
        # Users and passwords.
        (USERS, "", [USER_KEY], []),
        (USERS, "basic_auth_users:\n", [USER_KEY], []),
        (USERS, "rate_limit: {interval: 1s, burst: 1}\n", [USER_KEY], ["rate_limit"]),
        (USERS, f"basic_auth_users: {{jane: {ONE}}}\n", [], [USER_KEY]),
        (USERS, USERS.replace("jane", "jean"), [USER_KEY], [USER_KEY]),
        (USERS, USERS.replace(ONE, OTHER, 1), [USER_KEY], [USER_KEY]),
        # The rate limit.
        ("rate_limit: {interval: 1h, burst: 9}\n", "rate_limit:\n", ["rate_limit"], []),
        (
            "rate_limit: {interval: 1h, burst: 9}\n",
            "rate_limit: {interval: 1m, burst: 9}\n",
            ["rate_limit.interval"],
            [],
        ),
        (
            "rate_limit: {interval: 1h, burst: 9}\n",
            "rate_limit: {interval: 1h, burst: 10}\n",
            ["rate_limit.burst"],
            [],
        ),
        # Headers that protect browsers.
        (HEADERS, "", [FRAMES], []),
        (HEADERS, HEADERS.replace("deny", "sameorigin"), [FRAMES], [FRAMES]),
        # TLS.
        (TLS, "", ["tls_server_config"], []),
        (TLS, TLS.replace("server.", "successor."), [], []),
        (TLS, TLS + "  max_version: TLS12\n", [], []),
        (TLS + "  min_version: TLS13\n", TLS, [VERSION], []),
        (TLS + f"  cipher_suites: [{SUITE}]\n", TLS, [SUITES], []),
        # Certificates of clients.
        (REQUIRED, TLS, [TYPE], []),
        (REQUIRED, IF_GIVEN, [TYPE], []),
        (IF_GIVEN, TLS, [TYPE], []),
        (REQUIRED + OWN, TLS, [TYPE], []),
        (REQUIRED + OWN, REQUIRED, [CA], []),
        (REQUIRED + BOTH, REQUIRED + OWN, [], [CA]),
        (REQUIRED + OWN, REQUIRED + OWN.replace("authority", "stranger"), [CA], [CA]),
        (REQUIRED + OWN, REQUIRED + OWN.replace("authority", "copy"), [], []),
        (REQUIRED + "  client_allowed_sans: [a, b]\n", REQUIRED, [SANS], []),
        (
            REQUIRED + "  client_allowed_sans: [a, b]\n",
            REQUIRED + "  client_allowed_sans: [b]\n",
            [],
            [SANS],
        ),
        (
            f"{USERS}{REQUIRED}{OWN}  client_allowed_sans: [a]\n  min_version: TLS13\n",
            TLS,
            [USER_KEY, TYPE, SANS, VERSION],
            [],
        ),
    ],
)
def test_each_loosened_key_is_named(
    load: Load, folder: Path, before: str, after: str, there: list[str], back: list[str]
) -> None:
    """Each key that lets more in is named, on the way there and on the way back."""
    for name, parts in (("both", ("authority", "stranger")), ("copy", ("authority",))):
        text = "".join((folder / f"{part}.pem").read_text() for part in parts)
        (folder / f"{name}.pem").write_text(f"# a comment\n{text}")
    first, second = load(before), load(after)
    assert [key for key, _ in find_loosenings(first, second)] == there
    if before.startswith("tls") and not after:
        return  # no reload switches TLS on, and what else was added with it is no loosening
    assert [key for key, _ in find_loosenings(second, first)] == back


def test_a_user_is_not_named(load: Load) -> None:
    """A name may be a password that stands in the wrong place."""
    changes = [change for _, change in find_loosenings(load(USERS), load(USERS.replace("j", "g")))]
    assert changes == ["users added: 2"]


OPEN = "rate_limit: {interval: 1s, burst: 1}\n"
"""A file that is not empty, and asks for no password."""


def test_a_looser_file_is_accepted_after_two_equal_looks(
    begin: Begin, write: Write, clock: FakeClock
) -> None:
    """Until then the configuration before is in force, and the gauge says that the file is not."""
    own = begin(USERS)
    write(OPEN)
    with capture_logs() as lines:
        for moment in (0.0, 0.5, 0.999):
            clock.monotonic = 1000.0 + moment
            assert own.refresh() == ()
            assert (len(own.current.users), own.last_reload_successful) == (2, False)
        clock.monotonic = 1001.0
        assert own.refresh() == ()
    assert (own.current.users, own.last_reload_successful) == ({}, True)
    assert own.last_success == 1001.0
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("info", "web configuration would be loosened, waiting"),
        ("info", "web configuration reloaded"),
        ("warning", "web configuration loosened"),
    ]
    assert (lines[-1]["key"], lines[-1]["change"]) == (
        USER_KEY,
        "no password is asked for any more",
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "# to be written\n", "{}", "basic_auth_users:\n", "basic_auth_users: "]
)
def test_an_empty_file_never_loosens(
    begin: Begin, write: Write, clock: FakeClock, text: str
) -> None:
    """However often it is looked at, the passwords stay, and the log says once what to do."""
    own = begin(USERS)
    write(text)
    with capture_logs() as lines:
        for _ in range(5):
            clock.monotonic += 10.0
            assert len(own.refresh()) == 1
    (problem,) = own.refresh()
    assert (len(own.current.users), own.last_reload_successful) == (2, False)
    assert str(problem).startswith("web.yml: sets nothing, and would end protection")
    assert [line["event"] for line in lines] == ["web configuration not reloaded"]
    write("basic_auth_users: {}\n")
    own.refresh()
    clock.monotonic += 1.0
    assert own.refresh() == ()
    assert own.current.users == {}


def test_an_empty_file_that_loosens_nothing_is_accepted(begin: Begin, write: Write) -> None:
    """Without anything to lose, there is nothing to refuse."""
    own = begin("")
    write("# nothing\n")
    assert own.refresh() == ()
    assert own.last_reload_successful


def test_a_stricter_file_is_accepted_at_once(begin: Begin, write: Write) -> None:
    """A user who is gone is refused from the first look on."""
    own = begin(USERS)
    write(f"basic_auth_users: {{jane: {ONE}}}\n{OPEN}")
    assert own.refresh() == ()
    assert (set(own.current.users), own.last_reload_successful) == ({"jane"}, True)


def test_a_file_that_keeps_changing_is_a_warning(
    begin: Begin, write: Write, clock: FakeClock
) -> None:
    """It says for how long, and that what was read before is in force; once a minute."""
    own = begin(USERS)
    with capture_logs() as events:
        for number in range(20):
            write(f"{OPEN}# {number}\n")
            own.refresh()
            clock.monotonic += 5.0
    warnings = [event for event in events if event["log_level"] == "warning"]
    assert [event["seconds"] for event in warnings] == [10, 70]
    assert warnings[0]["event"] == "web configuration keeps changing, not reloaded"
    assert str(warnings[0]["advice"]).startswith("what was read before is in force")
    assert len(own.current.users) == 2


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_that_is_written_again_waits_again(
    begin: Begin, write: Write, clock: FakeClock, *, in_place: bool
) -> None:
    """Given a file rewritten between the looks, even with the same text, then it is not settled."""
    own = begin(USERS)
    file = write(OPEN)
    for number in range(5):
        own.refresh()
        assert len(own.current.users) == 2
        if in_place:
            os.utime(file, ns=(0, number))
        else:
            write(OPEN)
        clock.monotonic += 5.0
    own.refresh()
    clock.monotonic += 1.0
    own.refresh()
    assert own.current.users == {}


def test_contents_count_where_times_do_not_change(
    begin: Begin, write: Write, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file system with coarse times, then another text of the same length is another."""
    own = begin(USERS)
    monkeypatch.setattr(live, "_read_state", lambda _: (1,))
    for interval in "234":
        write(OPEN.replace("1s", f"{interval}s"))
        own.refresh()
        clock.monotonic += 5.0
        assert len(own.current.users) == 2
    own.refresh()
    assert own.current.users == {}


@pytest.mark.parametrize("between", ["junk: 1\n", "", USERS])
def test_a_file_that_was_something_else_meanwhile_waits_again(
    begin: Begin, write: Write, clock: FakeClock, between: str
) -> None:
    """Given a bad, an empty or the old file at a look, then what was seen before is forgotten."""
    own = begin(USERS)
    file = write(OPEN)
    times = file.stat()
    own.refresh()
    file.write_text(between)
    clock.monotonic += 1.0
    own.refresh()
    file.write_text(OPEN)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    clock.monotonic += 1.0
    own.refresh()
    assert len(own.current.users) == 2
    clock.monotonic += 1.0
    own.refresh()
    assert own.current.users == {}


def test_no_prefix_of_a_file_loosens(begin: Begin, write: Write, clock: FakeClock) -> None:
    """Given looks at every length of a file that is written, then the passwords always hold."""
    text = f"# users\n{OPEN}{HEADERS}{USERS}"
    own = begin(text)
    for length in [*range(0, len(text), 3), len(text)]:
        write(text[:length])
        clock.monotonic += 1.0
        own.refresh()
        assert set(own.current.users) == {"jane", "john"}, text[:length]
    assert own.last_reload_successful


def test_an_authority_that_is_replaced_in_its_file_waits(
    begin: Begin, folder: Path, clock: FakeClock
) -> None:
    """The certificates of the authorities loosen as well as the file that names them."""
    own = begin(REQUIRED + OWN)
    before = own.current
    shutil.copy(folder / "stranger.pem", folder / "authority.pem")
    own.refresh()
    assert own.current is before
    clock.monotonic += 1.0
    own.refresh()
    assert own.current.client_authorities != before.client_authorities
