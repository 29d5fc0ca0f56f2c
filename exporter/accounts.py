"""The accounts that are polled, made from a plan: anew, or from those that are there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from exporter.plan import Plan, PlannedAccount
from exporter.polling.account import CredentialReader, PolledAccount
from exporter.polling.breaker import CredentialBreaker
from exporter.polling.fair_limiter import FairLimiter
from exporter.polling.rate_limiter import RateLimiter
from exporter.polling.reload_delta import ReloadDelta, compute_delta
from exporter.polling.verdicts import Verdict, ignore
from exporter.polling.walk import Limits
from exporter.polling.workers import InlineWorkers, Workers
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import ServerTime, Stamps
from exporter.scaleengine.transport import Transport


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all accounts share: the clock, the stamps, who is told of requests and of secrets.

    ``judge`` is told what each attempt of a poll has shown of an account's credentials. ``workers``
    make the requests, ``file_workers`` read secrets in files; None reads them where it is asked.
    """

    clock: Clock
    stamps: Stamps
    observe: Callable[[Exchange], None]
    learn: Callable[[str, str], None]
    judge: Callable[[Verdict], None] = ignore
    workers: Workers = field(default_factory=InlineWorkers)
    file_workers: Workers | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """The accounts of a plan, by name."""

    plan: Plan
    accounts: Mapping[str, PolledAccount]

    def delta_to(self, plan: Plan) -> ReloadDelta:
        """Return what changes where another plan is taken.

        An account is replaced by one of another CDN, or at another API: its numbers are others.
        """
        before = {account.name: account for account in self.plan.accounts}
        kept = [account for account in plan.accounts if account.name in before]
        moved = plan.endpoint.url != self.plan.endpoint.url
        return compute_delta(
            self.plan.targets,
            plan.targets,
            replaced=[
                account.name for account in kept if moved or before[account.name].cdn != account.cdn
            ],
            new_credentials=[
                account.name
                for account in kept
                if before[account.name].credentials != account.credentials
            ],
        )

    def renewed(self, plan: Plan, around: Surroundings) -> "Roster":
        """Return the accounts of another plan.

        What is known of an account stays known: ScaleEngine's time, the credentials that it has
        refused, the wait that it has asked for, and the requests in flight. Connections stay open
        while the endpoint and the name are the same.
        """
        known = self._known_in(plan)
        configured = {account.name: account for account in self.plan.accounts}
        made = {}
        for planned in plan.accounts:
            before = known.get(planned.name)
            if before is None:
                account = _account(planned, plan, around, _client(planned, plan, around))
            else:
                is_same_client = plan.endpoint == self.plan.endpoint and before.name == planned.name
                client = (
                    before.client
                    if is_same_client
                    else _client(planned, plan, around, before.client.time)
                )
                account = _with_knowledge(_account(planned, plan, around, client), before, plan)
                is_same_read = planned.credentials == configured[before.name].credentials
                if is_same_read and plan.endpoint.timeout == self.plan.endpoint.timeout:
                    # Where a file hangs, the read that is under way is enough.
                    account = replace(account, credentials=before.credentials)
            made[planned.name] = account
        return Roster(plan, made)

    def _known_in(self, plan: Plan) -> Mapping[str, PolledAccount]:
        """Return the accounts that are known already, by their names in another plan.

        An account is known by its CDN, so that one whose name has changed is the same.
        """
        if plan.endpoint.url != self.plan.endpoint.url:
            return {}
        numbers = {account.name: account.cdn for account in plan.accounts}
        known = {}
        renamed: dict[int, PolledAccount] = {}
        for account in self.plan.accounts:
            if numbers.get(account.name) == account.cdn:
                known[account.name] = self.accounts[account.name]
            else:
                renamed[account.cdn] = self.accounts[account.name]
        for account in plan.accounts:
            if account.name not in known and account.cdn in renamed:
                known[account.name] = renamed.pop(account.cdn)
        return known


def roster(plan: Plan, around: Surroundings) -> Roster:
    """Return the accounts of the first plan."""
    return Roster(
        plan,
        {
            planned.name: _account(planned, plan, around, _client(planned, plan, around))
            for planned in plan.accounts
        },
    )


def _with_knowledge(fresh: PolledAccount, known: PolledAccount, plan: Plan) -> PolledAccount:
    """Return an account with what is known of it, and the limits of a plan."""
    known.limiter.change(plan.concurrency, plan.requests_per_second)
    return replace(
        fresh,
        limiter=known.limiter,
        breaker=known.breaker,
        failures=known.failures,
        log_limit=known.log_limit,
    )


def _client(
    planned: PlannedAccount, plan: Plan, around: Surroundings, time: ServerTime | None = None
) -> Client:
    return Client(
        account=planned.name,
        cdn=planned.cdn,
        transport=Transport(plan.endpoint),
        stamps=around.stamps,
        clock=around.clock,
        time=time or ServerTime(around.clock),
        observe=around.observe,
    )


def _account(
    planned: PlannedAccount, plan: Plan, around: Surroundings, client: Client
) -> PolledAccount:
    def credentials() -> Credentials:
        read = planned.credentials()
        around.learn(read.api_key, read.api_secret)
        return read

    rate = RateLimiter(plan.requests_per_second, around.clock)
    return PolledAccount(
        name=planned.name,
        client=client,
        credentials=CredentialReader(
            credentials,
            around.file_workers if planned.has_secret_files else None,
            plan.endpoint.timeout,
        ),
        limiter=FairLimiter(plan.concurrency, rate, around.clock, around.workers),
        breaker=CredentialBreaker(around.clock),
        limits=Limits(plan.concurrency, plan.requests_per_poll, plan.limits),
        workers=around.workers,
        judge=around.judge,
        log_limit=LogLimit(around.clock.monotonic, max_events=None),
    )
