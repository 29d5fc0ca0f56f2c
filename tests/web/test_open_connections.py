"""Who has to go when there are too many connections."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.open_connections import OpenConnections


def ticking() -> Callable[[], float]:
    """Return a clock that is a second on each time that it is read."""
    return itertools.count(0.0).__next__


def opened(*names: str, most: int = 3) -> OpenConnections[str]:
    """Return connections that were opened one after another."""
    connections = OpenConnections[str](most, ticking())
    for name in names:
        connections.add(name)
    return connections


@pytest.mark.parametrize(("names", "full"), [("", False), ("ab", False), ("abc", True)])
def test_full(names: str, *, full: bool) -> None:
    """It is full when as many are open as there is room for."""
    assert opened(*names).is_full() is full


def test_the_oldest_that_waits_goes_first() -> None:
    """Of those that wait, the one that has waited longest makes room."""
    assert opened("a", "b").take_oldest() == "a"


def test_one_that_is_answered_stays() -> None:
    """A scrape in flight is older than what waits, and stays."""
    connections = opened("a", "b")
    connections.begin("a")
    assert connections.take_oldest() == "b"


def test_an_answer_makes_young_again() -> None:
    """One that has been answered waits from then on."""
    connections = opened("a", "b")
    connections.begin("a")
    connections.end("a")
    assert connections.take_oldest() == "b"


def test_readers_that_stand_still_go_too() -> None:
    """Where more are answered than wait, the oldest of those goes: newcomers have a chance."""
    connections = opened("a", "b", "c")
    connections.begin("a")
    connections.begin("b")
    assert connections.take_oldest() == "a"


def test_nobody_is_left_to_go() -> None:
    """With none open, none can go."""
    assert opened().take_oldest() is None


@pytest.mark.parametrize(
    ("begun", "seconds", "overdue"),
    [("", 0, ["a", "b", "c"]), ("", 1, ["a", "b"]), ("", 9, []), ("a", 0.5, ["b", "c", "a"])],
)
def test_overdue(begun: str, seconds: float, overdue: list[str]) -> None:
    """Those that do the same for too long are forgotten, whatever it is that they do."""
    connections = opened("a", "b", "c")
    for name in begun:
        connections.begin(name)
    assert connections.take_overdue(seconds) == overdue
    assert len(connections) == 3 - len(overdue)


@given(st.lists(st.tuples(st.sampled_from(["add", "begin", "end", "remove"]), st.integers(0, 5))))
def test_each_is_counted_once(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, as many are open as were added and not removed."""
    connections = OpenConnections[int](3, ticking())
    expected: set[int] = set()
    for step, number in steps:
        if step == "add" and number in expected:
            continue  # a connection is opened once
        getattr(connections, step)(number)
        if step == "add":
            expected.add(number)
        elif step == "remove":
            expected.discard(number)
        assert set(connections.all()) == expected
        assert len(connections) == len(expected)
