"""Whose password is checked next, when many wait.

A check takes a tenth of a second or more and only one runs at a time, so whoever sends wrong
passwords at full speed must not keep the right ones waiting. Those who wait stand in lanes, and the
lanes take turns: a crowd in one lane delays another by one check. Within a lane, which nobody can
tell apart, the newest and the oldest take turns: whoever comes after a crowd is served at once, and
whoever came before one is not forgotten.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    newest_is_next: bool = True

    def next(self) -> T:
        """Take out whose turn it is."""
        one = self.waiting.pop() if self.newest_is_next else self.waiting.popleft()
        self.newest_is_next = not self.newest_is_next
        return one


class Turns(Generic[T]):
    """Those who wait, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = 0
        self._lanes: OrderedDict[Hashable, _Lane[T]] = OrderedDict()

    def __len__(self) -> int:
        """Count those who wait."""
        return self._length

    def add(self, lane: Hashable, one: T) -> T | None:
        """Let one wait; give whoever must go for want of room: the oldest in the longest lane."""
        self._lanes.setdefault(lane, _Lane()).waiting.append(one)
        self._length += 1
        if self._length <= self._most:
            return None
        longest = max(self._lanes, key=lambda each: len(self._lanes[each].waiting))
        gone = self._lanes[longest].waiting.popleft()
        self._took_from(longest)
        return gone

    def next(self) -> T:
        """Take out whose turn it is; raises StopIteration when nobody waits."""
        lane = next(iter(self._lanes))
        one = self._lanes[lane].next()
        self._lanes.move_to_end(lane)
        self._took_from(lane)
        return one

    def _took_from(self, lane: Hashable) -> None:
        self._length -= 1
        if not self._lanes[lane].waiting:
            del self._lanes[lane]
