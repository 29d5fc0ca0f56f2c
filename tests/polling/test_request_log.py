"""What is kept of the requests of a poll: the last ones and the costliest folders, no more."""

import pytest
from structlog.testing import capture_logs

from exporter.polling.request_log import MAX_FOLDERS, MAX_REQUESTS, FolderCost, RequestLog
from exporter.polling.targets import FilesTarget
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ApiRequest, Reason, TooManyRequestsError

FILES = FilesTarget("main", 900.0, 2700.0, "sestore4/jb", "video")


def exchange(path: str, offset: int = 0, reason: Reason | None = None) -> Exchange:
    """Return a request of half a second that has ended."""
    return Exchange(
        "main",
        "files.list",
        0.5,
        reason,
        accepted=True,
        request=ApiRequest("files.list", path, offset),
        status=200,
        size=10,
    )


def test_kept_requests_are_bounded() -> None:
    """Of many requests the last are kept, and the folders that took most."""
    log = RequestLog(FILES, Clock(monotonic=lambda: 100.0), LogLimit(lambda: 100.0))
    for number in range(1000):
        log.record(exchange(f"sestore4/jb/{number % 30:02}", offset=number))
    log.record(exchange("sestore4/jb/29", offset=1000))
    trace = log.trace()
    assert len(trace.requests) == MAX_REQUESTS == 50
    assert trace.requests[-1].offset == 1000
    assert len(trace.folders) == MAX_FOLDERS == 20
    assert trace.folders[0] == FolderCost("sestore4/jb/00", 34, 17.0)
    assert trace.size == 10 * 1001


def test_attempts_are_counted_by_request() -> None:
    """A request that failed is sent again as the next attempt; another one begins at the first."""
    log = RequestLog(FILES, Clock(monotonic=lambda: 100.0), LogLimit(lambda: 100.0))
    log.record(exchange("sestore4/jb", reason=Reason.SERVER))
    log.record(exchange("sestore4/other", reason=Reason.SERVER))
    log.record(exchange("sestore4/jb", reason=Reason.TIMEOUT))
    log.record(exchange("sestore4/jb"))
    log.record(exchange("sestore4/jb"))
    assert [record.attempt for record in log.trace().requests] == [1, 1, 2, 3, 1]
    assert [record.reason for record in log.trace().requests][:2] == [Reason.SERVER] * 2


@pytest.mark.parametrize(
    ("retry_after", "events"),
    [
        (60.0, ["requests paused, as ScaleEngine asks"]),
        (None, ["request failed, retrying"]),
    ],
)
def test_a_pause_is_one_log_line(retry_after: float | None, events: list[str]) -> None:
    """Where all requests of the account wait, the wait of the one that is sent again is no news."""
    log = RequestLog(FILES, Clock(monotonic=lambda: 100.0), LogLimit(lambda: 100.0))
    error = TooManyRequestsError("files.list", "too many requests", "wait", retry_after)
    with capture_logs() as lines:
        log.record_pause(error)
        log.record_retry(error, 1, 60.5)
    assert [line["event"] for line in lines] == events
