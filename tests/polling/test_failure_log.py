"""The same cause is one warning for all targets of an account, and again each hour."""

import pytest

from exporter.polling.failure_log import WARNING_SECONDS, FailureLog, FailureWarning
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    IncompleteError,
    NetworkError,
    RateLimitedError,
    ScaleEngineError,
    SignatureError,
)

INTERVAL = 900.0
USAGE = DiskUsageTarget("main", 3600.0, 10800.0, ())
PATHS = [
    FilesTarget("main", INTERVAL, 3 * INTERVAL, f"sestore4/{number}", "video", None)
    for number in range(5)
]
SIX: list[Target] = [*PATHS, USAGE]

Error = type[ScaleEngineError]


def error(kind: Error, cause: str = "refused") -> ScaleEngineError:
    """Return a failure as each poll makes its own."""
    return kind("files.list", cause, "check api_secret")


def warned(log: FailureLog, kind: Error, now: float, cause: str = "refused") -> list[bool]:
    """Let all six fail one after the other; return which are warned of."""
    return [
        log.record_failure(target, error(kind, cause), now + number / 10) is not None
        for number, target in enumerate(SIX)
    ]


@pytest.mark.parametrize("kind", [AuthError, SignatureError, NetworkError])
def test_one_cause_of_several_targets_is_one_warning_an_hour(kind: Error) -> None:
    """Six targets that fail for one cause are one warning, in each hour."""
    log = FailureLog()
    first = [True, False, False, False, False, False]
    for interval in range(9):
        assert warned(log, kind, interval * INTERVAL) == ([False] * 6 if interval % 4 else first)


def test_a_repeated_warning_has_the_number_of_failures() -> None:
    """It says how many polls have failed since the last one, and how many targets fail now."""
    log = FailureLog()
    assert log.record_failure(USAGE, error(NetworkError), 0.0) == FailureWarning(1, 1)
    for now in (10.0, 900.0, WARNING_SECONDS - 1):
        warned(log, NetworkError, now)
    assert log.record_failure(USAGE, error(NetworkError), WARNING_SECONDS) == FailureWarning(19, 6)
    assert log.record_failure(USAGE, error(NetworkError), WARNING_SECONDS + 1) is None


def test_another_cause_is_another_warning() -> None:
    """Another cause is another warning, at once."""
    log = FailureLog()
    warned(log, NetworkError, 0.0)
    assert log.record_failure(PATHS[3], error(NetworkError, "no route"), 1.0)
    assert log.record_failure(USAGE, error(SignatureError), 2.0)
    assert not log.record_failure(PATHS[0], error(NetworkError), 3.0)


@pytest.mark.parametrize("kind", [ApiError, IncompleteError])
def test_causes_of_one_target_are_one_warning_each(kind: Error) -> None:
    """What is wrong with a path is logged for each path, though in the same words."""
    log = FailureLog()
    assert warned(log, kind, 0.0) == [True] * 6
    assert warned(log, kind, 30.0) == [False] * 6
    assert warned(log, kind, WARNING_SECONDS - 1) == [False] * 6
    assert warned(log, kind, WARNING_SECONDS) == [True] * 6


@pytest.mark.parametrize("code", ["0000", "0006"])
def test_a_defect_is_one_cause(code: str) -> None:
    """What no configuration of a target causes is one warning for all of them."""
    log = FailureLog()
    warned = []
    for target in SIX:
        defect = error(ApiError)
        defect.code = code
        warned.append(log.record_failure(target, defect, 0.0) is not None)
    assert warned == [True, False, False, False, False, False]


@pytest.mark.parametrize("kind", [RateLimitedError, ClockError])
def test_causes_that_differ_in_seconds_are_one_cause(kind: Error) -> None:
    """Where the texts have how many seconds are left, they are no other cause."""
    log = FailureLog()
    assert log.record_failure(PATHS[0], error(kind, "asked too often"), 0.0)
    assert not log.record_failure(PATHS[1], error(kind, "37 s more"), 1.0)
    assert not log.record_failure(PATHS[1], error(kind, "36 s more"), 2.0)


def test_a_cause_is_warned_about_again_after_success() -> None:
    """When all that failed has succeeded, the next failure is news."""
    log = FailureLog()
    warned(log, NetworkError, 0.0)
    for target in SIX[1:]:
        log.reset(target)
    assert not log.record_failure(USAGE, error(NetworkError), 10.0)
    log.reset(PATHS[0])
    log.reset(USAGE)
    assert log.record_failure(USAGE, error(NetworkError), 20.0)


def test_a_target_without_failure_can_be_forgotten() -> None:
    """A target that never failed can be forgotten."""
    log = FailureLog()
    log.reset(USAGE)
    assert log.record_failure(USAGE, error(NetworkError), 0.0)
