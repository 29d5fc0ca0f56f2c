"""Remember which names were seen, in little memory."""

from array import array
from typing import Final

_MIN_SLOTS: Final = 8
_WORD: Final = 2**64 - 1


class SeenNames:
    """The names seen so far: sixteen to thirty-two bytes for each, however long it is.

    A folder of a million files comes in ten thousand responses, and responses may overlap; a set of
    the names would take over a hundred megabytes. It keeps a hash of 64 bits, with a new key in
    each process: that two names of a folder of a million share one has a probability of 1 in 37
    million.
    """

    def __init__(self) -> None:
        self._slots = _make_empty_table(_MIN_SLOTS)
        self._count = 0

    def __len__(self) -> int:
        """Return how many different names there are."""
        return self._count

    def __contains__(self, name: str) -> bool:
        """Return whether a name was seen."""
        key = hash(name) & _WORD or 1
        return self._slots[self._find(key)] == key

    def add(self, name: str) -> None:
        """Remember a name; one that is known changes nothing."""
        if self._put(hash(name) & _WORD or 1):
            self._count += 1
            if self._count * 2 > len(self._slots):
                self._grow()

    def _put(self, key: int) -> bool:
        index = self._find(key)
        is_new = self._slots[index] != key
        self._slots[index] = key
        return is_new

    def _find(self, key: int) -> int:
        """Return the slot of a key, or the free one where it belongs."""
        slots = self._slots
        mask = len(slots) - 1
        index = key & mask
        while slots[index] not in {0, key}:
            index = (index + 1) & mask
        return index

    def _grow(self) -> None:
        keys = self._slots
        self._slots = _make_empty_table(2 * len(keys))
        for key in keys:
            if key:
                self._put(key)


def _make_empty_table(slots: int) -> "array[int]":
    return array("Q", bytes(8 * slots))
