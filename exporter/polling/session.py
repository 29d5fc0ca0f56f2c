"""An account while it is polled, and the requests of one poll."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from exporter.polling.credentials import (
    CredentialBreaker,
    CredentialReader,
    CredentialVerdict,
    ignore_verdict,
)
from exporter.polling.failure_log import FailureLog
from exporter.polling.limits import FairLimiter
from exporter.polling.recovery import (
    MIN_RETRY_SECONDS,
    RetryPolicy,
    find_account_pause,
    refuses_credentials,
)
from exporter.polling.request_log import RequestLog
from exporter.polling.targets import FilesTarget, Target
from exporter.polling.walk import WalkLimits
from exporter.polling.walk_strategy import StrategyMemory
from exporter.polling.workers import Workers
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.disk_usage import RowFault, UsageReport, read_disk_usage
from exporter.scaleengine.errors import (
    AuthError,
    IncompleteError,
    ScaleEngineError,
    TooManyRequestsError,
)
from exporter.scaleengine.file_listing import Listing, list_files

T = TypeVar("T")

MIN_POLL_SECONDS: Final = 600.0
"""Seconds that a poll may take in any case."""


@dataclass(frozen=True, slots=True)
class PolledAccount:
    """What the polls of an account share.

    ``record_verdict`` is called for each attempt with what it shows of the credentials.
    ``failures`` decides which failures are logged as warnings, ``log_limit`` which retries and
    waits are at info. ``walk_memory`` is what its walks have found out about the server.
    """

    name: str
    client: Client
    credentials: CredentialReader
    limiter: FairLimiter
    breaker: CredentialBreaker
    limits: WalkLimits
    workers: Workers
    record_verdict: Callable[[CredentialVerdict], None] = ignore_verdict
    failures: FailureLog = field(default_factory=FailureLog)
    walk_memory: StrategyMemory = field(default_factory=StrategyMemory)
    log_limit: LogLimit = field(default_factory=lambda: LogLimit(since_boot, max_events=None))


class PollSession:
    """The requests of one poll, all made with the same credentials, and retried if that may help.

    ``requests`` counts every attempt that was sent, ``rejected_rows`` the rows of disk usage that
    were rejected. ``rng`` spreads the attempts. A poll that takes longer than its numbers would
    count is given up.

    Every method is a coroutine of one event loop. One that is cancelled ends when its request has
    ended, and records nothing of it.
    """

    def __init__(self, account: PolledAccount, target: Target, rng: random.Random) -> None:
        self.account = account
        self.requests = 0
        self.rejected_rows: Counter[RowFault] = Counter()
        self._target = target
        clock = account.client.clock
        began = clock.monotonic()
        self._max_seconds = max(target.interval, target.stale_after, MIN_POLL_SECONDS)
        self._end = began + self._max_seconds
        last_retry = began + max(target.interval, MIN_RETRY_SECONDS)
        self._policy = RetryPolicy(clock, rng, last_retry)
        self.log = RequestLog(target, clock, account.log_limit)
        self._credentials: Credentials | None = None
        self._read_at = began
        self._reading = asyncio.Lock()

    async def disk_usage(
        self,
        cpu_users: Sequence[str],
        read: Callable[[UsageReport], T],
        starttime: int | None = None,
    ) -> T:
        """Request the disk usage; return what ``read`` makes of it in the worker's thread.

        Raises ScaleEngineError.
        """

        def read_and_count(report: UsageReport) -> tuple[T, Counter[RowFault]]:
            faults: Counter[RowFault] = Counter()
            for row, count in report.rejected.items():
                faults[row.fault] += count
            return read(report), faults

        def call(client: Client, credentials: Credentials) -> tuple[T, Counter[RowFault]]:
            return read_disk_usage(client, credentials, cpu_users, read_and_count, starttime)

        result, faults = await self._request(call)
        self.rejected_rows.update(faults)
        return result

    async def list_files(self, path: str, file_type: str, offset: int) -> Listing:
        """Request one page of a path; raises ScaleEngineError."""
        return await self._request(
            lambda client, credentials: list_files(client, credentials, path, file_type, offset)
        )

    async def _request(self, call: Callable[[Client, Credentials], T]) -> T:
        credentials = await self._read_credentials()
        return await self._policy.retry(
            lambda: self._make_attempt(call, credentials), self._may_continue, self.log.record_retry
        )

    async def _read_credentials(self) -> Credentials:
        """Return the credentials as they were at the first request of this poll."""
        async with self._reading:
            if self._credentials is None:
                self._read_at = self.account.client.clock.monotonic()
                try:
                    self._credentials = await self.account.credentials.read()
                except AuthError:
                    self._record_verdict(accepted=False, request_sent=False)
                    raise
            return self._credentials

    async def _make_attempt(
        self, call: Callable[[Client, Credentials], T], credentials: Credentials
    ) -> T:
        self._check_allowed(credentials)  # what is not sent uses up nothing of the rate limit
        async with self.account.limiter.slot(self._target):
            self._check_allowed(credentials)  # that may have changed meanwhile
            self.requests += 1
            return await self._send(call, credentials)

    async def _send(self, call: Callable[[Client, Credentials], T], credentials: Credentials) -> T:
        """Send a request in a worker's thread; what it shows is recorded back in the loop."""
        account = self.account
        exchanges: list[Exchange] = []

        def observe(exchange: Exchange) -> None:
            account.client.observe(exchange)
            exchanges.append(exchange)

        client = replace(account.client, observe=observe)
        try:
            response = await account.workers.run(lambda: call(client, credentials))
        except ScaleEngineError as error:
            account.limiter.pause(find_account_pause(error))
            self._record_credentials(credentials, error)
            self._record_exchanges(exchanges)
            self.log.record_pause(error)
            raise
        except asyncio.CancelledError:
            for exchange in exchanges:
                self.log.record(exchange)  # it is in the counters, too
            raise
        except Exception:
            if not exchanges:
                self.requests -= 1  # it was not sent
            self._record_exchanges(exchanges)
            raise
        account.breaker.record_acceptance(self._target.collector, credentials)
        self._record_exchanges(exchanges)
        return response

    def _record_credentials(self, credentials: Credentials, error: ScaleEngineError) -> None:
        collector, breaker = self._target.collector, self.account.breaker
        if refuses_credentials(error):
            breaker.record_refusal(collector, credentials, error, self._target.interval)
        elif error.credentials_accepted:
            breaker.record_acceptance(collector, credentials)

    def _record_exchanges(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            self.log.record(exchange)
            self.account.limiter.record_end(exchange.reason, exchange.seconds)
            self._record_verdict(accepted=exchange.accepted)

    def _check_allowed(self, credentials: Credentials) -> None:
        """Raise ScaleEngineError where a request is of no use, or not allowed."""
        account, collector = self.account, self._target.collector
        refused = account.breaker.find_refusal(collector, credentials)
        if refused is not None:
            self._record_verdict(accepted=False, request_sent=False)
            raise type(refused)(refused.command, refused.cause, refused.advice)
        pause = account.limiter.pause_left()
        if pause:
            raise TooManyRequestsError(
                collector,
                f"ScaleEngine asks for a wait of {pause:.0f} s more",
                "no change is needed",
                retry_after=pause,
            )
        if account.client.clock.monotonic() > self._end:
            raise IncompleteError(
                collector,
                f"the poll was not done within {self._max_seconds:.0f} s",
                "raise api.requests_per_second or api.max_workers, or configure "
                f"{self._advise_smaller_target()} or longer intervals",
            )
        max_requests = account.limits.max_requests
        if self.requests >= max_requests:
            raise IncompleteError(
                collector,
                f"the poll takes more than {max_requests} requests, with those that were retried",
                f"raise api.max_requests_per_poll, or configure {self._advise_smaller_target()}",
            )

    def _advise_smaller_target(self) -> str:
        """Return what to configure so that the target takes fewer requests."""
        return "smaller paths" if isinstance(self._target, FilesTarget) else "fewer cpu_users"

    def _record_verdict(self, *, accepted: bool | None, request_sent: bool = True) -> None:
        """Report what an attempt shows of the credentials."""
        self.account.record_verdict(
            CredentialVerdict(
                self._target, self._credentials, self._read_at, accepted, request_sent
            )
        )

    def _may_continue(self) -> bool:
        return self.requests < self.account.limits.max_requests
