"""Block requests with credentials that ScaleEngine has refused."""

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


class CredentialBreaker:
    """Remembers that credentials were refused, for the other targets of an account.

    An account with a hundred paths would be refused a hundred times otherwise, and be locked. One
    refusal is enough for credentials that were never accepted; later it may be of one path only. It
    is remembered by collector, since a command may be denied alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Record] = {}

    def record_acceptance(self, collector: str, credentials: Credentials) -> None:
        """Record that the credentials were accepted."""
        self._known[collector] = _Record(credentials)

    def record_refusal(
        self, collector: str, credentials: Credentials, error: ScaleEngineError, seconds: float
    ) -> None:
        """Record that the credentials were refused; if that counts, block them for ``seconds``."""
        until = self._clock.monotonic() + seconds
        known = self._known.get(collector)
        if known is not None and known.credentials == credentials:
            refusals = known.refusals + 1
        else:
            refusals = CONVINCING_REFUSALS
        self._known[collector] = _Record(credentials, refusals, error, until)

    def find_refusal(self, collector: str, credentials: Credentials) -> ScaleEngineError | None:
        """Return why these credentials are blocked now, or None; others may be right."""
        known = self._known.get(collector)
        if known is None or known.credentials != credentials:
            return None
        if known.refusals < CONVINCING_REFUSALS or self._clock.monotonic() >= known.until:
            return None
        return known.error
