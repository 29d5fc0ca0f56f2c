"""What time it is at ScaleEngine, as its answers tell."""

import threading
from typing import Final

from exporter.scaleengine.clock import Clock

_MIDDLE: Final = 0.5
"""Of a second: a Date header is cut to whole ones."""


class ServerTime:
    """The time of day for the requests of one account.

    It is our clock's until ScaleEngine has refused that; from then on it is ScaleEngine's, as the
    newest answer told it. ScaleEngine's is not taken before, and no longer when it was refused as
    well: a proxy may have written the header.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._skew: float | None = None
        self._trusted = False
        self._lock = threading.Lock()

    @property
    def skew(self) -> float | None:
        """Return our clock minus ScaleEngine's, in seconds, to about a second; None if unknown."""
        return self._skew

    def now(self) -> float:
        """Return the unix time that requests carry, in seconds."""
        now = self._clock.now()
        with self._lock:
            return now - self._skew if self._trusted and self._skew is not None else now

    def heed(self, date: float) -> float:
        """Take note of the time that an answer told; return the skew that it shows."""
        skew = self._clock.now() - (date + _MIDDLE)
        with self._lock:
            self._skew = skew
        return skew

    def trust(self) -> None:
        """Take ScaleEngine's time from now on."""
        with self._lock:
            self._trusted = True

    def distrust(self) -> None:
        """Take our own clock's time from now on."""
        with self._lock:
            self._trusted = False
