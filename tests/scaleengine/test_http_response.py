"""The headers of a response give the server's time and the time to wait, or nothing."""

import math
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from exporter.scaleengine.message_body import HttpResponse, build_http_response

MOMENT = 784111777
"""Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110."""

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def response_with(**headers: str) -> HttpResponse:
    """Return a response with these headers; an underscore stands for a hyphen."""
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    return build_http_response(200, b"", CaseInsensitiveDict(written))


def test_a_response_without_headers_has_no_date_and_no_wait() -> None:
    """Status and body are kept as they are; what no header has is not known."""
    assert build_http_response(503, b"\x00", {}) == HttpResponse(
        503, b"\x00", date=None, retry_after=None
    )


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        (DATE, MOMENT),
        ("Sunday, 06-Nov-94 08:49:37 GMT", MOMENT),
        ("Sun Nov  6 08:49:37 1994", MOMENT),
        (f"  {DATE}  ", MOMENT),
        ("Sun, 06 Nov 1994 08:49:37 UTC", MOMENT),
        ("Sun, 06 Nov 1994 08:49:37 +0000", MOMENT),
        ("Sun, 06 Nov 1994 08:49:37 -0000", MOMENT),
        ("Sun, 06 Nov 1994 08:49:37", MOMENT),
        ("Sun, 06 Nov 1994 08:49:37 MARS", MOMENT),
        ("Sun, 06 Nov 1994 09:49:37 +0100", MOMENT),
        ("Sun, 06 Nov 1994 03:49:37 EST", MOMENT),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
    ],
)
def test_a_date_is_read_in_each_form(date: str, moment: float) -> None:
    """A Date is read in each form that RFC 9110 names, in any zone; without one it is UTC."""
    assert response_with(Date=date).date == moment


@pytest.fixture(params=["Asia/Tokyo", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the machine have another time zone."""
    with monkeypatch.context() as there:
        there.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    "date", [DATE, "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 MARS"]
)
def test_a_date_does_not_depend_on_the_time_zone(zone: str, date: str) -> None:
    """The time zone of the machine does not change a Date."""
    assert time.localtime(MOMENT).tm_hour != 8, f"the test needs the zone {zone}"
    assert response_with(Date=date).date == MOMENT


NO_DATES = [
    "",
    "   ",
    "now",
    "0",
    "784111777",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 25:00:00 GMT",
    "Sun, 06 Nov 1994 08:49:37 +9999",
    "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
    "\x00",
    "größer",
]


@pytest.mark.parametrize("date", NO_DATES)
def test_an_unreadable_date_is_ignored(date: str) -> None:
    """A Date that cannot be read is ignored."""
    assert response_with(Date=date) == HttpResponse(200, b"")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("007", 7.0),
        ("9" * 30, 1e30),
        ("9" * 400, None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("²", None),
        ("30 s", None),
        ("30, 60", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_may_be_whole_seconds(retry_after: str, seconds: float | None) -> None:
    """Retry-After is a whole number of seconds; anything else that looks like one is not read."""
    assert response_with(Retry_After=retry_after).retry_after == seconds
    assert response_with(Retry_After=retry_after, Date=DATE).retry_after == seconds


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120.0),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120.0),
        ("Sun, 06 Nov 1994 09:51:37 +0100", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_may_be_a_date(retry_after: str, seconds: float) -> None:
    """Retry-After may be a date, seen from the server's own; one that is past asks for no wait."""
    assert response_with(Retry_After=retry_after, Date=DATE).retry_after == seconds


@pytest.mark.parametrize("date", NO_DATES)
def test_a_retry_after_date_needs_a_date_header(date: str) -> None:
    """Without a Date of the server's, how far away another date is cannot be said."""
    assert response_with(Retry_After=DATE).retry_after is None
    assert response_with(Retry_After=DATE, Date=date).retry_after is None


@pytest.mark.parametrize("retry_after", [text for text in NO_DATES if not text.isdecimal()])
def test_an_unreadable_retry_after_is_ignored(retry_after: str) -> None:
    """A Retry-After that is neither seconds nor a date asks for nothing."""
    assert response_with(Retry_After=retry_after, Date=DATE).retry_after is None


PIECES = ["Sun,", "06", "Nov", "1994", "08:49:37", "GMT", "-0000", "+0100", "+", "-", ":", ",", "("]
ODD_PIECES = ["é", "²", "\x00", "0", "9" * 25, "06-Nov-94", "08.49", "PM"]
NEARLY_DATES = st.lists(st.sampled_from(PIECES + ODD_PIECES)).map(" ".join)
TEXTS = st.text() | NEARLY_DATES | st.integers().map(str) | st.floats().map(str)


@given(TEXTS, TEXTS)
def test_any_header_gives_finite_numbers(date: str, retry_after: str) -> None:
    """For any headers: a date is a finite number, a wait is a number that is not negative."""
    response = response_with(Date=date, Retry_After=retry_after)
    assert response.date is None or math.isfinite(response.date)
    wait = response.retry_after
    assert wait is None or (math.isfinite(wait) and wait >= 0)


@given(st.integers(0, 253402300799), st.integers(0, 253402300799))
def test_every_printed_date_reads_back(now: int, until: int) -> None:
    """Every date that a server can print is read as it was meant."""
    response = response_with(
        Date=formatdate(now, usegmt=True), Retry_After=formatdate(until, usegmt=True)
    )
    assert response == HttpResponse(200, b"", date=now, retry_after=max(0, until - now))
