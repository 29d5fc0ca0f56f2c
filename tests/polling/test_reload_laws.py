"""For any reloads, what is polled and shown is what the newest configuration says."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from structlog.testing import capture_logs

from exporter.polling.snapshots import DiskUsageSnapshot
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.client import Credentials
from exporter.settings import AccountSettings, Settings
from tests.polling.simulated import (
    SimulatedApi,
    SimulatedPolling,
    make_settings,
    monotonic,
    open_runner,
    polling_tasks,
)

T = TypeVar("T")

CDNS = {"a": (1, 2), "b": (3, 4)}
KEYS = ("k1", "k2")
MAX_INTERVAL = 120.0


@dataclass(frozen=True, slots=True)
class Secret:
    """How to read the credentials with a key: equal where the key is the same."""

    key: str

    def __call__(self) -> Credentials:
        return Credentials(self.key, "secret")


@dataclass(frozen=True, slots=True)
class Configured:
    """An account: which of its two CDNs it is, its key, interval, and the users it polls."""

    cdn: int
    key: str
    interval: float
    cpu_users: tuple[str, ...]


configured = st.builds(
    Configured,
    st.sampled_from([0, 1]),
    st.sampled_from(KEYS),
    st.sampled_from([60.0, MAX_INTERVAL]),
    st.lists(st.sampled_from(["x", "y"]), min_size=1, unique=True).map(tuple),
)
configurations = st.fixed_dictionaries({}, optional=dict.fromkeys(CDNS, configured))


def build(configuration: Mapping[str, Configured]) -> Settings:
    accounts = [
        AccountSettings(name, CDNS[name][account.cdn], Secret(account.key))
        for name, account in configuration.items()
    ]
    targets = [
        DiskUsageTarget(name, account.interval, 3 * account.interval, (user,))
        for name, account in configuration.items()
        for user in account.cpu_users
    ]
    return make_settings(accounts, targets, max_workers=4)


class ReloadMachine(RuleBasedStateMachine):
    """Accounts that are polled in simulated time, and reloads of any kind."""

    def __init__(self) -> None:
        super().__init__()
        self.api = SimulatedApi(max_workers=4)
        self.at_the_end = ExitStack()
        patch = self.at_the_end.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("exporter.accounts.Transport", self.api.open_transport)
        self.at_the_end.enter_context(capture_logs())
        self.runner = self.at_the_end.enter_context(open_runner())
        self.settings = build({})
        self.polling = self._run(self._start())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _start(self) -> SimulatedPolling:
        return SimulatedPolling(self.api, self.settings)

    @rule(configuration=configurations)
    def reload(self, configuration: Mapping[str, Configured]) -> None:
        self.settings = build(configuration)

        async def run() -> None:
            self.polling.reload(self.settings)
            self.api.sent.clear()

        self._run(run())

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 29.0, 61.0, 121.0]))
    def pass_time(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))

    @rule(cdns=st.sets(st.integers(1, 4)))
    def hang(self, cdns: set[int]) -> None:
        self.api.hanging = cdns

    @rule(keys=st.sets(st.sampled_from(KEYS)))
    def refuse(self, keys: set[str]) -> None:
        self.api.refused = keys

    @rule()
    def recover(self) -> None:
        """Where nothing is wrong any more, every target is polled well again."""
        self.hang(set())
        self.refuse(set())

        async def run() -> None:
            began = monotonic()
            await asyncio.sleep(3 * MAX_INTERVAL + 60.0)
            for known in self.polling.store.current().values():
                assert known.good is not None
                assert known.good.finished > began

        self._run(run())

    @invariant()
    def polls_what_is_configured(self) -> None:
        async def run() -> None:
            await asyncio.sleep(0)
            assert tuple(self.polling.store.current()) == self.settings.targets
            assert self.polling.poller.list_dead_threads() == ()
            names = {f"poll {target}" for target in self.settings.targets}
            assert names <= set(polling_tasks())
            assert self.api.max_in_flight <= 1
            assert self.api.pool.taken <= 4

        self._run(run())

    @invariant()
    def requests_what_is_configured(self) -> None:
        """No request after a reload is made for an account or with a key of before."""
        allowed = {
            (account.cdn, account.credentials().api_key) for account in self.settings.accounts
        }
        assert {(sent.cdn, sent.api_key) for sent in self.api.sent} <= allowed

    @invariant()
    def shows_numbers_of_the_account(self) -> None:
        cdns = {account.name: account.cdn for account in self.settings.accounts}
        for target, known in self.polling.store.current().items():
            if known.good is not None:
                assert isinstance(known.good.snapshot, DiskUsageSnapshot)
                users = known.good.snapshot.users
                assert [user.bytes for user in users] == [cdns[target.account]]

    def teardown(self) -> None:
        async def run() -> None:
            began = monotonic()
            await self.polling.poller.close(5.0)
            assert (monotonic(), polling_tasks(), self.api.pool.taken) == (began, [], 0)

        with self.at_the_end:
            self._run(run())


TestReload = ReloadMachine.TestCase
TestReload.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
