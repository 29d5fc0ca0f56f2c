"""Keep the requests of one account apart, so that ScaleEngine is not asked too often."""

from typing import Final

from exporter.scaleengine.clock import Clock

_MAX_SLEEP: Final = 5.0
"""Seconds after which a request that waits obeys a limit that was raised meanwhile."""
_PUNCTUAL: Final = 0.05
"""Seconds that a request may be late without putting off the ones after it."""


class RateLimiter:
    """Lets requests begin at most ``per_second`` times a second, evenly; None means no limit.

    One request waits at a time: it calls ``wait``, then ``begin`` when it is sent.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._gap = _gap(per_second)
        self._clock = clock
        self._next = clock.monotonic()
        self._turn = self._next

    def change(self, per_second: float | None) -> None:
        """Obey another limit; the next request waits no longer than that asks for."""
        self._gap = _gap(per_second)
        self._next = min(self._next, self._clock.monotonic() + self._gap)

    def delay(self) -> float:
        """Return the seconds until the next request may begin."""
        return max(0.0, self._next - self._clock.monotonic())

    async def wait(self) -> None:
        """Wait until the next request may begin."""
        self._turn = max(self._next, self._clock.monotonic())
        while (left := self.delay()) > 0:
            await self._clock.sleep(min(left, _MAX_SLEEP))

    def begin(self) -> None:
        """Record that a request begins now."""
        now = self._clock.monotonic()
        is_punctual = 0.0 <= now - self._turn < _PUNCTUAL
        self._next = (self._turn if is_punctual else now) + self._gap


def _gap(per_second: float | None) -> float:
    return 0.0 if per_second is None else 1 / per_second
