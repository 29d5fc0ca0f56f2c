"""Users and their passwords: HTTP's basic authentication (RFC 7617), in UTF-8."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import structlog
from aiohttp import BasicAuth

from exporter.web.config_file.passwords import cost_of, dummy_hashes
from exporter.web.config_file.verdicts import Verdicts
from exporter.web.fair_queue import FairQueue, Keys, find_networks
from exporter.web.log_limit import LogLimit

log: Final = structlog.get_logger(__name__)

MOST_WAITING: Final = 128
"""Passwords that wait for their check: ten seconds of work at bcrypt's usual cost of 10.

A scraper that has to wait for longer has gone by then.
"""

MAX_REMEMBERED: Final = 1024
"""Addresses that have been right before, and are remembered for it."""


class Verdict(Enum):
    """What is thought of a request's credentials; BUSY when they could not be checked in time."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


@dataclass(eq=False, slots=True)
class _Check:
    """A password to compare, and where the outcome goes; None when it could not be compared.

    ``hashes`` are compared in this order; ``own`` is the user's among them, or None. ``waiting``
    counts the requests that wait for the outcome.
    """

    user: str
    own: bytes | None = field(repr=False)
    hashes: tuple[bytes, ...] = field(repr=False)
    password: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    keys: Keys
    outcome: asyncio.Future[bool | None]
    waiting: int = 0


class BasicAuthentication:
    """Judges the credentials of requests, one bcrypt at a time and outside of the event loop.

    A password that was right before is right at once. A refusal tells nothing of who is known: it
    takes one comparison for each cost that any user's hash has, the same for known and unknown
    users, and who waits for a turn is chosen alike. A check for which no client waits any more is
    dropped. `is_right` compares a password with a hash; `key` is random and secret.
    """

    def __init__(
        self, is_right: Callable[[bytes, bytes], bool], key: bytes, log_limit: LogLimit
    ) -> None:
        self._is_right = is_right
        self._log_limit = log_limit
        self._verdicts = Verdicts(key)
        self._queue: FairQueue[_Check] = FairQueue(MOST_WAITING)
        self._checks: dict[bytes, _Check] = {}
        self._right_addresses: OrderedDict[str, None] = OrderedDict()
        self._worker: asyncio.Task[None] | None = None
        self._users: Mapping[str, bytes] = {}
        self._dummies: Mapping[int, bytes] = {}

    async def judge(self, header: str | None, users: Mapping[str, bytes], client: str) -> Verdict:
        """Judge an Authorization header that came from an address, '' where there is none."""
        try:
            given = BasicAuth.decode(header or "", encoding="utf-8")
        except ValueError:
            return Verdict.WRONG
        user, password = given.login, given.password.encode()
        own = users.get(user)
        proof = self._verdicts.proof(user, own or b"", password)
        right = self._verdicts.recall(user, proof)
        networks = find_networks(client)
        if right is None:
            check = self._checks.get(proof)
            if check is None:
                keys = (*networks, (networks[-1], self._verdicts.bucket(user)))
                hashes = self._hashes(own, users)
                check = _Check(user, own, hashes, password, proof, keys, asyncio.Future())
                self._enqueue(check, networks[-1])
            right = await self._outcome(check)
        if right is None:
            return Verdict.BUSY
        if right:
            self._remember(networks[-1])
        return Verdict.RIGHT if right else Verdict.WRONG

    def _hashes(self, own: bytes | None, users: Mapping[str, bytes]) -> tuple[bytes, ...]:
        """Return a hash of each cost that any user has: the user's own, others of no password."""
        if users is not self._users:
            self._users, self._dummies = users, dummy_hashes(users.values())
        if own is None:
            return tuple(self._dummies.values())
        return tuple({**self._dummies, cost_of(own): own}.values())

    def _enqueue(self, check: _Check, address: str) -> None:
        self._checks[check.proof] = check
        is_preferred = address in self._right_addresses
        displaced = self._queue.add(check, check.keys, is_preferred=is_preferred)
        if displaced:
            self._settle(displaced, right=None)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _outcome(self, check: _Check) -> bool | None:
        """Wait for the outcome of a check; the last that gives up drops it, unless it runs."""
        check.waiting += 1
        try:
            return await asyncio.shield(check.outcome)
        finally:
            check.waiting -= 1
            if not check.waiting and check in self._queue:
                self._queue.discard(check)
                self._settle(check, right=None)

    async def _work(self) -> None:
        while self._queue:
            check = self._queue.next()
            right = await self._compare(check)
            if right is not None:
                self._verdicts.keep(check.user, check.proof, right=right)
            if right is False:
                self._queue.charge(check.keys)
            self._settle(check, right=right)

    async def _compare(self, check: _Check) -> bool | None:
        def compare() -> bool:
            return any(
                self._is_right(check.password, hashed) and hashed is check.own
                for hashed in check.hashes
            )

        try:
            return await _in_thread(compare)
        except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
            event = "password not checked; may the exporter start threads?"
            if self._log_limit.is_due(event):
                log.warning(event, cause=str(error))
            return None

    def _settle(self, check: _Check, *, right: bool | None) -> None:
        del self._checks[check.proof]
        check.outcome.set_result(right)

    def _remember(self, address: str) -> None:
        self._right_addresses[address] = None
        self._right_addresses.move_to_end(address)
        if len(self._right_addresses) > MAX_REMEMBERED:
            self._right_addresses.popitem(last=False)


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
