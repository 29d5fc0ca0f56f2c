"""Collecting the history of an account."""

from collections.abc import Mapping
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from exporter.backfill.rows import RowStore
from exporter.backfill.windows import Window, midnight
from exporter.polling.snapshots import SnapshotLimits
from exporter.scaleengine.disk_usage import UsageRow
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    LimitReachedError,
    ProtocolError,
    ServerError,
)
from exporter.simulator import Behaviour, FaultRule, Simulator, steady_usage, usage_from_days
from tests.backfill.conftest import NOW, TODAY, Collect, LeapingStop, simulated
from tests.support.api_variants import ApiVariant, Array, Numbers, Order
from tests.support.faults import FAILING, Fault, Refusal

LAST = TODAY - timedelta(days=1)
FIRST = TODAY - timedelta(days=365)


def usage(day: date) -> Mapping[str, int]:
    """Return what ScaleEngine has: one user always, another who appears and vanishes."""
    if day < FIRST - timedelta(days=5):
        return {}
    found = {"": 10**15 + day.toordinal()}
    if date(2026, 2, 1) <= day <= date(2026, 3, 15):
        found["gast"] = day.toordinal()
    return found


def stored(store: RowStore, first: date, last: date) -> dict[date, dict[str, int]]:
    """Return what the store holds, by day and user."""
    days: dict[date, dict[str, int]] = {}
    for _, user, rows in store.read_users(first, last):
        for day, count in rows:
            days.setdefault(day, {})[user] = count
    return days


def truth(first: date, last: date) -> dict[date, Mapping[str, int]]:
    """Return what ScaleEngine has, by day and user."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return {day: found for day in days if (found := usage(day))}


@pytest.mark.parametrize(
    "variant",
    [
        ApiVariant(),
        ApiVariant(with_today=False),
        ApiVariant(with_tomorrow=True),
        ApiVariant(numbers=Numbers.TEXT, row_order=Order.SHUFFLED),
        ApiVariant(rows=Array.GAPS, row_order=Order.REVERSED),
    ],
)
def test_every_day_of_every_user_is_collected(
    variant: ApiVariant, collect: Collect, store: RowStore
) -> None:
    """A year is what ScaleEngine has, under every reading, in the fewest requests."""
    with Simulator([simulated(usage)], Behaviour(variant=variant), clock=lambda: NOW) as api:
        run = collect(api, first_day=FIRST)
        assert run.collected.is_complete
        assert stored(store, FIRST, LAST) == truth(FIRST, LAST)
        assert (api.request_count, run.collected.requests) == (13, 13)
        assert run.warnings == []


def test_collecting_ends_at_an_empty_window(collect: Collect, store: RowStore) -> None:
    with Simulator([simulated(usage)], clock=lambda: NOW) as api:
        run = collect(api)
        assert [rows > 0 for _, rows in run.windows] == [*[True] * 13, False]
        assert api.request_count == 14
    first = FIRST - timedelta(days=5)
    assert stored(store, date(2000, 1, 1), LAST) == truth(first, LAST)


def test_an_account_without_any_rows_takes_one_request(collect: Collect) -> None:
    with Simulator([simulated(lambda _: {})], clock=lambda: NOW) as api:
        run = collect(api)
    assert (run.collected.is_complete, run.collected.requests) == (True, 1)


def test_with_a_first_day_an_empty_window_does_not_end_it(
    collect: Collect, store: RowStore
) -> None:
    """Months without data are no end where a first day is given."""
    days = {date(2026, 1, 5): {"web": 1}, date(2026, 11, 1): {"web": 2}}
    with Simulator([simulated(usage_from_days(days))], clock=lambda: NOW) as api:
        run = collect(api, first_day=date(2026, 1, 1))
    assert len(run.windows) == 11
    assert stored(store, FIRST, LAST) == days


def test_only_configured_users_are_requested(collect: Collect, store: RowStore) -> None:
    """Named users take as many requests for a window as their responses need."""
    users = tuple(f"user-{number}" for number in range(10))
    with Simulator(
        [simulated(steady_usage(dict.fromkeys((*users, "more"), 7)))], clock=lambda: NOW
    ) as api:
        run = collect(
            api,
            first_day=FIRST,
            cpu_users=users,
            max_response_bytes=64 * 1024 + 5 * 31 * (256 + 13),
        )
        assert api.request_count == 26
    assert run.collected.requests == 26
    assert {frozenset(found) for found in stored(store, FIRST, LAST).values()} == {frozenset(users)}


def test_malformed_rows_of_a_window_are_reported(collect: Collect, store: RowStore) -> None:
    """They are reported with their days; the others are used."""
    odd = (
        {"summary_date": "2026-11-01", "cpu_user": "", "bytes_total": "many"},
        {"summary_date": "2026-11-02", "bytes_total": 5},
        17,
    )
    with Simulator([simulated(usage, odd)], clock=lambda: NOW) as api:
        run = collect(api, first_day=date(2026, 10, 23))
    assert run.collected.is_complete
    expected = truth(date(2026, 10, 23), LAST)
    del expected[date(2026, 11, 1)]
    assert stored(store, FIRST, LAST) == expected
    reasons = [fields["reason"] for _, fields in run.warnings]
    assert sorted(map(str, reasons)) == ["invalid_bytes", "invalid_user", "not_an_object"]
    assert {fields["first"] for _, fields in run.warnings} == {"2026-10-23"}


def test_a_window_of_malformed_rows_only_fails_the_account(collect: Collect) -> None:
    """It is not the end of the history: the account fails, and says which days they are."""
    odd = ({"summary_date": "2026-11-01", "cpu_user": "", "bytes_total": None},)
    with Simulator([simulated(lambda _: {}, odd)], clock=lambda: NOW) as api:
        error = collect(api).collected.error
    assert isinstance(error, ProtocolError)
    assert "2026-10-23 to 2026-11-21: its only row cannot be read" in error.cause


def test_a_readable_row_of_another_day_does_not_hide_that_none_can_be_read(
    collect: Collect,
) -> None:
    """A response may hold a day more than the thirty; the history does not end for that."""
    odd = (
        {"summary_date": "2026-10-22", "cpu_user": "", "bytes_total": None},
        {"summary_date": "2026-10-23", "cpu_user": "", "bytes_total": 5},
    )
    with Simulator([simulated(lambda _: {}, odd)], clock=lambda: NOW) as api:
        run = collect(api)
    assert isinstance(run.collected.error, ProtocolError)
    assert "2026-09-23 to 2026-10-22: its only row cannot be read" in run.collected.error.cause
    assert [rows for _, rows in run.windows] == [1]
    assert run.warnings == []


def test_other_days_than_those_requested_are_a_warning(collect: Collect, store: RowStore) -> None:
    """An API that gives its newest days for any start gives no old ones: that is said."""
    odd = tuple(
        {"summary_date": f"2026-11-{day:02}", "cpu_user": "web", "bytes_total": day}
        for day in range(1, 22)
    )
    with Simulator([simulated(lambda _: {}, odd)], clock=lambda: NOW) as api:
        run = collect(api)
        assert api.request_count == 2
    assert len(stored(store, FIRST, LAST)) == 21
    ((event, fields),) = run.warnings
    assert event == "response has only other days than those requested"
    assert (fields["rows"], fields["last"]) == (21, "2026-10-22")


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [(FAILING, ServerError, 6), (Refusal("0006"), ApiError, 4), (Refusal("0001"), AuthError, 4)],
)
def test_a_failure_half_way_keeps_complete_windows(
    fault: Refusal, error: type, requests: int, collect: Collect, store: RowStore
) -> None:
    """Whole windows are kept, and the next run asks for the others only."""
    with Simulator([simulated(usage)], clock=lambda: NOW) as api:
        api.behave(Behaviour(faults=(FaultRule(fault, requests=range(4, 100)),)))
        run = collect(api, first_day=FIRST)
        assert isinstance(run.collected.error, error)
        assert run.collected.oldest == Window(date(2026, 8, 24))
        assert api.request_count == requests
        assert stored(store, FIRST, LAST) == truth(date(2026, 8, 24), LAST)
        before = api.request_count
        api.behave(Behaviour())
        again = collect(api, first_day=FIRST, ahead=60.0)  # no signed text twice
        assert api.request_count - before == 10
    assert again.collected.is_complete
    assert stored(store, FIRST, LAST) == truth(FIRST, LAST)


@pytest.mark.parametrize("fault", [FAILING, Fault.TRUNCATED, Fault.RESET])
def test_a_transient_failure_is_retried(fault: Fault | Refusal, collect: Collect) -> None:
    """A window is requested again, as a poll would; what cannot pass fails."""
    with Simulator([simulated(usage)], clock=lambda: NOW) as api:
        api.behave(Behaviour(faults=(FaultRule(fault, requests=(2,)),)))
        run = collect(api, first_day=FIRST)
    assert run.collected.is_complete is (fault is not Fault.TRUNCATED)


def test_a_window_of_several_requests_is_all_or_nothing(collect: Collect, store: RowStore) -> None:
    users = tuple(f"user-{number}" for number in range(10))
    with Simulator([simulated(steady_usage(dict.fromkeys(users, 7)))], clock=lambda: NOW) as api:
        api.behave(Behaviour(faults=(FaultRule(Refusal("0006"), requests=(4,)),)))
        size = 64 * 1024 + 5 * 31 * (256 + 13)
        run = collect(api, first_day=FIRST, cpu_users=users, max_response_bytes=size)
    assert run.collected.oldest == Window(date(2026, 10, 23))
    assert len(stored(store, FIRST, LAST)) == 30


def test_a_stop_ends_it_before_the_next_request(collect: Collect) -> None:
    stop = LeapingStop()
    stop.set()
    with Simulator([simulated(usage)], clock=lambda: NOW) as api:
        run = collect(api, stop=stop)
        assert api.request_count == 0
    assert (run.collected.stopped, run.collected.is_complete) == (True, False)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off_does_not_change_the_days(
    hours: int, collect: Collect, store: RowStore
) -> None:
    """ScaleEngine's own time is taken, as polls do; the days are the same."""
    with Simulator([simulated(usage)], clock=lambda: NOW) as api:
        run = collect(api, first_day=FIRST, ahead=3600.0 * hours)
    assert run.collected.is_complete
    assert stored(store, FIRST, LAST) == truth(FIRST, LAST)


def test_stored_rows_can_be_read_again(tmp_path: Path) -> None:
    window = Window(date(2026, 10, 23))
    row = UsageRow(date(2026, 10, 24), "née", 2**63 - 1)
    with closing(RowStore(tmp_path / "file")) as store:
        store.write_scope({"end": 5})
        store.add_window("main", window, [[row]])
    with closing(RowStore(tmp_path / "file")) as store:
        assert store.read_scope() == {"end": 5}
        assert store.count_rows("main", window) == 1
        assert store.count_rows("other", window) is None
        assert stored(store, row.day, row.day) == {row.day: {"née": 2**63 - 1}}


def test_spans_count_the_days_and_missing_days_of_a_user(store: RowStore) -> None:
    days = [date(2026, 10, 24), date(2026, 10, 28)]
    rows = [UsageRow(day, "web", 1) for day in days] + [UsageRow(days[1], "api", 1)]
    store.add_window("main", Window(date(2026, 10, 23)), [rows])
    spans = list(store.read_spans("main", date(2026, 1, 1), TODAY))
    assert [(span.cpu_user, span.days, span.missing) for span in spans] == [
        ("api", 1, 0),
        ("web", 2, 3),
    ]
    assert list(store.read_days("main", date(2026, 1, 1), TODAY)) == days
    assert midnight(days[0]) == 1792800000


def test_more_users_than_allowed_fail_the_account(collect: Collect) -> None:
    """The limits of a poll hold for each window."""
    found = {f"user-{number}": 1 for number in range(5)}
    with Simulator([simulated(steady_usage(found))], clock=lambda: NOW) as api:
        error = collect(api, limits=SnapshotLimits(users=4)).collected.error
    assert isinstance(error, LimitReachedError)
