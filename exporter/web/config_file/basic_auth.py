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

from exporter.process.log_limit import LogLimit
from exporter.web.fair_queue import FairQueue, Keys, find_networks
from exporter.yamlfile.models import FieldError

log: Final = structlog.get_logger(__name__)

MAX_WAITING: Final = 128
"""Passwords that may wait for their check: ten seconds of work at bcrypt's usual cost of 10.

A scrape that has to wait longer has timed out.
"""

MAX_REMEMBERED: Final = 1024
"""Addresses with an accepted password that are remembered."""
MAX_QUICK_COST: Final = 14
"""The highest cost with which a check takes a second or two; each step up doubles that."""

_MAX_COST: Final = 31

_MAX_PASSWORD_BYTES: Final = 72
_HASH: Final = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_MIN_COST: Final = 4
_SALT: Final = slice(7, 29)
_MAX_REJECTED: Final = 100
_BUCKETS: Final = 16
_NO_DIGEST: Final = bytes(32)  # as long as a digest, so that comparing takes as long


class AuthResult(Enum):
    """The result of a check; OVERLOADED where the credentials could not be checked in time."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    OVERLOADED = "overloaded"


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
    digest: bytes = field(repr=False)
    keys: Keys
    outcome: asyncio.Future[bool | None]
    waiting: int = 0


class BasicAuthentication:
    """Authenticates requests, with one bcrypt at a time and outside of the event loop.

    A password that was right before is accepted at once. A refusal does not show which users exist:
    it takes one comparison for each cost that any user's hash has, the same for known and unknown
    users, and who waits for a turn is chosen alike. A check for which no client waits any more is
    dropped. ``verify_password`` compares a password with a hash; ``key`` is random and secret.
    """

    def __init__(
        self, verify_password: Callable[[bytes, bytes], bool], key: bytes, log_limit: LogLimit
    ) -> None:
        self._verify_password = verify_password
        self._log_limit = log_limit
        self._cache = CredentialCache(key)
        self._queue: FairQueue[_Check] = FairQueue(MAX_WAITING)
        self._checks: dict[bytes, _Check] = {}
        self._right_addresses: OrderedDict[str, None] = OrderedDict()
        self._worker: asyncio.Task[None] | None = None
        self._users: Mapping[str, bytes] = {}
        self._dummies: Mapping[int, bytes] = {}

    async def authenticate(
        self, header: str | None, users: Mapping[str, bytes], client: str
    ) -> AuthResult:
        """Check an Authorization header that came from an address, '' where there is none."""
        try:
            given = BasicAuth.decode(header or "", encoding="utf-8")
        except ValueError:
            return AuthResult.REJECTED
        user, password = given.login, given.password.encode()
        own = users.get(user)
        digest = self._cache.digest(user, own or b"", password)
        right = self._cache.get(user, digest)
        networks = find_networks(client)
        if right is None:
            check = self._checks.get(digest)
            if check is None:
                keys = (*networks, (networks[-1], self._cache.bucket(user)))
                hashes = self._select_hashes(own, users)
                check = _Check(user, own, hashes, password, digest, keys, asyncio.Future())
                self._enqueue(check, networks[-1])
            right = await self._wait_for_outcome(check)
        if right is None:
            return AuthResult.OVERLOADED
        if right:
            self._remember(networks[-1])
        return AuthResult.ACCEPTED if right else AuthResult.REJECTED

    def _select_hashes(self, own: bytes | None, users: Mapping[str, bytes]) -> tuple[bytes, ...]:
        """Return a hash of each cost that any user has: the user's own, others of no password."""
        if users is not self._users:
            self._users, self._dummies = users, build_dummy_hashes(users.values())
        if own is None:
            return tuple(self._dummies.values())
        return tuple({**self._dummies, parse_cost(own): own}.values())

    def _enqueue(self, check: _Check, address: str) -> None:
        self._checks[check.digest] = check
        is_preferred = address in self._right_addresses
        displaced = self._queue.add(check, check.keys, is_preferred=is_preferred)
        if displaced:
            self._resolve(displaced, right=None)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run_checks())

    async def _wait_for_outcome(self, check: _Check) -> bool | None:
        """Wait for the outcome of a check; the last that gives up drops it, unless it runs."""
        check.waiting += 1
        try:
            return await asyncio.shield(check.outcome)
        finally:
            check.waiting -= 1
            if not check.waiting and check in self._queue:
                self._queue.discard(check)
                self._resolve(check, right=None)

    async def _run_checks(self) -> None:
        while self._queue:
            check = self._queue.next()
            right = await self._compare(check)
            if right is not None:
                self._cache.put(check.user, check.digest, right=right)
            if right is False:
                self._queue.charge(check.keys)
            self._resolve(check, right=right)

    async def _compare(self, check: _Check) -> bool | None:
        def compare() -> bool:
            return any(
                self._verify_password(check.password, hashed) and hashed is check.own
                for hashed in check.hashes
            )

        try:
            return await _run_in_thread(compare)
        except Exception as error:  # noqa: BLE001 - a waiting request must not hang
            event = "password not checked"
            if self._log_limit.is_due(event):
                log.warning(event, cause=str(error), advice="check the limit of threads")
            return None

    def _resolve(self, check: _Check, *, right: bool | None) -> None:
        del self._checks[check.digest]
        check.outcome.set_result(right)

    def _remember(self, address: str) -> None:
        self._right_addresses[address] = None
        self._right_addresses.move_to_end(address)
        if len(self._right_addresses) > MAX_REMEMBERED:
            self._right_addresses.popitem(last=False)


def _run_in_thread(work: Callable[[], bool]) -> asyncio.Future[bool]:
    """Run work in a thread for which Python waits, where it is Python that ends the process.

    It would abort with a thread in the middle of bcrypt. The exporter itself waits for no thread.
    """
    outcome: Future[bool] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised in the request that waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="bcrypt").start()
    return asyncio.wrap_future(outcome)


def verify_password(password: bytes, hashed: bytes) -> bool:
    """Return whether a hash is that of the password; the hash's cost sets how long it takes.

    bcrypt reads 72 bytes. A longer password is cut there, as htpasswd does when it makes the hash
    and Go's exporters when they check it.
    """
    return bcrypt.checkpw(password[:_MAX_PASSWORD_BYTES], hashed)


def build_dummy_hashes(hashes: Iterable[bytes]) -> Mapping[int, bytes]:
    """Return a hash of no known password for each cost that these have, cheapest first.

    Without any, the cheapest cost has one.
    """
    costs = sorted(set(map(parse_cost, hashes))) or [_MIN_COST]
    return {cost: b"$2b$%02d$" % cost + b"." * 53 for cost in costs}


def parse_hash(text: str) -> bytes:
    """Return a bcrypt hash as bytes; raises FieldError, which contains nothing of the text."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise FieldError("is no bcrypt hash; htpasswd -nBC 10 USER writes one, after the colon")
    cost = int(found["cost"])
    if not _MIN_COST <= cost <= _MAX_COST:
        raise FieldError(f"has a cost of {cost}; bcrypt knows {_MIN_COST} to {_MAX_COST}")
    try:
        bcrypt.hashpw(b"", b"$2b$%02d$" % _MIN_COST + text[_SALT].encode())
    except ValueError:
        raise FieldError("is a broken bcrypt hash: no such salt is ever made") from None
    return text.encode()


def parse_cost(hashed: bytes) -> int:
    """Return the cost of a bcrypt hash, the binary logarithm of its rounds."""
    return int(hashed[4:6])


class CredentialCache:
    """The last accepted password of each user, and the last hundred rejected ones of all users.

    They are kept apart, so that rejected ones never evict an accepted one.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._accepted: dict[str, bytes] = {}
        self._rejected: OrderedDict[bytes, None] = OrderedDict()

    def digest(self, user: str, hashed: bytes, password: bytes) -> bytes:
        """Return what identifies the three together, and changes with the hash."""
        parts = (user.encode(), hashed, password)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")

    def bucket(self, user: str) -> int:
        """Return one of a few numbers for a user, known or not, that clients cannot predict."""
        return hmac.digest(self._key, user.encode(), "sha256")[0] % _BUCKETS

    def get(self, user: str, digest: bytes) -> bool | None:
        """Return whether credentials were accepted, or None where they are not cached."""
        if hmac.compare_digest(self._accepted.get(user, _NO_DIGEST), digest):
            return True
        if digest in self._rejected:
            self._rejected.move_to_end(digest)
            return False
        return None

    def put(self, user: str, digest: bytes, *, right: bool) -> None:
        """Record a result. Only users of the file can be accepted, so their number is bounded."""
        if right:
            self._accepted[user] = digest
            return
        self._rejected[digest] = None
        if len(self._rejected) > _MAX_REJECTED:
            self._rejected.popitem(last=False)
