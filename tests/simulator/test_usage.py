"""disk.usage: thirty days of rows, and each way in which they can be given."""

from datetime import date
from random import Random

import pytest

from exporter.simulator import Behaviour, Simulator, steady_usage
from exporter.simulator.php import PhpValue
from exporter.simulator.simulated_accounts import Row, first_day
from tests.support.api_variants import ApiVariant, Array, Order
from tests.support.fixtures import SendCommand

TODAY = date(2014, 11, 11)


def rows(first: date, variant: ApiVariant, *cpu_users: str) -> list[Row]:
    """Return the rows of a usage that is the same every day, as of 2014-11-11."""
    usage = steady_usage({"web": 2048, "": 1024})
    random = Random(1)
    return variant.list_rows(usage, cpu_users, first, today=TODAY, random=random)


def days(found: list[Row]) -> list[date]:
    """Return the days of rows without repeats, in their order."""
    return list(dict.fromkeys(row.day for row in found))


@pytest.mark.parametrize(
    ("starttime", "day"),
    [
        (1695765373, date(2023, 9, 26)),
        ("1695765373", date(2023, 9, 26)),
        (0, date(1970, 1, 1)),
        ("2023-09-01", date(2023, 9, 1)),
        ("2023-09", date(2023, 9, 1)),
        ("yesterday", None),
        (9007199254740993, None),
        (["2023-09-01"], None),
    ],
)
def test_the_start_is_a_unix_time_or_a_date(starttime: PhpValue, day: date | None) -> None:
    """What the page allows is understood, the rest is none."""
    assert first_day(starttime) == day


def test_a_request_gives_thirty_days_from_the_first() -> None:
    """The first day counts: thirty in all, in order, by user within a day."""
    found = rows(date(2014, 9, 1), ApiVariant())

    assert (days(found)[0], days(found)[-1]) == (date(2014, 9, 1), date(2014, 9, 30))
    assert [row.cpu_user for row in found[:4]] == ["", "web", "", "web"]
    assert len(found) == 60


def test_no_day_is_later_than_today() -> None:
    """Days that have not begun have no rows."""
    assert days(rows(date(2014, 11, 10), ApiVariant())) == [date(2014, 11, 10), TODAY]
    assert rows(date(9999, 12, 31), ApiVariant()) == []


def test_today_can_be_left_out() -> None:
    """A server may give only days that are over."""
    found = rows(date(2014, 11, 9), ApiVariant(with_today=False))

    assert days(found) == [date(2014, 11, 9), date(2014, 11, 10)]


@pytest.mark.parametrize(
    ("first", "last"),
    [(date(2014, 10, 13), date(2014, 11, 12)), (date(2014, 10, 12), date(2014, 11, 10))],
)
def test_a_day_that_has_not_begun_can_be_given(first: date, last: date) -> None:
    """Tomorrow follows where the thirty days reach today."""
    assert days(rows(first, ApiVariant(with_tomorrow=True)))[-1] == last


def test_rows_can_come_in_any_order() -> None:
    """Reversed and shuffled rows are the same rows."""
    straight = rows(date(2014, 10, 20), ApiVariant())
    backwards = rows(date(2014, 10, 20), ApiVariant(row_order=Order.REVERSED))
    shuffled = rows(date(2014, 10, 20), ApiVariant(row_order=Order.SHUFFLED))

    assert backwards == straight[::-1]
    assert shuffled != straight
    assert sorted(shuffled, key=lambda row: (row.day, row.cpu_user)) == straight


@pytest.mark.parametrize(
    ("cpu", "users"),
    [
        ("", {"", "web"}),
        ([], {"", "web"}),
        ("web", {"web"}),
        (["web"], {"web"}),
        ([""], {""}),
        (["web", "nobody"], {"web"}),
        ("nobody", set()),
    ],
)
def test_cpu_users_can_be_chosen(ask: SendCommand, cpu: str | list[str], users: set[str]) -> None:
    """A name or a list of names chooses, an empty text gives every user."""
    response = ask("disk.usage", cpu=cpu, starttime="2014-11-11")

    found = response["usage"]
    assert isinstance(found, list)
    assert {row["cpu_user"] for row in found} == users


def test_rows_can_be_a_mapping_with_gaps(simulator: Simulator, ask: SendCommand) -> None:
    """PHP prints an array that lost items as a mapping."""
    simulator.behave(Behaviour(variant=ApiVariant(rows=Array.GAPS)))
    response = ask("disk.usage", cpu="web", starttime="2014-11-10")

    assert response["usage"] == {
        "1": {"summary_date": "2014-11-10", "cpu_user": "web", "bytes_total": 2048},
        "3": {"summary_date": "2014-11-11", "cpu_user": "web", "bytes_total": 2048},
    }
