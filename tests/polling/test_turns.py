"""The calls of an account take turns: so many at once, and each target has its turn."""

import queue
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.polling.pace import Pace
from exporter.polling.stopping import StoppedError
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.turns import Turns
from exporter.scaleengine.clock import Clock

USAGE = DiskUsageTarget("main", 60.0, 180.0)
WALK = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video")
PATIENCE = 60.0


class Noted(FilesTarget):
    """A target of one call, that tells when the call is put into the queue: it is hashed there."""

    queued: threading.Event

    def __init__(self, path: str) -> None:
        super().__init__("main", 60.0, 180.0, path, "video")
        object.__setattr__(self, "queued", threading.Event())

    def __hash__(self) -> int:
        """Tell, under the lock of the queue, and return the hash of what equal targets share."""
        self.queued.set()
        return hash(self.path)


class Gate:
    """A stop that never comes, and whose waits end when the gate is opened."""

    def __init__(self) -> None:
        self.asked: float | None = None
        self.reached = threading.Event()
        self.opened = threading.Event()

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        self.asked = timeout
        self.reached.set()
        assert self.opened.wait(PATIENCE)
        return False


@dataclass
class Call:
    """A call in a thread of its own, which goes on until it is told to end."""

    path: str
    order: "queue.SimpleQueue[Call]"
    stop: Gate = field(default_factory=Gate)
    may_end: threading.Event = field(default_factory=threading.Event)

    def ask(self, turns: Turns) -> "Call":
        """Ask for a turn; return when the call is in the queue, or under way."""
        target = Noted(self.path)

        def make() -> None:
            with turns.turn(target, self.stop):
                self.order.put(self)
                assert self.may_end.wait(PATIENCE)

        self._thread = threading.Thread(target=make, daemon=True)
        self._thread.start()
        assert target.queued.wait(PATIENCE)
        return self

    def end(self) -> None:
        """End the call."""
        self.may_end.set()

    def join(self) -> None:
        """Wait until the call's turn is over."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


class Crowd:
    """Calls that ask for turns, and what has begun so far, in order."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.calls: list[Call] = []
        self.begun: list[Call] = []
        self._order: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def ask(self, path: str) -> Call:
        """Let a call of a target ask for its turn."""
        call = Call(path, self._order)
        self.calls.append(call)
        return call.ask(self.turns)

    def next(self) -> Call:
        """Return the call that begins next."""
        call = self._order.get(timeout=PATIENCE)
        self.begun.append(call)
        return call

    def nobody(self) -> bool:
        """Return whether no call has begun but those that were seen."""
        return self._order.empty()


@contextmanager
def crowd(at_once: int, per_second: float | None = None) -> Iterator[Crowd]:
    standing = Clock(elapsed=lambda: 0.0)
    gathered = Crowd(Turns(at_once, Pace(per_second, standing), standing))
    try:
        yield gathered
    finally:
        for call in gathered.calls:
            call.stop.opened.set()
            call.end()
        for call in gathered.calls:
            call.join()


@settings(max_examples=40)
@given(at_once=st.integers(1, 4), chance=st.randoms(use_true_random=False))
def test_any_order_of_calls(at_once: int, chance: random.Random) -> None:
    """Never more calls than allowed are under way, no place is left empty, and all are fair.

    Fair is: while a call waits, no other target begins more calls than one for each call of the
    waiting target that was asked for before, and one.
    """
    with crowd(at_once) as calls:
        waiting: list[tuple[Call, int, int]] = []
        under_way: list[Call] = []
        for _ in range(chance.randint(4, 16)):
            if under_way and chance.random() < 0.4:
                under_way.pop(chance.randrange(len(under_way))).end()
            else:
                path = chance.choice("abc")
                ahead = sum(call.path == path for call, _, _ in waiting)
                waiting.append((calls.ask(path), ahead, len(calls.begun)))
            while waiting and len(under_way) < at_once:
                begun = calls.next()
                position = [call for call, _, _ in waiting].index(begun)
                _, ahead, since = waiting.pop(position)
                under_way.append(begun)
                others = Counter(call.path for call in calls.begun[since:-1])
                del others[begun.path]
                assert all(turns <= ahead + 1 for turns in others.values())
                assert begun.path not in {call.path for call, _, _ in waiting[:position]}
            assert calls.nobody()


def test_a_walk_that_floods_does_not_hold_back_the_disk_usage() -> None:
    """One that asks while many calls of another target wait has its turn after one of those."""
    with crowd(at_once=2) as calls:
        for _ in range(20):
            calls.ask("walk")
        first, _ = calls.next(), calls.next()
        usage = calls.ask("usage")
        first.end()
        calls.next().end()
        assert calls.next() is usage


def test_a_slow_pace_does_not_make_it_unfair() -> None:
    """One call at a time waits for the pace, so that a free place is no place in a long line."""
    with crowd(at_once=8, per_second=1.0) as calls:
        calls.ask("walk")
        calls.next()
        paced, second, *_ = (calls.ask("walk") for _ in range(6))
        usage = calls.ask("usage")
        for number, call in enumerate((paced, second, usage), start=1):
            assert call.stop.reached.wait(PATIENCE)
            assert call.stop.asked == number
            call.stop.opened.set()
            assert calls.next() is call


def test_a_place_is_free_again_after_an_exception() -> None:
    """A call that fails gives its place back."""
    standing = Clock(elapsed=lambda: 0.0)
    turns = Turns(1, Pace(None, standing), standing)
    for _ in range(3):
        with pytest.raises(ValueError, match="a defect"), turns.turn(USAGE, Gate()):
            raise ValueError("a defect")


def test_a_place_is_free_again_when_the_wait_for_it_fails() -> None:
    """A call that fails before it has begun gives its place back too."""

    class Broken(Gate):
        def wait(self, timeout: float) -> bool:
            raise ValueError("a defect")

    standing = Clock(elapsed=lambda: 0.0)
    turns = Turns(1, Pace(1.0, standing), standing)
    with turns.turn(USAGE, Broken()):
        pass
    for _ in range(3):
        with pytest.raises(ValueError, match="a defect"), turns.turn(USAGE, Broken()):
            pytest.fail("the pace was not kept")


def test_when_it_is_time_to_stop_the_pace_is_not_kept() -> None:
    """Calls of a target that is polled no more come through at once, and cost others no turn."""
    standing = Clock(elapsed=lambda: 0.0)
    turns = Turns(1, Pace(1.0, standing), standing)
    stopped = threading.Event()
    stopped.set()
    for _ in range(10):
        with turns.turn(USAGE, stopped):
            pass
    gate = Gate()
    with turns.turn(USAGE, gate):
        assert not gate.reached.is_set()


def test_being_left_alone() -> None:
    """What ScaleEngine asks for last never shortens what it asked for before."""
    elapsed = 100.0
    clock = Clock(elapsed=lambda: elapsed)
    turns = Turns(1, Pace(None, clock), clock)
    found = [turns.held()]
    for seconds in (0.0, 30.0, 10.0, 60.0):
        turns.hold(seconds)
        found.append(turns.held())
    elapsed = 130.0
    found.append(turns.held())
    elapsed = 1e6
    found.append(turns.held())

    assert found == [0.0, 0.0, 30.0, 30.0, 60.0, 30.0, 0.0]


def test_more_calls_at_once() -> None:
    """When more calls may be under way, those that wait begin; what is under way goes on."""
    with crowd(at_once=1) as calls:
        for path in ("walk", "usage", "other"):
            calls.ask(path)
        calls.next()
        calls.turns.change(3, None)
        assert {calls.next().path, calls.next().path} == {"usage", "other"}


def test_fewer_calls_at_once() -> None:
    """When fewer calls may be under way, none begins until enough of them have ended."""
    with crowd(at_once=3) as calls:
        under_way = [calls.ask("walk") for _ in range(3)]
        for _ in under_way:
            calls.next()
        calls.turns.change(1, None)
        waiting = calls.ask("usage")
        for call in under_way:
            assert calls.nobody()
            call.end()
            call.join()
        assert calls.next() is waiting


def test_being_left_alone_outlasts_another_pace() -> None:
    """Another concurrency and another pace change nothing of what ScaleEngine has asked for."""
    clock = Clock(elapsed=lambda: 0.0)
    turns = Turns(1, Pace(None, clock), clock)
    turns.hold(60.0)
    turns.change(4, 1.0)

    assert turns.held() == 60.0


def test_who_waits_in_vain() -> None:
    """A call that waits for its turn does not wait on when it is time to stop; others do."""
    turns = Turns(1, Pace(None, Clock()), Clock())
    stop, other_stop = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def ask(target: Target, its_stop: threading.Event) -> None:
        try:
            with turns.turn(target, its_stop):
                outcomes.append("turn")
        except StoppedError:
            outcomes.append("stopped")

    with turns.turn(WALK, threading.Event()):
        leaving = threading.Thread(target=ask, args=(WALK, stop))
        staying = threading.Thread(target=ask, args=(USAGE, other_stop))
        leaving.start()
        staying.start()
        stop.set()
        leaving.join(PATIENCE)
        assert outcomes == ["stopped"]
    staying.join(PATIENCE)
    assert outcomes == ["stopped", "turn"]
