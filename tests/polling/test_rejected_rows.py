"""A poll with bad rows is good; the rows are counted, and warned about once while they last."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import count

from structlog.testing import capture_logs

from exporter.polling.snapshots import DiskUsageSnapshot, UserUsage
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import Reason
from exporter.simulator import SimulatedAccount, Simulator, steady_usage, usage_from_days
from exporter.simulator.php import PhpValue
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import OpenAccount
from tests.support.sentences import NO_WHOLE_NUMBER

NOW = datetime(2014, 11, 11, 10, tzinfo=UTC).timestamp()
TODAY = date(2014, 11, 11)


def ticking() -> Clock:
    """Return a clock whose time of day goes on by a second at each look, from the morning on."""
    seconds = count()
    return Clock(now=lambda: NOW + next(seconds), monotonic=lambda: 0.0)


ODD: Sequence[PhpValue] = (
    {"summary_date": "2014-11-11", "cpu_user": "live", "bytes_total": None},
    {"summary_date": "2014-10-20", "cpu_user": "web", "bytes_total": -1},
    {"summary_date": "2014-11-11", "cpu_user": f"x{SECRET}", "bytes_total": None},
    7,
)


def test_bad_rows_are_counted_and_warned_about_once(open_account: OpenAccount) -> None:
    """The poll is good, counts the rows, leaves out their users, and warns once of each fault."""
    usage = usage_from_days(
        {TODAY: {"": 1, "web": 2}, date(2014, 11, 10): {"": 1, "web": 2, "live": 3}}
    )
    account = SimulatedAccount(cdn=158, api_key=KEY, api_secret=SECRET, usage=usage, odd_rows=ODD)
    target = DiskUsageTarget("main", 3600.0, 10800.0, ("web", "live", "gone"))
    store, results = Store([target]), list[PollResult]()
    clock = ticking()
    with (
        Simulator([account], clock=lambda: NOW) as simulator,
        open_account(simulator, clock=clock) as polled,
        capture_logs() as lines,
    ):
        poller = TargetPoller(
            target, polled, store, clock, random.Random(0), lambda _, result: results.append(result)
        )
        assert [asyncio.run(poller.poll()) for _ in range(3)] == [None] * 3

    good = store.current()[target].good
    assert good is not None
    assert isinstance(good.snapshot, DiskUsageSnapshot)
    assert good.snapshot.users == (UserUsage("web", TODAY, 2),)
    assert good.snapshot.rejected_users == {"gone", "live"}
    assert results[0].rejected_rows == {RowFault.INVALID_BYTES: 3, RowFault.NOT_AN_OBJECT: 1}
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [(line["event"], line["reason"], line["rows"]) for line in warnings] == [
        ("disk usage rows rejected", "not_an_object", 1),
        ("disk usage rows rejected", "invalid_bytes", 3),
    ]
    assert warnings[0]["without_number"] == "'gone'"
    assert warnings[1]["without_number"] == "'live'"
    first = f"'live', 2014-11-11: bytes_total: {NO_WHOLE_NUMBER} null"
    assert warnings[1]["examples"].startswith(first)
    assert [line["rejected_users"] for line in lines if line["event"] == "poll"] == [2, 2, 2]


def test_warnings_of_rejected_rows_come_once(open_account: OpenAccount) -> None:
    """A fault that lasts is logged once; one that is new, or takes another user's number, again."""
    bad = {
        user: {"summary_date": "2014-11-11", "cpu_user": user, "bytes_total": None}
        for user in ("a", "b")
    }
    old: PhpValue = {"summary_date": "2014-10-20", "cpu_user": "web", "bytes_total": None}
    polls: Sequence[Sequence[PhpValue]] = (
        [],
        [old],
        [old],
        [old, bad["a"]],
        [bad["a"], old, old],
        [bad["a"], bad["b"]],
        [bad["b"]],
        [bad["b"], 7],
        [],
        [old],
    )
    target, clock = DiskUsageTarget("main", 3600.0, 10800.0), ticking()
    odd: list[PhpValue] = []
    account = SimulatedAccount(158, KEY, SECRET, usage=steady_usage({"web": 2}), odd_rows=odd)
    warned = []
    with (
        Simulator([account], clock=lambda: NOW) as simulator,
        open_account(simulator, clock=clock) as polled,
    ):
        poller = TargetPoller(
            target, polled, Store([target]), clock, random.Random(0), lambda *_: None
        )
        for rows in polls:
            odd[:] = rows
            with capture_logs() as lines:
                assert asyncio.run(poller.poll()) is None
            warnings = [line for line in lines if line["log_level"] == "warning"]
            warned.append([(line["reason"], line.get("without_number")) for line in warnings])

    assert warned == [
        [],
        [("invalid_bytes", None)],
        [],
        [("invalid_bytes", "'a'")],
        [],
        [("invalid_bytes", "'a', 'b'")],
        [],
        [("not_an_object", None)],
        [],
        [("invalid_bytes", None)],
    ]


def test_rejected_rows_of_a_failed_poll_are_counted(open_account: OpenAccount) -> None:
    """A poll of which no row can be read fails as protocol, and its rows are counted."""
    account = SimulatedAccount(158, KEY, SECRET, odd_rows=ODD)
    target = DiskUsageTarget("main", 3600.0, 10800.0)
    results = list[PollResult]()
    with Simulator([account]) as simulator, open_account(simulator) as polled:
        poller = TargetPoller(
            target,
            polled,
            Store([target]),
            polled.client.clock,
            random.Random(0),
            lambda _, result: results.append(result),
        )
        asyncio.run(poller.poll())

    assert results[0].reason is Reason.PROTOCOL
    assert results[0].rejected_rows == {RowFault.INVALID_BYTES: 3, RowFault.NOT_AN_OBJECT: 1}
