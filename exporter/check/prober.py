"""Send the requests of a check, within the rate limit of the configuration.

That is one request for each target, or a full poll of each. A path without a file of its type takes
one more for each other type.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from exporter.accounts import Dependencies, build_accounts
from exporter.check.full_polls import FullPoller, build_full_poll_result
from exporter.check.poll_estimate import count_shown_files, is_empty
from exporter.check.results import (
    CheckResult,
    RequestRange,
    build_disk_usage_result,
    build_empty_path_result,
    build_listing_result,
)
from exporter.polling.recovery import has_response
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts
from exporter.polling.targets import DiskUsageTarget, Target
from exporter.polling.usage import find_newest_usage, merge_usage
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import disk_usage, split_users
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.settings import Settings

_SEARCHED_TYPES: Final = ("video", "audio", "smil", "valid", "invalid", "deleted")
"""The types of ``files.list``, without ``includeinvalid``, which is valid and invalid together."""

_OFTEN_NONE: Final = frozenset({"invalid", "deleted"})
"""Types of which it is good to have no file."""


class Prober:
    """Sends the requests of a check, one target at a time.

    With ``full_poller`` each target is polled completely, without it as few requests as possible
    are made. ``newest`` is how the newest request for a target ended; ``is_accepted`` and ``skew``
    are what its requests show of the credentials and the clock. ``got_response`` says whether any
    request got a response. ``register`` is called with each key and secret that is used.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        register: Callable[[str, str], None],
        full_poller: FullPoller | None = None,
    ) -> None:
        # Never set: an interruption ends the process.
        self._stop = threading.Event()
        dependencies = Dependencies(
            clock, TimestampAllocator(self._stop.wait), self._record, register
        )
        if full_poller is not None:
            dependencies = replace(dependencies, workers=full_poller.workers)
        self._credentials = {account.name: account.credentials for account in settings.accounts}
        self._register = register
        self._pool = build_accounts(settings, dependencies)
        self._accounts = self._pool.accounts
        self._requests_allowed = settings.requests_per_poll
        self._full_poller = full_poller
        self.newest: Exchange | None = None
        self.is_accepted = False
        self.skew: float | None = None
        self.got_response = False

    def credentials(self, account: str) -> Credentials:
        """Read the secrets of an account; raises AuthError."""
        read = self._credentials[account]()
        self._register(read.api_key, read.api_secret)
        return read

    def probe(self, target: Target, credentials: Credentials) -> CheckResult:
        """Request a target and return the result; raises ScaleEngineError.

        If our clock is refused, the request is sent once more with ScaleEngine's time.
        """
        self.newest, self.is_accepted, self.skew = None, False, None
        if self._full_poller is not None:
            full_poll = self._full_poller.poll(self._accounts[target.account], target)
            result = build_full_poll_result(target, full_poll, self._requests_allowed)
            has_none = isinstance(full_poll.snapshot, FileCounts) and not full_poll.snapshot.files
            return self._explain_empty(target, credentials, result) if has_none else result
        try:
            return self._probe(target, credentials)
        except ScaleEngineError as error:
            if not error.has_corrected_time:
                raise
        return self._probe(target, credentials)

    def close(self) -> None:
        """Close the connections and the poller."""
        self._pool.close()
        if self._full_poller is not None:
            self._full_poller.close()

    def _explain_empty(
        self, target: Target, credentials: Credentials, result: CheckResult
    ) -> CheckResult:
        """Return the result of a path without a file of its type, with the types that it has.

        A failure ends the search for them: it is only for the advice.
        """
        if target.file_type in _OFTEN_NONE:
            return result
        found: list[str] = []
        client = self._accounts[target.account].client
        for file_type in _SEARCHED_TYPES:
            if file_type == target.file_type:
                continue
            self._keep_rate(target)
            try:
                listing = list_files(client, credentials, target.path, file_type, offset=0)
            except ScaleEngineError:
                break
            if count_shown_files(listing):
                found.append(file_type)
        return build_empty_path_result(result, found)

    def _probe(self, target: Target, credentials: Credentials) -> CheckResult:
        if isinstance(target, DiskUsageTarget):
            usage, requests = self._probe_usage(target, credentials)
            return replace(
                build_disk_usage_result(target, usage), requests=RequestRange(requests, requests)
            )
        account = self._accounts[target.account]
        self._keep_rate(target)
        listing = list_files(account.client, credentials, target.path, target.file_type, offset=0)
        result = build_listing_result(target, listing, self._requests_allowed)
        return self._explain_empty(target, credentials, result) if is_empty(listing) else result

    def _probe_usage(
        self, target: DiskUsageTarget, credentials: Credentials
    ) -> tuple[DiskUsageSnapshot, int]:
        """Request the disk usage as a poll does; return it and the number of requests.

        Raises ScaleEngineError.
        """
        account = self._accounts[target.account]
        starttime, found = None, []
        for cpu_users in split_users(target.cpu_users, BODY_LIMIT):
            self._keep_rate(target)
            report = disk_usage(account.client, credentials, cpu_users, starttime)
            starttime = report.starttime
            found.append(find_newest_usage(report, cpu_users))
        return merge_usage(found), len(found)

    def _keep_rate(self, target: Target) -> None:
        """Wait until the next request of the account may begin."""
        rate = self._accounts[target.account].limiter.rate
        self._stop.wait(rate.delay())
        rate.begin()

    def _record(self, exchange: Exchange) -> None:
        self.newest = exchange
        if exchange.accepted is not None:
            self.is_accepted = exchange.accepted
        if exchange.skew is not None:
            self.skew = exchange.skew
        self.got_response = self.got_response or has_response(exchange.reason)
