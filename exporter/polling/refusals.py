"""What ScaleEngine has refused for good, so that nobody asks again at once."""

import threading
from dataclasses import dataclass

from exporter.polling.recovery import CONVINCING_REFUSALS
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import ScaleEngineError


@dataclass(frozen=True, slots=True)
class _Record:
    credentials: Credentials
    refusals: int = 0
    error: ScaleEngineError | None = None
    until: float = 0.0


class Refusals:
    """Remembers that credentials were refused, for the other targets of an account.

    An account with a hundred paths would be refused a hundred times otherwise, and be locked. One
    refusal is enough for credentials that were never accepted; later it may be of one path only. It
    is remembered by collector, since a command may be denied by itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def heed_acceptance(self, collector: str, credentials: Credentials) -> None:
        """Take note that the credentials were accepted."""
        with self._lock:
            self._known[collector] = _Record(credentials)

    def heed(
        self, collector: str, credentials: Credentials, error: ScaleEngineError, seconds: float
    ) -> None:
        """Take note that the credentials were refused; if it counts, then for so many seconds."""
        until = self._clock.elapsed() + seconds
        with self._lock:
            known = self._known.get(collector)
            if known is not None and known.credentials == credentials:
                refusals = known.refusals + 1
            else:
                refusals = CONVINCING_REFUSALS
            self._known[collector] = _Record(credentials, refusals, error, until)

    def standing(self, collector: str, credentials: Credentials) -> ScaleEngineError | None:
        """Return why these credentials need not be tried now, if so; others may be right."""
        with self._lock:
            known = self._known.get(collector)
        if (
            known is None
            or known.credentials != credentials
            or known.refusals < CONVINCING_REFUSALS
        ):
            return None
        return known.error if self._clock.elapsed() < known.until else None
