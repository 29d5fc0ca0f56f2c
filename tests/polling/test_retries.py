"""A transient failure is retried: with a new signature, later each time, and not endlessly."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.recovery import RetryPolicy
from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    CorrectedClockError,
    IncompleteError,
    NetworkError,
    ProtocolError,
    RateLimitedError,
    Reason,
    RequestTimeoutError,
    ScaleEngineError,
    ServerError,
    SignatureError,
    TooManyRequestsError,
)
from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.polling.times import make_session, run_poll
from tests.support.clocks import FakeClock, FixedRandom, LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import BUSY, FAILING, NOT_FOUND, Fault, HttpError, Refusal, TimesOut
from tests.support.fixtures import OpenAccount
from tests.support.timers import ManualTimers

USAGE = DiskUsageTarget("main", interval=900.0, stale_after=3600.0)
FILES = FilesTarget("main", 900.0, 3600.0, "sestore4/jb", "video")
TREE = Folder(files={f"{number:04}.mp4": FileType.VIDEO for number in range(450)})
ACCOUNT = SimulatedAccount(
    cdn=158,
    api_key=KEY,
    api_secret=SECRET,
    usage=steady_usage({"demo": 1024}),
    storage=Folder(folders={"sestore4": Folder(folders={"jb": TREE})}),
)
EVERY_REASON = [
    (AuthError, None, 1),
    (SignatureError, None, 1),
    (ClockError, None, 1),
    (CorrectedClockError, None, 2),
    (RateLimitedError, None, 3),
    (TooManyRequestsError, None, 3),
    (ServerError, None, 3),
    (RequestTimeoutError, None, 3),
    (NetworkError, None, 3),
    (ProtocolError, None, 1),
    (ApiError, None, 1),
    (IncompleteError, None, 1),
]


class FailingApi:
    """Fails with one error after the other, and remembers when it was called."""

    def __init__(self, time: FakeClock, *failures: Exception) -> None:
        self._time = time
        self._failures = iter(failures)
        self.called: list[float] = []

    async def call(self) -> str:
        self.called.append(self._time.monotonic)
        failure = next(self._failures, None)
        if failure is not None:
            raise failure
        return "a response"


def failed(kind: type[ScaleEngineError], retry_after: float | None = None) -> ScaleEngineError:
    return kind("files.list", "a cause", "a next step", retry_after)


def retry(
    time: FakeClock, api: FailingApi, rng: random.Random | None = None, end: float = 1e6
) -> str:
    """Call the API until it succeeds, or fails for good."""

    async def call() -> str:
        policy = RetryPolicy(time.clock, rng or random.Random(0), end)
        return await policy.retry(api.call, lambda: True, lambda *_: None)

    return asyncio.run(call())


@pytest.mark.parametrize(("kind", "retry_after", "attempts"), EVERY_REASON)
def test_only_transient_failures_are_retried_up_to_three_attempts(
    kind: type[ScaleEngineError], retry_after: float | None, attempts: int
) -> None:
    """Only what may pass is tried again, three times in all; a clock that is off once more."""
    time, failure = FakeClock(0.0), failed(kind, retry_after)
    api = FailingApi(time, *[failure] * 9)
    with pytest.raises(kind) as caught:
        retry(time, api)
    assert caught.value is failure
    assert len(api.called) == attempts


def test_every_reason_has_its_number_of_attempts() -> None:
    """The table of attempts leaves out no reason."""
    assert {kind.reason for kind, _, _ in EVERY_REASON} == set(Reason)


def test_a_defect_is_not_retried() -> None:
    """A defect is not tried again."""
    api = FailingApi(time := FakeClock(0.0), ValueError("a defect"))
    with pytest.raises(ValueError, match="a defect"):
        retry(time, api)
    assert len(api.called) == 1


@pytest.mark.parametrize(
    ("share", "retry_after", "called"),
    [
        (0.0, None, [0.0, 0.5, 1.5]),
        (1.0, None, [0.0, 1.0, 3.0]),
        (0.0, 0.0, [0.0, 0.5, 1.5]),
        (0.0, 0.6, [0.0, 0.6, 1.6]),
        (0.0, 10.0, [0.0, 10.0, 20.0]),
        (1.0, 10.0, [0.0, 10.5, 21.5]),
        (0.0, 100.0, [0.0, 100.0, 200.0]),
    ],
)
def test_waits_grow_and_respect_retry_after(
    share: float, retry_after: float | None, called: list[float]
) -> None:
    """Waits grow, spread at random; never shorter than what ScaleEngine asks for."""
    time = FakeClock(0.0)
    api = FailingApi(time, *[failed(ServerError, retry_after)] * 2)
    assert retry(time, api, FixedRandom(share)) == "a response"
    assert api.called == called


@given(st.integers(), st.none() | st.floats(0, 1000))
def test_a_random_wait_is_at_most_twice_its_minimum(seed: int, asked: float | None) -> None:
    """A wait is at least what is asked for, and at most twice its least."""
    time = FakeClock(0.0)
    api = FailingApi(time, *[failed(ServerError, asked)] * 2)
    retry(time, api, random.Random(seed))
    first, second, third = api.called
    for wait, least in ((second - first, 0.5), (third - second, 1.0)):
        assert max(least, asked or 0.0) - 1e-9 <= wait <= max(least, asked or 0.0) + least + 1e-9


def test_a_corrected_time_is_retried_without_wait() -> None:
    """With ScaleEngine's own time at hand the request is made again at once."""
    time = FakeClock(0.0)
    api = FailingApi(time, failed(CorrectedClockError))
    assert retry(time, api) == "a response"
    assert (api.called, time.waits) == ([0.0, 0.0], [])


CLOCK = failed(CorrectedClockError)
SERVER = failed(ServerError)


@pytest.mark.parametrize(
    ("failures", "called"),
    [
        ([SERVER, CLOCK], [0.0, 0.5, 0.5]),
        ([SERVER, SERVER, CLOCK], [0.0, 0.5, 1.5, 1.5]),
        ([CLOCK, SERVER], [0.0, 0.0, 0.5]),
        ([CLOCK, SERVER, SERVER], [0.0, 0.0, 0.5, 1.5]),
        ([SERVER, CLOCK, SERVER], [0.0, 0.5, 0.5, 1.5]),
    ],
)
def test_a_refused_time_uses_up_no_other_attempt(
    failures: list[ScaleEngineError], called: list[float]
) -> None:
    """The attempt with ScaleEngine's own time takes none away from the others, nor they from it."""
    time = FakeClock(0.0)
    api = FailingApi(time, *failures)
    assert retry(time, api, FixedRandom(0.0)) == "a response"
    assert api.called == called


@pytest.mark.parametrize(
    ("failures", "attempts"),
    [
        ([SERVER, CLOCK, CLOCK, CLOCK], 3),
        ([CLOCK, SERVER, CLOCK, CLOCK], 3),
        ([SERVER, SERVER, CLOCK, SERVER, SERVER], 4),
        ([CLOCK, SERVER, SERVER, SERVER, SERVER], 4),
        ([SERVER, SERVER, SERVER, CLOCK], 3),
    ],
)
def test_a_request_has_four_attempts_at_most(
    failures: list[ScaleEngineError], attempts: int
) -> None:
    """A request is sent twice with a refused time, three times otherwise: four times at most."""
    api = FailingApi(time := FakeClock(0.0), *failures)
    with pytest.raises(ScaleEngineError) as caught:
        retry(time, api)
    assert len(api.called) == attempts
    assert caught.value is failures[attempts - 1]


@pytest.mark.parametrize(("until", "attempts"), [(60.0, 2), (59.9, 1), (119.9, 2), (120.0, 3)])
def test_no_attempt_is_made_after_the_end_of_the_poll(until: float, attempts: int) -> None:
    """No attempt is made after the end of the poll's time, and none is waited for."""
    time = FakeClock(0.0)
    api = FailingApi(time, *[failed(RateLimitedError, 60.0)] * 9)
    with pytest.raises(RateLimitedError):
        retry(time, api, FixedRandom(0.0), until)
    assert len(api.called) == attempts
    assert time.monotonic == 60.0 * (attempts - 1)


PASSING_FAULTS = [
    (BUSY, 120.0),
    (FAILING, 0.5),
    (HttpError(429), 0.5),
    (HttpError(429, retry_after="1"), 1.0),
    (HttpError(429, retry_after="0"), 0.5),
    (HttpError(429, retry_after="40"), 40.0),
    (HttpError(429, retry_after="soon"), 0.5),
    (HttpError(500), 0.5),
    (HttpError(503, retry_after="7"), 7.0),
    (Fault.HANG, 0.5),
    (Fault.SLOW_BODY, 0.5),
    (Fault.RESET, 0.5),
    (Fault.RESET_IN_BODY, 0.5),
]


@pytest.mark.parametrize(("fault", "least"), PASSING_FAULTS, ids=str)
@pytest.mark.parametrize("number", [1, 3])
def test_a_transient_failure_is_retried_with_a_new_signature(
    open_account: OpenAccount,
    leaping: LeapingClock,
    fault: Fault | Refusal | HttpError,
    least: float,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault of one request does not fail the poll: it is signed again and sent again."""
    clock, timers = leaping.clock, ManualTimers()
    timers.install(monkeypatch)
    rule = FaultRule(fault, requests=(number,))
    if fault in (Fault.HANG, Fault.SLOW_BODY):
        out_of_time = TimesOut(timers.expire, in_body=fault is Fault.SLOW_BODY)
        rule = replace(rule, fault=out_of_time)
    behaviour = Behaviour(faults=(rule,))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping, max_concurrency=1) as account,
    ):
        calls = make_session(account, FILES)
        began = clock.monotonic()
        assert run_poll(calls, FILES) == FileCounts(files=450, folders=0)
        assert clock.monotonic() - began >= least
        assert calls.requests == simulator.request_count == 7
        faults, again = simulator.requests[number - 1 : number + 1]
    assert (faults.path, faults.offset) == (again.path, again.offset)
    assert faults.timestamp != again.timestamp
    assert again.code is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Refusal("0001"), Reason.AUTH),
        (Refusal("0003"), Reason.SIGNATURE),
        (Refusal("0005"), Reason.AUTH),
        (NOT_FOUND, Reason.API),
        (HttpError(401), Reason.AUTH),
        (Fault.HTML_PAGE, Reason.PROTOCOL),
        (Fault.REDIRECT, Reason.PROTOCOL),
    ],
    ids=str,
)
def test_a_permanent_failure_ends_the_poll(
    open_account: OpenAccount,
    leaping: LeapingClock,
    fault: Fault | Refusal | HttpError,
    reason: Reason,
) -> None:
    """A permanent failure takes one request, and no wait."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(fault),))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        calls = make_session(account, USAGE)
        with pytest.raises(ScaleEngineError) as caught:
            run_poll(calls, USAGE)
        assert calls.requests == simulator.request_count == 1
    assert caught.value.reason is reason


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_wrong_clock_costs_one_more_request(
    open_account: OpenAccount, leaping: LeapingClock, ahead: float
) -> None:
    """A refused time costs the first poll one request more, and later polls none."""
    clock = leaping.clock
    with (
        Simulator([ACCOUNT], clock=lambda: clock.now() + ahead) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        made = []
        for _ in range(2):
            calls = make_session(account, FILES)
            assert run_poll(calls, FILES) == FileCounts(files=450, folders=0)
            made.append(calls.requests)
        assert simulator.request_count == sum(made)
    assert made == [7, 6]


def test_a_wrong_clock_after_a_server_failure_is_corrected(
    open_account: OpenAccount, leaping: LeapingClock
) -> None:
    """Code 0004 and then 0002 within one request still leads to ScaleEngine's time."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(FAILING, requests=(1,)),))
    with (
        Simulator([ACCOUNT], behaviour, clock=lambda: clock.now() + 3600.0) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        calls = make_session(account, USAGE)
        assert isinstance(run_poll(calls, USAGE), DiskUsageSnapshot)
        assert [request.code for request in simulator.requests] == ["0004", "0002", None]


@pytest.mark.parametrize(("max_requests", "made"), [(1, 1), (2, 2), (3, 3), (10, 3)])
def test_attempts_count_towards_the_request_limit(
    open_account: OpenAccount, leaping: LeapingClock, max_requests: int, made: int
) -> None:
    """What a poll may ask in all bounds its attempts; the cause of the last one is shown."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(FAILING),))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping, max_requests=max_requests) as account,
    ):
        calls = make_session(account, USAGE)
        with pytest.raises(ServerError):
            run_poll(calls, USAGE)
        assert calls.requests == simulator.request_count == made


def test_a_walk_at_its_request_limit_is_not_retried(
    open_account: OpenAccount, leaping: LeapingClock
) -> None:
    """A walk that needs all its requests has none left for trying again, and says so."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(FAILING, requests=(2,)),))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping, max_requests=5) as account,
    ):
        calls = make_session(account, FILES)
        with pytest.raises(IncompleteError, match="more than 5 requests") as caught:
            run_poll(calls, FILES)
        assert calls.requests == simulator.request_count == 5
    assert "max_requests_per_poll" in caught.value.advice


def test_cancelling_ends_the_wait_for_another_attempt(open_account: OpenAccount) -> None:
    """Cancelled while it waits to try again, a poll makes no further request."""

    async def cancel_while_it_waits(account: PolledAccount) -> None:
        waiting = asyncio.Event()

        async def sleep(_: float) -> None:
            waiting.set()
            await asyncio.get_running_loop().create_future()

        clock = replace(account.client.clock, sleep=sleep)
        account = replace(account, client=replace(account.client, clock=clock))
        task = asyncio.create_task(poll_target(USAGE, make_session(account, USAGE)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert account.limiter.is_idle

    with (
        Simulator([ACCOUNT], Behaviour(faults=(FaultRule(BUSY),))) as simulator,
        open_account(simulator) as account,
    ):
        asyncio.run(cancel_while_it_waits(account))
        assert simulator.request_count == 1


def test_a_failed_walk_ends_waits_for_retries(open_account: OpenAccount) -> None:
    """Where one request of a walk fails for good, others do not go on waiting to try again."""
    folders = {name: Folder(files={"1.mp4": FileType.VIDEO}) for name in "ab"}
    storage = Folder(files={f"{n}": FileType.VIDEO for n in range(100)}, folders=folders)
    stored = SimulatedAccount(158, KEY, SECRET, storage=Folder(folders={"sestore4": storage}))
    target = FilesTarget("main", 900.0, 3600.0, "sestore4", "video")
    faults = (FaultRule(BUSY, path="sestore4/a"), FaultRule(Fault.HTML_PAGE, path="sestore4/b"))
    with Simulator([stored], Behaviour(faults=faults)) as simulator:
        with open_account(simulator) as account, pytest.raises(ProtocolError):
            run_poll(make_session(account, target), target)
        assert simulator.request_count <= 3


def test_a_rate_limited_account_sends_no_request(
    open_account: OpenAccount, leaping: LeapingClock
) -> None:
    """Where one target was asked to wait, the others of its account make no request meanwhile."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(HttpError(429, retry_after="40"), requests=(1,)),))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping, max_requests=1) as account,
    ):
        with pytest.raises(TooManyRequestsError):
            run_poll(make_session(account, FILES), FILES)
        calls, began = make_session(account, USAGE), clock.monotonic()
        assert isinstance(run_poll(calls, USAGE), DiskUsageSnapshot)
        assert clock.monotonic() - began >= 39.0
        assert calls.requests == 1
        assert [request.command for request in simulator.requests] == ["files.list", "disk.usage"]


def test_a_rate_limited_account_is_polled_again_after_an_hour(
    open_account: OpenAccount, leaping: LeapingClock
) -> None:
    """However long ScaleEngine asks for, after an hour the account is polled again."""
    clock = leaping.clock
    behaviour = Behaviour(faults=(FaultRule(HttpError(429, retry_after="9" * 30), requests=(1,)),))
    with (
        Simulator([ACCOUNT], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        polls = [make_session(account, USAGE) for _ in range(2)]
        for calls in polls:
            with pytest.raises(TooManyRequestsError):
                run_poll(calls, USAGE)
        assert [calls.requests for calls in polls] == [1, 0]
        leaping.wait(3600.0)
        assert isinstance(run_poll(make_session(account, USAGE), USAGE), DiskUsageSnapshot)
