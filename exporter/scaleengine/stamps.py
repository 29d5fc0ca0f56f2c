"""Give every request a time of its own, so that no signed text is ever sent twice.

ScaleEngine refuses a signed text that it has seen as a replay. Two targets whose paths overlap can
ask for the same folder in the same second, and would sign the same text; so would a clock that
has been set back.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from exporter.scaleengine.signing import Value, encode

_REMEMBERED: Final = 10_000


class Stamps:
    """Stamps the requests of all accounts, and remembers the newest ten thousand.

    ``wait`` pauses for a number of seconds, and returns whether it is time to stop.
    """

    def __init__(self, wait: Callable[[float], bool]) -> None:
        self._wait = wait
        self._order: deque[int] = deque()
        self._given: set[int] = set()
        self._lock = threading.Lock()

    def stamp(self, fields: Mapping[str, Value], now: Callable[[], float]) -> int:
        """Return the unix time for a request of these fields, in seconds.

        One that was stamped in this second already waits for the next. ``now`` tells the time.
        """
        request = encode(fields)
        while True:
            moment = now()
            if self._is_new(hash((request, int(moment)))):
                return int(moment)
            if self._wait(int(moment) + 1 - moment):
                return int(moment)

    def _is_new(self, stamped: int) -> bool:
        """Remember a stamped request; say whether it was not there before."""
        with self._lock:
            if stamped in self._given:
                return False
            self._given.add(stamped)
            self._order.append(stamped)
            if len(self._order) > _REMEMBERED:
                self._given.discard(self._order.popleft())
            return True
