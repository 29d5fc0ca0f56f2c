"""Users and their passwords, over HTTP."""

import asyncio
import select
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

import bcrypt
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from exporter.web.config_file.basic_auth import (
    AuthResult,
    BasicAuthentication,
    build_dummy_hashes,
    parse_hash,
    verify_password,
)
from tests.support.http import Response

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

Serve = Callable[[str], "Site"]

LONG = "x" * 72
PASSWORDS = {
    "jane": "secret",
    "jörg": "geheim ü €:",
    "": "nobody",
    "empty": "",
    "long": LONG,
}


def hash_of(password: str, cost: int = 4) -> str:
    """Return a bcrypt hash, as cheap as can be."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def users(**more: str) -> str:
    """Return a web configuration with some users."""
    lines = (f'  "{name}": {hash_of(password)}\n' for name, password in (PASSWORDS | more).items())
    return "basic_auth_users:\n" + "".join(lines)


def credentials(user: str, password: str, encoding: str = "utf-8") -> dict[str, str]:
    """Return the header that a client sends."""
    given = b64encode(f"{user}:{password}".encode(encoding)).decode()
    return {"Authorization": f"Basic {given}"}


@pytest.fixture
def site(serve: Serve) -> "Site":
    """Return a site with all the users."""
    return serve(users())


def is_refused(response: Response) -> bool:
    """Return whether a response is a refusal without any hint."""
    assert response.status in (200, 401)
    if response.status == 200:
        return False
    assert response.body == b"Unauthorized\n"
    challenge = response.headers.get_all("WWW-Authenticate")
    assert challenge == ['Basic realm="scaleengine-exporter", charset="UTF-8"']
    return True


@pytest.mark.parametrize("user", PASSWORDS)
def test_the_right_password_is_accepted(site: "Site", user: str) -> None:
    """Names and passwords may be empty, long, and of any letters, in UTF-8; twice as well."""
    header = credentials(user, PASSWORDS[user])
    assert [site.ask(headers=header).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        credentials("jane", "wrong"),
        credentials("jane", ""),
        credentials("jane", "secret "),
        credentials("jane", "Secret"),
        credentials("Jane", "secret"),
        credentials("john", "secret"),
        credentials("jane", "secret\0"),
        credentials("empty", "secret"),
        credentials("jörg", PASSWORDS["jörg"], "utf-16"),
        credentials("jörg", "geheim", "latin-1"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic "},
        {"Authorization": "Basic ===="},
        {"Authorization": "Basic " + b64encode(b"jane").decode()},
        {"Authorization": "Bearer secret"},
        {"Authorization": credentials("jane", "secret")["Authorization"][:-2]},
    ],
)
def test_anything_else_is_refused_without_a_hint(site: "Site", headers: dict[str, str]) -> None:
    """The response is the same for each mistake, the second time as well."""
    assert is_refused(site.ask(headers=headers))
    assert is_refused(site.ask(headers=headers))


def test_a_refusal_counts_though_its_response_is_false(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given aiohttp before 3.12, where a response is false, then it is a refusal still."""
    monkeypatch.setattr(web.Response, "__bool__", lambda _: False, raising=False)
    assert is_refused(site.ask())


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_every_path_needs_the_password(site: "Site", path: str, method: str) -> None:
    """A client without a password does not even learn which paths there are."""
    assert site.ask(path, method=method).status == 401


@pytest.mark.parametrize("password", [LONG, LONG + "y", LONG + "€" * 1000])
def test_bytes_after_the_seventy_second_do_not_count(site: "Site", password: str) -> None:
    """Bcrypt never saw them when htpasswd made the hash."""
    assert site.ask(headers=credentials("long", password)).status == 200
    assert is_refused(site.ask(headers=credentials("long", password[1:72])))


@pytest.mark.parametrize("letter", ["a", "b", "y"])
def test_hashes_of_all_tools_are_accepted(serve: Serve, letter: str) -> None:
    """Htpasswd writes $2y$, Python and Go $2b$ and $2a$."""
    own = hash_of("secret").replace("$2b$", f"$2{letter}$")
    site = serve(f"basic_auth_users: {{jane: {own}}}\n")
    assert site.ask(headers=credentials("jane", "secret")).status == 200
    assert is_refused(site.ask(headers=credentials("jane", "wrong")))


def test_no_users_are_no_basic_auth(serve: Serve) -> None:
    """As in the toolkit's page: if empty, no basic authentication is required."""
    assert serve("basic_auth_users: {}\n").ask().status == 200


def test_too_many_waiting_clients_get_503_with_retry_after(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that could not be checked get 503, and nothing is let in."""

    async def busy(*_: object) -> AuthResult:
        await asyncio.sleep(0)
        return AuthResult.OVERLOADED

    monkeypatch.setattr(BasicAuthentication, "authenticate", busy)
    response = site.ask(headers=credentials("jane", "secret"))
    assert (response.status, response.body) == (503, b"Service Unavailable\n")
    assert response.headers["Retry-After"] == "1"


def test_a_right_password_overtakes_a_hundred_wrong_ones(serve: Serve) -> None:
    """Given 100 clients whose wrong passwords wait, then the right one does not wait for them."""
    site = serve(f"basic_auth_users: {{jane: {hash_of('secret', cost=10)}}}\n")
    wrong = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(100)]
    for number, client in enumerate(wrong):
        header = credentials("jane", f"wrong {number}")["Authorization"]
        client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\n\r\n".encode())
    assert site.ask(headers=credentials("jane", "secret")).status == 200
    ready, _, _ = select.select(wrong, [], [], 0)
    assert len(ready) < 75
    for client in wrong:
        client.close()


def test_a_password_that_was_changed_is_wrong(serve: Serve) -> None:
    """Given a password that was right before, then with another hash in the file it is not."""
    site = serve(f"basic_auth_users: {{jane: {hash_of('old')}}}\n")
    assert site.ask(headers=credentials("jane", "old")).status == 200
    assert is_refused(site.ask(headers=credentials("jane", "new")))
    (site.folder / "web.yml").write_text(f"basic_auth_users: {{jane: {hash_of('new')} }}\n")
    assert site.refresh_twice() == ()
    assert is_refused(site.ask(headers=credentials("jane", "old")))
    assert site.ask(headers=credentials("jane", "new")).status == 200


@pytest.mark.parametrize(("password", "status"), [("geheim ü €:", "200"), ("falsch", "401")])
def test_curl_is_accepted(site: "Site", password: str, status: str) -> None:
    """Curl sends what it is given, in the terminal's UTF-8."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-u", f"jörg:{password}"]
    done = subprocess.run(  # noqa: S603 - the arguments are the test's own
        [*command, f"http://127.0.0.1:{site.port}/metrics"],
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )
    assert done.stdout == status


@pytest.mark.parametrize(
    ("costs", "dummies"), [((), [4]), ((4,), [4]), ((12, 4, 10, 12), [4, 10, 12]), ((18,), [18])]
)
def test_each_cost_has_a_hash_of_no_password(costs: tuple[int, ...], dummies: list[int]) -> None:
    """The dummy hashes are real ones, cheapest first."""
    made = build_dummy_hashes(
        [hash_of("x").replace("$04$", f"${cost:02}$").encode() for cost in costs]
    )
    assert list(made) == dummies
    for cost, dummy in made.items():
        assert int(dummy[4:6]) == cost
        assert parse_hash(dummy.decode()) == dummy
        assert not verify_password(b"", dummy[:4] + b"04" + dummy[6:])


def test_each_password_is_cut_before_bcrypt_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer versions of bcrypt refuse longer ones, older ones cut them themselves."""
    seen: list[bytes] = []

    def check(password: bytes, _: bytes) -> bool:
        seen.append(password)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", check)
    assert verify_password(b"x" * 100, b"hash")
    assert seen == [b"x" * 72]


def test_a_refused_client_is_logged_once_a_minute(site: "Site") -> None:
    """By its address and the cause, however often it asks; no user and no password is logged."""
    with capture_logs() as lines:
        for _ in range(3):
            assert site.ask(headers=credentials("jane", "canary")).status == 401
            assert site.ask().status == 401
    refused = [line for line in lines if line["event"] == "client refused"]
    assert [line["cause"] for line in refused if line["log_level"] == "warning"] == [
        "wrong user or password",
        "no password",
    ]
    assert {line["peer"] for line in refused} == {"127.0.0.1"}
    assert len(refused) == 6
    assert "canary" not in str(lines)
    assert "jane" not in str(lines)
