"""Which thirty days are asked for."""

import os
import time
from datetime import date, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.backfill.windows import (
    EARLIEST_DAY,
    Window,
    find_last_day_before,
    list_windows_before,
    midnight,
    start_of_day,
)

DAYS = st.dates(date(2001, 1, 1), date(2060, 1, 1))


@given(last=DAYS, length=st.integers(1, 800))
def test_windows_cover_each_day_once(last: date, length: int) -> None:
    """They adjoin and do not overlap, and no fewer could hold the days."""
    first = last - timedelta(days=length - 1)
    windows = list(list_windows_before(midnight(last) + 86_400, first))

    assert windows[0].last == last
    assert windows[-1].first <= first <= windows[-1].last
    for newer, older in pairwise(windows):
        assert older.last + timedelta(days=1) == newer.first
    assert len(windows) == -(-length // 30)


def test_windows_without_a_first_day_end_at_the_earliest_day() -> None:
    """A run ends for any response of the API."""
    windows = list(list_windows_before(midnight(date(2026, 11, 22)), None))
    assert windows[0] == Window(date(2026, 10, 23))
    assert windows[-1].first <= EARLIEST_DAY <= windows[-1].last


def test_the_end_is_outside_of_the_windows() -> None:
    """A day is asked for as soon as a second of it is before the end."""
    noon = date(2026, 3, 1)
    assert find_last_day_before(midnight(noon)) == date(2026, 2, 28)
    assert find_last_day_before(midnight(noon) + 0.5) == noon
    assert find_last_day_before(midnight(noon) + 86_400) == noon


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Niue"])
def test_days_are_utc_days_in_any_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone, and the days on which its clocks change, do not matter."""
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 10, 26)):
            assert midnight(day) % 86_400 == 0
            assert start_of_day(midnight(day) + 86_399.9) == midnight(day)
            assert find_last_day_before(midnight(day) + 1) == day
        starts = [w.starttime for w in islice(list_windows_before(midnight(day), None), 20)]
        assert {newer - older for newer, older in pairwise(starts)} == {30 * 86_400}
    finally:
        monkeypatch.undo()
        time.tzset()
