"""How many requests are answered: a token bucket, as Go's golang.org/x/time/rate keeps one."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request in `interval` seconds, and `burst` of them at once after a pause."""

    interval: float
    burst: int


class TokenBucket:
    """Holds a token for each request that may be answered now; `clock` gives seconds."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._counted_at = clock()

    def take(self) -> float:
        """Take a token and give 0, or the seconds until there will be one."""
        now = self._clock()
        grown = (now - self._counted_at) / self.limit.interval
        self._tokens = min(float(self.limit.burst), self._tokens + grown)
        self._counted_at = now
        if self._tokens < 1:
            return (1 - self._tokens) * self.limit.interval
        self._tokens -= 1
        return 0.0
