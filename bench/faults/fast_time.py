"""Time that runs faster than the clock of the machine."""

import asyncio
import threading
from dataclasses import dataclass

from exporter.scaleengine.clock import since_boot


@dataclass(frozen=True, slots=True)
class FastTime:
    """Runs ``speed`` times as fast as real time.

    It counts from ``began``, in real monotonic time, where its time of day is ``start``; so
    several processes can share one.
    """

    speed: float
    start: float
    began: float

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return (since_boot() - self.began) * self.speed

    def now(self) -> float:
        """Return the time of day, in unix time."""
        return self.start + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait this number of fast seconds."""
        await asyncio.sleep(seconds / self.speed)


def fast_time(speed: float, start: float) -> FastTime:
    """Return a time that begins now."""
    return FastTime(speed, start, since_boot())


class FastStop:
    """A signal to stop that waits as long as the fast time takes."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._event = threading.Event()

    def is_set(self) -> bool:
        """Return whether it is time to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask to stop."""
        self._event.set()

    def wait(self, timeout: float) -> bool:
        """Wait some fast seconds or until it is time to stop; return whether it is."""
        return self._event.wait(timeout / self._speed)
