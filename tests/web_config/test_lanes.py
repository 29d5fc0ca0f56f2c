"""Whose password is checked next."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.config_file.lanes import Lanes


def drain(turns: Lanes[str]) -> list[str]:
    """Take out all who wait."""
    return [turns.next() for _ in range(len(turns))]


def test_lanes_take_turns() -> None:
    """Given crowds in three lanes that have had a turn each, then each has every third one."""
    turns: Lanes[str] = Lanes(most=1000)
    for name in "abc" * 5:
        turns.add(name, name)
    assert {turns.next() for _ in range(6)} == {"a", "b", "c"}
    first, second = ([turns.next() for _ in range(3)] for _ in range(2))
    assert sorted(first) == ["a", "b", "c"]
    assert second == first


def test_a_new_lane_goes_first() -> None:
    """Given crowds that have had turns, then one in a new lane waits for none of them."""
    turns: Lanes[str] = Lanes(most=1000)
    for number in range(200):
        turns.add(number % 4, f"wrong {number}")
    for _ in range(50):
        turns.next()
    turns.add("other", "right")
    assert turns.next() == "right"


def test_new_lanes_do_not_keep_the_others_waiting() -> None:
    """Given a new lane before every turn, then every second turn is that of one that was there."""
    turns: Lanes[str] = Lanes(most=1000)
    for name in "abcd":
        turns.add("crowd", name)
    turns.next()
    served = []
    for number in range(4):
        turns.add(number, "new")
        served.append(turns.next())
    assert served == ["a", "new", "c", "new"]


def test_in_a_lane_the_newest_and_the_oldest_take_turns() -> None:
    """Whoever comes after a crowd is served at once; whoever came before one is not forgotten."""
    turns: Lanes[str] = Lanes(most=10)
    for name in "abcde":
        turns.add("lane", name)
    assert drain(turns) == ["e", "a", "d", "b", "c"]


def test_the_oldest_of_the_longest_lane_makes_way() -> None:
    """Given no room, then it is the crowd that loses, and of it whoever has waited in vain."""
    turns: Lanes[str] = Lanes(most=3)
    assert [turns.add("crowd", name) for name in "abc"] == [None] * 3
    assert turns.add("other", "x") == "a"
    assert turns.add("crowd", "d") == "b"
    assert len(turns) == 3
    assert sorted(drain(turns)) == ["c", "d", "x"]


def test_even_the_only_one_of_its_lane_can_make_way() -> None:
    """Given as many lanes as there is room, then the first of them is gone altogether."""
    turns: Lanes[str] = Lanes(most=2)
    turns.add(1, "a")
    turns.add(2, "b")
    assert turns.add(3, "c") == "a"
    assert drain(turns) == ["b", "c"]


@settings(deadline=None)  # a busy machine is no failure
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60),
    most=st.integers(1, 20),
)
def test_nobody_is_lost_or_served_twice(arrivals: list[tuple[int, bool]], most: int) -> None:
    """Whoever came is served, or made way, or waits still; and never more wait than may."""
    turns: Lanes[int] = Lanes(most)
    left: list[int] = []
    for number, (lane, is_served) in enumerate(arrivals):
        gone = turns.add(lane, number)
        left += [] if gone is None else [gone]
        left += [turns.next()] if is_served and turns else []
        assert len(turns) <= most
    left += [turns.next() for _ in range(len(turns))]
    assert sorted(left) == list(range(len(arrivals)))


@settings(deadline=None)  # a busy machine is no failure
@given(before=st.integers(0, 30), each_turn=st.integers(0, 3))
def test_the_right_one_is_served_in_bounded_time(before: int, each_turn: int) -> None:
    """However many come after it in its lane, it waits two turns for each that came before."""
    turns: Lanes[str] = Lanes(most=1000)
    for _ in range(before):
        turns.add("lane", "wrong")
    turns.add("lane", "right")
    for turn in range(2 * (before + 1)):
        if turns.next() == "right":
            assert turn <= 2 * before + 1
            return
        for _ in range(each_turn):
            turns.add("lane", "wrong")
    raise AssertionError("it waits still")
