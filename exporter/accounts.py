"""The accounts that are polled, made from a plan: anew, or from those that are there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from exporter.plan import Plan, PlannedAccount
from exporter.polling.account import Account
from exporter.polling.pace import Pace
from exporter.polling.refusals import Refusals
from exporter.polling.turns import Turns
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.server_time import ServerTime
from exporter.scaleengine.stamps import Stamps
from exporter.scaleengine.transport import Transport


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all accounts share: the clock, the stamps, who is told of requests and of secrets."""

    clock: Clock
    stamps: Stamps
    observe: Callable[[Exchange], None]
    learn: Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Roster:
    """The accounts of a plan, by name."""

    plan: Plan
    accounts: Mapping[str, Account]

    def others_in(self, plan: Plan) -> frozenset[str]:
        """Return the names under which another plan has another account: its numbers are others.

        That is one of another CDN, or at another API.
        """
        before = {account.name: account.cdn for account in self.plan.accounts}
        moved = plan.endpoint.url != self.plan.endpoint.url
        return frozenset(
            account.name
            for account in plan.accounts
            if moved or before.get(account.name) != account.cdn
        )

    def with_other_credentials(self, plan: Plan) -> frozenset[str]:
        """Return the names of the accounts for which another plan has other credentials."""
        before = {account.name: account.credentials for account in self.plan.accounts}
        return frozenset(
            account.name
            for account in plan.accounts
            if before.get(account.name) != account.credentials
        )

    def renewed(self, plan: Plan, around: Surroundings) -> "Roster":
        """Return the accounts of another plan.

        Where an account is asked in the same way as before, it keeps its connections, its turns and
        what it knows of ScaleEngine's time.
        """
        others = self.others_in(plan)
        same_way = _way(plan) == _way(self.plan)
        made = {}
        for planned in plan.accounts:
            fresh = _account(planned, plan, around)
            if same_way and planned.name not in others:
                known = self.accounts[planned.name]
                fresh = replace(
                    fresh, client=known.client, turns=known.turns, refusals=known.refusals
                )
            made[planned.name] = fresh
        return Roster(plan, made)


def roster(plan: Plan, around: Surroundings) -> Roster:
    """Return the accounts of the first plan."""
    accounts = {planned.name: _account(planned, plan, around) for planned in plan.accounts}
    return Roster(plan, accounts)


def _way(plan: Plan) -> tuple[object, ...]:
    """Return how a plan asks: what connections and turns are made from."""
    return plan.endpoint, plan.concurrency, plan.requests_per_second


def _account(planned: PlannedAccount, plan: Plan, around: Surroundings) -> Account:
    def credentials() -> Credentials:
        read = planned.credentials()
        around.learn(read.api_key, read.api_secret)
        return read

    client = Client(
        account=planned.name,
        cdn=planned.cdn,
        transport=Transport(plan.endpoint),
        stamps=around.stamps,
        clock=around.clock,
        time=ServerTime(around.clock),
        observe=around.observe,
    )
    return Account(
        name=planned.name,
        client=client,
        credentials=credentials,
        refusals=Refusals(around.clock),
        turns=Turns(plan.concurrency, Pace(plan.requests_per_second, around.clock), around.clock),
        limits=Limits(at_once=plan.concurrency, in_all=plan.requests_per_poll),
    )
