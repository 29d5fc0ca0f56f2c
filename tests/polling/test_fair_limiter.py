"""The targets of an account take turns, and never more requests are in flight than allowed."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.targets import FilesTarget
from exporter.polling.workers import InlineWorkers, WorkerPool
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import Reason
from tests.support.clocks import FakeClock


def target(path: str) -> FilesTarget:
    return FilesTarget("main", 60.0, 180.0, path, "video")


class Request:
    """A request that is in flight until it is ended."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.may_end = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class LimitedRequests:
    """Requests that wait for turns, and which have begun so far, in order."""

    def __init__(self, limiter: FairLimiter) -> None:
        self.limiter = limiter
        self.begun: list[Request] = []

    async def add(self, path: str) -> Request:
        """Let a request of a target wait for its turn."""
        request = Request(path)
        request.task = asyncio.create_task(self._send(request))
        await settle()
        return request

    async def end(self, request: Request) -> None:
        """End a request that is in flight."""
        request.may_end.set()
        await settle()

    async def cancel(self, request: Request) -> None:
        """Cancel a request, in flight or not."""
        assert request.task is not None
        request.task.cancel()
        await settle()

    async def _send(self, request: Request) -> None:
        async with self.limiter.slot(target(request.path)):
            self.begun.append(request)
            await request.may_end.wait()


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def limiter_of(
    max_concurrency: int, per_second: float | None = None, clock: Clock | None = None
) -> FairLimiter:
    clock = clock or Clock(monotonic=lambda: 0.0)
    return FairLimiter(max_concurrency, RateLimiter(per_second, clock), clock, InlineWorkers())


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@settings(max_examples=60)
@given(max_concurrency=st.integers(1, 4), rng=st.randoms(use_true_random=False))
def test_any_order_of_requests_is_fair_and_limited(
    max_concurrency: int, rng: random.Random
) -> None:
    """Never more requests than allowed are in flight, no place is left empty, and all are fair.

    Fair is: while a request waits, no other target begins more requests than one for each request
    of the waiting target that was made before, and one. Some are cancelled meanwhile.
    """

    async def run() -> None:
        limited = LimitedRequests(limiter_of(max_concurrency))
        waiting: list[tuple[Request, int, int]] = []
        in_flight: list[Request] = []
        seen = 0
        for _ in range(rng.randint(4, 24)):
            choice = rng.random()
            if in_flight and choice < 0.4:
                request = in_flight.pop(rng.randrange(len(in_flight)))
                await (limited.cancel(request) if choice < 0.1 else limited.end(request))
            elif waiting and choice < 0.5:
                await limited.cancel(waiting.pop(rng.randrange(len(waiting)))[0])
            else:
                path = rng.choice("abc")
                ahead = sum(request.path == path for request, _, _ in waiting)
                begun = len(limited.begun)
                waiting.append((await limited.add(path), ahead, begun))
            while seen < len(limited.begun):
                begun_now = limited.begun[seen]
                seen += 1
                position = [request for request, _, _ in waiting].index(begun_now)
                _, ahead, since = waiting.pop(position)
                in_flight.append(begun_now)
                others = Counter(request.path for request in limited.begun[since : seen - 1])
                del others[begun_now.path]
                assert all(turns <= ahead + 1 for turns in others.values())
                assert begun_now.path not in {earlier.path for earlier, _, _ in waiting[:position]}
            assert len(in_flight) <= max_concurrency
            assert len(in_flight) == max_concurrency or not waiting
        for request in [*in_flight, *(request for request, _, _ in waiting)]:
            await limited.cancel(request)
        assert limited.limiter.is_idle

    in_loop(run)


def test_slots_of_a_closed_loop_are_free_in_the_next() -> None:
    """Places that tasks of a closed loop hold or wait for are free in the next loop."""
    limited = LimitedRequests(limiter_of(1))
    loop = asyncio.new_event_loop()
    lost = [loop.run_until_complete(limited.add(path)) for path in "ab"]
    loop.close()
    limited.limiter.change(2, None)

    async def run() -> None:
        requests = [await limited.add(path) for path in "cde"]
        assert limited.begun == [lost[0], *requests[:2]]
        limited.begun.clear()
        lost.clear()
        gc.collect()
        for request in requests:
            await limited.cancel(request)
        assert limited.limiter.is_idle

    in_loop(run)


def test_a_walk_that_floods_does_not_hold_back_the_disk_usage() -> None:
    """A request made while many of another target wait has its turn after one of those."""

    async def run() -> None:
        limited = LimitedRequests(limiter_of(2))
        walk = [await limited.add("walk") for _ in range(20)]
        usage = await limited.add("usage")
        await limited.end(walk[0])
        assert limited.begun[-1] is walk[2]
        await limited.end(walk[1])
        assert limited.begun[-1] is usage
        for request in (*walk, usage):
            await limited.cancel(request)

    in_loop(run)


def test_a_slow_rate_keeps_the_order_fair() -> None:
    """One request at a time waits for the rate, so that a free place is no place in a queue."""

    async def run() -> None:
        released = asyncio.Event()
        monotonic = 0.0

        async def sleep(seconds: float) -> None:
            nonlocal monotonic
            await released.wait()
            released.clear()
            monotonic += seconds

        limited = LimitedRequests(
            limiter_of(8, 1.0, Clock(monotonic=lambda: monotonic, sleep=sleep))
        )
        walk = [await limited.add("walk") for _ in range(6)]
        usage = await limited.add("usage")
        order = [walk[0]]
        for following in (walk[1], walk[2], usage):
            assert limited.begun == order
            released.set()
            await settle()
            order.append(following)
        assert limited.begun == order
        for request in (*walk, usage):
            await limited.cancel(request)

    in_loop(run)


def test_a_slot_is_free_after_an_exception() -> None:
    """A request that fails gives its place back."""

    async def run() -> None:
        limiter = limiter_of(1)
        for _ in range(3):
            with pytest.raises(ValueError, match="a defect"):
                async with limiter.slot(target("a")):
                    raise ValueError("a defect")
        assert limiter.is_idle

    in_loop(run)


def test_a_slot_is_free_after_its_wait_failed() -> None:
    """A request that fails before it has begun gives its place back, too."""

    async def sleep(_: float) -> None:
        raise ValueError("a defect")

    async def run() -> None:
        limiter = limiter_of(1, 1.0, Clock(monotonic=lambda: 0.0, sleep=sleep))
        async with limiter.slot(target("a")):
            pass
        for _ in range(3):
            with pytest.raises(ValueError, match="a defect"):
                async with limiter.slot(target("a")):
                    pytest.fail("the rate was not kept")
        assert limiter.is_idle

    in_loop(run)


def test_a_pause_never_shortens_an_earlier_one() -> None:
    """A pause never shortens an earlier one, and other limits change nothing of it."""
    time = FakeClock(100.0)
    limiter = limiter_of(1, None, time.clock)
    found = [limiter.pause_left()]
    for seconds in (0.0, 30.0, 10.0, 60.0):
        limiter.pause(seconds)
        found.append(limiter.pause_left())
    limiter.change(4, 1.0)
    for monotonic in (130.0, 1e6):
        time.monotonic = monotonic
        found.append(limiter.pause_left())

    assert found == [0.0, 0.0, 30.0, 30.0, 60.0, 30.0, 0.0]


def test_a_higher_concurrency_starts_waiting_requests() -> None:
    """When more requests may be in flight, those that wait begin."""

    async def run() -> None:
        limited = LimitedRequests(limiter_of(1))
        requests = [await limited.add(path) for path in ("walk", "usage", "other")]
        limited.limiter.change(3, None)
        await settle()
        assert limited.begun == requests
        for request in requests:
            await limited.end(request)

    in_loop(run)


def test_no_request_begins_above_a_lowered_concurrency() -> None:
    """When fewer requests may be in flight, none begins until enough of them have ended."""

    async def run() -> None:
        limited = LimitedRequests(limiter_of(3))
        in_flight = [await limited.add("walk") for _ in range(3)]
        limited.limiter.change(1, None)
        waiting = await limited.add("usage")
        for request in in_flight:
            assert waiting not in limited.begun
            await limited.end(request)
        assert limited.begun[-1] is waiting
        await limited.end(waiting)

    in_loop(run)


def test_one_request_of_each_account_waits_for_a_worker() -> None:
    """An account with many requests has one place in the queue for workers, as each other has."""

    async def run() -> None:
        clock, pool = Clock(monotonic=lambda: 0.0), WorkerPool(max_workers=1)
        many, few = (
            LimitedRequests(FairLimiter(8, RateLimiter(None, clock), clock, pool)) for _ in range(2)
        )
        first = await many.add("walk")
        rest = [await many.add("walk") for _ in range(5)]
        other = await few.add("walk")
        await many.end(first)
        assert many.begun == [first, rest[0]]
        await many.end(rest[0])
        assert few.begun == [other]
        await few.end(other)
        for request in rest:
            await many.cancel(request)
        assert pool.taken == 0

    in_loop(run)


@pytest.mark.parametrize(
    ("ends", "timeouts"),
    [
        ([(0.0, Reason.TIMEOUT, 30.0)], 1),
        ([(0.0, Reason.TIMEOUT, 30.0), (0.1, Reason.TIMEOUT, 30.0)], 1),
        ([(0.0, Reason.TIMEOUT, 30.0), (31.0, Reason.TIMEOUT, 30.0)], 2),
        ([(0.0, Reason.TIMEOUT, 30.0), (31.0, None, 0.1)], 0),
        ([(0.0, Reason.TIMEOUT, 30.0), (31.0, Reason.SERVER, 20.0)], 0),
        ([(0.0, Reason.NETWORK, 0.01)], 0),
        ([(0.0, Reason.NETWORK, 20.0)], 1),
    ],
    ids=[
        "one",
        "in flight together",
        "in a row",
        "then good",
        "then an error",
        "refused",
        "no DNS",
    ],
)
def test_timeouts_in_a_row_are_reported_to_the_workers(
    ends: list[tuple[float, Reason | None, float]], timeouts: int
) -> None:
    """They are counted in a row, and only where a request held its worker for nothing."""
    reported: list[int] = []

    class Workers(InlineWorkers):
        @asynccontextmanager
        async def slot(self, timeouts: int = 0) -> AsyncIterator[None]:
            reported.append(timeouts)
            yield

    now = 100.0
    clock = Clock(lambda: 0.0, lambda: now)
    limiter = FairLimiter(4, RateLimiter(None, clock), clock, Workers())
    for after, reason, seconds in ends:
        now = 100.0 + after
        limiter.record_end(reason, seconds)

    async def send() -> None:
        async with limiter.slot(target("a")):
            pass

    asyncio.run(send())
    assert reported == [timeouts]
