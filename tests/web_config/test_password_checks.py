"""Passwords are checked one at a time, never twice, and many wrong ones delay no right one."""

import asyncio
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Coroutine
from typing import Protocol, TypeVar

import pytest
from structlog.testing import capture_logs

from exporter.process.log_limit import LogLimit
from exporter.web.config_file.basic_auth import (
    MAX_WAITING,
    AuthResult,
    BasicAuthentication,
)

T = TypeVar("T")

KEY = b"k" * 32
USERS = {"jane": b"$2b$10$jane", "john": b"$2b$12$john"}
ACCEPTED, REJECTED, OVERLOADED = AuthResult.ACCEPTED, AuthResult.REJECTED, AuthResult.OVERLOADED


def header(user: str, password: str) -> str:
    """Return an Authorization header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


class FakeBcrypt:
    """A check that knows one password, records its calls, and can be held up."""

    def __init__(self) -> None:
        self.checked: list[tuple[bytes, bytes]] = []
        self.concurrent = Counter[str]()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.concurrent["now"] += 1
        self.concurrent["most"] = max(self.concurrent["most"], self.concurrent["now"])
        self.go_on.wait(60)
        self.checked.append((password, hashed))
        self.concurrent["now"] -= 1
        return password == b"right"


@pytest.fixture
def bcrypt() -> FakeBcrypt:
    """Return a check that is never held up."""
    return FakeBcrypt()


class Authenticate(Protocol):
    """Check a user's password from an address."""

    def __call__(
        self, user: str, password: str, client: str = ...
    ) -> Coroutine[None, None, AuthResult]: ...


@pytest.fixture
def authenticate(bcrypt: FakeBcrypt) -> Authenticate:
    """Return a function that checks a user's password from an address."""
    own = BasicAuthentication(bcrypt, KEY, LogLimit(time.monotonic))

    async def check_password(user: str, password: str, client: str = "192.0.2.1") -> AuthResult:
        return await own.authenticate(header(user, password), USERS, client)

    return check_password


def run(coroutine: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


async def until_waiting() -> None:
    """Let every task that was begun come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("user", "password", "result"),
    [("jane", "right", ACCEPTED), ("jane", "wrong", REJECTED), ("nobody", "right", REJECTED)],
)
def test_credentials_are_checked_once(
    authenticate: Authenticate, bcrypt: FakeBcrypt, user: str, password: str, result: AuthResult
) -> None:
    """Credentials that were checked are accepted again without bcrypt."""

    async def check_three_times() -> list[AuthResult]:
        return [await authenticate(user, password) for _ in range(3)]

    assert run(check_three_times()) == [result] * 3
    assert len(bcrypt.checked) == len(set(bcrypt.checked)) <= 2


@pytest.mark.parametrize("user", ["jane", "john", "nobody", ""])
def test_each_refusal_costs_the_same(
    authenticate: Authenticate, bcrypt: FakeBcrypt, user: str
) -> None:
    """Given users of several costs, then a refusal takes a comparison of each, for any user.

    One of them is with the user's own hash.
    """
    assert run(authenticate(user, "wrong")) is REJECTED
    assert [hashed[:7] for _, hashed in bcrypt.checked] == [b"$2b$10$", b"$2b$12$"]
    own = {hashed for _, hashed in bcrypt.checked} & set(USERS.values())
    assert own == ({USERS[user]} if user in USERS else set())


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("user", ["jane", "nobody"])
def test_cached_results_do_not_change_the_cost(
    authenticate: Authenticate, bcrypt: FakeBcrypt, user: str, attempt: int
) -> None:
    """Given a right password of one user, then wrong ones cost the same: two comparisons, once."""

    async def attempts() -> None:
        await authenticate("jane", "right")
        bcrypt.checked.clear()
        for _ in range(attempt):
            assert await authenticate(user, "wrong") is REJECTED

    run(attempts())
    assert len(bcrypt.checked) == 2


def test_only_the_hash_of_the_user_counts(authenticate: Authenticate, bcrypt: FakeBcrypt) -> None:
    """Given a password that fits the hashes of no user too, then it counts for none of those."""
    assert run(authenticate("john", "right")) is ACCEPTED
    assert [hashed for _, hashed in bcrypt.checked][-1] == USERS["john"]
    assert run(authenticate("nobody", "right")) is REJECTED


def test_the_costs_are_those_of_the_users_as_they_are_now(bcrypt: FakeBcrypt) -> None:
    """Given a reload with other users, then a refusal costs what theirs does."""

    async def twice() -> None:
        own = BasicAuthentication(bcrypt, KEY, LogLimit(time.monotonic))
        for users in (USERS, {"jane": USERS["jane"]}):
            bcrypt.checked.clear()
            given = header("nobody", f"wrong {len(users)}")
            assert await own.authenticate(given, users, "") is REJECTED
        assert [hashed[:7] for _, hashed in bcrypt.checked] == [b"$2b$10$"]

    run(twice())


def test_wrong_passwords_never_evict_a_right_one(
    authenticate: Authenticate, bcrypt: FakeBcrypt
) -> None:
    """Given a thousand wrong ones after it, then it is still known; the first of them are not."""

    async def many() -> None:
        await authenticate("jane", "right")
        for number in range(1000):
            await authenticate("jane", f"wrong {number}")
        bcrypt.checked.clear()
        assert await authenticate("jane", "right") is ACCEPTED
        assert await authenticate("jane", "wrong 999") is REJECTED
        assert bcrypt.checked == []
        assert await authenticate("jane", "wrong 0") is REJECTED
        assert len(bcrypt.checked) == 2

    run(many())


def test_the_same_credentials_at_once_are_checked_once(
    authenticate: Authenticate, bcrypt: FakeBcrypt
) -> None:
    """Given two Prometheus that start together, then one check serves both."""

    async def together() -> list[AuthResult]:
        return await asyncio.gather(*(authenticate("jane", "right") for _ in range(50)))

    assert run(together()) == [ACCEPTED] * 50
    assert len(bcrypt.checked) == 1


def checked_passwords(bcrypt: FakeBcrypt) -> list[bytes]:
    """Return the passwords that were checked, in their order."""
    return list(dict.fromkeys(password for password, _ in bcrypt.checked))


@pytest.mark.parametrize(
    ("user", "client"),
    [("jane", "192.0.2.1"), ("jane", "192.0.2.2"), ("john", "192.0.2.1")],
)
def test_a_right_password_overtakes_many_wrong_ones(
    authenticate: Authenticate, bcrypt: FakeBcrypt, user: str, client: str
) -> None:
    """Given 100 wrong ones that wait, then the first right one, wherever from, is third at most."""

    async def check_many() -> None:
        bcrypt.go_on.clear()
        wrong = [
            asyncio.create_task(authenticate("jane", f"wrong {number}")) for number in range(100)
        ]
        await until_waiting()
        right = asyncio.create_task(authenticate(user, "right", client))
        await until_waiting()
        bcrypt.go_on.set()
        assert await right is ACCEPTED
        assert set(await asyncio.gather(*wrong)) == {REJECTED}

    run(check_many())
    assert checked_passwords(bcrypt).index(b"right") <= 2
    assert bcrypt.concurrent["most"] == 1


@pytest.mark.parametrize(
    ("client", "was_right", "before"),
    [("127.1.2.3", True, 1), ("198.51.100.1", False, 3), ("::1", False, 3)],
)
def test_many_wrong_passwords_delay_no_other_network(
    authenticate: Authenticate, bcrypt: FakeBcrypt, client: str, *, was_right: bool, before: int
) -> None:
    """A new password is checked soon from where one was right before, and from other networks."""

    async def check_many() -> None:
        if was_right:
            await authenticate("john", "right", client)
        bcrypt.checked.clear()
        bcrypt.go_on.clear()
        names = [f"wrong {number}" for number in range(100)]
        clients = [f"127.{number}.{number}.1" for number in range(100)]
        wrong = [
            asyncio.create_task(authenticate(name, name, sender))
            for name, sender in zip(names, clients, strict=True)
        ]
        await until_waiting()
        right = asyncio.create_task(authenticate("jane", "right", client))
        await until_waiting()
        wrong += [
            asyncio.create_task(authenticate("jane", f"later {number}", f"127.{number}.200.1"))
            for number in range(10)
        ]
        await until_waiting()
        bcrypt.go_on.set()
        assert await right is ACCEPTED
        await asyncio.gather(*wrong)

    run(check_many())
    assert checked_passwords(bcrypt).index(b"right") <= before


def test_a_check_whose_clients_have_gone_is_dropped(
    authenticate: Authenticate, bcrypt: FakeBcrypt
) -> None:
    """Given two clients with one password and one with another, then each counts."""

    async def leave() -> None:
        bcrypt.go_on.clear()
        runs = asyncio.create_task(authenticate("jane", "runs"))
        await until_waiting()
        stays, *others = [
            asyncio.create_task(authenticate("jane", password))
            for password in ("shared", "shared", "alone")
        ]
        await until_waiting()
        for task in (runs, *others):
            task.cancel()
        await until_waiting()
        bcrypt.go_on.set()
        assert await stays is REJECTED

    run(leave())
    assert checked_passwords(bcrypt) == [b"runs", b"shared"]


def test_a_check_is_used_after_its_client_has_left(
    authenticate: Authenticate, bcrypt: FakeBcrypt
) -> None:
    """Given a client that leaves while its password is checked, then the next is let in at once."""

    async def leave() -> None:
        bcrypt.go_on.clear()
        first = asyncio.create_task(authenticate("jane", "right"))
        await until_waiting()
        first.cancel()
        await until_waiting()
        bcrypt.go_on.set()
        assert await authenticate("jane", "right") is ACCEPTED

    run(leave())
    assert len(bcrypt.checked) == 1


def test_clients_that_left_take_no_place(authenticate: Authenticate, bcrypt: FakeBcrypt) -> None:
    """Given more clients than may wait that all leave, then no other check is dropped for them."""

    async def leave() -> list[AuthResult]:
        bcrypt.go_on.clear()
        stays = [
            asyncio.create_task(authenticate("jane", f"stays {number}")) for number in range(5)
        ]
        await until_waiting()
        for number in range(3 * MAX_WAITING):
            leaves = asyncio.create_task(authenticate("jane", f"leaves {number}"))
            await until_waiting()
            leaves.cancel()
        await until_waiting()
        bcrypt.go_on.set()
        return await asyncio.gather(*stays)

    assert run(leave()) == [REJECTED] * 5
    assert len(checked_passwords(bcrypt)) == 5


def test_too_many_waiting_checks_overload_the_oldest(
    authenticate: Authenticate, bcrypt: FakeBcrypt
) -> None:
    """Given more than may wait, then those too many are OVERLOADED and all others are checked."""

    async def check_many() -> list[AuthResult]:
        bcrypt.go_on.clear()
        tasks = [
            asyncio.create_task(authenticate("jane", f"wrong {number}"))
            for number in range(MAX_WAITING + 11)
        ]
        await until_waiting()
        bcrypt.go_on.set()
        return await asyncio.gather(*tasks)

    results = Counter(run(check_many()))
    assert results[OVERLOADED] in (10, 11)
    assert results[REJECTED] == MAX_WAITING + 11 - results[OVERLOADED]


def test_a_check_that_cannot_run_is_overloaded(
    authenticate: Authenticate, bcrypt: FakeBcrypt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a thread the result is OVERLOADED, the log says why, and the next is checked."""

    class Refusing(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    async def twice() -> None:
        with monkeypatch.context() as without, capture_logs() as lines:
            without.setattr(threading, "Thread", Refusing)
            assert await authenticate("jane", "right") is OVERLOADED
        assert [line["cause"] for line in lines] == ["can't start new thread"]
        assert await authenticate("jane", "right") is ACCEPTED

    run(twice())
    assert len(bcrypt.checked) == 1


def test_a_check_that_fails_is_overloaded() -> None:
    """Any error in the thread is logged, and no request waits endlessly."""

    def fail(_: bytes, __: bytes) -> bool:
        raise ValueError("broken")

    own = BasicAuthentication(fail, KEY, LogLimit(lambda: 0.0))
    with capture_logs() as lines:
        for _ in range(3):
            assert run(own.authenticate(header("jane", "right"), USERS, "")) is OVERLOADED
    # Once a minute: clients that send passwords must not fill the log.
    assert [line["cause"] for line in lines] == ["broken"]


def test_the_process_ends_after_the_check_that_runs() -> None:
    """Given a check that runs when all else has ended, then it comes to its end too.

    Python would end its thread in the middle of bcrypt, and with it the process, by SIGABRT.
    """
    program = """\
import asyncio, threading, time
from exporter.web.config_file.basic_auth import BasicAuthentication
from exporter.process.log_limit import LogLimit

begun = threading.Event()

def check(password, hashed):
    begun.set()
    threading.main_thread().join()  # all else has ended
    print("checked", password)

async def main():
    own = BasicAuthentication(check, b"k" * 32, LogLimit(time.monotonic))
    for header in ("Basic amFuZTphCg==", "Basic amFuZTpiCg=="):
        asyncio.create_task(own.authenticate(header, {"jane": b"$2b$04$"}, ""))
    await asyncio.to_thread(begun.wait)

asyncio.run(main())
"""
    done = subprocess.run(  # noqa: S603 - the program is the test's own
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True
    )
    assert done.stdout.count("checked") == 1
    assert done.stderr == ""
