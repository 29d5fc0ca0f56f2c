"""Who is served next, where many clients wait for work that runs one at a time."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.fair_queue import FairQueue, find_networks


def add(queue: FairQueue[str], item: str, client: str, *, is_preferred: bool = False) -> str | None:
    """Add an item that came from an address."""
    return queue.add(item, find_networks(client), is_preferred=is_preferred)


def drain(queue: FairQueue[str]) -> list[str]:
    """Take out all that wait."""
    return [queue.next() for _ in range(len(queue))]


def turns_until(queue: FairQueue[str], item: str) -> int:
    """Serve, charging what is served, until an item had its turn; return how many went before."""
    for turn in range(10_000):
        if queue.next() == item:
            return turn
    raise AssertionError("it waits still")


def test_from_one_address_the_newest_goes_first_and_the_oldest_every_third_time() -> None:
    """An item that comes after many others is served soon, and one that came before in time."""
    queue: FairQueue[str] = FairQueue(10)
    for name in "abcdefg":
        add(queue, name, "192.0.2.1")
    assert drain(queue) == ["g", "a", "f", "e", "b", "d", "c"]


@pytest.mark.parametrize(
    ("address_of", "client"),
    [
        (lambda number: f"192.0.2.{number}", "192.0.3.1"),  # one network of addresses
        (lambda number: f"192.{number}.2.1", "198.51.100.1"),  # a region of networks
        (lambda number: f"192.{number}.2.1", "::1"),
        (lambda number: f"2001:db8:0:{number:x}::1", "2001:db8:1::1"),  # a site's /48
        (lambda number: f"2001:db8:{number:x}::1", "2001:db9::1"),  # a provider's /32
        (lambda number: "192.0.2.1" if number else "192.0.2.2", "192.0.2.3"),
    ],
)
def test_many_addresses_of_one_network_count_as_one(address_of: object, client: str) -> None:
    """Given many that had some turns, then one from elsewhere waits for two others at most."""
    assert callable(address_of)
    queue: FairQueue[str] = FairQueue(1000)
    for number in range(200):
        add(queue, str(number), address_of(number))
    for _ in range(20):
        queue.charge(find_networks(address_of(int(queue.next()))))
    add(queue, "other", client)
    assert turns_until(queue, "other") <= 2


def test_a_preferred_item_waits_for_one_other() -> None:
    """Given others from its own address and from everywhere, then every second turn is its own."""
    queue: FairQueue[str] = FairQueue(1000)
    rng = random.Random(1)
    for number in range(200):
        add(queue, str(number), f"127.{rng.randrange(256)}.{rng.randrange(256)}.1")
    queue.next()
    add(queue, "right before", "127.0.0.1", is_preferred=True)
    assert turns_until(queue, "right before") <= 1


def test_preferred_items_do_not_keep_the_others_waiting() -> None:
    """Given many from an address that is preferred, then every second turn is for the others."""
    queue: FairQueue[str] = FairQueue(1000)
    for number in range(100):
        add(queue, f"preferred {number}", "192.0.2.1", is_preferred=True)
    for _ in range(10):
        queue.next()
        queue.charge(find_networks("192.0.2.1"))
    add(queue, "other", "198.51.100.1")
    assert turns_until(queue, "other") <= 3


@pytest.mark.parametrize(
    ("client", "is_preferred"), [("127.1.2.3", True), ("198.51.100.1", False), ("::1", False)]
)
def test_many_addresses_do_not_delay_another_network(client: str, *, is_preferred: bool) -> None:
    """Given a full queue and 60 more for each turn, then one of another network is served soon."""
    queue: FairQueue[str] = FairQueue(128)
    rng = random.Random(1)
    clients: dict[str, str] = {}

    def flood() -> list[str | None]:
        arrived = [str(len(clients) + number) for number in range(60)]
        for item in arrived:
            clients[item] = f"127.{rng.randrange(256)}.{rng.randrange(256)}.1"
        return [add(queue, item, clients[item]) for item in arrived]

    for _ in range(20):
        flood()
        queue.charge(find_networks(clients[queue.next()]))
    add(queue, "scraper", client, is_preferred=is_preferred)
    for _ in range(4):
        assert "scraper" not in flood()
        item = queue.next()
        if item == "scraper":
            return
        queue.charge(find_networks(clients[item]))
    raise AssertionError("it waits still")


def test_the_oldest_item_of_the_busiest_network_makes_way() -> None:
    """Given no room, then the network with most items loses the one that waited longest."""
    queue: FairQueue[str] = FairQueue(4)
    assert [add(queue, name, "192.0.2.1") for name in "abc"] == [None] * 3
    assert add(queue, "x", "192.0.3.1") is None
    assert add(queue, "y", "192.0.3.2") == "a"
    assert add(queue, "d", "192.0.2.1") == "b"
    assert sorted(drain(queue)) == ["c", "d", "x", "y"]


def test_a_region_of_many_networks_displaces_no_other() -> None:
    """Given as many networks as there is room, then the one from elsewhere keeps its place."""
    queue: FairQueue[str] = FairQueue(100)
    for number in range(100):
        add(queue, str(number), f"127.0.{number}.1")
    add(queue, "other", "198.51.100.1")
    displaced = [add(queue, f"more {number}", f"127.1.{number}.1") for number in range(100)]
    assert "other" not in displaced
    assert turns_until(queue, "other") <= 2


def test_preferred_items_keep_half_of_the_room() -> None:
    """Given a full queue, then others make way for them, and they make way beyond half of it."""
    queue: FairQueue[str] = FairQueue(4)
    for name in "abcd":
        add(queue, name, "192.0.2.1")
    assert add(queue, "x", "192.0.3.1", is_preferred=True) == "a"
    assert add(queue, "y", "192.0.3.2", is_preferred=True) == "b"
    assert add(queue, "e", "192.0.2.1") == "c"
    assert add(queue, "z", "192.0.3.3", is_preferred=True) == "x"
    assert sorted(drain(queue)) == ["d", "e", "y", "z"]


def test_charges_are_forgotten_in_time() -> None:
    """Given a network that was charged long ago, then nothing of that is kept."""
    queue: FairQueue[str] = FairQueue(4)
    for _ in range(100):
        queue.charge(find_networks("192.0.2.1"))
    for number in range(9 * 1024):
        queue.charge(find_networks(f"10.{number // 256}.{number % 256}.1"))
    add(queue, "elsewhere", "198.51.100.1")
    add(queue, "charged", "192.0.2.1")
    assert queue.next() == "charged"  # the newest of two that are alike
    assert len(queue._charges) < 4000  # noqa: SLF001 - what is kept has no other effect


def test_a_discarded_item_has_no_turn() -> None:
    """It has no turn and no place; to discard it again is no error."""
    queue: FairQueue[str] = FairQueue(2)
    for name in "ab":
        add(queue, name, "192.0.2.1")
    queue.discard("a")
    queue.discard("a")
    assert "a" not in queue
    assert add(queue, "c", "192.0.2.1") is None
    assert sorted(drain(queue)) == ["b", "c"]


@settings(deadline=None)  # a busy machine is no failure
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from(("keep", "serve", "discard"))),
        max_size=60,
    ),
    capacity=st.integers(1, 20),
)
def test_nothing_is_lost_or_served_twice(
    arrivals: list[tuple[int, bool, str]], capacity: int
) -> None:
    """What came is served, or made way, or was discarded, or waits still; never more than may."""
    queue: FairQueue[int] = FairQueue(capacity)
    left: list[int] = []
    for number, (host, is_preferred, then) in enumerate(arrivals):
        keys = find_networks(f"10.{host % 2}.{host}.1")
        displaced = queue.add(number, keys, is_preferred=is_preferred)
        left += [] if displaced is None else [displaced]
        if then == "serve" and queue:
            left.append(queue.next())
            queue.charge(keys)
        elif number in queue and then == "discard":
            queue.discard(number)
            left.append(number)
        assert len(queue) <= capacity
    left += [queue.next() for _ in range(len(queue))]
    assert sorted(left) == list(range(len(arrivals)))


@settings(deadline=None)  # a busy machine is no failure
@given(before=st.integers(0, 30), each_turn=st.integers(0, 3))
def test_each_item_is_served_in_bounded_time(before: int, each_turn: int) -> None:
    """However many come after it, from networks never seen, it waits for those before it."""
    queue: FairQueue[str] = FairQueue(1000)
    for _ in range(before):
        add(queue, f"before {len(queue)}", "192.0.2.1")
    add(queue, "last", "192.0.2.1")
    for turn in range(3 * (before + 1)):
        if queue.next() == "last":
            return
        queue.charge(find_networks("192.0.2.1"))
        for number in range(each_turn):
            add(queue, f"{turn} {number}", f"10.{turn}.{number}.1")
    raise AssertionError("it waits still")


@pytest.mark.parametrize(
    ("client", "region", "site", "address"),
    [
        ("192.0.2.1", "192.0.0.0/8", "192.0.2.0/24", "192.0.2.1/32"),
        ("::ffff:192.0.2.1", "192.0.0.0/8", "192.0.2.0/24", "192.0.2.1/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/32", "fe80::/48", "fe80::/64"),
        ("", "", "", ""),
    ],
)
def test_a_client_is_an_address_network_or_socket(
    client: str, region: str, site: str, address: str
) -> None:
    """An IPv4 address, a /64 of IPv6, or all that come by a unix socket."""
    assert find_networks(client) == (region, site, address)
