"""What strangers cause is logged once a minute."""

import pytest

from exporter.process.log_limit import LogLimit


@pytest.mark.parametrize(
    ("seconds", "due"),
    [
        ([0.0, 0.0, 59.9], [True, False, False]),
        ([0.0, 60.0], [True, True]),
        ([0.0, 59.0, 61.0, 120.0, 121.0], [True, False, True, False, True]),
    ],
)
def test_an_event_is_due_once_a_minute(seconds: list[float], due: list[bool]) -> None:
    """An event is due when it was not logged for a minute, however often it has come."""
    limit = LogLimit(iter(seconds).__next__)
    assert [limit.is_due("event") for _ in seconds] == due


def test_each_event_is_limited_on_its_own() -> None:
    """One event keeps no other out of the log."""
    limit = LogLimit(lambda: 0.0)
    assert [limit.is_due(event) for event in "abab"] == [True, True, False, False]


def test_different_events_are_bounded() -> None:
    """A thousand are logged in a minute; others have their turn when those are a minute old."""
    now = 0.0
    limit = LogLimit(lambda: now)
    assert [limit.is_due(f"event {number}") for number in range(1001)] == [*[True] * 1000, False]
    assert not limit.is_due("event 0")
    now = 60.0
    assert limit.is_due("event 1000")
    assert limit.is_due("event 0")


def test_the_operators_events_are_not_bounded() -> None:
    """Each of the warnings of a large configuration is logged, once a minute."""
    limit = LogLimit(lambda: 0.0, max_events=None)
    assert all(limit.is_due(f"line {number}") for number in range(2000))
    assert not limit.is_due("line 0")


def test_a_longer_period_can_be_chosen() -> None:
    """What lasts longer is logged once in a longer period."""
    limit = LogLimit(iter([0.0, 3599.0, 3600.0]).__next__, period=3600.0)
    assert [limit.is_due("event") for _ in range(3)] == [True, False, True]


def test_events_that_are_not_retained_are_due_again() -> None:
    """An event that was not retained is due again, the others are not."""
    limit = LogLimit(lambda: 0.0)
    assert all(limit.is_due(event) for event in "ab")
    limit.retain({"a"})
    assert [limit.is_due(event) for event in "ab"] == [False, True]


def test_each_event_of_an_account_is_due_once_a_minute() -> None:
    """Retries of an account are logged once a minute, each kind on its own."""
    limit = LogLimit(iter([0.0, 59.0, 60.0, 61.0, 61.0]).__next__, max_events=None)
    assert [limit.is_due("retry") for _ in range(4)] == [True, False] * 2
    assert limit.is_due("pause")
