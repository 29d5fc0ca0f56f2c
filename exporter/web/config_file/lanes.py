"""Whose password is checked next, when many wait.

A check takes a tenth of a second or more and only one runs at a time, so whoever sends wrong
passwords at full speed must not keep the right ones waiting. Those who wait stand in lanes, and the
lanes take turns. A lane that is new goes first, so that a crowd in others delays it by no more than
the check that runs; but two new ones follow each other only where no other waits. Within a lane,
which nobody can tell apart, the newest and the oldest take turns: whoever comes after a crowd is
served at once, and whoever came before one is not forgotten.
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


class Lanes(Generic[T]):
    """Those who wait, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = 0
        # Those that have had no turn yet, the others, and whether it is the turn of the first kind.
        self._new: OrderedDict[Hashable, _Lane[T]] = OrderedDict()
        self._served: OrderedDict[Hashable, _Lane[T]] = OrderedDict()
        self._new_is_next = True

    def __len__(self) -> int:
        """Count those who wait."""
        return self._length

    def add(self, lane: Hashable, one: T) -> T | None:
        """Let one wait; give whoever must go for want of room: the oldest in the longest lane."""
        found = self._served.get(lane) or self._new.setdefault(lane, _Lane())
        found.waiting.append(one)
        self._length += 1
        return self._drop_oldest() if self._length > self._most else None

    def next(self) -> T:
        """Take out whose turn it is; raises StopIteration when nobody waits."""
        is_new = bool(self._new) and (self._new_is_next or not self._served)
        lanes = self._new if is_new else self._served
        name = next(iter(lanes))
        lane = lanes.pop(name)
        one = lane.next()
        if lane.waiting:
            self._served[name] = lane
        self._new_is_next = not is_new
        self._length -= 1
        return one

    def _drop_oldest(self) -> T:
        every = [(lanes, name) for lanes in (self._served, self._new) for name in lanes]
        lanes, name = max(every, key=lambda each: len(each[0][each[1]].waiting))
        gone = lanes[name].waiting.popleft()
        if not lanes[name].waiting:
            del lanes[name]
        self._length -= 1
        return gone
