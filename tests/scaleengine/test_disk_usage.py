"""Disk usage is asked for thirty days up to today; each row is read as it is, or rejected."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import (
    ROW_HOOK,
    RejectedRow,
    RowFault,
    UsageRow,
    compute_window_start,
    read_usage,
    request_disk_usage,
    split_users,
)
from exporter.scaleengine.errors import ProtocolError
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.json_values import Json, SchemaError, as_list, decode, describe_type
from exporter.scaleengine.signing import encode_fields
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.simulator import Behaviour, Checks, FaultRule, Simulator
from tests.support.api_variants import ApiVariant, Array, Content, Numbers, Order
from tests.support.faults import Fault
from tests.support.fixtures import MakeClient, MakeTransport, StartServer
from tests.support.sentences import (
    CHECK_URL,
    FUTURE_DAY,
    HALF_CHARACTER,
    LARGE_RESPONSE,
    LIST_EXPECTED,
    MAPPING_EXPECTED,
    NAME_EXPECTED,
    NO_WHOLE_NUMBER,
)

DAY = 24 * 3600
NOW = 1415700000
"""2014-11-11 10:00 UTC, the simulator's time."""
MONDAY = date(2014, 11, 10)
TUESDAY = date(2014, 11, 11)
WEDNESDAY = date(2014, 11, 12)
ROWS = (UsageRow(MONDAY, "web", 1024), UsageRow(TUESDAY, "web", 1024))


def row(day: Json = "2014-11-10", user: Json = "web", bytes_total: Json = 1024) -> dict[str, Json]:
    """Return a row as the API writes it."""
    return {"summary_date": day, "cpu_user": user, "bytes_total": bytes_total}


def test_the_published_sample_is_read() -> None:
    """The sample of the API page is read: its user is ""."""
    published = """{
        "message": "Found Disk Data",
        "usage": [
            {"summary_date" : "2014-11-10", "cpu_user" : "", "bytes_total" : 1024},
            {"summary_date" : "2014-11-11", "cpu_user" : "", "bytes_total" : 1024}
        ],
        "status": "success",
        "handle_time": "0.3795 seconds"
    }"""

    assert read_usage(json.loads(published), WEDNESDAY) == (
        (UsageRow(MONDAY, "", 1024), UsageRow(TUESDAY, "", 1024)),
        {},
    )


@pytest.mark.parametrize(
    "response",
    [
        {"usage": [row(), row("2014-11-11")]},
        {"usage": {"0": row(), "1": row("2014-11-11")}},
        {"usage": {"3": row(), "7": row("2014-11-11")}},
        {"data": {"usage": [row(), row("2014-11-11")]}},
        {"data": [], "usage": [row(), row("2014-11-11")]},
        {"data": "none", "usage": [row(), row("2014-11-11")]},
        {"usage": [row(), row("2014-11-11")], "data": {"usage": [row(), row("2014-11-11")]}},
        {
            "usage": [row(), row("2014-11-11")],
            "data": {"usage": {"3": row("2014-11-11", bytes_total="1024"), "1": row()}},
        },
        {"usage": [row(), row("2014-11-11"), row()]},
    ],
)
def test_rows_are_found_at_each_place_in_each_shape(response: dict[str, Json]) -> None:
    """Rows are found at both places, as a list and as PHP's list with gaps; repeats do no harm."""
    assert read_usage(response, WEDNESDAY) == (ROWS, {})


@pytest.mark.parametrize("nothing", [[], {}])
def test_an_account_without_usage_has_no_rows(nothing: Json) -> None:
    """An account without usage has no rows."""
    assert read_usage({"usage": nothing}, WEDNESDAY) == ((), {})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (row(bytes_total="1024"), UsageRow(MONDAY, "web", 1024)),
        (row(bytes_total=0), UsageRow(MONDAY, "web", 0)),
        (row(bytes_total=2**63 - 1), UsageRow(MONDAY, "web", 2**63 - 1)),
        (row(user=17), UsageRow(MONDAY, "17", 1024)),
        (row(user="0"), UsageRow(MONDAY, "0", 1024)),
        (row(user='é "\\\n'), UsageRow(MONDAY, 'é "\\\n', 1024)),
        (row(bytes_total="5000000000.00"), UsageRow(MONDAY, "web", 5_000_000_000)),
        (row(day="2012-02-29"), UsageRow(date(2012, 2, 29), "web", 1024)),
        (row(day="2014-11-12"), UsageRow(WEDNESDAY, "web", 1024)),
        *(
            (row(day=f"2014-11-10{time}"), UsageRow(MONDAY, "web", 1024))
            for time in (" 00:00:00", "T00:00", " 23:59:59.999", "T13:00:00Z", "T13:00:00+00:00")
        ),
        ({**row(), "files_total": None}, UsageRow(MONDAY, "web", 1024)),
    ],
)
def test_fields_of_rows_may_have_other_types(written: dict[str, Json], read: UsageRow) -> None:
    """Numbers may be text, users may be numbers, days may have a time; the rest is ignored."""
    assert read_usage({"usage": [written]}, WEDNESDAY) == ((read,), {})


ODD_DAYS: Sequence[Json] = (
    None,
    20141110,
    ["2014-11-10"],
    "",
    "20141110",
    "2014-W46-1",
    "2014-11-1",
    "2014-11-10T00",
    "2014-11-10 00:00:00+02:00",
    "2014-11-10\n",
    " 2014-11-10",
    "٣٣٣٣-٣٣-٣٣",
)
DIFFERENT = "it has two lists of usage, and they differ"
NOT_AN_OBJECT = (RowFault.NOT_AN_OBJECT, None, None)
NO_USER = (RowFault.INVALID_USER, None, MONDAY)
NO_DAY = (RowFault.INVALID_DAY, "web", None)
NO_BYTES = (RowFault.INVALID_BYTES, "web", MONDAY)


@pytest.mark.parametrize(
    ("written", "known", "problem"),
    [
        (7, NOT_AN_OBJECT, f"the row {MAPPING_EXPECTED} a number"),
        (None, NOT_AN_OBJECT, f"the row {MAPPING_EXPECTED} null"),
        ("row", NOT_AN_OBJECT, f"the row {MAPPING_EXPECTED} a text"),
        ([row()], NOT_AN_OBJECT, f"the row {MAPPING_EXPECTED} a list"),
        ([], NOT_AN_OBJECT, f"the row {MAPPING_EXPECTED} a list"),
        ({}, (RowFault.INVALID_USER, None, None), "cpu_user is missing"),
        ({"summary_date": "2014-11-10", "bytes_total": 1}, NO_USER, "cpu_user is missing"),
        ({"summary_date": "2014-11-10", "cpu_user": "web"}, NO_BYTES, "bytes_total is missing"),
        ({"cpu_user": "web", "bytes_total": 1}, NO_DAY, "summary_date is missing"),
        *(
            (row(day=day), NO_DAY, f"summary_date: must be a date, is {describe_type(day)}")
            for day in ODD_DAYS
        ),
        *(
            (row(day=day), NO_DAY, "summary_date: it is no day of the calendar")
            for day in ("2014-02-29", "0000-00-00", "0000-00-00 00:00:00", "2014-11-10 25:00:00")
        ),
        (row(user=None), NO_USER, f"cpu_user: {NAME_EXPECTED} null"),
        (row(user=["web"]), NO_USER, f"cpu_user: {NAME_EXPECTED} a list"),
        (row(user="\ud800"), NO_USER, f"cpu_user: {HALF_CHARACTER}"),
        *(
            (
                row(bytes_total=size),
                NO_BYTES,
                f"bytes_total: {NO_WHOLE_NUMBER} {describe_type(size)}",
            )
            for size in (None, True, "1 KB", Decimal("1.5"), 2**63)
        ),
        (row(bytes_total=-1), NO_BYTES, "bytes_total: it is below zero"),
        (row(bytes_total="-1.0"), NO_BYTES, "bytes_total: it is below zero"),
        (
            row(None, None, None),
            (RowFault.INVALID_USER, None, None),
            f"cpu_user: {NAME_EXPECTED} null",
        ),
        (row("x", "web", None), NO_DAY, "summary_date: must be a date, is a text"),
        (
            row("2014-11-13"),
            (RowFault.FUTURE_DAY, "web", date(2014, 11, 13)),
            FUTURE_DAY,
        ),
        (
            row("2031-01-01", None, None),
            (RowFault.FUTURE_DAY, None, date(2031, 1, 1)),
            FUTURE_DAY,
        ),
    ],
)
def test_a_bad_row_is_rejected_alone(
    written: Json, known: tuple[RowFault, str | None, date | None], problem: str
) -> None:
    """A bad row is rejected alone, with what is wrong with it and what of it can be read."""
    rows, rejected = read_usage(
        {"usage": [row("2014-11-09"), written, row("2014-11-11"), written]}, WEDNESDAY
    )

    assert rows == (UsageRow(date(2014, 11, 9), "web", 1024), UsageRow(TUESDAY, "web", 1024))
    assert rejected == {RejectedRow(*known, problem): 2}


@pytest.mark.parametrize("sizes", [(1, 2), (1, 1, 2), (1, 2, 1), (2, 1, "1.0", 1)])
def test_contradicting_rows_are_all_rejected(sizes: tuple[Json, ...]) -> None:
    """Several rows of a user and day with different bytes are all rejected, in any order."""
    written = [row(bytes_total=size) for size in sizes]
    rows, rejected = read_usage({"usage": [*written, row("2014-11-11")]}, WEDNESDAY)

    assert rows == ROWS[1:]
    ((conflict, count),) = rejected.items()
    assert (conflict.fault, conflict.cpu_user, conflict.day, count) == (
        RowFault.CONFLICTING_BYTES,
        "web",
        MONDAY,
        len(sizes),
    )


def test_a_day_with_a_bad_row_is_unknown() -> None:
    """A day is not known where one of its rows cannot be read, for any value of the other."""
    for written in ([row(), row(bytes_total=None)], [row(bytes_total=None), row()]):
        rows, rejected = read_usage({"usage": [*written, row("2014-11-11")]}, WEDNESDAY)
        assert rows == ROWS[1:]
        assert [unusable.day for unusable in rejected] == [MONDAY]


@pytest.mark.parametrize(
    ("rejected", "shown"),
    [
        (
            RejectedRow(*NO_BYTES, "bytes_total is missing"),
            "'web', 2014-11-10: bytes_total is missing",
        ),
        (RejectedRow(*NOT_AN_OBJECT, "null"), "no readable user, no readable day: null"),
        (
            RejectedRow(RowFault.INVALID_DAY, "x" * 81, None, "odd"),
            "a user with a name of 81 characters, no readable day: odd",
        ),
        (RejectedRow(RowFault.INVALID_DAY, "a\nb", None, "odd"), "'a\\nb', no readable day: odd"),
    ],
)
def test_a_rejected_row_is_shown_with_user_day_and_problem(
    rejected: RejectedRow, shown: str
) -> None:
    """User, day and problem are named; a long name is neither shown nor cut through a secret."""
    assert str(rejected) == shown


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ({}, "it has no usage"),
        ({"data": [{"usage": []}]}, "it has no usage"),
        ({"data": {"message": "Found Disk Data"}}, "it has no usage"),
        ({"usage": None}, f"{LIST_EXPECTED} null"),
        ({"usage": "none"}, f"{LIST_EXPECTED} a text"),
        ({"usage": row()}, f"{LIST_EXPECTED} a mapping"),
        *(
            ({"usage": [row()], "data": {"usage": other}}, DIFFERENT)
            for other in ([], [row(bytes_total=1)], [row(), row("2014-11-11")], [row(), None])
        ),
        ({"usage": [row()], "data": {"usage": None}}, f"{LIST_EXPECTED} null"),
    ],
)
def test_a_response_without_rows_is_refused(response: dict[str, Json], sentence: str) -> None:
    """A response without a list of rows is refused, and one with two lists that differ."""
    with pytest.raises(SchemaError) as caught:
        read_usage(response, WEDNESDAY)
    assert str(caught.value) == sentence


rows = st.lists(
    st.builds(
        UsageRow,
        st.dates(min_value=date(1, 1, 1)),
        st.one_of(st.just(""), st.integers().map(str), st.text(st.characters(codec="utf-8"))),
        st.integers(0, 2**63 - 1),
    ),
    unique_by=lambda row: (row.day, row.cpu_user),
)


@given(found=rows, as_text=st.booleans(), gaps=st.booleans())
def test_any_rows_are_read_in_their_order(
    found: list[UsageRow], *, as_text: bool, gaps: bool
) -> None:
    """Any rows come out as they went in, in the same order."""
    written: list[Json] = [
        row(
            usage_row.day.isoformat(),
            usage_row.cpu_user,
            str(usage_row.bytes_total) if as_text else usage_row.bytes_total,
        )
        for usage_row in found
    ]
    usage: Json = {str(2 * n): entry for n, entry in enumerate(written)} if gaps else written

    assert read_usage({"usage": usage}, date.max) == (tuple(found), {})


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
def test_the_window_is_the_last_thirty_days(now: datetime, start: datetime) -> None:
    """The thirty days begin at 00:00 UTC, 29 days ago, so that today is the last of them."""
    assert compute_window_start(now.timestamp()) == start.timestamp()


@given(st.integers(-(10**12), 10**12))
def test_today_is_the_thirtieth_day(now: int) -> None:
    """At any time, even one that no calendar has, today is the thirtieth of the days asked for."""
    start = compute_window_start(now)

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
def test_requested_users_are_sent_as_text_or_list(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    cpu_users: list[str],
    asked: object,
    found: set[str],
) -> None:
    """No user asks for all of them, one is sent as text, several as a list."""
    usage = request_disk_usage(connect(simulator.url), credentials, cpu_users)

    assert {row.cpu_user for row in usage.rows} == found
    (call,) = simulator.requests
    assert (call.command, call.cpu, call.starttime) == ("disk.usage", asked, 1413158400)
    assert (call.path, call.file_type, call.offset) == (None, None, None)


@pytest.mark.parametrize("content", list(Content))
@pytest.mark.parametrize("array", list(Array))
@pytest.mark.parametrize("numbers", list(Numbers))
@pytest.mark.parametrize("order", list(Order))
def test_thirty_days_are_found_under_every_reading(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    content: Content,
    array: Array,
    numbers: Numbers,
    order: Order,
) -> None:
    """However the API's pages are read, the same thirty days are found."""
    variant = ApiVariant(content=content, rows=array, numbers=numbers, row_order=order)
    simulator.behave(Behaviour(variant=variant))
    usage = request_disk_usage(connect(simulator.url), credentials, ())

    days = [TUESDAY - timedelta(days=before) for before in range(30)]
    assert len(usage.rows) == 60
    assert not usage.rejected
    assert set(usage.rows) == {
        UsageRow(day, user, bytes_total)
        for day in days
        for user, bytes_total in (("", 1024), ("17", 2048))
    }


def test_the_date_header_decides_which_day_is_in_the_future(
    simulator: Simulator, transport: MakeTransport, credentials: Credentials
) -> None:
    """A clock that is days behind rejects no row that ScaleEngine's own Date allows."""
    clock = Clock(now=lambda: NOW - 5 * DAY, monotonic=lambda: 0.0)
    client = Client(
        "main",
        158,
        transport(simulator.url),
        TimestampAllocator(lambda _: False),
        clock,
        ServerTime(clock),
        lambda _: None,
    )
    simulator.behave(Behaviour(checks=Checks(window=10 * DAY)))
    usage = request_disk_usage(client, credentials, (), starttime=compute_window_start(NOW))

    assert not usage.rejected
    assert max(row.day for row in usage.rows) == TUESDAY


def test_a_wrong_date_header_allows_no_far_future_day(
    listen: StartServer, connect: MakeClient, credentials: Credentials
) -> None:
    """A row of the year 9999 is of the future, for any Date of the response."""
    body = json.dumps({"status": "success", "usage": [row("9999-12-31"), row("2014-11-11")]})
    said = (
        "HTTP/1.1 200 OK\r\nDate: Fri, 31 Dec 9999 12:00:00 GMT\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    client = connect(listen(lambda line, _: line.sendall(said.encode())))
    usage = request_disk_usage(client, credentials, ())

    assert [row.day for row in usage.rows] == [TUESDAY]
    assert [rejected.fault for rejected in usage.rejected] == [RowFault.FUTURE_DAY]


@pytest.mark.parametrize(
    ("ask", "advice"),
    [
        (
            lambda client, known: request_disk_usage(client, known, ()),
            "name the users in disk_usage.cpu_users: they are then asked for in several requests",
        ),
        (
            lambda client, known: request_disk_usage(client, known, ("web",)),
            CHECK_URL,
        ),
        (
            lambda client, known: list_files(client, known, "sestore4/jb", "video", 0),
            CHECK_URL,
        ),
    ],
    ids=["every user", "users by name", "files"],
)
def test_a_response_that_is_too_large_has_advice(
    simulator: Simulator,
    connect: MakeClient,
    credentials: Credentials,
    ask: Callable[[Client, Credentials], object],
    advice: str,
) -> None:
    """It says what helps: to name the users, or what else may have sent so much."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.GZIP_BOMB),)))
    with pytest.raises(ProtocolError) as caught:
        ask(connect(simulator.url), credentials)

    assert (caught.value.cause, caught.value.advice) == (
        f"{LARGE_RESPONSE} 32 MiB",
        advice,
    )


users = st.lists(st.text(st.characters(codec="utf-8"), max_size=300), unique=True)


@given(cpu_users=users, max_bytes=st.integers(0, 10**8))
def test_users_are_split_in_order(cpu_users: list[str], max_bytes: int) -> None:
    """Each user is in one batch, in the order of the configuration; there always is a batch."""
    batches = split_users(cpu_users, max_bytes)

    assert [user for batch in batches for user in batch] == cpu_users
    assert all(batches) or batches == [()]


@given(user=st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_response_for_a_batch_fits(user: str) -> None:
    """A full batch's thirty-one rows a user stay below the limit, however PHP writes them."""
    max_bytes = 2**20
    (batch, *_) = split_users([f"{user}{number:03}" for number in range(300)], max_bytes)
    longest_row = encode_fields(
        {
            "summary_date": f"{TUESDAY} 00:00:00",
            "cpu_user": batch[-1],
            "bytes_total": f"{2**63 - 1}.00",
        }
    )

    assert 31 * len(batch) * len(f'"1234567":{longest_row},') < max_bytes


def test_fourteen_thousand_users_take_four_requests() -> None:
    """Fourteen thousand users with short names are asked for in four requests."""
    assert len(split_users([f"user-{number}" for number in range(14_000)], 2**25)) == 4


def test_a_response_of_too_many_users_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number that no response of thirty days can hold, it is no disk usage."""
    monkeypatch.setattr("exporter.scaleengine.disk_usage.MAX_USERS", 2)
    found: list[Json] = [
        {"summary_date": "2014-11-11", "cpu_user": user, "bytes_total": 1} for user in "aabbb"
    ]
    assert read_usage({"usage": [*found]}, WEDNESDAY)
    found.append({"summary_date": "2014-11-11", "cpu_user": "c", "bytes_total": 1})
    with pytest.raises(SchemaError, match="more than 2 CPU users"):
        read_usage({"usage": found}, WEDNESDAY)


def test_rows_are_converted_while_they_are_read() -> None:
    """A response is read the same, whether its rows are converted at once or afterwards."""
    written = [
        row("2014-11-10"),
        row("2014-11-10", bytes_total="many"),
        {**row("2014-11-11"), "more": 1},
        row("2014-11-14", "later"),
        {"summary_date": "2014-11-11"},
        row(row("2014-11-10")),
    ]
    body = json.dumps({"usage": written, "status": "success"}).encode()
    plain, converted = decode(body), decode(body, object_hook=ROW_HOOK)
    assert isinstance(plain, dict)
    assert isinstance(converted, dict)
    assert sum(isinstance(entry, UsageRow) for entry in as_list(converted["usage"])) == 2
    assert read_usage(plain, WEDNESDAY) == read_usage(converted, WEDNESDAY)


@pytest.mark.parametrize("key", ["usage", "data", "message"])
def test_a_row_in_the_place_of_something_else_is_refused(key: str) -> None:
    """It is no list and no mapping of other things, converted or not."""
    body = json.dumps({key: row("2014-11-10"), "status": "success"}).encode()
    for read in (decode(body), decode(body, object_hook=ROW_HOOK)):
        assert isinstance(read, dict)
        with pytest.raises(SchemaError, match=r"must be a list, is a mapping|has no usage"):
            read_usage(read, WEDNESDAY)
