"""For any bytes, each response is well-formed HTTP, repeats nothing, and the next is right.

The law, for any bytes and for any requests, mangled or not, one or many on a line: the server
sends well-formed responses, none of them 500 and none that holds what was sent, or closes;
it logs nothing above the level debug; and a scrape afterwards gets the metrics.
"""

import gzip
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.web.responses import accepts_gzip
from tests.support.http import read_to_end
from tests.support.waiting import TIMEOUT

if TYPE_CHECKING:
    from tests.web.conftest import Site

EXAMPLES: Final = 60
CANARY: Final = b"<c4n4ry>"
SAMPLE: Final = 'files{path="sestore4/é"} 3.0\n'.encode()
STATUSES: Final = {100, 200, 400, 404, 405, 414, 417, 431}

METHODS = st.sampled_from(
    [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI", b"get", b"G\0T"]
) | st.text("ABCXYZ_-", min_size=1, max_size=300).map(str.encode)
NAMES = st.binary(max_size=6) | st.sampled_from([b"files", b"%ff%00", b"%", b"%2", b"+", CANARY])
FILTERS = st.lists(NAMES, max_size=5).map(
    lambda names: b"/metrics?" + b"&".join(b"name[]=" + name for name in names)
)
TARGETS = FILTERS | st.sampled_from(
    [
        *(b"/", b"/metrics", b"/-/ready", b"/-/healthy", b"/-/healthy/", b"//metrics", b"*", b""),
        *(
            b"/../../etc/passwd",
            b"/%2e%2e/",
            b"/" + CANARY,
            b"/%3Cc4n4ry%3E",
            b"/\xc3\xa9",
            b"/\xff",
        ),
        *(b"http://x/metrics", b"http://[::1/", b"http://x:99999/", b"x:443", b"/#" + CANARY),
        *(b"http://xn--/metrics", b"http://xn--" + CANARY, b"//xn--/", b"//x:99999/"),
        *(b"/" + b"a" * 8100, b"/?" + b"&" * 3000, b"/metrics;" + CANARY),
    ]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b""]
)
FIELDS = st.sampled_from(
    [
        *(b"Connection: close", b"Connection: keep-alive", b"Connection: " + CANARY),
        *(b"Connection: Upgrade\r\nUpgrade: websocket", b"Upgrade: " + CANARY),
        *(b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999"),
        *(b"Content-Length: 5, 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + CANARY),
        *(
            b"Transfer-Encoding: gzip, chunked",
            b"Content-Encoding: gzip",
            b"Content-Type: " + CANARY,
        ),
        *(b"Expect: 100-continue", b"Expect: " + CANARY, b"Expect: \xff", b"Expect: ,", b"Expect:"),
        *(b"Host: " + CANARY, b"Host: x", b"Host:", b"Origin: " + CANARY, b"Origin: \xff"),
        *(b"Accept-Encoding: gzip;q=" + weight for weight in (b"", b"0", b"1e9", b"nan", b"\xff")),
        *(b"Authorization: Basic " + CANARY, b"Authorization: " + b"=" * 8000, b"Range: bytes=0-1"),
        *(b"If-None-Match: *", b"Cookie: " + CANARY + b"=\xff", b"X: " + b"a" * 9000),
        *(b" folded", b"no colon", b": no name", b"Na me: x", b"X\0: x", b"X: \0", b"X: \xff\xfe"),
        b"\r\n".join(b"X-%d: x" % number for number in range(100)),
    ]
)
BODIES = st.sampled_from(
    [
        *(
            b"",
            b"",
            b"abcde",
            b"5\r\nabcde\r\n0\r\n\r\n",
            b"5;x=" + CANARY + b"\r\nabcde\r\n0\r\n\r\n",
        ),
        *(
            b"zz\r\n",
            b"-1\r\n",
            b"ffffffffffffffffff\r\n",
            b"5\r\nabc",
            b"0\r\n" + CANARY + b": x\r\n\r\n",
        ),
        b"\x1f\x8b\x08" + bytes(20),
    ]
)
BREAKS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request that is more or less one."""
    line = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    fields = draw(st.lists(FIELDS, max_size=4))
    fields += [b"Host: localhost"] * draw(st.integers(0, 2))
    end = draw(BREAKS)
    return end.join([line, *fields, b"", draw(BODIES)])


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Draw several requests, one after the other, with some bytes changed, cut out or put in."""
    sent = bytearray(b"".join(draw(st.lists(requests(), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(sent)))
        sent[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(sent)


SENT = st.binary(max_size=300) | mangled()


HEAD: Final = re.compile(
    rb"HTTP/1\.[01] (?P<status>[1-5][0-9]{2}) [A-Za-z ]+\r\n"
    rb"(?P<fields>([A-Za-z-]+: [\x20-\x7e]*\r\n)*)\r\n"
)
LENGTH: Final = re.compile(rb"^Content-Length: ([0-9]+)\r$", re.MULTILINE)


def statuses(received: bytes) -> set[int]:
    """Return the statuses of all responses; fails where one is not well-formed.

    Each has the length that it tells, or no body at all, as the response to a HEAD.
    """
    found = set()
    while received:
        head = HEAD.match(received)
        assert head, received[:200]
        found.add(int(head["status"]))
        received = received[head.end() :]
        if head["status"] != b"100":
            assert b"Server: scaleengine-exporter\r\n" in head["fields"]
            (length,) = map(int, LENGTH.findall(head["fields"]))
            if received and not received.startswith(b"HTTP/1."):
                assert len(received) >= length
                received = received[length:]
    return found


def exchange(site: "Site", requests: list[bytes]) -> list[bytes]:
    """Send each of these on a connection of its own; return what came until all were closed."""
    with ExitStack() as stack:
        lines = []
        for sent in requests:
            sock = stack.enter_context(site.connect())
            lines.append(sock)
            with suppress(ConnectionError):  # it is refused before it has come whole
                sock.sendall(sent)
        return list(map(read_to_end, lines))


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when anything above the level debug was logged, or the canary at any level."""
    with capture_logs() as logged:
        yield
    assert [event for event in logged if event["log_level"] != "debug"] == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert "c4n4ry" not in str(logged)


@pytest.mark.usefixtures("quiet")
def test_any_request_gets_a_response_that_obeys_the_rules(site: "Site") -> None:
    """The law at the head of this file."""

    @settings(max_examples=EXAMPLES)
    @given(st.lists(SENT, min_size=1, max_size=5))
    def obeys(requests: list[bytes]) -> None:
        site.timeouts.keepalive = 0.02  # most of them wait for what is never sent
        for received in exchange(site, requests):
            assert CANARY not in received
            assert statuses(received) <= STATUSES
        site.timeouts.keepalive = TIMEOUT
        scraped = site.ask("/metrics", headers={"Accept-Encoding": "gzip"})
        assert scraped.status == HTTPStatus.OK
        assert gzip.decompress(scraped.body).endswith(SAMPLE)

    site.serve_while(obeys)


WEIGHTS = st.none() | st.sampled_from(["0", "0.0", "0.001", "0.5", "0.999", "1", "1.000"])
CODINGS = st.sampled_from(["gzip", "GZip", "identity", "*", "br", "deflate"])
SPACES = st.sampled_from(["", "", " ", "\t"])


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, str, float]:
    """Draw an element of a right Accept-Encoding: as written, its coding and its weight."""
    coding, weight = draw(CODINGS), draw(WEIGHTS)
    before, after = draw(SPACES), draw(SPACES)
    text = coding if weight is None else f"{coding}{before};{after}{draw(Q)}={weight}"
    return f"{before}{text}{after}", coding.lower(), 1.0 if weight is None else float(weight)


Q = st.sampled_from(["q", "Q"])


@given(st.lists(elements(), max_size=6, unique_by=lambda element: element[1]))
def test_the_encoding_is_one_that_the_client_accepts(drawn: list[tuple[str, str, float]]) -> None:
    """Gzip is sent only where RFC 9110, 12.5.3 allows it; text only where it is not worse.

    What is not named has the weight of "*"; identity, where that is missing too, is acceptable,
    and everything else is not.
    """
    weights = {coding: weight for _, coding, weight in drawn}
    gzip_weight = weights.get("gzip", weights.get("*", 0.0))
    identity_weight = weights.get("identity", weights.get("*"))
    if accepts_gzip(",".join(text for text, _, _ in drawn)):
        assert gzip_weight > 0
        assert weights.get("identity", 0.0) <= gzip_weight
    else:
        assert gzip_weight == 0 or (identity_weight or 0.0) > gzip_weight


@given(st.text(max_size=60) | st.lists(st.sampled_from([*"gzip;q=0.1,* "])).map("".join))
def test_any_accept_encoding_is_read(accepted: str) -> None:
    """Any value is read; gzip is sent only where it or "*" is named."""
    is_accepted = accepts_gzip(accepted)
    assert not is_accepted or "gzip" in accepted.lower() or "*" in accepted
