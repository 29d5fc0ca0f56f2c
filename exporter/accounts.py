"""Build the polled accounts from the settings, and rebuild them at a reload."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from exporter.polling.credentials import (
    CredentialBreaker,
    CredentialReader,
    CredentialVerdict,
    FileReads,
    ignore_verdict,
)
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount
from exporter.polling.targets import ReloadDelta, compute_delta
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import InlineWorkers, Workers
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Connections, Transport
from exporter.settings import AccountSettings, Settings


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Dependencies that all accounts share.

    ``observe`` is called with each request, ``register`` with the key and the secret of an account,
    ``record_verdict`` with what each attempt of a poll shows of the credentials. ``workers`` make
    the requests, ``file_workers`` read secrets from files; None reads them in the calling thread.
    ``file_reads`` are these reads.
    """

    clock: Clock
    timestamps: TimestampAllocator
    observe: Callable[[Exchange], None]
    register: Callable[[str, str], None]
    record_verdict: Callable[[CredentialVerdict], None] = ignore_verdict
    workers: Workers = field(default_factory=InlineWorkers)
    file_workers: Workers | None = None
    file_reads: FileReads = field(default_factory=FileReads)


@dataclass(frozen=True, slots=True)
class AccountPool:
    """The polled accounts of the settings, by name, and the connections that they share."""

    settings: Settings
    accounts: Mapping[str, PolledAccount]
    connections: Connections

    def close(self) -> None:
        """End the requests in progress, let none begin, and close the connections."""
        for account in self.accounts.values():
            account.client.close()
        self.connections.close()

    def compute_delta(self, settings: Settings) -> ReloadDelta:
        """Return what changes when other settings are applied.

        An account is replaced if its CDN number or the URL of the API changes: its data is dropped.
        """
        before = {account.name: account for account in self.settings.accounts}
        kept = [account for account in settings.accounts if account.name in before]
        moved = settings.endpoint.url != self.settings.endpoint.url
        return compute_delta(
            self.settings.targets,
            settings.targets,
            replaced_accounts=[
                account.name for account in kept if moved or before[account.name].cdn != account.cdn
            ],
            accounts_with_new_credentials=[
                account.name
                for account in kept
                if before[account.name].credentials != account.credentials
            ],
        )

    def reconcile(self, settings: Settings, dependencies: Dependencies) -> "AccountPool":
        """Return the accounts of other settings, with the state of those that stay.

        The state of an account is kept: ScaleEngine's time, refused credentials, the wait that
        ScaleEngine has requested, and the requests in flight. Connections stay open while the
        endpoint and the name are the same.
        """
        is_same_endpoint = settings.endpoint == self.settings.endpoint
        connections = self.connections if is_same_endpoint else Connections(settings.endpoint)
        known = self._find_known_in(settings)
        earlier = {account.name: account for account in self.settings.accounts}
        made = {}
        for configured in settings.accounts:
            before = known.get(configured.name)
            if before is None:
                client = _build_client(configured, connections, dependencies)
                account = _build_account(configured, settings, dependencies, client)
            else:
                client = before.client
                if not is_same_endpoint or before.name != configured.name:
                    client = _build_client(
                        configured, connections, dependencies, before.client.time
                    )
                account = _keep_state(
                    _build_account(configured, settings, dependencies, client), before, settings
                )
                is_same_read = configured.credentials == earlier[before.name].credentials
                if is_same_read and settings.endpoint.timeout == self.settings.endpoint.timeout:
                    # If a file hangs, the read in progress is enough.
                    account = replace(account, credentials=before.credentials)
            made[configured.name] = account
        return AccountPool(settings, made, connections)

    def _find_known_in(self, settings: Settings) -> Mapping[str, PolledAccount]:
        """Return the accounts that exist already, by their names in other settings.

        The CDN number identifies an account, so an account that was renamed is the same.
        """
        if settings.endpoint.url != self.settings.endpoint.url:
            return {}
        numbers = {account.name: account.cdn for account in settings.accounts}
        known = {}
        renamed: dict[int, PolledAccount] = {}
        for account in self.settings.accounts:
            if numbers.get(account.name) == account.cdn:
                known[account.name] = self.accounts[account.name]
            else:
                renamed[account.cdn] = self.accounts[account.name]
        for account in settings.accounts:
            if account.name not in known and account.cdn in renamed:
                known[account.name] = renamed.pop(account.cdn)
        return known


def build_accounts(settings: Settings, dependencies: Dependencies) -> AccountPool:
    """Build the accounts of the first settings."""
    connections = Connections(settings.endpoint)
    accounts = {
        configured.name: _build_account(
            configured, settings, dependencies, _build_client(configured, connections, dependencies)
        )
        for configured in settings.accounts
    }
    return AccountPool(settings, accounts, connections)


def _keep_state(fresh: PolledAccount, known: PolledAccount, settings: Settings) -> PolledAccount:
    """Return an account with the state of the earlier one, and the limits of the settings."""
    known.limiter.change(settings.concurrency, settings.requests_per_second)
    return replace(
        fresh,
        limiter=known.limiter,
        breaker=known.breaker,
        failures=known.failures,
        log_limit=known.log_limit,
        walk_memory=known.walk_memory,
    )


def _build_client(
    configured: AccountSettings,
    connections: Connections,
    dependencies: Dependencies,
    time: ServerTime | None = None,
) -> Client:
    return Client(
        account=configured.name,
        cdn=configured.cdn,
        transport=Transport(connections),
        timestamps=dependencies.timestamps,
        clock=dependencies.clock,
        time=time or ServerTime(dependencies.clock),
        observe=dependencies.observe,
    )


def _build_account(
    configured: AccountSettings, settings: Settings, dependencies: Dependencies, client: Client
) -> PolledAccount:
    def credentials() -> Credentials:
        read = configured.credentials()
        dependencies.register(read.api_key, read.api_secret)
        return read

    rate = RateLimiter(settings.requests_per_second, dependencies.clock)
    return PolledAccount(
        name=configured.name,
        client=client,
        credentials=CredentialReader(
            credentials,
            dependencies.file_workers if configured.secret_folders else None,
            settings.endpoint.timeout,
            configured.secret_folders,
            dependencies.file_reads,
        ),
        limiter=FairLimiter(settings.concurrency, rate, dependencies.clock, dependencies.workers),
        breaker=CredentialBreaker(dependencies.clock),
        limits=WalkLimits(
            settings.concurrency,
            settings.requests_per_poll,
            settings.limits,
            0.0 if settings.requests_per_second is None else 1 / settings.requests_per_second,
        ),
        workers=dependencies.workers,
        record_verdict=dependencies.record_verdict,
        log_limit=LogLimit(dependencies.clock.monotonic, max_events=None),
    )
