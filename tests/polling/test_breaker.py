"""A refused key is asked with once in an interval, however many targets an account has."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.session import PolledAccount
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import (
    AuthError,
    IncompleteError,
    ScaleEngineError,
    SignatureError,
)
from exporter.simulator import (
    Behaviour,
    FaultRule,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.polling.times import make_session, run_poll
from tests.support.clocks import FakeClock, LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Refusal
from tests.support.fixtures import OpenAccount
from tests.support.sentences import REFUSED_SIGNATURE

GOOD = Credentials(KEY, SECRET)
BAD = Credentials(KEY, "wrong")
REFUSED = SignatureError("files.list", f"{REFUSED_SIGNATURE} (0003)", "check it")

USAGE = DiskUsageTarget("main", interval=3600.0, stale_after=10800.0)
PATHS = [FilesTarget("main", 900.0, 2700.0, f"sestore4/{name}", "video") for name in "abc"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulator for an account with three paths."""
    storage = Folder()
    for target in PATHS:
        storage.make(target.path)
    account = SimulatedAccount(158, KEY, SECRET, usage=steady_usage({"demo": 7}), storage=storage)
    with Simulator([account]) as running:
        yield running


def ended(target: Target, account: PolledAccount) -> type[ScaleEngineError] | None:
    """Poll a target once, and return how that failed, if it did."""
    try:
        run_poll(make_session(account, target), target)
    except ScaleEngineError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("passed", "collector", "credentials", "stands"),
    [
        (0.0, "files", BAD, True),
        (899.0, "files", BAD, True),
        (900.0, "files", BAD, False),
        (0.0, "disk_usage", BAD, False),
        (0.0, "files", GOOD, False),
    ],
)
def test_a_refusal_holds_for_the_interval_and_its_credentials(
    passed: float,
    collector: str,
    credentials: Credentials,
    stands: bool,  # noqa: FBT001 - the last cell of each row of the table
) -> None:
    """It stands for the interval, for what was asked, and for the credentials that were refused."""
    time = FakeClock(0.0)
    breaker = CredentialBreaker(time.clock)
    breaker.record_refusal("files", BAD, REFUSED, seconds=900.0)
    time.advance(passed)
    assert breaker.find_refusal(collector, credentials) is (REFUSED if stands else None)


def test_five_refusals_in_a_row_refuse_accepted_credentials() -> None:
    """What was accepted and is refused now may be refused for one path: it takes five in a row."""
    breaker = CredentialBreaker(FakeClock().clock)
    breaker.record_acceptance("files", GOOD)
    for _ in range(4):
        breaker.record_refusal("files", GOOD, REFUSED, seconds=900.0)
        assert breaker.find_refusal("files", GOOD) is None
    breaker.record_refusal("files", GOOD, REFUSED, seconds=900.0)
    assert breaker.find_refusal("files", GOOD) is REFUSED
    breaker.record_acceptance("files", GOOD)
    assert breaker.find_refusal("files", GOOD) is None


def test_a_denied_path_holds_back_no_other(simulator: Simulator, open_account: OpenAccount) -> None:
    """Where one path is refused and others are not, they are all asked for, each time."""
    denied = FaultRule(Refusal("0001"), path=PATHS[1].path)
    with open_account(simulator) as account:
        assert ended(PATHS[0], account) is None
        simulator.behave(Behaviour(faults=(denied,)))
        for _ in range(3):
            assert [ended(target, account) for target in PATHS] == [None, AuthError, None]


def test_a_wrong_secret_is_tried_once_for_all_targets(
    simulator: Simulator, open_account: OpenAccount
) -> None:
    """The first target is refused; the others fail by the same reason, and ask nothing."""
    with open_account(simulator) as opened:
        account = replace(opened, credentials=CredentialReader(lambda: BAD))
        assert [ended(target, account) for target in PATHS] == [SignatureError] * 3
        assert simulator.request_count == 1
        assert ended(USAGE, account) is SignatureError
        assert simulator.request_count == 2


def test_a_denied_command_holds_back_no_other(
    simulator: Simulator, open_account: OpenAccount
) -> None:
    """Where one command is denied, the other goes on."""
    simulator.behave(Behaviour(faults=(FaultRule(Refusal("0005"), command="files.list"),)))
    with open_account(simulator) as account:
        assert [ended(target, account) for target in PATHS] == [AuthError] * 3
        assert ended(USAGE, account) is None
        assert simulator.request_count == 2


def test_corrected_credentials_are_tried_at_once(
    simulator: Simulator, open_account: OpenAccount
) -> None:
    """Other credentials are tried at once."""
    with open_account(simulator) as opened:
        assert (
            ended(PATHS[0], replace(opened, credentials=CredentialReader(lambda: BAD)))
            is SignatureError
        )
        assert [ended(target, opened) for target in PATHS] == [None] * 3


def test_a_poll_that_takes_too_long_sends_no_further_request(
    simulator: Simulator, open_account: OpenAccount, leaping: LeapingClock
) -> None:
    """A poll that takes longer than its numbers would count makes no further request."""
    clock = leaping.clock
    with open_account(simulator, leaping=leaping) as account:
        session = make_session(account, PATHS[0])
        asyncio.run(session.list_files(PATHS[0].path, "video", 0))
        leaping.wait(PATHS[0].stale_after + 1)
        with pytest.raises(IncompleteError, match="not done within 2700 s"):
            asyncio.run(session.list_files(PATHS[0].path, "video", 100))
    assert simulator.request_count == 1
    assert clock.monotonic() > 0
