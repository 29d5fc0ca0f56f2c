"""Which connections go when there are too many."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.connection_tracker import ConnectionLimits, ConnectionTracker, Phase, find_peer

HANDSHAKE, REQUEST, RESPONSE = Phase


def ticking() -> Callable[[], float]:
    """Return a clock that is a second on each time that it is read."""
    return itertools.count(0.0).__next__


def opened(
    *names: str, limit: int = 100, handshakes: int = 100, responses: int = 100
) -> ConnectionTracker[str]:
    """Return connections that wait for a request, opened one after another.

    The peer of each is the first letter of its name.
    """
    limits = ConnectionLimits(lambda: limit, handshakes, responses)
    connections = ConnectionTracker[str](limits, ticking())
    for name in names:
        assert connections.add(name, name[0], REQUEST) == []
    return connections


@pytest.mark.parametrize(
    ("names", "excess"),
    [
        (["a", "b", "c"], "a"),
        (["a1", "b1", "b2"], "b1"),
        (["a1", "b1", "a2"], "a1"),
        (["a1", "a2", "b1", "b2"], "a1"),
        (["a1", "b1", "b2", "a2", "a3"], "a1"),
    ],
)
def test_the_oldest_connection_of_the_busiest_peer_is_displaced(
    names: list[str], excess: str
) -> None:
    """Many connections of one peer displace each other; among equal peers, the oldest goes."""
    assert opened(*names, limit=len(names)).add("x", "x", REQUEST) == [excess]


def test_no_connection_is_displaced_below_the_limit() -> None:
    assert opened("a", "b", limit=3).add("c", "c", REQUEST) == []


def test_a_connection_is_new_after_its_response() -> None:
    """After its response, a connection waits as if it had just come."""
    connections = opened("a", "b", limit=2)
    connections.move("a", RESPONSE)
    connections.move("a", REQUEST)
    assert connections.add("c", "c", REQUEST) == ["b"]


@pytest.mark.parametrize(
    ("handshakes", "requests", "responses", "excess"),
    [("", "ab", "c", "a"), ("", "a", "bc", "b"), ("ab", "c", "d", "a"), ("", "a", "b", "a")],
)
def test_the_phase_with_most_connections_loses_one(
    handshakes: str, requests: str, responses: str, excess: str
) -> None:
    """Neither stalled readers nor slow requests nor half-open handshakes keep out the others."""
    phases = {HANDSHAKE: handshakes, REQUEST: requests, RESPONSE: responses}
    connections = opened(limit=sum(map(len, phases.values())))
    for phase, names in phases.items():
        for name in names:
            connections.add(name, name, phase)
    assert connections.add("x", "x", REQUEST) == [excess]


@pytest.mark.parametrize(
    ("names", "excess"),
    [(["a1", "b", "c"], "b"), (["a1", "a2", "b"], "a1"), (["a1", "b", "a2", "c"], "b")],
)
def test_peers_that_were_served_before_are_kept(names: list[str], excess: str) -> None:
    """While those who were never served hold as many connections, one of theirs goes."""
    connections = opened("a0", limit=len(names))
    connections.record_served("a0")
    connections.remove("a0")
    for name in names:
        connections.add(name, name[0], REQUEST)
    assert connections.add("x", "x", REQUEST) == [excess]


def test_a_response_that_is_read_is_kept() -> None:
    """Of the responses to one peer, that goes of which nothing was taken for longest."""
    connections = opened("a1", "a2", "a3", "a4", responses=3)
    for name in ("a1", "a2", "a3"):
        connections.move(name, RESPONSE)
    connections.record_progress("a1")
    assert connections.move("a4", RESPONSE) == ["a2"]
    connections.record_progress("a2")  # it is forgotten


def test_the_number_of_known_peers_is_limited() -> None:
    """The one that was served longest ago is forgotten."""
    connections = opened(limit=3)
    for number in range(1025):
        connections.add(f"{number}", f"{number}", REQUEST)
        connections.record_served(f"{number}")
        connections.remove(f"{number}")
    for peer in ("0", "1", "2"):
        connections.add(peer, peer, REQUEST)
    assert connections.add("x", "x", REQUEST) == ["1"]


@pytest.mark.parametrize("phase", [HANDSHAKE, RESPONSE])
def test_phases_have_limits_of_their_own(phase: Phase) -> None:
    """What costs memory is limited, however many connections may be open."""
    connections = opened("z", "a1", "b1", "b2", "c", handshakes=3, responses=3)
    for name in ("a1", "b1", "b2"):
        assert connections.move(name, phase) == []
    assert connections.move("c", phase) == ["b1"]
    assert connections.move("b1", phase) == []  # it is forgotten
    assert connections.all() == ["z", "a1", "b2", "c"]


def test_a_lowered_limit_displaces_the_surplus() -> None:
    """When the limit falls, those above it go, and no more."""
    limit = 4
    connections = ConnectionTracker[str](ConnectionLimits(lambda: limit), ticking())
    for name in "abcd":
        connections.add(name, name, REQUEST)
    assert connections.pop_surplus() == []
    limit = 2
    assert connections.pop_surplus() == ["a", "b"]
    assert connections.add("e", "e", REQUEST) == ["c"]


@pytest.mark.parametrize(("count", "share"), [(0, 0), (1, 1), (4, 1), (8, 2)])
def test_a_share_of_the_connections_is_displaced(count: int, share: int) -> None:
    """Where the system has no room, a share of the connections goes, one at least."""
    connections = opened(*(f"{number}" for number in range(count)))
    assert len(connections.pop_share(4)) == share
    assert len(connections) == count - share


@pytest.mark.parametrize(
    ("moved", "seconds", "overdue"),
    [("", 0, ["a", "b", "c"]), ("", 1, ["a", "b"]), ("", 9, []), ("a", 1, ["b", "c"])],
)
def test_overdue_connections_are_removed(moved: str, seconds: float, overdue: list[str]) -> None:
    """Those that are in a phase for too long are forgotten, whichever it is."""
    connections = opened("a", "b", "c")
    for name in moved:
        connections.move(name, RESPONSE)
    assert connections.pop_overdue(seconds) == overdue
    assert len(connections) == 3 - len(overdue)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("192.0.2.1", 1), "192.0.2.1/32"),
        (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1/32"),
        (("2001:db8::1:2", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%2", 1, 0, 2), "fe80::/64"),
        ("", ""),
        (b"\0abstract", ""),
    ],
)
def test_a_peer_is_an_address_or_network(address: object, peer: str) -> None:
    """A client is an IPv4 address, or a network of IPv6; a socket in the file system has one."""
    assert find_peer(address) == peer


STEPS = st.tuples(st.sampled_from([*Phase, "served", "remove"]), st.integers(0, 9))


@given(st.lists(STEPS))
def test_each_connection_is_counted_once(steps: list[tuple[Phase | str, int]]) -> None:
    """In any order of events, those are open that were neither removed nor returned."""
    connections = ConnectionTracker[int](ConnectionLimits(lambda: 5, 2, 3), ticking())
    expected: list[int] = []
    for step, number in steps:
        excess: list[int] = []
        if isinstance(step, Phase):
            new = number not in expected
            peer = str(number % 4)
            excess = connections.add(number, peer, step) if new else connections.move(number, step)
            expected += [number] * new
        elif step == "remove":
            connections.remove(number)
            expected = [other for other in expected if other != number]
        else:
            connections.record_served(number)
        expected = [other for other in expected if other not in excess]
        assert sorted(connections.all()) == sorted(expected)
        assert len(connections) == len(expected) <= 5
