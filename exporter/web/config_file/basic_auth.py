"""Users and their passwords: HTTP's basic authentication (RFC 7617), in UTF-8."""

import asyncio
import hmac
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import bcrypt
import structlog
from aiohttp import BasicAuth

from exporter.documents.fields import FieldError
from exporter.web.fair_queue import FairQueue, Keys, find_networks
from exporter.web.log_limit import LogLimit

log: Final = structlog.get_logger(__name__)

MOST_WAITING: Final = 128
"""Passwords that wait for their check: ten seconds of work at bcrypt's usual cost of 10.

A scraper that has to wait for longer has gone by then.
"""

MAX_REMEMBERED: Final = 1024
"""Addresses that have been right before, and are remembered for it."""
MAX_QUICK_COST: Final = 14
"""The highest cost with which a check takes a second or two; each step up doubles that."""

_MAX_COST: Final = 31

_BYTES_THAT_COUNT: Final = 72
_HASH: Final = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_CHEAPEST: Final = 4
_SALT: Final = slice(7, 29)
_MOST_WRONG: Final = 100
_BUCKETS: Final = 16
_NO_PROOF: Final = bytes(32)  # as long as a proof, so that comparing takes as long


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


def is_right(password: bytes, hashed: bytes) -> bool:
    """Tell whether a hash is that of the password; takes a time that the hash's cost sets.

    bcrypt reads 72 bytes. A longer password is cut there, as htpasswd does when it makes the hash
    and Go's exporters when they check it.
    """
    return bcrypt.checkpw(password[:_BYTES_THAT_COUNT], hashed)


def dummy_hashes(hashes: Iterable[bytes]) -> Mapping[int, bytes]:
    """Return a hash of no known password for each cost that these have, cheapest first.

    Without any, the cheapest cost has one.
    """
    costs = sorted(set(map(cost_of, hashes))) or [_CHEAPEST]
    return {cost: b"$2b$%02d$" % cost + b"." * 53 for cost in costs}


def hashed(text: str) -> bytes:
    """Give a bcrypt hash as bytes, or raise FieldError; nothing of the text is in that."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise FieldError("is no bcrypt hash; htpasswd -nBC 10 USER writes one, after the colon")
    cost = int(found["cost"])
    if not _CHEAPEST <= cost <= _MAX_COST:
        raise FieldError(f"has a cost of {cost}; bcrypt knows {_CHEAPEST} to {_MAX_COST}")
    try:
        bcrypt.hashpw(b"", b"$2b$%02d$" % _CHEAPEST + text[_SALT].encode())
    except ValueError:
        raise FieldError("is a broken bcrypt hash: no such salt is ever made") from None
    return text.encode()


def cost_of(hashed: bytes) -> int:
    """Return the cost of a bcrypt hash, the binary logarithm of its rounds."""
    return int(hashed[4:6])


class Verdicts:
    """The last right password of each user, and the last hundred wrong ones of anybody.

    They are kept apart, so that no number of wrong ones drives out a right one.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._right: dict[str, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    def proof(self, user: str, hashed: bytes, password: bytes) -> bytes:
        """Give what stands for the three together; with another hash, it is another."""
        parts = (user.encode(), hashed, password)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")

    def bucket(self, user: str) -> int:
        """Return one of a few numbers for a user, known or not, that others cannot foresee."""
        return hmac.digest(self._key, user.encode(), "sha256")[0] % _BUCKETS

    def recall(self, user: str, proof: bytes) -> bool | None:
        """Give the verdict on a proof, or None when there was none."""
        if hmac.compare_digest(self._right.get(user, _NO_PROOF), proof):
            return True
        if proof in self._wrong:
            self._wrong.move_to_end(proof)
            return False
        return None

    def keep(self, user: str, proof: bytes, *, right: bool) -> None:
        """Keep a verdict; a right one only of a user that the file knows, so they have a bound."""
        if right:
            self._right[user] = proof
            return
        self._wrong[proof] = None
        if len(self._wrong) > _MOST_WRONG:
            self._wrong.popitem(last=False)
