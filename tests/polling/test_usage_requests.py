"""Many CPU users are asked for in several requests, which together make one snapshot or none."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import count

import pytest

from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import DiskUsageSnapshot, SnapshotLimits, UserUsage
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.usage import poll_disk_usage
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import InlineWorkers
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import Clock, since_boot
from exporter.scaleengine.disk_usage import compute_window_start
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import ApiError, IncompleteError, LimitReachedError
from exporter.scaleengine.message_body import BODY_LIMIT, HttpResponse
from exporter.scaleengine.response_memory import Arrival
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Behaviour, FaultRule, SimulatedAccount, Simulator, steady_usage
from exporter.simulator.php import PhpValue
from tests.polling.times import make_session
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Refusal
from tests.support.fixtures import OpenAccount
from tests.support.sentences import LONG_LABEL

NOW = datetime(2014, 11, 11, 23, 59, 58, tzinfo=UTC).timestamp()
TODAY = date(2014, 11, 11)
USERS = tuple(f"user-{number}" for number in range(10))
TWO_USERS = 64 * 1024 + 2 * 31 * (256 + 20)
"""Bytes of a response that holds two users' rows, but not three's."""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator of an account with ten CPU users and two that are not requested."""
    usage = steady_usage({user: number for number, user in enumerate((*USERS, "", "more"))})
    account = SimulatedAccount(cdn=158, api_key=KEY, api_secret=SECRET, usage=usage)
    with Simulator([account], clock=lambda: NOW) as running:
        yield running


class FakeTransport(Transport):
    """Responds with thirty days of the users that a request names, or of all ``always``."""

    def __init__(self, always: Sequence[str] = ()) -> None:
        super().__init__(Endpoint("http://localhost", 60.0, 1))
        self._always = always
        self._lock = threading.Lock()
        self._under_way = 0
        self.most_under_way = 0
        self.requests: list[dict[str, PhpValue]] = []
        self.timestamps: list[int] = []
        self.largest = 0

    def send(
        self,
        text: str,
        question: RequestContext,
        arrival: Arrival | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> HttpResponse:
        del question, arrival, monotonic
        request = json.loads(text)
        with self._lock:
            self._under_way += 1
            self.most_under_way = max(self.most_under_way, self._under_way)
            self.requests.append(request)
            self.timestamps.append(request["timestamp"])
        cpu = request["cpu"]
        users = self._always or ([cpu] if isinstance(cpu, str) else cpu)
        rows = ",".join(
            f'{{"summary_date":"2014-{day}","cpu_user":"{user}","bytes_total":"{1_000 + number}"}}'
            for day in (f"{10 + day // 30}-{day % 30 + 1:02}" for day in range(11, 41))
            for number, user in enumerate(users)
        )
        body = f'{{"usage":[{rows}],"status":"success"}}'.encode()
        self.largest = max(self.largest, len(body))
        with self._lock:
            self._under_way -= 1
        return HttpResponse(200, body)


def calls_of(
    transport: Transport,
    target: DiskUsageTarget,
    max_concurrency: int = 4,
    max_requests: int = 100,
    limits: SnapshotLimits | None = None,
) -> PollSession:
    """Return the requests of a poll whose time goes on by a second at each look at the clock."""
    seconds = count()
    clock = Clock(now=lambda: NOW + next(seconds), monotonic=lambda: 0.0)
    client = Client(
        "main",
        158,
        transport,
        TimestampAllocator(lambda _: True),
        clock,
        ServerTime(clock),
        lambda _: None,
    )
    workers = InlineWorkers()
    account = PolledAccount(
        name="main",
        client=client,
        credentials=CredentialReader(lambda: Credentials(KEY, SECRET)),
        limiter=FairLimiter(max_concurrency, RateLimiter(None, clock), clock, workers),
        breaker=CredentialBreaker(clock),
        limits=WalkLimits(max_concurrency, max_requests, limits or SnapshotLimits()),
        workers=workers,
    )
    return make_session(account, target)


def named(users: Sequence[str]) -> DiskUsageTarget:
    """Return a target of these users."""
    return DiskUsageTarget("main", 3600.0, 10800.0, tuple(users))


def test_several_requests_make_one_snapshot(
    simulator: Simulator, open_account: OpenAccount
) -> None:
    """Each user is asked for once, for the same thirty days, and has its number."""
    target = named(USERS)
    clock = Clock(now=lambda: NOW)
    with open_account(simulator, clock=clock) as account:
        session = make_session(account, target)
        snapshot = asyncio.run(poll_disk_usage(target, session, TWO_USERS))

    assert snapshot == DiskUsageSnapshot(
        tuple(UserUsage(user, TODAY, number) for number, user in enumerate(USERS))
    )
    assert (session.requests, simulator.request_count) == (5, 5)
    asked = [request.cpu for request in simulator.requests]
    assert sorted(asked, key=str) == [USERS[first : first + 2] for first in range(0, 10, 2)]
    assert {request.starttime for request in simulator.requests} == {compute_window_start(NOW)}


def test_requests_before_and_after_midnight_are_for_the_same_days() -> None:
    """All requests are for the thirty days of the first, though the day is another by then."""
    transport, target = FakeTransport(), named(USERS)
    asyncio.run(poll_disk_usage(target, calls_of(transport, target), TWO_USERS))

    assert len(transport.requests) == 5
    assert {request["starttime"] for request in transport.requests} == {compute_window_start(NOW)}
    assert max(transport.timestamps) > NOW + 2


def test_a_wrong_clock_gives_the_days_of_scaleengine(
    simulator: Simulator, open_account: OpenAccount
) -> None:
    """Once ScaleEngine's time is known, the thirty days are those up to its today."""
    target = named(USERS)
    clock = Clock(now=lambda: NOW - 3 * 86_400)
    with open_account(simulator, clock=clock) as account:
        session = make_session(account, target)
        snapshot = asyncio.run(poll_disk_usage(target, session, TWO_USERS))

    assert {user.day for user in snapshot.users} == {TODAY}
    accepted = [request for request in simulator.requests if request.code is None]
    assert {call.starttime for call in accepted} == {compute_window_start(NOW)}
    assert (len(accepted), simulator.request_count) == (5, 6)


def test_one_failure_fails_the_poll(simulator: Simulator, open_account: OpenAccount) -> None:
    """A request that fails leaves no part of a snapshot; its error is that of the poll."""
    target = named(USERS)
    simulator.behave(Behaviour(faults=(FaultRule(Refusal("0006"), requests=(3,)),)))
    clock = Clock(now=lambda: NOW)
    with open_account(simulator, clock=clock) as account:
        session = make_session(account, target)
        with pytest.raises(ApiError):
            asyncio.run(poll_disk_usage(target, session, TWO_USERS))


def test_the_first_failure_ends_the_poll(simulator: Simulator, open_account: OpenAccount) -> None:
    """The requests that have not begun by then are not made."""
    target = named([f"user-{number}" for number in range(100)])
    faults = FaultRule(Refusal("0006"), requests=(2,))
    simulator.behave(Behaviour(latency=0.02, faults=(faults,)))
    clock = Clock(now=lambda: NOW)
    with open_account(simulator, max_concurrency=1, clock=clock) as account:
        session = make_session(account, target)
        with pytest.raises(ApiError):
            asyncio.run(poll_disk_usage(target, session, TWO_USERS))

    assert 2 <= simulator.request_count < 50


def test_too_many_users_fail_the_poll_as_incomplete() -> None:
    """A poll of too many users fails as incomplete, and says what to configure."""
    transport, target = FakeTransport(), named(USERS)
    with pytest.raises(IncompleteError) as caught:
        asyncio.run(poll_disk_usage(target, calls_of(transport, target, max_requests=4), TWO_USERS))

    assert caught.value.advice == "raise api.max_requests_per_poll, or configure fewer cpu_users"
    assert len(transport.requests) == 4


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (SnapshotLimits(users=len(USERS), label_length=8), None),
        (
            SnapshotLimits(users=len(USERS) - 1),
            (
                f"the account has {len(USERS)} CPU users, and {len(USERS) - 1} are allowed: "
                "raise limits.users_per_account, or name the users that matter in "
                "disk_usage.cpu_users"
            ),
        ),
        (
            SnapshotLimits(label_length=2),
            (
                f"the name of a CPU user has {{}} {LONG_LABEL} 2: "
                "raise limits.label_length, or name the users that matter in disk_usage.cpu_users"
            ),
        ),
    ],
)
def test_too_many_found_users_fail_the_poll(limits: SnapshotLimits, sentence: str | None) -> None:
    """A poll that finds too much has no number, and says which setting allows more."""
    transport, target = FakeTransport(), named(USERS)
    session = calls_of(transport, target, limits=limits)
    if sentence is None:
        assert len(asyncio.run(poll_disk_usage(target, session)).users) == len(USERS)
        return
    with pytest.raises(LimitReachedError) as caught:
        asyncio.run(poll_disk_usage(target, session))
    assert str(caught.value) == sentence.format(max(map(len, USERS)))


def test_concurrent_requests_are_limited() -> None:
    """There are no more than the account may have."""
    transport, target = FakeTransport(), named([f"user-{number}" for number in range(100)])
    asyncio.run(poll_disk_usage(target, calls_of(transport, target, max_concurrency=2), TWO_USERS))

    assert len(transport.requests) == 50
    assert transport.most_under_way <= 2


def test_a_server_that_ignores_the_requested_users_is_counted_right() -> None:
    """Each user's number is that of the request for it; others are not published."""
    transport, target = FakeTransport(always=(*USERS, "more")), named(USERS)
    snapshot = asyncio.run(poll_disk_usage(target, calls_of(transport, target), TWO_USERS))

    assert [user.cpu_user for user in snapshot.users] == list(USERS)
    assert [user.bytes for user in snapshot.users] == [1_000 + number for number in range(10)]


def test_two_thousand_users_take_a_few_responses() -> None:
    """Thirty days of each are read in a few responses, all well below the limit."""
    users = [f"customer-{number:05}" for number in range(2_000)]
    transport, target = FakeTransport(), named(users)
    snapshot = asyncio.run(poll_disk_usage(target, calls_of(transport, target), BODY_LIMIT // 7))

    assert [user.cpu_user for user in snapshot.users] == users
    assert {user.day for user in snapshot.users} == {TODAY}
    assert 2 <= len(transport.requests) <= 5
    assert transport.largest < BODY_LIMIT // 7


def test_memory_grows_with_one_response() -> None:
    """Of each response no more is kept than a row a user."""
    target = named([f"user-{number}" for number in range(400)])
    peaks = []
    for max_bytes in (2**25, 2**19):
        transport = FakeTransport()
        session = calls_of(transport, target, max_concurrency=1)
        tracemalloc.start()
        try:
            asyncio.run(poll_disk_usage(target, session, max_bytes))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert len(transport.requests) == (1 if max_bytes == 2**25 else 8)
    assert peaks[1] < peaks[0] / 3
