"""Which connections are open, and which of them has to go when there are too many."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


class OpenConnections(Generic[C]):
    """The open connections, each by what it does and since when.

    One waits until its request has come whole; then it is answered, and waits for the next one.
    There is room for ``most``. ``clock`` gives seconds that only grow.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        # When each began to wait or to be answered, the oldest first.
        self._waiting: OrderedDict[C, float] = OrderedDict()
        self._answered: OrderedDict[C, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._waiting) + len(self._answered)

    def add(self, connection: C) -> None:
        """Take in a new one, which waits."""
        self._waiting[connection] = self._clock()

    def begin(self, connection: C) -> None:
        """Note that one is answered from now on."""
        if self._waiting.pop(connection, None) is not None:
            self._answered[connection] = self._clock()

    def end(self, connection: C) -> None:
        """Note that one waits from now on."""
        if self._answered.pop(connection, None) is not None:
            self._waiting[connection] = self._clock()

    def remove(self, connection: C) -> None:
        """Forget one, which may be forgotten already."""
        self._waiting.pop(connection, None)
        self._answered.pop(connection, None)

    def is_full(self) -> bool:
        """Tell whether there is no room for a new one."""
        return len(self) >= self._most

    def take_oldest(self) -> C | None:
        """Forget and return the one that goes to make room; None if there is none.

        It is the oldest of those that wait; where more are answered than wait, the oldest of those:
        readers that stand still must not keep everybody else out.
        """
        crowd = self._answered if len(self._answered) > len(self._waiting) else self._waiting
        return crowd.popitem(last=False)[0] if crowd else None

    def take_overdue(self, seconds: float) -> list[C]:
        """Forget and return those that have waited, or have been answered, for longer."""
        begun = self._clock() - seconds
        return [*_take_older(self._waiting, begun), *_take_older(self._answered, begun)]

    def all(self) -> list[C]:
        """Return all that are open."""
        return [*self._waiting, *self._answered]


def _take_older(crowd: OrderedDict[C, float], begun: float) -> list[C]:
    older = []
    while crowd and next(iter(crowd.values())) < begun:
        older.append(crowd.popitem(last=False)[0])
    return older
