"""Blocking work is done in a bounded number of threads, and nothing is left of it."""

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.polling.workers import WorkerPool
from tests.support.waiting import TIMEOUT, wait_until


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Slots:
    """Tasks that hold a slot each until they are cancelled."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.held: list[str] = []

    async def take(self, name: str, timeouts: int = 0) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._hold(name, timeouts))
        await settle()
        return task

    async def _hold(self, name: str, timeouts: int) -> None:
        async with self._pool.slot(timeouts):
            self.held.append(name)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.held.remove(name)


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def test_slots_are_given_in_order() -> None:
    """No more slots are held than there are workers; who has waited longest is next."""

    async def run() -> None:
        slots = Slots(WorkerPool(max_workers=2))
        tasks = [await slots.take(name) for name in "abcd"]
        assert slots.held == ["a", "b"]
        await cancel(tasks[0])
        assert slots.held == ["b", "c"]
        await cancel(*tasks)

    in_loop(run)


def test_slow_work_takes_half_of_the_workers() -> None:
    """However much slow work waits, the other half is for the rest."""

    async def run() -> None:
        pool = WorkerPool(max_workers=4)
        slots = Slots(pool)
        slow = [await slots.take(f"slow {number}", timeouts=3) for number in range(10)]
        assert slots.held == ["slow 0", "slow 1"]
        quick = [await slots.take(f"quick {number}") for number in range(3)]
        assert slots.held == ["slow 0", "slow 1", "quick 0", "quick 1"]
        await cancel(slow[0])
        assert slots.held[-1] == "slow 2"
        await cancel(quick[0])
        assert slots.held[-1] == "quick 2"
        await cancel(*slow, *quick)
        assert pool.taken == 0

    in_loop(run)


def test_one_timeout_does_not_wait_behind_those_that_hang() -> None:
    """Every second slot is for the fewest timeouts, the others are for the longest wait."""

    async def run() -> None:
        slots = Slots(WorkerPool(max_workers=2))
        tasks = {"hangs 0": await slots.take("hangs 0", timeouts=9)}
        for number in range(1, 9):
            tasks[f"hangs {number}"] = await slots.take(f"hangs {number}", timeouts=9)
        for number in range(1, 4):
            name = f"once {number}"
            tasks[name] = await slots.take(name, timeouts=1)
        order = []
        while tasks:
            (held,) = slots.held
            order.append(held)
            await cancel(tasks.pop(held))
        assert order[:7] == [
            "hangs 0",
            "hangs 1",
            "once 1",
            "hangs 2",
            "once 2",
            "hangs 3",
            "once 3",
        ]
        assert order[7:] == ["hangs 4", "hangs 5", "hangs 6", "hangs 7", "hangs 8"]

    in_loop(run)


def test_those_that_time_out_now_and_then_do_not_starve_those_that_hang() -> None:
    """However many come with one timeout, the longest wait ends at the second slot at most."""

    async def run() -> None:
        slots = Slots(WorkerPool(max_workers=2))
        tasks = {"once 0": await slots.take("once 0", timeouts=1)}
        tasks["hangs"] = await slots.take("hangs", timeouts=9)
        for number in range(1, 4):
            tasks[f"once {number}"] = await slots.take(f"once {number}", timeouts=1)
        order = []
        for _ in range(3):
            (held,) = slots.held
            order.append(held)
            await cancel(tasks.pop(held))
        assert "hangs" in order
        await cancel(*tasks.values())

    in_loop(run)


def test_one_worker_is_enough_for_slow_work() -> None:
    """With a single worker, slow work has its turn too."""

    async def run() -> None:
        slots = Slots(WorkerPool(max_workers=1))
        task = await slots.take("slow", timeouts=1)
        assert slots.held == ["slow"]
        await cancel(task)

    in_loop(run)


def test_a_changed_number_of_workers_holds_at_once() -> None:
    """More workers take what waits; with fewer, nothing begins until enough has ended."""

    async def run() -> None:
        pool = WorkerPool(max_workers=1)
        slots = Slots(pool)
        tasks = [await slots.take(name) for name in "abcd"]
        pool.resize(3)
        await settle()
        assert slots.held == ["a", "b", "c"]
        pool.resize(1)
        await cancel(tasks[0])
        assert slots.held == ["b", "c"]
        await cancel(*tasks[:3])
        assert slots.held == ["d"]
        await cancel(*tasks)

    in_loop(run)


@settings(max_examples=60)
@given(st.integers(1, 5), st.randoms(use_true_random=False))
def test_slots_are_never_lost_or_too_many(max_workers: int, rng: random.Random) -> None:
    """In any order of events: never too many slots, none lost, and no idle worker."""

    async def run() -> None:
        pool = WorkerPool(max_workers)
        slots, tasks, workers = Slots(pool), list[asyncio.Task[None]](), max_workers
        for number in range(rng.randint(5, 30)):
            choice = rng.random()
            if tasks and choice < 0.4:
                await cancel(tasks.pop(rng.randrange(len(tasks))))
            elif choice < 0.5 and len(slots.held) <= workers:
                workers = rng.randint(len(slots.held) or 1, 5)
                pool.resize(workers)
                await settle()
            else:
                timeouts = rng.choice([0, 0, 0, 1, 2, 5])
                name = f"{'slow' if timeouts else 'quick'} {number}"
                tasks.append(await slots.take(name, timeouts))
            assert pool.taken == len(slots.held) <= max(workers, 1)
            if len(slots.held) < workers:
                waiting = len(tasks) - len(slots.held)
                slow = sum(name.startswith("slow") for name in slots.held)
                assert not waiting or slow >= max(1, workers // 2)
        await cancel(*tasks)
        assert pool.taken == 0

    in_loop(run)


def test_slots_of_a_closed_loop_are_free_in_the_next() -> None:
    """Slots that tasks of a closed loop hold or wait for are free in the next loop."""
    pool = WorkerPool(max_workers=1)
    slots = Slots(pool)
    loop = asyncio.new_event_loop()
    lost = [loop.run_until_complete(slots.take(name)) for name in "ab"]
    loop.close()
    pool.resize(2)

    async def run() -> None:
        tasks = [await slots.take(name) for name in "cde"]
        assert slots.held == ["a", "c", "d"]
        lost.clear()
        gc.collect()
        assert pool.taken == 2
        await cancel(*tasks)
        assert pool.taken == 0

    in_loop(run)


def test_work_returns_or_raises_in_the_coroutine() -> None:
    """Work returns or raises in the coroutine what it returns or raises in its thread."""

    async def run() -> None:
        pool = WorkerPool()
        assert await pool.run(lambda: threading.current_thread().name) == "request"
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
        pool.close()

    in_loop(run)


def test_threads_are_reused_and_end() -> None:
    """Work that comes one after the other needs one thread, which ends with the pool."""
    threads = set(threading.enumerate())

    async def run() -> None:
        pool = WorkerPool()
        used = {await pool.run(threading.get_ident) for _ in range(20)}
        assert len(used) == 1
        pool.close()

    in_loop(run)
    for thread in set(threading.enumerate()) - threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


async def cancel_in_progress(
    pool: WorkerPool,
    work: Callable[[], None],
    began: threading.Event,
    may_end: threading.Event,
) -> None:
    """Cancel a coroutine whose work has begun; it must end when the work has, and not before."""
    task = asyncio.create_task(pool.run(work))
    await asyncio.to_thread(began.wait, TIMEOUT)
    task.cancel()
    await settle()
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.close()


def test_cancelling_waits_for_the_thread() -> None:
    """A coroutine that is cancelled ends when its thread has: nothing goes on behind its back."""

    async def run() -> None:
        pool, began, may_end = WorkerPool(), threading.Event(), threading.Event()

        def work() -> None:
            began.set()
            assert may_end.wait(TIMEOUT)
            raise ValueError("unused")

        await cancel_in_progress(pool, work, began, may_end)

    in_loop(run)


def test_an_error_of_cancelled_work_keeps_nothing() -> None:
    """What the work of a cancelled coroutine held is free, without the garbage collector."""

    class Response:
        """It may be large."""

    held: list[weakref.ref[Response]] = []

    async def run() -> None:
        pool, began, may_end = WorkerPool(), threading.Event(), threading.Event()

        def work() -> None:
            response = Response()
            held.append(weakref.ref(response))
            began.set()
            assert may_end.wait(TIMEOUT)
            raise ValueError("unused")

        await cancel_in_progress(pool, work, began, may_end)

    gc.disable()
    try:
        in_loop(run)
        assert wait_until(lambda: held[0]() is None)
    finally:
        gc.enable()


def test_cancelling_twice_leaves_the_thread_behind() -> None:
    """At the end of the loop, a thread that hangs is not waited for."""
    may_end = threading.Event()

    async def run() -> None:
        pool, began = WorkerPool(), threading.Event()

        def work() -> None:
            began.set()
            assert may_end.wait(TIMEOUT)

        task = asyncio.create_task(pool.run(work))
        await asyncio.to_thread(began.wait, TIMEOUT)
        for _ in range(2):
            task.cancel()
            await settle()
        assert task.cancelled()

    in_loop(run)
    may_end.set()


def test_work_without_a_thread_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process may start no thread, the work fails with that."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError, match="new thread"):
                await WorkerPool().run(lambda: None)

    in_loop(run)
