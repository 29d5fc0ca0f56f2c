"""Give every request a time of its own, so that no signed text is ever sent twice.

ScaleEngine refuses a signed text that it has seen as a replay. Two targets whose paths overlap can
ask for the same folder in the same second, and would sign the same text.
"""

import threading
from collections.abc import Callable, Mapping

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.signing import Value, encode


class Stamps:
    """Stamps the requests of all accounts.

    ``wait`` pauses for a number of seconds, and returns whether it is time to stop.
    """

    def __init__(self, clock: Clock, wait: Callable[[float], bool]) -> None:
        self._clock = clock
        self._wait = wait
        self._second = 0
        self._stamped: set[str] = set()
        self._lock = threading.Lock()

    def stamp(self, fields: Mapping[str, Value]) -> int:
        """Return the unix time for a request of these fields, in seconds.

        One that was stamped in this second waits for the next.
        """
        request = encode(fields)
        while True:
            now, is_new = self._note(request)
            if is_new or self._wait(int(now) + 1 - now):
                return int(now)

    def _note(self, request: str) -> tuple[float, bool]:
        """Return the time, and whether the request is the first of its kind in this second."""
        with self._lock:
            now = self._clock.now()
            if int(now) != self._second:
                self._second = int(now)
                self._stamped.clear()
            is_new = request not in self._stamped
            self._stamped.add(request)
            return now, is_new
