"""What follows from each failure: one table for the code, its docstring and the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling import recovery
from exporter.polling.recovery import (
    FailedAttempts,
    compute_next_poll_delay,
    find_account_pause,
    find_scope_to_give_up,
    has_response,
    refuses_credentials,
)
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    CorrectedClockError,
    FailureScope,
    IncompleteError,
    LimitReachedError,
    NetworkError,
    ProtocolError,
    RateLimitedError,
    Reason,
    RequestTimeoutError,
    ScaleEngineError,
    ServerError,
    SignatureError,
    TooManyRequestsError,
)
from tests.support.clocks import FixedRandom

HOUR = 3600.0
PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
PASSING = [
    ClockError,
    CorrectedClockError,
    RateLimitedError,
    ServerError,
    RequestTimeoutError,
    NetworkError,
    ProtocolError,
    IncompleteError,
]
PERMANENT = [AuthError, SignatureError, ApiError, LimitReachedError]


def failure(kind: type[ScaleEngineError], retry_after: float | None = None) -> ScaleEngineError:
    return kind("files.list", "a cause", "a next step", retry_after)


def table_in(text: str) -> list[str]:
    return re.findall(r"^\|.*$", text, re.MULTILINE)


def error_classes(
    base: type[ScaleEngineError] = ScaleEngineError,
) -> Iterator[type[ScaleEngineError]]:
    """Return all classes of failures, in the order in which they are written."""
    for kind in base.__subclasses__():
        yield kind
        yield from error_classes(kind)


def describe_decisions(kind: type[ScaleEngineError]) -> list[str]:
    """Return a row of the table, made of what the code decides."""
    error = failure(kind, retry_after=7.0)
    others = "wait" if find_account_pause(error) == 7.0 else "continue"
    return [
        kind.__name__,
        str(kind.reason),
        "transient" if kind.transient else "permanent",
        str(kind.scope),
        str(count_attempts(kind)),
        describe_retry(kind),
        "blocked" if refuses_credentials(error) else others,
        {30.0: "backoff", 900.0: "interval"}[compute_next_poll_delay(failure(kind), 1, 900.0)],
    ]


def count_attempts(kind: type[ScaleEngineError]) -> int:
    attempts, made = FailedAttempts(), 1
    attempts.record(failure(kind))
    while attempts.may_retry(failure(kind)):
        made += 1
        attempts.record(failure(kind))
    return made


def describe_retry(kind: type[ScaleEngineError]) -> str:
    attempts, error = FailedAttempts(), failure(kind)
    attempts.record(error)
    if not attempts.may_retry(error):
        return "-"
    wait = {0.0: "at once", 0.5: "backoff"}[attempts.delay(error, FixedRandom())]
    default = kind.default_retry_after
    return wait if default is None else f"{wait}, {default:.0f} s"


def test_the_table_is_what_the_code_decides() -> None:
    """The module's table has a row for each class of failures, and each cell is true."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table_in(recovery.__doc__ or "")[2:]
    ]
    assert rows == [describe_decisions(kind) for kind in error_classes()]


def test_the_documentation_has_the_same_table() -> None:
    """The documentation has the same table."""
    assert table_in(PAGE.read_text()) == table_in(recovery.__doc__ or "")


@pytest.mark.parametrize(
    ("kind", "retry_after", "scope"),
    [
        (AuthError, None, FailureScope.COMMAND),
        (SignatureError, None, FailureScope.CREDENTIALS),
        (ClockError, None, FailureScope.ACCOUNT),
        (TooManyRequestsError, None, FailureScope.ACCOUNT),
        (RateLimitedError, 120.0, FailureScope.ACCOUNT),
        (ServerError, 7.0, FailureScope.ACCOUNT),
        (ServerError, None, FailureScope.REQUEST),
        (NetworkError, None, FailureScope.API),
        (AuthError, 7.0, FailureScope.COMMAND),
    ],
)
def test_the_class_of_a_failure_decides_what_is_held_back(
    kind: type[ScaleEngineError], retry_after: float | None, scope: FailureScope
) -> None:
    """A request for a wait is for the account; else the class of the failure decides."""
    assert find_scope_to_give_up(failure(kind, retry_after)) is scope


def test_only_timeout_and_network_failures_have_no_response() -> None:
    """Only a timeout and a network failure leave open whether ScaleEngine can be reached."""
    found = {reason for reason in Reason if not has_response(reason)}
    assert found == {kind.reason for kind in error_classes() if kind.scope is FailureScope.API}
    assert has_response(None)


@pytest.mark.parametrize(("asked", "pause"), [(None, 0.0), (0.0, 0.0), (7.0, 7.0), (1e12, HOUR)])
def test_an_account_waits_as_long_as_requested_up_to_an_hour(
    asked: float | None, pause: float
) -> None:
    """An account sends nothing for as long as ScaleEngine asks for, up to an hour."""
    assert find_account_pause(failure(TooManyRequestsError, asked)) == pause


@pytest.mark.parametrize(
    ("interval", "waits"),
    [
        (900.0, [30, 60, 120, 240, 480, 900, 900]),
        (60.0, [30, 60, 60]),
        (10.0, [10, 10, 10]),
    ],
)
@pytest.mark.parametrize("kind", PASSING)
def test_a_transient_failure_is_polled_again_sooner(
    kind: type[ScaleEngineError], interval: float, waits: list[float]
) -> None:
    """The waits after failures are 30 s, doubling, and never longer than the interval."""
    found = [
        compute_next_poll_delay(failure(kind), number, interval)
        for number, _ in enumerate(waits, start=1)
    ]
    assert found == waits


@pytest.mark.parametrize("kind", PERMANENT)
@pytest.mark.parametrize("failures", [1, 2, 100])
def test_a_permanent_failure_waits_for_the_interval(
    kind: type[ScaleEngineError], failures: int
) -> None:
    """Bad credentials are not tried often: the next poll comes at the interval, from the first."""
    assert compute_next_poll_delay(failure(kind), failures, 900.0) == 900.0


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(None, 30), (0.0, 30), (29.0, 30), (120.0, 120), (3600.0, HOUR), (1e12, HOUR)],
)
def test_a_requested_wait_may_exceed_the_interval(asked: float | None, wait: float) -> None:
    """A longer wait than ours is kept, also beyond the interval, but no longer than an hour."""
    assert compute_next_poll_delay(failure(RateLimitedError, asked), 1, 60.0) == wait


@given(
    st.sampled_from(PASSING + PERMANENT),
    st.integers(1, 10**6),
    st.floats(1, 1e6),
    st.floats(0, 1e300) | st.none(),
)
def test_a_pause_is_bounded(
    kind: type[ScaleEngineError], failures: int, interval: float, asked: float | None
) -> None:
    """However many failures there were, the pause is no shorter than 30 s or the interval."""
    found = compute_next_poll_delay(failure(kind, asked), failures, interval)
    assert min(30.0, interval) <= found <= max(interval, HOUR)
