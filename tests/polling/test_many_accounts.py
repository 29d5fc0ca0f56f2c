"""Many accounts, and much that goes wrong for all of them: the others and the rest go on."""

import asyncio
import gc
import random
import threading
import weakref
from collections import Counter
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from exporter.polling.loop_thread import PollingThread
from exporter.polling.poller import Poller
from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import DiskUsageSnapshot
from exporter.polling.store import Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, compute_delta
from exporter.polling.workers import DEFAULT_MAX_WORKERS, WorkerPool
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.transport import Transport
from exporter.settings import AccountSettings, Settings
from exporter.simulator import (
    Behaviour,
    FaultRule,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.polling.simulated import (
    ENDPOINT,
    LATENCY,
    REQUEST_TIMEOUT,
    SimulatedApi,
    SimulatedPolling,
    make_settings,
    monotonic,
    polling_tasks,
    run_simulated,
)
from tests.support.faults import Fault
from tests.support.fixtures import OpenAccount
from tests.support.waiting import TIMEOUT, wait_until

INTERVAL = 300.0


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> SimulatedApi:
    """Return an API to which all accounts connect."""
    simulated = SimulatedApi()
    monkeypatch.setattr("exporter.accounts.Transport", simulated.open_transport)
    return simulated


def account(number: int, cdn: int | None = None) -> AccountSettings:
    key = f"key {number}"
    return AccountSettings(
        f"a{number}", number if cdn is None else cdn, lambda: Credentials(key, "secret")
    )


def usage(number: int) -> DiskUsageTarget:
    return DiskUsageTarget(f"a{number}", INTERVAL, 3 * INTERVAL)


def test_a_few_accounts_are_polled_in_time_while_all_others_hang(api: SimulatedApi) -> None:
    """Once each request has timed out, the others take half of the workers and are polled in time.

    A reload takes effect at once meanwhile, and so does the stop.
    """
    count, healthy, workers = 100, 5, 8
    numbers = range(1, count + 1)
    settings = make_settings(map(account, numbers), map(usage, numbers), workers)
    added = replace(
        settings,
        accounts=(*settings.accounts, account(count + 1)),
        targets=(*settings.targets, usage(count + 1)),
    )

    async def run() -> None:
        polling = SimulatedPolling(api, settings)
        await asyncio.sleep(10.0)
        assert {result.reason for _, result in polling.ended} == {None}
        assert len(polling.ended) == count
        api.hanging = set(numbers[healthy:])
        first_round = INTERVAL + count * REQUEST_TIMEOUT / workers + TIMEOUT
        await asyncio.sleep(first_round)
        known = monotonic()
        await asyncio.sleep(5 * INTERVAL)
        for number in numbers[:healthy]:
            results = polling.results_of(f"a{number}", known)
            assert len(results) in {5, 6}
            assert all(result.reason is None and result.seconds < 1.0 for result in results)
        for number in numbers[healthy:]:
            reasons = {result.reason for result in polling.results_of(f"a{number}", known)}
            assert reasons <= {Reason.TIMEOUT, Reason.INCOMPLETE}

        polling.reload(added)
        await asyncio.sleep(2.0)
        (result,) = polling.results_of(f"a{count + 1}")
        assert result.reason is None
        polling.reload(make_settings([account(1)], [usage(1)], workers))
        assert polling.store.current().keys() == {usage(1)}
        await asyncio.sleep(LATENCY)
        assert polling_tasks() == [f"poll {usage(1)}"]
        assert api.pool.taken <= 1  # that of the account which is left
        assert polling.poller.list_dead_threads() == ()

        polling.reload(added)
        await asyncio.sleep(REQUEST_TIMEOUT / 2)
        assert api.pool.taken
        began = monotonic()
        await polling.poller.close(5.0)
        assert (monotonic(), polling_tasks(), api.pool.taken) == (began, [], 0)

    api.pool.resize(workers)
    with capture_logs():
        run_simulated(run())


def test_a_thousand_wrong_keys_are_tried_once_an_interval(api: SimulatedApi) -> None:
    """Each key is tried once and warned of once in an interval, and holds back no account."""
    count = 1000
    numbers = range(1, count + 1)
    targets: list[Target] = [usage(0)]
    for number in numbers:
        targets += [
            FilesTarget(f"a{number}", INTERVAL, 3 * INTERVAL, f"sestore4/{name}", "video")
            for name in "ab"
        ]
    settings = make_settings(map(account, [0, *numbers]), targets)
    api.refused = {f"key {number}" for number in numbers}

    async def run() -> None:
        polling = SimulatedPolling(api, settings)
        await asyncio.sleep(INTERVAL)
        requests = Counter(sent.cdn for sent in api.sent)
        # A second request may be under way while the first one is refused.
        assert all(requests[number] in {1, 2} for number in numbers)
        wrong = Counter(target.account for target, result in polling.ended if result.reason)
        assert wrong == {f"a{number}": 2 for number in numbers}
        assert {result.reason for _, result in polling.ended} == {Reason.AUTH, None}
        (result,) = polling.results_of("a0")
        assert result.reason is None
        assert result.finished < 1.0 + 2 * len(targets) * LATENCY / 32

    with capture_logs() as lines:
        run_simulated(run())
    warned = Counter(line["account"] for line in lines if line["log_level"] == "warning")
    assert warned == {f"a{number}": 1 for number in numbers}


def test_reloads_that_replace_all_accounts_leave_nothing(api: SimulatedApi) -> None:
    """No number of an account is kept for the next one of its name, and nothing is left behind."""
    numbers = range(1, 21)

    def planned(reloads: int) -> Settings:
        accounts = [account(number, cdn=1000 * reloads + number) for number in numbers]
        return make_settings(accounts, map(usage, numbers))

    clients: weakref.WeakSet[Client] = weakref.WeakSet()

    async def run() -> None:
        polling = SimulatedPolling(api, planned(0))
        for reloads in range(1, 61):
            await asyncio.sleep(1.0)
            polling.reload(planned(reloads))
            clients.update(polled.client for polled in polling.build_accounts.accounts.values())
            assert polling.poller.list_dead_threads() == ()
            assert all(known.good is None for known in polling.store.current().values())
            await asyncio.sleep(0.0)
            assert len(polling_tasks()) <= 2 * len(numbers)
        await asyncio.sleep(3.0)
        for number, target in zip(numbers, planned(60).targets, strict=True):
            good = polling.store.current()[target].good
            assert good is not None
            assert isinstance(good.snapshot, DiskUsageSnapshot)
            assert good.snapshot.users[0].bytes == 60_000 + number
        assert polling_tasks() == sorted(f"poll {usage(number)}" for number in numbers)
        assert api.pool.taken == 0
        gc.collect()
        assert len(clients) == len(numbers)
        assert [transport.closed for transport in api.transports].count(False) == len(numbers)
        await polling.poller.close(5.0)

    with capture_logs():
        run_simulated(run())


def test_hanging_workers_delay_neither_reload_nor_stop(open_account: OpenAccount) -> None:
    """Threads that hang in a request delay neither a reload nor the stop."""
    usages = [DiskUsageTarget(f"a{number}", INTERVAL, 3 * INTERVAL) for number in range(60)]
    stored = SimulatedAccount(
        158, "key", "secret", usage=steady_usage({"demo": 7}), storage=Folder()
    )
    hang = Behaviour(faults=(FaultRule(Fault.HANG),))
    workers = WorkerPool()
    with Simulator([stored], hang) as simulator, open_account(simulator, timeout=600.0) as opened:
        endpoint = replace(ENDPOINT, url=simulator.url, timeout=600.0)

        def make(name: str) -> PolledAccount:
            client = replace(opened.client, account=name, transport=Transport(endpoint))
            limiter = type(opened.limiter)(4, opened.limiter.rate, Clock(), workers)
            return replace(opened, name=name, client=client, limiter=limiter, workers=workers)

        accounts = {target.account: make(target.account) for target in usages}
        store = Store(())
        poller = Poller(store, Clock(), random.Random(0), lambda _, __: None)
        poller.apply(compute_delta((), usages), accounts)
        thread = PollingThread(poller)
        thread.start()
        wait_until(lambda: workers.taken >= DEFAULT_MAX_WORKERS)
        assert simulator.wait_for_requests(1)

        kept = usages[:50]
        delta = compute_delta(usages, kept)
        thread.call(lambda: poller.apply(delta, {t.account: accounts[t.account] for t in kept}))
        assert tuple(store.current()) == tuple(kept)
        assert thread.stop(TIMEOUT)
    names = [worker.name for worker in threading.enumerate()]
    assert "polling" not in names
