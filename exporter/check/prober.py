"""Send the requests of a check, within the rate limit of the configuration.

That is one request for each target, or a full poll of each. For a path without a file of its type
other types are requested, too.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from exporter.accounts import Dependencies, build_accounts
from exporter.check.file_type_search import OFTEN_NONE, FileTypeSearch
from exporter.check.full_polls import FullPoller, build_full_poll_result
from exporter.check.poll_estimate import has_surely_no_files
from exporter.check.results import (
    CheckResult,
    RequestRange,
    build_disk_usage_result,
    build_empty_path_result,
    build_listing_result,
)
from exporter.polling.recovery import has_response
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.usage import find_newest_usage, merge_usage
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import request_disk_usage, split_users
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.file_listing import Listing, list_files
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.settings import Settings


class Prober:
    """Sends the requests of a check, one target at a time.

    With ``full_poller`` each target is polled completely, without it as few requests as possible
    are made. ``newest`` is how the newest request for a target ended; ``is_accepted`` and ``skew``
    are what its requests show of the credentials and the clock. ``got_response`` says whether any
    request got a response. Requests for other file types than that of a target change none of the
    first three. ``register`` is called with each key and secret that is used.
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
        self._search = FileTypeSearch(
            target for target in settings.targets if isinstance(target, FilesTarget)
        )
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
        try:
            if self._full_poller is not None:
                return self._poll(self._full_poller, target, credentials)
            try:
                return self._probe(target, credentials)
            except ScaleEngineError as error:
                if not error.has_corrected_time:
                    raise
            return self._probe(target, credentials)
        except ScaleEngineError as error:
            if isinstance(target, FilesTarget):
                self._search.record_failure(target, error.cause)
            raise

    def close(self) -> None:
        """Close the connections and the poller."""
        self._pool.close()
        if self._full_poller is not None:
            self._full_poller.close()

    def _poll(
        self, full_poller: FullPoller, target: Target, credentials: Credentials
    ) -> CheckResult:
        full_poll = full_poller.poll(self._accounts[target.account], target)
        result = build_full_poll_result(target, full_poll, self._requests_allowed)
        if not (isinstance(target, FilesTarget) and isinstance(full_poll.snapshot, FileCounts)):
            return result
        files = full_poll.snapshot.files
        self._search.record_count(target, files)
        return result if files else self._explain_empty(target, credentials, result)

    def _explain_empty(
        self, target: FilesTarget, credentials: Credentials, result: CheckResult
    ) -> CheckResult:
        """Return the result of a path without a file of its type, with the types that it has."""
        if target.file_type in OFTEN_NONE:
            return result
        before = self.newest, self.is_accepted, self.skew
        try:
            found = self._search.find(
                target, lambda file_type: self._list(target, file_type, credentials)
            )
        finally:
            self.newest, self.is_accepted, self.skew = before
        return build_empty_path_result(result, found)

    def _probe(self, target: Target, credentials: Credentials) -> CheckResult:
        if isinstance(target, DiskUsageTarget):
            usage, requests = self._probe_usage(target, credentials)
            return replace(
                build_disk_usage_result(target, usage), requests=RequestRange(requests, requests)
            )
        listing = self._search.take_listing(target)
        if listing is None:
            listing = self._list(target, target.file_type, credentials)
        self._search.record_listing(target, listing)
        result = build_listing_result(target, listing, self._requests_allowed)
        return (
            self._explain_empty(target, credentials, result)
            if has_surely_no_files(listing)
            else result
        )

    def _list(self, target: FilesTarget, file_type: str, credentials: Credentials) -> Listing:
        """Request the first response for a type of the path of a target."""
        client = self._accounts[target.account].client
        self._keep_rate(target)
        return list_files(client, credentials, target.path, file_type, offset=0)

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
            report = request_disk_usage(account.client, credentials, cpu_users, starttime)
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
