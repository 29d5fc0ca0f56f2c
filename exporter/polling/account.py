"""An account while it is polled, and the calls of one poll."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from exporter.polling.failure_log import FailureLog
from exporter.polling.recovery import account_pause, refuses_credentials
from exporter.polling.refusals import Refusals
from exporter.polling.request_log import RequestLog
from exporter.polling.retries import LEAST_PATIENCE, Patience
from exporter.polling.stopping import EarlyStop, Stop, StoppedError
from exporter.polling.targets import FilesTarget, Target
from exporter.polling.turns import Turns
from exporter.polling.verdicts import Verdict, ignore
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.disk_usage import RowFault, UsageReport, disk_usage
from exporter.scaleengine.errors import (
    AuthError,
    IncompleteError,
    ScaleEngineError,
    TooManyRequestsError,
)
from exporter.scaleengine.file_listing import Listing, list_files

T = TypeVar("T")

LEAST_LENGTH: Final = 600.0
"""Seconds that a poll may take in any case."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the polls of an account share.

    ``credentials`` is asked at the start of every poll, for a secret may change; it raises
    AuthError where they cannot be read. ``judge`` is told of each attempt what it has shown of the
    credentials. ``failures`` decides which failures are warned of.
    """

    name: str
    client: Client
    credentials: Callable[[], Credentials]
    turns: Turns
    refusals: Refusals
    limits: Limits
    judge: Callable[[Verdict], None] = ignore
    failures: FailureLog = field(default_factory=FailureLog)


class Calls:
    """The calls of one poll, all made with the same credentials, and tried again if that may help.

    ``made`` counts every attempt that was sent, ``rejected_rows`` the rows of disk usage that were
    rejected. ``chance`` spreads the attempts. A poll that takes longer than its numbers would count
    is given up.
    """

    def __init__(self, account: Account, target: Target, stop: Stop, chance: random.Random) -> None:
        self.account = account
        self.made = 0
        self.rejected_rows: Counter[RowFault] = Counter()
        self._target = target
        self._stop = EarlyStop(stop)
        clock = account.client.clock
        began = clock.elapsed()
        self._longest = max(target.interval, target.stale_after, LEAST_LENGTH)
        self._end = began + self._longest
        until = began + max(target.interval, LEAST_PATIENCE)
        self._patience = Patience(clock, chance, self._stop, until, self._may_go_on)
        self._client = replace(account.client, observe=self._observe)
        self.log = RequestLog(target, clock, account.failures)
        self._credentials: Credentials | None = None
        self._read_at = began
        self._lock = threading.Lock()

    def disk_usage(self, cpu_users: Sequence[str], starttime: int | None = None) -> UsageReport:
        """Ask for the disk usage; raises ScaleEngineError, and StoppedError at the end."""
        client = self._client
        report = self._make(lambda known: disk_usage(client, known, cpu_users, starttime))
        with self._lock:
            for row, count in report.rejected.items():
                self.rejected_rows[row.fault] += count
        return report

    def list_files(self, path: str, file_type: str, offset: int) -> Listing:
        """Ask for one answer for a path; raises ScaleEngineError, and StoppedError at the end."""
        return self._make(lambda known: list_files(self._client, known, path, file_type, offset))

    def give_up(self) -> None:
        """Begin no further call: one that waits for its turn, or to try again, is StoppedError."""
        self._stop.set()

    def _make(self, call: Callable[[Credentials], T]) -> T:
        credentials = self._known()
        answer: T = self._patience.retrying(self.log.record_retry)(self._attempt, call, credentials)
        return answer

    def _known(self) -> Credentials:
        """Return the credentials as they were at the first call of this poll."""
        with self._lock:
            if self._credentials is None:
                self._read_at = self.account.client.clock.elapsed()
                try:
                    self._credentials = self.account.credentials()
                except AuthError:
                    self._judge(accepted=False, asked=False)
                    raise
            return self._credentials

    def _attempt(self, call: Callable[[Credentials], T], credentials: Credentials) -> T:
        turns = self.account.turns
        with turns.turn(self._target, self._stop):
            if self._stop.is_set():
                raise StoppedError
            self._look_before(credentials)
            self._count()
            try:
                return self._send(call, credentials)
            except ScaleEngineError as error:
                # Not a warning: another attempt may do, and a poll that fails is one.
                self.log.record_failure(error)
                raise

    def _send(self, call: Callable[[Credentials], T], credentials: Credentials) -> T:
        collector, refusals = self._target.collector, self.account.refusals
        try:
            answer = call(credentials)
        except ScaleEngineError as error:
            self.account.turns.hold(account_pause(error))
            if refuses_credentials(error):
                refusals.heed(collector, credentials, error, self._target.interval)
            elif error.credentials_accepted:
                refusals.heed_acceptance(collector, credentials)
            raise
        refusals.heed_acceptance(collector, credentials)
        return answer

    def _look_before(self, credentials: Credentials) -> None:
        """Raise ScaleEngineError where a call would be of no use, or unwelcome."""
        collector = self._target.collector
        refused = self.account.refusals.standing(collector, credentials)
        if refused is not None:
            self._judge(accepted=False, asked=False)
            raise type(refused)(refused.command, refused.cause, refused.advice)
        held = self.account.turns.held()
        if held:
            raise TooManyRequestsError(
                collector,
                f"ScaleEngine asks for a wait of {held:.0f} s more",
                "it passes by itself",
                retry_after=held,
            )
        if self.account.client.clock.elapsed() > self._end:
            raise IncompleteError(
                collector,
                f"the poll was not done within {self._longest:.0f} s",
                f"raise api.requests_per_second, or configure {self._smaller()} "
                "or longer intervals",
            )

    def _count(self) -> None:
        """Count an attempt that is about to be sent; raises IncompleteError if it is too many."""
        most = self.account.limits.in_all
        with self._lock:
            if self.made >= most:
                raise IncompleteError(
                    self._target.collector,
                    f"the poll takes more than {most} requests, with those that were tried again",
                    f"raise api.max_requests_per_poll, or configure {self._smaller()}",
                )
            self.made += 1

    def _smaller(self) -> str:
        """Return what to configure so that the target takes fewer requests."""
        return "smaller paths" if isinstance(self._target, FilesTarget) else "fewer cpu_users"

    def _observe(self, exchange: Exchange) -> None:
        """Pass on how a request ended, and what that shows of the credentials."""
        self.account.client.observe(exchange)
        self.log.record(exchange)
        self._judge(accepted=exchange.accepted)

    def _judge(self, *, accepted: bool | None, asked: bool = True) -> None:
        """Tell what an attempt has shown of the credentials; after the end it shows nothing."""
        if not self._stop.is_set():
            verdict = Verdict(self._target, self._credentials, self._read_at, accepted, asked)
            self.account.judge(verdict)

    def _may_go_on(self) -> bool:
        return self.made < self.account.limits.in_all and not self._stop.is_set()
