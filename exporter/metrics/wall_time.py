"""Unix time for what was measured with the monotonic clock."""

from typing import Final

from exporter.scaleengine.clock import Clock

TOLERANCE: Final = 1.0
"""Seconds that the two clocks may drift apart before timestamps are converted again."""

_READINGS: Final = 3


class WallTime:
    """Converts moments of the monotonic clock to unix time.

    A timestamp that was taken from a wrong wall clock stays wrong after the clock was set. So
    moments are kept in monotonic time, and converted when they are published. The conversion stays
    the same, to the last bit, until the clocks have moved against each other by more than
    ``TOLERANCE``: a timestamp must not change from one publication to the next without a reason.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset, _ = self._measure()
        """Wall clock minus monotonic clock in seconds, as it is published."""

    def refresh(self) -> bool:
        """Follow the wall clock, if it was set since the last time; return whether it was."""
        before, self.offset = self.offset, self.next_offset()
        return before != self.offset

    def next_offset(self) -> float:
        """Return the offset that a refresh would give now."""
        measured, uncertainty = self._measure()
        moved = abs(measured - self.offset) > TOLERANCE + uncertainty
        return measured if moved else self.offset

    def unix(self, monotonic: float) -> float:
        """Return a moment of the monotonic clock as unix time, both in seconds."""
        return monotonic + self.offset

    def _measure(self) -> tuple[float, float]:
        """Return the offset and how far it may be wrong, in seconds.

        A thread can lose the processor between its looks at the two clocks. Of a few readings the
        quickest is the best.
        """
        readings = []
        for _ in range(_READINGS):
            before = self._clock.elapsed()
            now = self._clock.now()
            after = self._clock.elapsed()
            readings.append((after - before, now - after))
        uncertainty, offset = min(readings)
        return offset, uncertainty
