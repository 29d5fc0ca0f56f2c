"""A target is polled on its schedule, and every poll's end is recorded, counted and logged."""

import asyncio
import errno
import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts, UserUsage
from exporter.polling.store import PollResult, Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import InlineWorkers, WorkerPool
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock, since_boot
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import AuthError, Reason
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.response_memory import Arrival
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from tests.support.sentences import FOREIGN_BODY, REFUSED_SIGNATURE, THREAD_LIMIT

HTML = FOREIGN_BODY
USAGE = DiskUsageTarget("main", interval=60.0, stale_after=180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video")
START = 1_763_600_000.0


@dataclass
class CancellingClock:
    """A clock that moves with each wait; after ``seconds``, waits are cancelled."""

    ends: float = 1e9
    passed: float = 0.0
    jumped: float = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(
            now=lambda: START + self.passed + self.jumped,
            monotonic=lambda: 1000.0 + self.passed,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        if self.passed >= self.ends:
            raise asyncio.CancelledError


class ScriptedTransport(Transport):
    """Responds from a list, after some seconds each; an exception is raised."""

    def __init__(
        self, time: CancellingClock, responses: Iterator[object], seconds: float = 0.0
    ) -> None:
        super().__init__(Endpoint("http://localhost", 1.0, 1))
        self._time, self._responses, self._seconds = time, responses, seconds

    def send(
        self,
        text: str,
        question: RequestContext,
        arrival: Arrival | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> HttpResponse:
        self._time.passed += self._seconds
        response = next(self._responses)
        if callable(response):
            response = response()
        if isinstance(response, Exception):
            raise response
        return HttpResponse(200, json.dumps(response).encode())


def usage(*users: str, bytes_total: int = 7, day: str = "2025-11-20") -> dict[str, object]:
    rows = [{"summary_date": day, "cpu_user": user, "bytes_total": bytes_total} for user in users]
    return {"status": "success", "message": "", "usage": rows}


WHOLE_POLL = ("a.mp4", "b.mp4"), ("b.mp4",), ()
"""The files that the responses to a good poll show: the last again, and nothing behind it."""


def listing(*files: str) -> dict[str, object]:
    return {"status": "success", "data": {"sestore4/jb": {"__files": files, "__is_loaded": 1}}}


REFUSED = {"status": "failure", "code": "0003", "message": "bad signature"}


@dataclass
class Polled:
    """A target poller with all that it needs, and what came of it."""

    target: Target
    time: CancellingClock
    responses: list[object]
    seconds: float = 0.0
    credentials: Callable[[], Credentials] = lambda: Credentials("key", "secret")
    finished: Callable[[Target, PollResult], None] | None = None

    def __post_init__(self) -> None:
        """Make what depends on the rest."""
        self.store = Store([self.target])
        self.results: list[PollResult] = []
        transport = ScriptedTransport(self.time, iter(self.responses), self.seconds)
        clock = self.time.clock
        client = Client(
            account="main",
            cdn=158,
            transport=transport,
            timestamps=TimestampAllocator(lambda _: True),
            clock=clock,
            time=ServerTime(clock),
            observe=lambda _: None,
        )
        workers = InlineWorkers()
        account = PolledAccount(
            name="main",
            client=client,
            credentials=CredentialReader(self.credentials),
            limiter=FairLimiter(1, RateLimiter(None, clock), clock, workers),
            breaker=CredentialBreaker(clock),
            limits=WalkLimits(1, 10),
            workers=workers,
        )
        self.poller = TargetPoller(
            self.target,
            account,
            self.store,
            clock,
            random.Random(0),
            self.finished or (lambda _, result: self.results.append(result)),
        )

    def poll(self) -> None:
        asyncio.run(self.poller.poll())

    def run(self, first_wait: float) -> None:
        """Poll until the time ends."""
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(self.poller.run(first_wait))

    def begins(self) -> list[float]:
        """Return when the polls began, in seconds since the start."""
        return [result.finished - 1000.0 - result.seconds for result in self.results]

    def snapshot(self) -> object:
        return self.store.current()[self.target].snapshot(self.time.clock.monotonic())


def test_polls_come_at_the_interval() -> None:
    """The first poll comes after the first wait, then one each interval, from start to start."""
    time = CancellingClock(ends=180.0)
    polled = Polled(USAGE, time, [usage("a")] * 3, seconds=7.0)
    polled.run(0.5)
    assert polled.begins() == [0.5, 60.5, 120.5]


def test_a_late_poll_is_not_made_up_for() -> None:
    """After a poll of two and a half intervals the next one comes at the next due time."""
    time = CancellingClock(ends=340.0)
    polled = Polled(USAGE, time, [usage("a")] * 2, seconds=150.0)
    polled.run(0.0)
    assert polled.begins() == [0.0, 180.0]


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_jump_of_the_time_of_day_changes_no_schedule(jump: float) -> None:
    """Polls come in monotonic time: one that is set does not bring them nearer or put them off."""
    time = CancellingClock(ends=250.0)
    asked: list[float] = []

    def jumping() -> object:
        asked.append(time.passed)
        time.jumped += jump
        return usage("a")

    polled = Polled(USAGE, time, [jumping] * 5)
    polled.run(0.0)
    assert asked == [0.0, 60.0, 120.0, 180.0, 240.0]
    assert [result.reason for result in polled.results] == [None] * 5
    assert polled.snapshot() is not None


def test_a_failed_poll_comes_again_sooner_until_one_is_good() -> None:
    """After failures polls come after 30 s, doubling up to the interval; a good one ends that."""
    time, target = CancellingClock(ends=1000.0), replace(USAGE, interval=200.0)
    responses = [
        HTML,
        HTML,
        HTML,
        HTML,
        HTML,
        usage("a"),
        HTML,
        usage("a"),
    ]
    polled = Polled(target, time, list(responses))
    polled.run(0.0)
    begins = polled.begins()
    waits = [later - sooner for sooner, later in pairwise(begins)]
    assert waits[:7] == [30.0, 60.0, 120.0, 200.0, 200.0, 200.0, 30.0]


@pytest.mark.parametrize("broken", ["session", "schedule"])
def test_a_defect_outside_of_the_requests_ends_no_task(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The next poll comes all the same, and a line for each poll has the traceback."""
    time = CancellingClock(ends=150.0)
    polled = Polled(USAGE, time, [usage("a")] * 3)

    def fail(*_: object) -> None:
        raise ValueError("a defect")

    if broken == "session":
        monkeypatch.setattr("exporter.polling.target_poller.PollSession", fail)
    else:
        monkeypatch.setattr(polled.store, "schedule", fail)
    with capture_logs() as lines:
        polled.run(0.0)
    defects = [line for line in lines if line["log_level"] == "error"]
    assert [line["exc_info"] for line in defects] == [True] * len(defects)
    # Failed polls come after 30 s, then at the interval; good ones at the interval.
    assert (len(defects), len(polled.results)) == ((3, 0) if broken == "session" else (4, 3))


def test_bad_credentials_are_tried_once_an_interval() -> None:
    """After a refusal that is permanent, the next poll comes at the interval."""
    time = CancellingClock(ends=170.0)
    polled = Polled(USAGE, time, [REFUSED] * 3)
    polled.run(0.0)
    assert polled.begins() == [0.0, 60.0, 120.0]


def test_the_next_poll_uses_the_replaced_account() -> None:
    """An account that is put in place of another is used from the next poll on."""
    polled, other = (
        Polled(USAGE, CancellingClock(), [usage("a")]),
        Polled(USAGE, CancellingClock(), [usage("b")]),
    )
    polled.poll()
    polled.poller.account = other.poller.account
    polled.poll()
    snapshot = polled.snapshot()
    assert isinstance(snapshot, DiskUsageSnapshot)
    assert [user.cpu_user for user in snapshot.users] == ["b"]


def test_a_good_poll_stores_a_snapshot() -> None:
    """A good poll puts a snapshot into the store, with when it was and what it cost."""
    time = CancellingClock()
    polled = Polled(USAGE, time, [usage("b", "a")], seconds=2.0)
    polled.poll()
    day = date(2025, 11, 20)
    assert polled.snapshot() == DiskUsageSnapshot((UserUsage("a", day, 7), UserUsage("b", day, 7)))
    assert polled.results == [PollResult(1002.0, 2.0, 1, None)]
    good = polled.store.current()[USAGE].good
    assert good is not None
    assert good.finished == 1002.0


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (REFUSED, Reason.SIGNATURE),
        ({"status": "success"}, Reason.PROTOCOL),
        ([], Reason.PROTOCOL),
        (RuntimeError("a defect"), Reason.PROTOCOL),
        (RecursionError(), Reason.PROTOCOL),
    ],
    ids=str,
)
def test_a_failed_poll_keeps_the_snapshot_and_records_the_reason(
    response: object, reason: Reason
) -> None:
    """For any failure, the last good snapshot stays and the reason is recorded."""
    polled = Polled(USAGE, CancellingClock(), [usage("a"), response])
    polled.poll()
    before = polled.store.current()[USAGE].good
    polled.poll()
    after = polled.store.current()[USAGE]
    assert after.good is before is not None
    assert after.last is not None
    assert after.last.reason is reason
    assert [result.reason for result in polled.results] == [None, reason]


def test_unreadable_secrets_fail_the_poll_as_auth() -> None:
    """A poll without readable secrets makes no request, and fails as auth."""

    def unreadable() -> Credentials:
        raise AuthError("credentials", "the file is gone", "put it back")

    polled = Polled(USAGE, CancellingClock(), [], credentials=unreadable)
    polled.poll()
    failed = PollResult(1000.0, 0.0, 0, Reason.AUTH, cause="the file is gone", advice="put it back")
    assert polled.results == [failed]


def test_secrets_are_read_at_each_poll() -> None:
    """Each poll reads the secrets once, for any number of requests."""
    read = []

    def credentials() -> Credentials:
        read.append(1)
        return Credentials("key", "secret")

    skipped = {"sestore4/jb": {"__is_loaded": 1, "a": {"__is_loaded": 0}}}
    below = {"sestore4/jb/a": {"__is_loaded": 1}}
    responses = [{"status": "success", "data": data} for data in (skipped, below, skipped, below)]
    polled = Polled(FILES, CancellingClock(), list(responses), credentials=credentials)
    polled.poll()
    assert (len(read), polled.results[0].requests) == (1, 2)
    polled.poll()
    assert len(read) == 2


def test_a_cancelled_poll_is_not_recorded() -> None:
    """A poll that is cancelled is forgotten: it says nothing of ScaleEngine."""
    polled = Polled(
        USAGE, CancellingClock(ends=0.0), [{"status": "failure", "code": "0004", "message": ""}]
    )
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        polled.poll()
    assert polled.results == []
    assert [line["event"] for line in lines] == [
        "request failed",
        "request failed, retrying",
    ]
    assert polled.store.list_pending_targets() == (USAGE,)


def test_a_removed_user_is_not_in_the_next_snapshot() -> None:
    """A user that the next good response lacks is not in the next snapshot."""
    polled = Polled(USAGE, CancellingClock(), [usage("a", "b"), usage("b")])
    polled.poll()
    polled.poll()
    snapshot = polled.snapshot()
    assert isinstance(snapshot, DiskUsageSnapshot)
    assert [user.cpu_user for user in snapshot.users] == ["b"]


def test_files_are_counted() -> None:
    """A poll of a path puts its counts into the store."""
    polled = Polled(FILES, CancellingClock(), [listing(*files) for files in WHOLE_POLL])
    polled.poll()
    assert polled.snapshot() == FileCounts(files=2, folders=0)


def test_the_newest_day_counts() -> None:
    """Of each user the newest day counts, in any order; also tomorrow, no later one."""
    rows = [
        {"summary_date": day, "cpu_user": user, "bytes_total": bytes_total}
        for user, day, bytes_total in (
            ("a", "2025-11-19", 1),
            ("b", "2025-11-01", 5),
            ("a", "2025-11-21", "2"),
            ("a", "2025-11-22", 4),
            ("a", "2025-11-20", 3),
        )
    ]
    polled = Polled(USAGE, CancellingClock(), [{"status": "success", "usage": rows}])
    polled.poll()
    snapshot = polled.snapshot()
    assert isinstance(snapshot, DiskUsageSnapshot)
    assert snapshot.users == (
        UserUsage("a", date(2025, 11, 21), 2),
        UserUsage("b", date(2025, 11, 1), 5),
    )
    assert snapshot.rejected_users == set()


def test_only_requested_users_are_published() -> None:
    """Users that were not requested are not published, even if the API returns them."""
    target = DiskUsageTarget("main", 60.0, 180.0, cpu_users=("a",))
    polled = Polled(target, CancellingClock(), [usage("a", "b", "")])
    polled.poll()
    snapshot = polled.snapshot()
    assert isinstance(snapshot, DiskUsageSnapshot)
    assert [user.cpu_user for user in snapshot.users] == ["a"]


def test_users_without_a_response_are_warned_about_once() -> None:
    """A requested user without a row is warned about when that begins, not each time."""
    target = DiskUsageTarget("main", 60.0, 180.0, cpu_users=("a", "b"))
    responses = [usage("a"), usage("a"), usage("a", "b"), usage("a")]
    polled = Polled(target, CancellingClock(), list(responses))
    warned = []
    for _ in responses:
        with capture_logs() as lines:
            polled.poll()
        warned.append([line["cpu_user"] for line in lines if line["log_level"] == "warning"])
    assert warned == [["b"], [], [], ["b"]]


def test_each_poll_is_one_log_line() -> None:
    """Each poll is one line: target, result, duration and requests; a failure says what to do.

    It names the request that failed, and each request is one line of its own at debug.
    """
    responses = [*(listing(*files) for files in WHOLE_POLL), REFUSED]
    polled = Polled(FILES, CancellingClock(), responses, seconds=1.25)
    with capture_logs() as lines:
        polled.poll()
        polled.poll()
    labels = {
        "account": "main",
        "collector": "files",
        "path": "sestore4/jb",
        "file_type": "video",
    }
    target = {**labels, "event": "poll"}
    good = {
        "log_level": "info",
        "result": "ok",
        "duration": 3.75,
        "requests": 3,
        "files": 2,
        "folders": 0,
    }
    bad = {
        "duration": 1.25,
        "request_path": "sestore4/jb",
        "request_offset": 0,
        "requests": 1,
        "log_level": "warning",
        "result": "failed",
        "reason": "signature",
        "cause": f"{REFUSED_SIGNATURE} (0003)",
        "advice": "check api_secret of account 'main'",
    }
    requests = [line for line in lines if line["event"].startswith("request")]
    assert [line for line in lines if line not in requests] == [
        {**target, **good},
        {**target, **bad},
    ]
    assert [(line["event"], line["request_offset"], line["code"]) for line in requests] == [
        ("request", 0, None),
        ("request", 1, None),
        ("request", 3, None),
        ("request failed", 0, "0003"),
    ]
    assert requests[-1] == {
        **labels,
        "log_level": "debug",
        "event": "request failed",
        "command": "files.list",
        "request_path": "sestore4/jb",
        "request_offset": 0,
        "attempt": 1,
        "status": 200,
        "code": "0003",
        "duration": 1.25,
        "bytes": len(json.dumps(REFUSED)),
        "reason": "signature",
        "cause": f"{REFUSED_SIGNATURE} (0003)",
    }


def test_the_first_and_a_recovered_poll_are_logged_at_info() -> None:
    """The first of a target is, a later one is not, and one that ends failures says so."""
    responses = [usage("a"), usage("a"), REFUSED, REFUSED, usage("a", "b"), usage("b")]
    polled = Polled(USAGE, CancellingClock(), responses, seconds=1.0)
    with capture_logs() as lines:
        for _ in responses:
            polled.poll()
    shown = [line for line in lines if line["log_level"] == "info"]
    assert [line["event"] for line in shown] == [
        "poll",
        "poll recovered",
        "CPU users changed",
        "CPU users changed",
    ]
    assert (shown[1]["failures"], shown[1]["after"]) == (2, 2.0)
    assert (shown[2]["added"], shown[2]["removed"]) == ("b", None)
    assert (shown[3]["added"], shown[3]["removed"]) == (None, "a")


def test_a_retry_is_logged_at_info_once_a_minute() -> None:
    """A retry says after which attempt and how long a wait; those within a minute of it do not."""
    busy = [{"status": "failure", "code": "0004", "message": "x"}] * 2
    polled = Polled(USAGE, CancellingClock(), [*busy, usage("a"), *busy, usage("a")], seconds=1.0)
    with capture_logs() as lines:
        polled.poll()
        polled.poll()
    retries = [line for line in lines if line["event"] == "request failed, retrying"]
    assert [(line["log_level"], line["attempt"]) for line in retries] == [("info", 1)]
    assert retries[0]["reason"] == "server"
    assert retries[0]["wait"] >= 0.5
    attempts = [line["attempt"] for line in lines if line["event"].startswith("request")]
    assert attempts == [1, 1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EMFILE, ""), RuntimeError("can't start new thread")],
    ids=repr,
)
@pytest.mark.parametrize("target", [USAGE, FILES])
def test_a_resource_limit_fails_the_poll_as_network(target: Target, error: Exception) -> None:
    """Where resources run out the poll is tried again, and fails as network with the limit."""
    polled = Polled(target, CancellingClock(), [error] * 3)
    with capture_logs() as lines:
        polled.poll()
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["event"], line["reason"]) == ("poll", "network")
    assert str(line["cause"]).startswith("this process ")
    assert polled.results[0].requests == 3


def test_a_poll_without_a_thread_fails_as_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll whose requests get no thread fails in the same way."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    polled = Polled(FILES, CancellingClock(), [])
    polled.poller.account = replace(polled.poller.account, workers=WorkerPool())
    monkeypatch.setattr(threading.Thread, "start", fail)
    with capture_logs() as lines:
        polled.poll()
    (line,) = lines
    assert (line["reason"], line["requests"]) == ("network", 0)
    assert str(line["cause"]).startswith(THREAD_LIMIT)


def test_a_defect_while_recording_ends_one_poll() -> None:
    """What fails while a poll is recorded is logged once, and the next poll is made on schedule."""

    def fail(_: Target, __: PollResult) -> None:
        raise RuntimeError("a defect")

    polled = Polled(USAGE, CancellingClock(ends=50.0), [usage("a"), usage("a")], finished=fail)
    with capture_logs() as lines:
        polled.run(0.0)
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["exc_info"] for line in errors] == [True, True]
    assert polled.time.passed >= 50.0


def test_a_defect_is_logged_with_its_traceback() -> None:
    """A defect of the exporter fails the poll, and its traceback is logged to be reported."""
    polled = Polled(USAGE, CancellingClock(), [RuntimeError("a defect")])
    with capture_logs() as lines:
        polled.poll()
    logged = [line for line in lines if line["log_level"] != "debug"]
    assert [(line["log_level"], line.get("exc_info")) for line in logged] == [
        ("error", True),
        ("warning", None),
    ]
