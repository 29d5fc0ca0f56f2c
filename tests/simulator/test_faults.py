"""Every fault reaches the client as what it is."""

import json
import threading
from collections.abc import Callable
from itertools import islice

import pytest
import requests

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.api_variants import ApiVariant
from tests.support.faults import BUSY, FAILING, Fault, HttpError, Refusal
from tests.support.fixtures import ListFiles, SignCommand

AskUsage = Callable[[], requests.Response]


def breaks(simulator: Simulator, fault: Fault, drip: float = 0.0) -> None:
    """Break every request in one way."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),), drip=drip))


def root(response: requests.Response) -> dict[str, object]:
    """Return the requested folder of a listing."""
    folder: dict[str, object] = response.json()["data"]["sestore4/jb"][0]
    return folder


@pytest.mark.parametrize(
    ("fault", "code"), [(BUSY, "1000"), (FAILING, "0004"), (Refusal("0005"), "0005")]
)
def test_any_code_can_be_returned(
    simulator: Simulator, list_files: ListFiles, fault: Refusal, code: str
) -> None:
    """The envelope has the code, for any request."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    response = list_files().json()

    assert (response["status"], response["code"]) == ("failure", code)
    assert response["message"]
    assert simulator.requests[-1].fault == f"code {code}"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@pytest.mark.parametrize("retry_after", [None, "30", "Tue, 11 Nov 2014 10:00:30 GMT"])
def test_any_http_status_can_be_returned(
    simulator: Simulator, list_files: ListFiles, status: int, retry_after: str | None
) -> None:
    """The status comes with a page, and with Retry-After when the fault has it."""
    simulator.behave(Behaviour(faults=(FaultRule(HttpError(status, retry_after)),)))
    response = list_files()

    assert response.status_code == status
    assert response.headers.get("Retry-After") == retry_after
    assert response.text.startswith("<html>")
    assert (simulator.requests[-1].status, simulator.requests[-1].fault) == (
        status,
        f"HTTP {status}",
    )


def test_an_offset_can_stand_still(simulator: Simulator, list_files: ListFiles) -> None:
    """The response sends the client where it has just been."""
    breaks(simulator, Fault.STUCK_OFFSET)

    assert (root(list_files(2))["__is_loaded"], root(list_files(2))["__offset"]) == (-1, 2)


def test_a_folder_can_always_be_skipped(simulator: Simulator, list_files: ListFiles) -> None:
    """The folder comes back skipped though it was requested on its own."""
    breaks(simulator, Fault.ALWAYS_SKIPPED)

    assert root(list_files()) == {"__is_loaded": 0}


def test_a_listing_can_shrink_between_responses(
    simulator: Simulator, list_files: ListFiles
) -> None:
    """The first response promises more than the follow-up holds."""
    variant = ApiVariant(files_per_answer=1)
    simulator.behave(Behaviour(variant=variant, faults=(FaultRule(Fault.SHRINKING),)))

    assert root(list_files())["__file_count"] == 5
    assert list_files(1).json()["data"] == {"sestore4/jb": []}


def test_a_response_can_be_for_another_path(simulator: Simulator, list_files: ListFiles) -> None:
    """The folder stands under a path that was not asked for."""
    breaks(simulator, Fault.OTHER_PATH)

    assert list(list_files().json()["data"]) == ["sestore4/jb-other"]


def test_rows_and_names_can_have_the_wrong_type(
    simulator: Simulator, list_files: ListFiles, usage: AskUsage
) -> None:
    """Where rows and names should be are numbers, texts, null and lists."""
    breaks(simulator, Fault.NOT_ROWS)

    assert usage().json()["usage"] == [7, "row", None, []]
    assert list_files().json()["data"]["sestore4/jb"]["__files"] == [7, "row", None, []]


def test_content_can_be_a_text(
    simulator: Simulator, list_files: ListFiles, usage: AskUsage
) -> None:
    """Where a folder or a list of rows should be is a text."""
    breaks(simulator, Fault.NOT_A_FOLDER)

    assert usage().json()["usage"] == "text"
    assert list_files().json()["data"] == {"sestore4/jb": "text"}


@pytest.mark.parametrize(
    ("fault", "number"), [(Fault.NAN, "NaN"), (Fault.HUGE_NUMBER, "9" * 10_000)]
)
def test_numbers_can_be_invalid(
    simulator: Simulator, list_files: ListFiles, usage: AskUsage, fault: Fault, number: str
) -> None:
    """Flags and bytes are NaN, or longer than Python reads."""
    breaks(simulator, fault)

    assert f'"bytes_total":{number}' in usage().text
    assert f'"__is_loaded":{number}' in list_files().text


def test_names_can_be_invalid_unicode(
    simulator: Simulator, list_files: ListFiles, usage: AskUsage
) -> None:
    """A user, a file and a folder can have half of a surrogate pair for a name."""
    breaks(simulator, Fault.LONE_SURROGATE)

    assert r'"cpu_user":"\ud800"' in usage().text
    assert list_files().text.count(r"\ud800") == 2


@pytest.mark.parametrize(
    ("fault", "start", "end"),
    [
        (Fault.HTML_PAGE, b"<html>", b"</html>"),
        (Fault.EMPTY_BODY, b"", b""),
        (Fault.NULL, b"null", b"null"),
        (Fault.A_LIST, b'[{"data":', b"}]"),
        (Fault.DEEP_NESTING, b'{"data":', b"]" * 100_000 + b"}"),
        (Fault.DUPLICATE_KEYS, b'{"data":{', b',"data":[]}'),
        (Fault.BAD_UTF8, b'{"data":', b'"\xff\xfe"}'),
        (Fault.TRUNCATED, b'{"data":', b""),
        (Fault.GZIP_BOMB, b" " * 64 * 2**20 + b'{"data":', b"}"),
    ],
)
def test_a_body_can_be_broken(
    simulator: Simulator, list_files: ListFiles, fault: Fault, start: bytes, end: bytes
) -> None:
    """Each broken body begins and ends as its fault says, with a good status."""
    breaks(simulator, fault)
    response = list_files()

    assert response.status_code == 200
    assert response.content.startswith(start)
    assert response.content.endswith(end)
    assert bool(response.content) is (fault is not Fault.EMPTY_BODY)


def test_a_truncated_body_is_half_of_the_text(simulator: Simulator, list_files: ListFiles) -> None:
    """The text ends in the middle, and is no JSON."""
    whole = list_files().text
    breaks(simulator, Fault.TRUNCATED)

    half = list_files().text
    assert half == whole[: len(whole) // 2]
    with pytest.raises(ValueError, match=r"."):
        json.loads(half)


def test_a_body_can_be_endless(
    simulator: Simulator, session: requests.Session, list_files: ListFiles, signed: SignCommand
) -> None:
    """It goes on past any limit, until the client leaves."""
    breaks(simulator, Fault.ENDLESS_BODY)
    form = {"json": signed("files.list", path="sestore4/jb")}
    with session.post(simulator.url, data=form, timeout=60, stream=True) as response:
        read = sum(len(piece) for piece in islice(response.iter_content(2**16), 64))

    assert read == 64 * 2**16
    simulator.behave(Behaviour())
    assert list_files().status_code == 200


@pytest.mark.parametrize("fault", [Fault.SLOW_HEADERS, Fault.SLOW_BODY])
def test_a_slow_response_is_the_right_one(
    simulator: Simulator, list_files: ListFiles, fault: Fault
) -> None:
    """Byte by byte the same response arrives."""
    expected = list_files().json()
    breaks(simulator, fault)

    assert list_files().json() == expected


@pytest.mark.parametrize("fault", [Fault.SLOW_HEADERS, Fault.SLOW_BODY])
def test_a_slow_response_ends_when_the_client_leaves(
    simulator: Simulator, list_files: ListFiles, fault: Fault
) -> None:
    """A client that gives up frees the server, which goes on serving."""
    breaks(simulator, fault, drip=3.0)
    with pytest.raises(requests.RequestException):
        list_files(timeout=0.05)

    simulator.behave(Behaviour())
    assert list_files().status_code == 200


def test_a_request_can_hang(simulator: Simulator, list_files: ListFiles) -> None:
    """Nothing comes until the client gives up; other requests are served meanwhile."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG, requests=(1,)),)))
    with pytest.raises(requests.ReadTimeout):
        list_files(timeout=0.5)

    assert list_files().status_code == 200
    assert [request.fault for request in simulator.requests] == ["HANG", None]


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_IN_BODY])
def test_a_connection_can_be_reset(
    simulator: Simulator, list_files: ListFiles, fault: Fault
) -> None:
    """The client sees a reset, before the response or in the middle of its body."""
    breaks(simulator, fault)

    with pytest.raises(
        (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    ) as seen:
        list_files()
    assert "reset by peer" in str(seen.value)


def test_a_redirect_shows_whether_the_key_was_carried_on(
    simulator: Simulator, session: requests.Session, list_files: ListFiles, signed: SignCommand
) -> None:
    """A client that follows gets a good response, and is recorded there with the key."""
    breaks(simulator, Fault.REDIRECT)
    response = list_files()

    assert (response.status_code, response.headers["Location"]) == (307, "/elsewhere/")
    assert [request.route for request in simulator.requests] == ["/stable/"]

    form = {"json": signed("files.list", path="sestore4/jb")}
    followed = session.post(simulator.url, data=form, timeout=60)
    assert followed.json()["status"] == "success"
    assert [(request.route, request.has_key) for request in simulator.requests[1:]] == [
        ("/stable/", True),
        ("/elsewhere/", True),
    ]


def test_stopping_ends_hanging_requests_at_once(
    simulator: Simulator, list_files: ListFiles
) -> None:
    """A stop closes the connection of a request that hangs, and no thread is left."""
    breaks(simulator, Fault.HANG)
    failures: list[requests.RequestException] = []

    def hang() -> None:
        try:
            list_files(timeout=60.0)
        except requests.RequestException as error:
            failures.append(error)

    caller = threading.Thread(target=hang)
    caller.start()
    assert simulator.wait_for_requests(1)
    simulator.stop()
    caller.join(60)

    assert isinstance(failures[0], requests.ConnectionError)
    assert "simulator" not in {thread.name for thread in threading.enumerate()}
