"""Which failures of an account are worth a warning: the same cause is one for all its targets."""

import threading
from typing import Final, TypeAlias

from exporter.polling.targets import Target
from exporter.scaleengine.errors import Reason, ScaleEngineError

_OF_ONE_TARGET: Final = frozenset({Reason.API, Reason.INCOMPLETE})
"""Two targets that fail so fail for causes of their own, in whatever words."""
_OF_ONE_MOMENT: Final = frozenset({Reason.RATE_LIMITED, Reason.CLOCK})
"""The words of these may tell the seconds."""

_Cause: TypeAlias = tuple[Reason, str, str, Target | None]


class FailureLog:
    """Knows for which causes the targets of an account fail, and when each was last warned of."""

    def __init__(self) -> None:
        self._causes: dict[Target, _Cause] = {}
        self._warned: dict[_Cause, float] = {}
        self._lock = threading.Lock()

    def record_failure(self, target: Target, error: ScaleEngineError, now: float) -> bool:
        """Record that a poll of the target has failed; return whether it is worth a warning.

        It is where no target failed for this cause, and where the last warning is as old as the
        target's interval. ``now`` is in seconds of monotonic time.
        """
        cause = _cause(target, error)
        with self._lock:
            if self._causes.get(target) != cause:
                self._forget(target)
                self._causes[target] = cause
            warned = self._warned.get(cause)
            if warned is not None and now - warned < target.interval:
                return False
            self._warned[cause] = now
            return True

    def forget(self, target: Target) -> None:
        """Record that the target fails no longer, or is not polled any more."""
        with self._lock:
            self._forget(target)

    def _forget(self, target: Target) -> None:
        cause = self._causes.pop(target, None)
        if cause is not None and cause not in self._causes.values():
            del self._warned[cause]


def _cause(target: Target, error: ScaleEngineError) -> _Cause:
    if error.reason in _OF_ONE_MOMENT:
        return error.reason, "", "", None
    own = target if error.reason in _OF_ONE_TARGET else None
    return error.reason, error.cause, error.advice, own
