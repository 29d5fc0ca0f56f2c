"""Make the requests of a check, at the rate of the configuration.

That is one for each target, or a whole poll of each.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from exporter.accounts import Dependencies, build_accounts
from exporter.check.answers import listed, used
from exporter.check.findings import Finding, RequestRange
from exporter.check.whole_polls import WholePolls, describe_whole_poll
from exporter.polling.recovery import has_response
from exporter.polling.snapshots import DiskUsageSnapshot
from exporter.polling.targets import DiskUsageTarget, Target
from exporter.polling.usage import merge_usage, newest_usage
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import disk_usage, split_users
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.settings import Settings


class Asking:
    """Asks for the accounts of the settings, one target at a time.

    With ``whole_polls`` each target is polled whole, without them as little is asked as can tell.
    ``newest`` is how the newest request for a target ended, ``is_accepted`` and ``skew`` are what
    those for it tell of the credentials and the clock. ``answered`` says whether ScaleEngine has
    answered any. ``register`` is told of the key and the secret of each account that is used.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        register: Callable[[str, str], None],
        whole_polls: WholePolls | None = None,
    ) -> None:
        # Nobody sets it: an interruption ends the check from outside.
        self._stop = threading.Event()
        dependencies = Dependencies(
            clock, TimestampAllocator(self._stop.wait), self._heed, register
        )
        if whole_polls is not None:
            dependencies = replace(dependencies, workers=whole_polls.workers)
        self._credentials = {account.name: account.credentials for account in settings.accounts}
        self._learn = register
        self._accounts = build_accounts(settings, dependencies).accounts
        self._requests_allowed = settings.requests_per_poll
        self._whole_polls = whole_polls
        self.newest: Exchange | None = None
        self.is_accepted = False
        self.skew: float | None = None
        self.answered = False

    def credentials(self, account: str) -> Credentials:
        """Read the secrets of an account; raises AuthError."""
        read = self._credentials[account]()
        self._learn(read.api_key, read.api_secret)
        return read

    def ask(self, target: Target, credentials: Credentials) -> Finding:
        """Ask for what the target is; raises ScaleEngineError.

        Where our clock is refused, it is asked once more with ScaleEngine's time.
        """
        self.newest, self.is_accepted, self.skew = None, False, None
        if self._whole_polls is not None:
            whole = self._whole_polls.poll(self._accounts[target.account], target)
            return describe_whole_poll(target, whole, self._requests_allowed)
        try:
            return self._ask(target, credentials)
        except ScaleEngineError as error:
            if not error.has_corrected_time:
                raise
        return self._ask(target, credentials)

    def close(self) -> None:
        """Close the connections, and end what polls."""
        for account in self._accounts.values():
            account.client.close()
        if self._whole_polls is not None:
            self._whole_polls.close()

    def _ask(self, target: Target, credentials: Credentials) -> Finding:
        if isinstance(target, DiskUsageTarget):
            usage, requests = self._ask_usage(target, credentials)
            return replace(used(target, usage), requests=RequestRange(requests, requests))
        account = self._accounts[target.account]
        self._keep_rate(target)
        listing = list_files(account.client, credentials, target.path, target.file_type, offset=0)
        return listed(target, listing, self._requests_allowed)

    def _ask_usage(
        self, target: DiskUsageTarget, credentials: Credentials
    ) -> tuple[DiskUsageSnapshot, int]:
        """Ask for the disk usage as a poll does; return it and how many requests that took.

        Raises ScaleEngineError.
        """
        account = self._accounts[target.account]
        starttime, found = None, []
        for cpu_users in split_users(target.cpu_users, BODY_LIMIT):
            self._keep_rate(target)
            report = disk_usage(account.client, credentials, cpu_users, starttime)
            starttime = report.starttime
            found.append(newest_usage(report, cpu_users))
        return merge_usage(found), len(found)

    def _keep_rate(self, target: Target) -> None:
        """Wait until the next request of the account may begin."""
        rate = self._accounts[target.account].limiter.rate
        self._stop.wait(rate.delay())
        rate.begin()

    def _heed(self, exchange: Exchange) -> None:
        self.newest = exchange
        if exchange.accepted is not None:
            self.is_accepted = exchange.accepted
        if exchange.skew is not None:
            self.skew = exchange.skew
        self.answered = self.answered or has_response(exchange.reason)
