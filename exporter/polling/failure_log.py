"""Which failures of an account are worth a warning: the same cause is one for all its targets."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from exporter.polling.targets import Target
from exporter.scaleengine.errors import Reason, ScaleEngineError

WARNING_SECONDS: Final = 3600.0
"""A cause that lasts is warned of again after this time."""

_OF_ONE_TARGET: Final = frozenset({Reason.API, Reason.INCOMPLETE})
"""Failures of this kind have a cause in each target, even with the same message."""
_OF_THE_PROGRAM: Final = frozenset({"0000", "0006"})
"""Codes of failures that no configuration of a target causes."""
_OF_ONE_MOMENT: Final = frozenset({Reason.RATE_LIMITED, Reason.CLOCK})
"""Messages of these reasons may contain a number of seconds."""

_Cause: TypeAlias = tuple[Reason, str, str, Target | None]


@dataclass(frozen=True, slots=True)
class FailureWarning:
    """The fields of a warning in addition to its message.

    ``failures`` are the polls that failed for it since the last warning, this one included, and
    ``targets`` those that fail for it now.
    """

    failures: int
    targets: int


@dataclass(slots=True)
class _Lasting:
    """A cause for which targets fail: when it was warned of, and the failures since."""

    warned: float | None = None
    failures: int = 0


class FailureLog:
    """Knows for which causes the targets of an account fail, and when each was last warned of."""

    def __init__(self) -> None:
        self._causes: dict[Target, _Cause] = {}
        self._lasting: dict[_Cause, _Lasting] = {}

    def record_failure(
        self, target: Target, error: ScaleEngineError, now: float
    ) -> FailureWarning | None:
        """Record that a poll of the target has failed; return the warning that is due.

        It is None where the cause was warned of within the last hour, for any target.
        ``now`` is in seconds of monotonic time.
        """
        cause = _get_cause(target, error)
        if self._causes.get(target) != cause:
            self.reset(target)
            self._causes[target] = cause
        lasting = self._lasting.setdefault(cause, _Lasting())
        lasting.failures += 1
        if lasting.warned is not None and now - lasting.warned < WARNING_SECONDS:
            return None
        targets = sum(other == cause for other in self._causes.values())
        warning = FailureWarning(lasting.failures, targets)
        lasting.warned, lasting.failures = now, 0
        return warning

    def reset(self, target: Target) -> None:
        """Record that the target fails no longer, or is not polled any more."""
        cause = self._causes.pop(target, None)
        if cause is not None and cause not in self._causes.values():
            del self._lasting[cause]


def _get_cause(target: Target, error: ScaleEngineError) -> _Cause:
    if error.reason in _OF_ONE_MOMENT:
        return error.reason, "", "", None
    is_own = error.reason in _OF_ONE_TARGET and error.code not in _OF_THE_PROGRAM
    own = target if is_own else None
    return error.reason, error.cause, error.advice, own
