"""Quotas are published as configured, for the users that there are."""

from collections.abc import Mapping
from datetime import date

import pytest

from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.snapshots import DiskUsageSnapshot, UserUsage
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, compute_delta
from exporter.scaleengine.clock import Clock
from tests.support.clocks import FakeClock

MAIN = DiskUsageTarget("main", 60, 180)
OTHER = DiskUsageTarget("other", 60, 180)


@pytest.fixture
def store(clock: Clock) -> Store:
    """Return a store that knows the usage of the users live, archive and one with an empty name."""
    store = Store([MAIN, OTHER])
    users = tuple(UserUsage(name, date(2014, 11, 11), 5) for name in ("", "archive", "live"))
    good = LastGood(DiskUsageSnapshot(users), clock.monotonic())
    store.record(MAIN, PollResult(clock.monotonic(), 1.0, 1), good)
    return store


def read_quotas(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Return the quotas by account and CPU user."""
    return {
        (sample.labels["account"], sample.labels["cpu_user"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "scaleengine_disk_quota_bytes"
    }


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, {}),
        ({"live": 7}, {("main", "live"): 7}),
        ({"live": 7, "*": 9}, {("main", "live"): 7, ("main", "archive"): 9}),
        ({"*": 9}, {("main", "live"): 9, ("main", "archive"): 9}),
        ({"": 30, "*": 9}, {("main", ""): 30, ("main", "live"): 9, ("main", "archive"): 9}),
        ({"coming": 1}, {("main", "coming"): 1}),
    ],
)
def test_a_user_has_its_own_quota_or_the_default_one(
    store: Store,
    clock: Clock,
    quotas: Mapping[str, int],
    expected: Mapping[tuple[str, str], float],
) -> None:
    """A user's own quota is always there; that of ``*`` for each other user with a disk usage.

    A user with an empty name, which may be the whole account, has a quota only of its own.
    """
    assert read_quotas(build_metrics(store, {"main": 158}, clock, {"main": quotas})) == expected


def test_a_quota_is_for_the_users_of_its_account(store: Store, clock: Clock) -> None:
    """A quota is for the users of its account; one that has not been polled has none yet."""
    metrics = build_metrics(store, {"main": 158, "other": 7}, clock, {"other": {"*": 9, "a": 1}})
    assert read_quotas(metrics) == {("other", "a"): 1}


def test_the_default_quota_goes_with_a_stale_usage(
    store: Store, clock: Clock, fake_clock: FakeClock
) -> None:
    """With the usage of a user goes the quota that ``*`` gives it."""
    metrics = build_metrics(store, {"main": 158}, clock, {"main": {"*": 9, "live": 7}})
    fake_clock.advance(181)
    assert read_quotas(metrics) == {("main", "live"): 7}


def test_a_reload_changes_quotas_at_once(store: Store, clock: Clock) -> None:
    """Other quotas are in force at once."""
    metrics = build_metrics(store, {"main": 158}, clock, {"main": {"*": 9}})
    metrics.apply(compute_delta([], [MAIN]), {"main": 158}, {"main": {"live": 8}})
    assert read_quotas(metrics) == {("main", "live"): 8}
