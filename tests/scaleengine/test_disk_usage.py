"""Disk usage is asked for thirty days up to today; its rows are read as they are, or refused."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.disk_usage import UsageRow, disk_usage, read_usage, start_of_window
from exporter.scaleengine.json_values import Json, UnexpectedError
from exporter.simulator import Array, Behaviour, Content, Numbers, Order, Readings, Simulator

DAY = 24 * 3600
MONDAY = date(2014, 11, 10)
TUESDAY = date(2014, 11, 11)


def row(day: Json = "2014-11-10", user: Json = "web", occupied: Json = 1024) -> dict[str, Json]:
    """Return a row as the API writes it."""
    return {"summary_date": day, "cpu_user": user, "bytes_total": occupied}


def test_the_published_sample() -> None:
    """The sample of the API page is read: the user "" is the whole account."""
    published = """{
        "message": "Found Disk Data",
        "usage": [
            {"summary_date" : "2014-11-10", "cpu_user" : "", "bytes_total" : 1024},
            {"summary_date" : "2014-11-11", "cpu_user" : "", "bytes_total" : 1024}
        ],
        "status": "success",
        "handle_time": "0.3795 seconds"
    }"""

    assert read_usage(json.loads(published)) == (
        UsageRow(MONDAY, "", 1024),
        UsageRow(TUESDAY, "", 1024),
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"usage": [row(), row("2014-11-11")]},
        {"usage": {"0": row(), "1": row("2014-11-11")}},
        {"usage": {"3": row(), "7": row("2014-11-11")}},
        {"data": {"usage": [row(), row("2014-11-11")]}},
        {"data": [], "usage": [row(), row("2014-11-11")]},
        {"data": "none", "usage": [row(), row("2014-11-11")]},
    ],
)
def test_places_and_shapes(answer: dict[str, Json]) -> None:
    """Rows are found beside the message and under data, as a list and as PHP's list with gaps."""
    assert read_usage(answer) == (UsageRow(MONDAY, "web", 1024), UsageRow(TUESDAY, "web", 1024))


@pytest.mark.parametrize("nothing", [[], {}])
def test_no_rows(nothing: Json) -> None:
    """An account without usage has no rows."""
    assert read_usage({"usage": nothing}) == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (row(occupied="1024"), UsageRow(MONDAY, "web", 1024)),
        (row(occupied=0), UsageRow(MONDAY, "web", 0)),
        (row(occupied=2**63 - 1), UsageRow(MONDAY, "web", 2**63 - 1)),
        (row(user=17), UsageRow(MONDAY, "17", 1024)),
        (row(user="0"), UsageRow(MONDAY, "0", 1024)),
        (row(user='é "\\\n'), UsageRow(MONDAY, 'é "\\\n', 1024)),
        (row(day="2024-02-29"), UsageRow(date(2024, 2, 29), "web", 1024)),
        ({**row(), "files_total": None}, UsageRow(MONDAY, "web", 1024)),
    ],
)
def test_rows(written: dict[str, Json], read: UsageRow) -> None:
    """Numbers may be text, users may be numbers, and what is not known is passed over."""
    assert read_usage({"usage": [written]}) == (read,)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (7, "a number stands where a mapping should"),
        (None, "null stands where a mapping should"),
        ("row", "a text stands where a mapping should"),
        ([row()], "a list stands where a mapping should"),
        ([], "summary_date is missing"),
        ({"summary_date": "2014-11-10", "bytes_total": 1}, "cpu_user is missing"),
        ({"summary_date": "2014-11-10", "cpu_user": ""}, "bytes_total is missing"),
        (row(day=None), "summary_date is no date"),
        (row(day=20141110), "summary_date is no date"),
        (row(day=""), "summary_date is no date"),
        (row(day="20141110"), "summary_date is no date"),
        (row(day="2014-W46-1"), "summary_date is no date"),
        (row(day="2014-11-1"), "summary_date is no date"),
        (row(day="2014-11-10T00:00"), "summary_date is no date"),
        (row(day="2014-11-10\n"), "summary_date is no date"),
        (row(day="٣٣٣٣-٣٣-٣٣"), "summary_date is no date"),
        (row(day="2014-02-29"), "summary_date is no day of the calendar"),
        (row(day="0000-00-00"), "summary_date is no day of the calendar"),
        (row(user=None), "null stands where a name should"),
        (row(user=["web"]), "a list stands where a name should"),
        (row(user="\ud800"), "a name holds half of a character"),
        (row(occupied=None), "null stands where a whole number should"),
        (row(occupied=True), "true or false stands where a whole number should"),
        (row(occupied="1 KB"), "a text stands where a whole number should"),
        (row(occupied=Decimal("1.5")), "a number stands where a whole number should"),
        (row(occupied=2**63), "a number stands where a whole number should"),
        (row(occupied=-1), "bytes_total is below zero"),
        (row(occupied="-1"), "bytes_total is below zero"),
        (row("2014-11-09"), "a second one for user and day"),
    ],
)
def test_refused_rows(written: Json, sentence: str) -> None:
    """One bad row spoils the answer, and the sentence says which row it is."""
    with pytest.raises(UnexpectedError) as caught:
        read_usage({"usage": [row("2014-11-09"), written, row("2014-11-11")]})
    assert str(caught.value) == f"row 2 of the usage: {sentence}"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({}, "it has no usage"),
        ({"data": [{"usage": []}]}, "it has no usage"),
        ({"data": {"message": "Found Disk Data"}}, "it has no usage"),
        ({"usage": None}, "null stands where a list should"),
        ({"usage": "none"}, "a text stands where a list should"),
        ({"usage": row()}, "a mapping stands where a list should"),
    ],
)
def test_no_usage(answer: dict[str, Json], sentence: str) -> None:
    """An answer without rows to read is refused."""
    with pytest.raises(UnexpectedError) as caught:
        read_usage(answer)
    assert str(caught.value) == sentence


rows = st.lists(
    st.builds(
        UsageRow,
        st.dates(min_value=date(1, 1, 1)),
        st.one_of(st.just(""), st.integers().map(str), st.text(st.characters(codec="utf-8"))),
        st.integers(0, 2**63 - 1),
    ),
    unique_by=lambda each: (each.day, each.cpu_user),
)


@given(found=rows, as_text=st.booleans(), gaps=st.booleans())
def test_any_rows_in_any_order(found: list[UsageRow], *, as_text: bool, gaps: bool) -> None:
    """Whatever rows there are, they come out as they went in, in the same order."""
    written: list[Json] = [
        row(each.day.isoformat(), each.cpu_user, str(each.occupied) if as_text else each.occupied)
        for each in found
    ]
    usage: Json = {str(2 * n): each for n, each in enumerate(written)} if gaps else written

    assert read_usage({"usage": usage}) == tuple(found)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        (datetime(2014, 11, 11, 10, 0, tzinfo=UTC), datetime(2014, 10, 13, tzinfo=UTC)),
        (datetime(2014, 11, 11, tzinfo=UTC), datetime(2014, 10, 13, tzinfo=UTC)),
        (datetime(2014, 11, 10, 23, 59, 59, 999_999, UTC), datetime(2014, 10, 12, tzinfo=UTC)),
        (datetime(2024, 3, 1, 12, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(2025, 12, 3, tzinfo=UTC)),
    ],
)
def test_window(now: datetime, start: datetime) -> None:
    """The thirty days begin at 00:00 UTC, 29 days ago, so that today is the last of them."""
    assert start_of_window(now.timestamp()) == start.timestamp()


@given(st.integers(-(10**12), 10**12))
def test_today_is_inside(now: int) -> None:
    """At any time, even one that no calendar has, today is the thirtieth of the days asked for."""
    start = start_of_window(now)

    assert start % DAY == 0
    assert start + 29 * DAY <= now < start + 30 * DAY


@pytest.mark.parametrize(
    ("cpu_users", "asked", "found"),
    [
        ((), "", {"", "17"}),
        (("17",), "17", {"17"}),
        (["", "17"], ("", "17"), {"", "17"}),
        (("17", "nobody"), ("17", "nobody"), {"17"}),
        (("nobody",), "nobody", set()),
    ],
)
def test_request(
    simulator: Simulator,
    connect: Callable[..., Client],
    credentials: Credentials,
    cpu_users: list[str],
    asked: object,
    found: set[str],
) -> None:
    """No user asks for all of them, one is sent as text, several as a list."""
    usage = disk_usage(connect(simulator.url), credentials, cpu_users)

    assert {each.cpu_user for each in usage} == found
    (call,) = simulator.calls
    assert (call.command, call.cpu, call.starttime) == ("disk.usage", asked, 1413158400)
    assert (call.path, call.file_type, call.offset) == (None, None, None)


@pytest.mark.parametrize("content", list(Content))
@pytest.mark.parametrize("array", list(Array))
@pytest.mark.parametrize("numbers", list(Numbers))
@pytest.mark.parametrize("order", list(Order))
def test_every_reading(
    simulator: Simulator,
    connect: Callable[..., Client],
    credentials: Credentials,
    content: Content,
    array: Array,
    numbers: Numbers,
    order: Order,
) -> None:
    """However the API's pages are read, the same thirty days are found."""
    readings = Readings(content=content, rows=array, numbers=numbers, row_order=order)
    simulator.behave(Behaviour(readings=readings))
    usage = disk_usage(connect(simulator.url), credentials, ())

    days = [TUESDAY - timedelta(days=before) for before in range(30)]
    assert len(usage) == 60
    assert set(usage) == {
        UsageRow(day, user, occupied)
        for day in days
        for user, occupied in (("", 1024), ("17", 2048))
    }
