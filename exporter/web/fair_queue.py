"""Who is served next, where many clients wait for work that runs one at a time.

A client that sends requests at full speed, from one address or from many, must not delay the
others for long. Each item has keys, from coarse to fine: the region of the network that it came
from, its site, its address, and possibly more. Work that was done can be charged to its keys.

Three rules choose in turn among all that wait:

- the least charged region, then site, address and the rest;
- the one that has waited longest, so that none is forgotten;
- the least charged site, then address and the rest: many addresses of one network count as one.

Where several are charged alike, the newest goes first: a client that comes after many others is
served soon. Every second turn belongs to items that are preferred.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import cycle
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Keys = tuple[Hashable, ...]
"""The region, the site, the address, and possibly more; what has equal ones is charged together."""

_CHARGES_TO_HALF: Final = 1024
"""Charges are halved each time this number is reached, so that old ones are forgotten."""

_IPV4_PREFIXES: Final = (8, 24, 32)
_IPV6_PREFIXES: Final = (32, 48, 64)
"""Of the region, the site and the address. RFC 6177: a site gets a /48, a single machine a /64."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What waits; ``number`` grows with each that is added."""

    number: int
    keys: Keys
    is_preferred: bool


class FairQueue(Generic[T]):
    """Items that wait for their turn, at most ``capacity`` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: dict[T, _Waiting] = {}
        self._added = 0
        self._counts = Counter[Hashable]()
        self._charges = Counter[Hashable]()
        self._charged = 0
        self._preferred_is_next = True
        self._rules = cycle(
            (self._find_least_charged_region, self._find_oldest, self._find_least_charged_site)
        )

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self._waiting)

    def __contains__(self, item: object) -> bool:
        """Return whether an item waits."""
        return item in self._waiting

    def add(self, item: T, keys: Keys, *, is_preferred: bool = False) -> T | None:
        """Add an item; return the item that is displaced if the queue is full, or None.

        It goes from the site, then the region and the address, from which most wait; the oldest
        there goes. Preferred ones stay while they have no more than half of the room.
        """
        self._added += 1
        self._waiting[item] = _Waiting(self._added, keys, is_preferred)
        self._counts.update(keys)
        if len(self) <= self._capacity:
            return None
        displaced = self._find_displaced()
        self.discard(displaced)
        return displaced

    def discard(self, item: T) -> None:
        """Let an item wait no longer, if it does."""
        waiting = self._waiting.pop(item, None)
        if waiting is not None:
            self._counts.subtract(waiting.keys)
            for key in waiting.keys:
                if not self._counts[key]:
                    del self._counts[key]

    def next(self) -> T:
        """Take out the item whose turn it is; raises ValueError when none waits."""
        preferred = [item for item, waiting in self._waiting.items() if waiting.is_preferred]
        if preferred and self._preferred_is_next:
            item = self._find_least_charged_site(preferred)
            self._preferred_is_next = False
        else:
            item = next(self._rules)(self._waiting)
            self._preferred_is_next = True
        self.discard(item)
        return item

    def charge(self, keys: Keys) -> None:
        """Let what has these keys come later, for a while."""
        self._charges.update(keys)
        self._charged += 1
        if self._charged % _CHARGES_TO_HALF == 0:
            halves = {key: count // 2 for key, count in self._charges.items()}
            self._charges = Counter({key: count for key, count in halves.items() if count})

    def _find_least_charged_region(self, items: Iterable[T]) -> T:
        return min(items, key=lambda item: self._list_charges(item, 0))

    def _find_least_charged_site(self, items: Iterable[T]) -> T:
        return min(items, key=lambda item: self._list_charges(item, 1))

    def _find_oldest(self, items: Iterable[T]) -> T:
        return min(items, key=lambda item: self._waiting[item].number)

    def _list_charges(self, item: T, first: int) -> list[int]:
        """Return what orders items by the charges of keys from ``first`` on, the newest first."""
        waiting = self._waiting[item]
        return [*(self._charges[key] for key in waiting.keys[first:]), -waiting.number]

    def _find_displaced(self) -> T:
        preferred = sum(waiting.is_preferred for waiting in self._waiting.values())
        is_preferred = preferred > self._capacity // 2
        candidates = [
            item for item, waiting in self._waiting.items() if waiting.is_preferred == is_preferred
        ]

        def count_items(item: T) -> tuple[int, ...]:
            region, site, address, *_ = self._waiting[item].keys
            return self._counts[site], self._counts[region], self._counts[address]

        # Items are in the order in which they were added, and max returns the first of equal ones.
        return max(candidates, key=count_items)


def find_networks(client: str) -> tuple[str, str, str]:
    """Return the region, the site and the address of a client, from coarse to fine.

    They are its /8, its /24 and its address in IPv4, its /32, /48 and /64 in IPv6: a single machine
    has a whole /64 to choose from. All that come by a unix socket are one client.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return client, client, client
    prefixes = _IPV4_PREFIXES
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            address = address.ipv4_mapped
        else:
            address, prefixes = IPv6Address(int(address)), _IPV6_PREFIXES  # without its zone
    region, site, single = (
        str(ip_network((str(address), length), strict=False)) for length in prefixes
    )
    return region, site, single
