"""The benchmark of the backfill counts what it says."""

from bench.backfill import FEWEST, measure


def test_a_year_of_two_users_is_measured() -> None:
    """Requests are the fewest, and each day of each user is two samples at a step of a day."""
    result = measure(2, "1d")
    assert result.requests == FEWEST == 13
    assert result.samples == 2 * 2 * 365
    assert result.bytes_written > result.samples
    assert 0 < result.seconds_collecting < result.seconds
    assert 20 < result.memory_mb < 150
