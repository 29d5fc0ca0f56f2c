"""What each attempt of a poll shows of an account's credentials."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from exporter.polling.credentials import CredentialReader, CredentialVerdict
from exporter.polling.session import PolledAccount
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.errors import AuthError, ScaleEngineError
from exporter.simulator import (
    Behaviour,
    FaultRule,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.polling.times import make_session, run_poll
from tests.support.clocks import LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Fault, HttpError, Refusal
from tests.support.fixtures import OpenAccount

GOOD = Credentials(KEY, SECRET)

USAGE = DiskUsageTarget("main", interval=3600.0, stale_after=10800.0)
VIDEOS = FilesTarget("main", 900.0, 2700.0, "sestore4/jb", "video")
AUDIO = FilesTarget("main", 900.0, 2700.0, "sestore4/jb", "audio")


@dataclass
class Watched:
    """An account that is polled, its ScaleEngine, and what polls have shown."""

    simulator: Simulator
    account: PolledAccount
    time: LeapingClock
    verdicts: list[CredentialVerdict]

    def poll(self, target: Target) -> list[bool | None]:
        """Poll once; return what that has shown, attempt by attempt."""
        before = len(self.verdicts)
        with suppress(ScaleEngineError):
            run_poll(make_session(self.account, target), target)
        return [verdict.accepted for verdict in self.verdicts[before:]]

    def spoil(self, fault: Fault | Refusal | HttpError) -> None:
        """Let all responses be bad from now on."""
        self.simulator.behave(Behaviour(faults=(FaultRule(fault),)))


@pytest.fixture
def watched(open_account: OpenAccount, leaping: LeapingClock) -> Iterator[Watched]:
    """Return an account with an empty path."""
    storage = Folder()
    storage.make(VIDEOS.path)
    stored = SimulatedAccount(158, KEY, SECRET, usage=steady_usage({"demo": 7}), storage=storage)
    verdicts: list[CredentialVerdict] = []
    with (
        Simulator([stored], clock=leaping.clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        yield Watched(
            simulator, replace(account, record_verdict=verdicts.append), leaping, verdicts
        )


@pytest.mark.parametrize("target", [USAGE, VIDEOS], ids=str)
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (None, [True]),
        (Refusal("0042"), [True]),
        (Fault.NOT_A_FOLDER, [True]),
        (Refusal("0001"), [False]),
        (Refusal("0005"), [False]),
        (Refusal("0003"), [False]),
        (HttpError(401), [False]),
        (HttpError(403), [False]),
        (Refusal("0004"), [None] * 3),
        (Refusal("1000"), [None] * 3),
        (HttpError(503), [None] * 3),
        (Fault.RESET, [None] * 3),
        (Refusal("0002"), [None] * 2),
        (Fault.HTML_PAGE, [None]),
    ],
    ids=str,
)
def test_a_response_decides_the_verdict(
    watched: Watched,
    target: Target,
    fault: Fault | Refusal | HttpError | None,
    shown: list[bool | None],
) -> None:
    """A success and a failure of any other kind accept the credentials; much says nothing."""
    if fault is not None:
        watched.spoil(fault)
    assert watched.poll(target) == shown
    for verdict in watched.verdicts:
        assert (verdict.target, verdict.credentials, verdict.request_sent) == (target, GOOD, True)


def test_a_refusal_counts_for_a_target_that_is_held_back(watched: Watched) -> None:
    """What another target was refused for counts for this one as well, without a request."""
    watched.spoil(Refusal("0005"))
    assert watched.poll(VIDEOS) == [False]
    assert watched.poll(AUDIO) == [False]
    assert [verdict.request_sent for verdict in watched.verdicts] == [True, False]
    assert watched.verdicts[1].target == AUDIO
    assert watched.simulator.request_count == 1


def test_unreadable_credentials_are_not_accepted(watched: Watched) -> None:
    """Credentials that are not there are none that are accepted."""

    def unreadable() -> Credentials:
        raise AuthError("credentials", "the file is gone", "put it back")

    watched.account = replace(watched.account, credentials=CredentialReader(unreadable))
    assert watched.poll(USAGE) == [False]
    (verdict,) = watched.verdicts
    assert (verdict.credentials, verdict.request_sent) == (None, False)


def test_the_later_read_of_credentials_is_known(watched: Watched) -> None:
    """Of two polls, the one that read its credentials later is known."""
    watched.poll(USAGE)
    watched.time.wait(10.0)
    watched.poll(USAGE)
    first, second = watched.verdicts
    assert second.read_at >= first.read_at + 10.0


def test_a_request_of_a_cancelled_poll_shows_nothing(watched: Watched) -> None:
    """A request that ends after its poll was cancelled shows nothing: the account may be gone."""

    async def cancel_while_it_is_sent() -> None:
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def observe(_: Exchange) -> None:
            loop.call_soon_threadsafe(sent.set)

        client = replace(watched.account.client, observe=observe)
        session = make_session(replace(watched.account, client=client), USAGE)
        task = asyncio.create_task(poll_target(USAGE, session))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    watched.spoil(Refusal("0001"))
    asyncio.run(cancel_while_it_is_sent())
    assert watched.verdicts == []
    assert watched.simulator.request_count == 1


def test_the_observer_of_the_client_gets_every_request(watched: Watched) -> None:
    """The client's own observer gets every request, too."""
    exchanges: list[Exchange] = []
    client = replace(watched.account.client, observe=exchanges.append)
    watched.account = replace(watched.account, client=client)
    watched.poll(USAGE)
    watched.poll(VIDEOS)
    assert [exchange.command for exchange in exchanges] == ["disk.usage", "files.list"]
