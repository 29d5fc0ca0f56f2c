"""Whether polls fit: what an account needs, and who is warned of when it is too much."""

import pytest
from structlog.testing import capture_logs

from exporter.polling.demand import DemandLog, compute_demand_ratio, count_requests_per_hour
from exporter.polling.snapshots import FileCounts
from exporter.polling.store import LastGood, PollResult, Store, TargetState
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock

USAGE = DiskUsageTarget("main", 3600.0, 10800.0)
FILES = FilesTarget("main", 900.0, 2700.0, "sestore4/jb", "video")
ARCHIVE = FilesTarget("main", 900.0, 2700.0, "sestore4/archive", "video")


def known(target: Target, requests: int | None, last: PollResult | None = None) -> TargetState:
    """Return the state after a good poll with this number of requests; None for no good poll."""
    good = None if requests is None else LastGood(FileCounts(0, 0), 0.0, requests)
    return TargetState(target, last, good)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ((1, 10, 100), 1 + 40 + 400),
        ((1, 10, None), None),
        ((None, None, None), None),
        ((0, 0, 0), 0),
    ],
)
def test_the_demand_is_that_of_the_last_good_polls(
    requests: tuple[int | None, int | None, int | None], expected: float | None
) -> None:
    """They are those of the last good polls at their intervals; unknown while one is missing."""
    targets: tuple[Target, ...] = (USAGE, FILES, ARCHIVE)
    last = [known(target, made) for target, made in zip(targets, requests, strict=True)]
    assert count_requests_per_hour(last) == expected


def test_without_target_or_limit_there_is_no_demand() -> None:
    """Neither has a demand that could be compared."""
    assert count_requests_per_hour([]) is None
    assert compute_demand_ratio([known(USAGE, 1)], None) is None
    assert compute_demand_ratio([known(USAGE, 1)], 1.0) == pytest.approx(1 / 3600)


def test_polls_that_do_not_fit_are_warned_about_once_an_hour() -> None:
    """A poll that outlasts its interval and an account that needs too much: each once an hour."""
    now = [0.0]
    store = Store([USAGE, FILES])
    log = DemandLog(store, Clock(monotonic=lambda: now[0]), lambda: 1.0)

    def record(target: Target, seconds: float, requests: int) -> list[str]:
        result = PollResult(now[0], seconds, requests)
        store.record(target, result, LastGood(FileCounts(0, 0), now[0], requests))
        with capture_logs() as lines:
            log.record(target, result)
        return [line["event"] for line in lines]

    demanding = "request demand near or above the rate limit"
    assert record(USAGE, 1.0, 1) == []
    assert record(FILES, 900.0, 809) == []
    assert record(FILES, 900.5, 810) == ["poll outlasted its interval", demanding]
    now[0] = 3599.0
    assert record(FILES, 1000.0, 2000) == []
    now[0] = 3600.0
    assert record(FILES, 1000.0, 2000) == ["poll outlasted its interval", demanding]
    log.set_targets([USAGE])
    assert record(FILES, 1.0, 2000) == []
    log.set_targets([])
    assert record(FILES, 1.0, 2000) == [demanding]


def test_a_failed_poll_changes_no_demand() -> None:
    """What the last good poll took counts: a failed one may have ended after its first request."""
    store = Store([FILES])
    store.record(FILES, PollResult(1.0, 1.0, 10), LastGood(FileCounts(0, 0), 1.0, 10))
    store.record(FILES, PollResult(2.0, 1.0, 1, cause="x"), None)
    assert count_requests_per_hour(store.account("main")) == 40
