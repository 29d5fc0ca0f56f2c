"""Users and their passwords: HTTP's basic authentication (RFC 7617), in UTF-8."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Final

import structlog
from aiohttp import BasicAuth

from exporter.web.config_file.lanes import Lanes
from exporter.web.config_file.passwords import hash_of_nobody
from exporter.web.config_file.verdicts import Verdicts

log: Final = structlog.get_logger(__name__)

MOST_WAITING: Final = 1024
"""Passwords that wait for their check; with their connections they take some ten megabytes."""

_SHIFT_OF_NETWORK: Final = 64


class Verdict(Enum):
    """What is thought of a request's credentials; BUSY when they could not be checked in time."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class _Check:
    """A user and password to check, and where the outcome goes; None when it made way."""

    user: str
    known: bool
    hashed: bytes = field(repr=False)
    password: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    outcome: asyncio.Future[bool | None]


class BasicAuthentication:
    """Judges the credentials of requests, one bcrypt at a time and outside of the event loop.

    A password that was right before is right at once. An unknown user costs as much as the dearest
    known one, so that the work tells nobody who is known; amid a flood of wrong passwords from the
    same network, the wait for a turn may. `is_right` compares a password with a hash; `key` is
    random and secret.
    """

    def __init__(self, is_right: Callable[[bytes, bytes], bool], key: bytes) -> None:
        self._is_right = is_right
        self._verdicts = Verdicts(key)
        self._turns: Lanes[_Check] = Lanes(MOST_WAITING)
        self._waiting: dict[bytes, _Check] = {}
        self._worker: asyncio.Task[None] | None = None

    async def judge(self, header: str | None, users: Mapping[str, bytes], client: str) -> Verdict:
        """Judge an Authorization header that came from an address, '' where there is none."""
        try:
            given = BasicAuth.decode(header or "", encoding="utf-8")
        except ValueError:
            return Verdict.WRONG
        user, password = given.login, given.password.encode()
        known = user in users
        hashed = users[user] if known else hash_of_nobody(users.values())
        proof = self._verdicts.proof(user, hashed, password)
        right = self._verdicts.recall(user, proof)
        if right is None:
            lane = (network(client), user if known else None)
            check = self._waiting.get(proof) or self._enqueue(
                _Check(user, known, hashed, password, proof, asyncio.Future()), lane
            )
            # Whoever hangs up leaves the check in its place: the next request finds its verdict.
            right = await asyncio.shield(check.outcome)
        if right is None:
            return Verdict.BUSY
        return Verdict.RIGHT if right else Verdict.WRONG

    def _enqueue(self, check: _Check, lane: object) -> _Check:
        self._waiting[check.proof] = check
        gone = self._turns.add(lane, check)
        if gone:
            self._settle(gone, right=None)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return check

    async def _work(self) -> None:
        while self._turns:
            check = self._turns.next()
            right = await self._checked(check)
            if right is not None:
                self._verdicts.keep(check.user, check.proof, right=right)
            self._settle(check, right=right)

    async def _checked(self, check: _Check) -> bool | None:
        try:
            right = await _in_thread(partial(self._is_right, check.password, check.hashed))
        except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
            log.warning("password not checked; may the exporter start threads?", cause=str(error))
            return None
        return right and check.known

    def _settle(self, check: _Check, *, right: bool | None) -> None:
        del self._waiting[check.proof]
        check.outcome.set_result(right)


def network(client: str) -> str:
    """Give what stands for a client: its IPv4 address, or the /64 to which its IPv6 one belongs.

    A single machine has a whole /64 to choose from.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> _SHIFT_OF_NETWORK << _SHIFT_OF_NETWORK))
    return str(address)


def _in_thread(work: Callable[[], bool]) -> asyncio.Future[bool]:
    """Run work in a thread for which Python waits, where it is Python that ends the process.

    It would abort with a thread in the middle of bcrypt. The exporter itself waits for no thread.
    """
    outcome: Future[bool] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            outcome.set_exception(error)

    threading.Thread(target=run, name="bcrypt").start()
    return asyncio.wrap_future(outcome)
