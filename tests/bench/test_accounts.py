"""The benchmark of many accounts measures what it says."""

import math

from bench.accounts import measure


def test_two_accounts_are_measured_while_another_hangs() -> None:
    """Both are polled twice, and everything that is in the table has a number."""
    result = measure(2, interval=5.0, rest=0.1)
    assert result.accounts == 2
    assert 0 < result.healthy < result.all_polled
    assert result.threads >= 2
    assert 20e6 < result.memory <= result.peak
    assert math.isfinite(result.poll_cpu)  # a difference of two measurements
    assert result.scrapes
    assert result.row().count("|") == 15
