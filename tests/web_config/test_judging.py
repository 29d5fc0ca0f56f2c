"""Passwords are checked one at a time, never twice, and no crowd keeps a right one waiting."""

import asyncio
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from exporter.web.config_file.basic_auth import (
    MOST_WAITING,
    BasicAuthentication,
    Verdict,
    network,
)
from exporter.web.config_file.passwords import hash_of_nobody

T = TypeVar("T")

KEY = b"k" * 32
USERS = {"jane": b"$2b$10$jane", "john": b"$2b$12$john"}
RIGHT, WRONG, BUSY = Verdict.RIGHT, Verdict.WRONG, Verdict.BUSY


def header(user: str, password: str) -> str:
    """Give an Authorization header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


class Bcrypt:
    """A check that knows one password, notes whom it checks, and can be held up."""

    def __init__(self) -> None:
        self.checked: list[tuple[bytes, bytes]] = []
        self.at_once = Counter[str]()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.at_once["now"] += 1
        self.at_once["most"] = max(self.at_once["most"], self.at_once["now"])
        self.go_on.wait(10)
        self.checked.append((password, hashed))
        self.at_once["now"] -= 1
        return password == b"right"


@pytest.fixture
def bcrypt() -> Bcrypt:
    """Give a check that is never held up."""
    return Bcrypt()


@pytest.fixture
def judge(bcrypt: Bcrypt) -> Callable[..., Coroutine[None, None, Verdict]]:
    """Give a function that judges a user's password from an address."""
    own = BasicAuthentication(bcrypt, KEY)

    async def judge_it(user: str, password: str, client: str = "192.0.2.1") -> Verdict:
        return await own.judge(header(user, password), USERS, client)

    return judge_it


Judge = Callable[..., Coroutine[None, None, Verdict]]


def run(coroutine: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(asyncio.wait_for(coroutine, 10))


async def until_waiting() -> None:
    """Let every task that was begun come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("user", "password", "verdict"),
    [("jane", "right", RIGHT), ("jane", "wrong", WRONG), ("nobody", "right", WRONG)],
)
def test_a_verdict_is_reached_once(
    judge: Judge, bcrypt: Bcrypt, user: str, password: str, verdict: Verdict
) -> None:
    """Whoever comes again with the same credentials is judged without bcrypt."""

    async def thrice() -> list[Verdict]:
        return [await judge(user, password) for _ in range(3)]

    assert run(thrice()) == [verdict] * 3
    assert len(bcrypt.checked) == 1


def test_an_unknown_user_costs_as_much_as_a_known_one(judge: Judge, bcrypt: Bcrypt) -> None:
    """One check each, and that of the unknown one is of the dearest user's cost."""

    async def both() -> None:
        await judge("john", "wrong")
        await judge("nobody", "wrong")

    run(both())
    assert bcrypt.checked == [
        (b"wrong", USERS["john"]),
        (b"wrong", hash_of_nobody(USERS.values())),
    ]
    assert hash_of_nobody(USERS.values()).startswith(b"$2b$12$")


def test_wrong_passwords_never_drive_out_a_right_one(judge: Judge, bcrypt: Bcrypt) -> None:
    """Given a thousand wrong ones after it, then it is still known; the first of them are not."""

    async def many() -> None:
        await judge("jane", "right")
        for number in range(1000):
            await judge("jane", f"wrong {number}")
        bcrypt.checked.clear()
        assert await judge("jane", "right") is RIGHT
        assert await judge("jane", "wrong 999") is WRONG
        assert bcrypt.checked == []
        assert await judge("jane", "wrong 0") is WRONG
        assert len(bcrypt.checked) == 1

    run(many())


def test_the_same_credentials_at_once_are_checked_once(judge: Judge, bcrypt: Bcrypt) -> None:
    """Given two Prometheus that start together, then one check serves both."""

    async def together() -> list[Verdict]:
        return await asyncio.gather(*(judge("jane", "right") for _ in range(50)))

    assert run(together()) == [RIGHT] * 50
    assert len(bcrypt.checked) == 1


@pytest.mark.parametrize(
    ("user", "client"),
    [("jane", "192.0.2.1"), ("jane", "192.0.2.2"), ("john", "192.0.2.1")],
)
def test_a_right_password_gets_through_a_crowd_of_wrong_ones(
    judge: Judge, bcrypt: Bcrypt, user: str, client: str
) -> None:
    """Given 200 wrong ones that wait, then the first right one, wherever from, is third at most."""

    async def crowd() -> None:
        bcrypt.go_on.clear()
        wrong = [asyncio.create_task(judge("jane", f"wrong {number}")) for number in range(200)]
        await until_waiting()
        right = asyncio.create_task(judge(user, "right", client))
        await until_waiting()
        bcrypt.go_on.set()
        assert await right is RIGHT
        assert set(await asyncio.gather(*wrong)) == {WRONG}

    run(crowd())
    assert [password for password, _ in bcrypt.checked].index(b"right") <= 2
    assert bcrypt.at_once["most"] == 1


def test_a_crowd_that_never_ends_is_outlived(judge: Judge, bcrypt: Bcrypt) -> None:
    """Given as many clients as one likes that try again at once, then the right one is found out.

    Its own client may have gone by then; the next request with it is answered at once.
    """

    async def crowd() -> None:
        is_over = asyncio.Event()

        async def attack(number: int) -> None:
            attempt = 0
            while not is_over.is_set():
                attempt += 1
                await judge("jane", f"wrong {number} {attempt}")

        attackers = [asyncio.create_task(attack(number)) for number in range(50)]
        await until_waiting()
        impatient = asyncio.create_task(judge("jane", "right"))
        await until_waiting()
        impatient.cancel()
        while (b"right", USERS["jane"]) not in bcrypt.checked:
            await judge("john", "wrong")
            await asyncio.sleep(0)
        checks = len(bcrypt.checked)
        assert await judge("jane", "right") is RIGHT
        assert bcrypt.checked.count((b"right", USERS["jane"])) == 1
        assert checks < 250
        is_over.set()
        await asyncio.gather(*attackers)

    run(crowd())


def test_when_too_many_wait_the_oldest_are_told_to_come_again(judge: Judge, bcrypt: Bcrypt) -> None:
    """Given more than may wait, then those too many are BUSY and all others judged."""

    async def crowd() -> list[Verdict]:
        bcrypt.go_on.clear()
        tasks = [
            asyncio.create_task(judge("jane", f"wrong {number}"))
            for number in range(MOST_WAITING + 11)
        ]
        await until_waiting()
        bcrypt.go_on.set()
        return await asyncio.gather(*tasks)

    verdicts = Counter(run(crowd()))
    assert verdicts[BUSY] in (10, 11)
    assert verdicts[WRONG] == MOST_WAITING + 11 - verdicts[BUSY]


def test_a_check_that_cannot_run_is_no_verdict(
    judge: Judge, bcrypt: Bcrypt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no thread to run in, then the client is BUSY, the log says why, the next is judged."""

    class Refusing(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    async def twice() -> None:
        with monkeypatch.context() as without, capture_logs() as lines:
            without.setattr(threading, "Thread", Refusing)
            assert await judge("jane", "right") is BUSY
        assert [line["cause"] for line in lines] == ["can't start new thread"]
        assert await judge("jane", "right") is RIGHT

    run(twice())
    assert len(bcrypt.checked) == 1


def test_a_check_that_fails_is_no_verdict_either() -> None:
    """Whatever goes wrong in the thread comes out of it, and nobody waits for ever."""

    def fail(_: bytes, __: bytes) -> bool:
        raise ValueError("broken")

    own = BasicAuthentication(fail, KEY)
    with capture_logs() as lines:
        assert run(own.judge(header("jane", "right"), USERS, "")) is BUSY
    assert [line["cause"] for line in lines] == ["broken"]


def test_the_process_ends_after_the_check_that_runs() -> None:
    """Given a check that runs when all else has ended, then it comes to its end too.

    Python would end its thread in the middle of bcrypt, and with it the process, by SIGABRT.
    """
    program = """\
import asyncio, time
from exporter.web.config_file.basic_auth import BasicAuthentication

def check(password, hashed):
    time.sleep(0.3)
    print("checked", password)

async def main():
    own = BasicAuthentication(check, b"k" * 32)
    for header in ("Basic amFuZTphCg==", "Basic amFuZTpiCg=="):
        asyncio.create_task(own.judge(header, {"jane": b"$2b$04$"}, ""))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    done = subprocess.run(  # noqa: S603 - the program is the test's own
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True
    )
    assert done.stdout.count("checked") == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("client", "stands_for"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_who_counts_as_one_client(client: str, stands_for: str) -> None:
    """An IPv4 address, a /64 of IPv6, or all who come by a unix socket."""
    assert network(client) == stands_for
