"""An account is up while its key works; a command that its key lacks is said to be denied."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.credential_metrics import CredentialCollector
from exporter.polling.credentials import CredentialVerdict
from exporter.polling.store import ChangedTargets
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.client import Credentials

USAGE = DiskUsageTarget("main", 3600, 10800)
VIDEOS = FilesTarget("main", 900, 2700, "sestore4/jb", "video")
AUDIO = FilesTarget("main", 900, 2700, "sestore4/jb", "audio")
OTHER = DiskUsageTarget("other", 3600, 10800)
OLD, NEW = Credentials("key", "old"), Credentials("key", "new")

Up = dict[str, float]
Accepted = dict[tuple[str, str], float]


def accepted(
    target: Target, credentials: Credentials = OLD, read_at: float = 0.0
) -> CredentialVerdict:
    """Return what a response shows that is a success, or reports a failure of another kind."""
    return CredentialVerdict(target, credentials, read_at, accepted=True)


def refused(
    target: Target, credentials: Credentials = OLD, read_at: float = 0.0
) -> CredentialVerdict:
    """Return what a refusal of the key or the signature shows."""
    return CredentialVerdict(target, credentials, read_at, accepted=False)


def held_back(target: Target) -> CredentialVerdict:
    """Return what a poll shows that makes no request, for the same would be refused again."""
    return CredentialVerdict(target, OLD, 0.0, accepted=False, request_sent=False)


def unreadable(target: Target, read_at: float = 0.0) -> CredentialVerdict:
    """Return what a poll shows that finds no secret."""
    return CredentialVerdict(target, None, read_at, accepted=False, request_sent=False)


def unanswered(target: Target) -> CredentialVerdict:
    """Return what no response shows, or one of a ScaleEngine that is busy or out of order."""
    return CredentialVerdict(target, OLD, 0.0, accepted=None)


@pytest.fixture
def collector() -> CredentialCollector:
    """Return the collector of two accounts."""
    return CredentialCollector(["main", "other"], [USAGE, VIDEOS, AUDIO, OTHER], ChangedTargets())


def up(collector: CredentialCollector) -> Up:
    """Return ``scaleengine_up`` by account."""
    family, _ = collector.collect_accounts(("main", "other"))
    return {sample.labels["account"]: sample.value for sample in family.samples}


def by_collector(collector: CredentialCollector) -> Accepted:
    """Return ``scaleengine_credentials_accepted`` by account and collector."""
    _, family = collector.collect_accounts(("main", "other"))
    return {
        (sample.labels["account"], sample.labels["collector"]): sample.value
        for sample in family.samples
    }


def test_up_is_absent_before_the_first_request(collector: CredentialCollector) -> None:
    """Before the first request of an account there is no sample."""
    assert (up(collector), by_collector(collector)) == ({}, {})


@pytest.mark.parametrize(
    ("story", "is_up", "usage", "files"),
    [
        ([accepted(USAGE)], 1, 1, None),
        ([refused(USAGE)], 0, 0, None),
        ([unanswered(USAGE)], 0, None, None),
        # One command is denied: the other is accepted after the first refusal, and later ones
        # change nothing.
        ([refused(USAGE), accepted(VIDEOS)], 1, 0, 1),
        ([accepted(VIDEOS), refused(USAGE), accepted(VIDEOS)], 1, 0, 1),
        ([accepted(VIDEOS), refused(USAGE), accepted(VIDEOS), refused(USAGE)], 1, 0, 1),
        ([refused(USAGE), accepted(VIDEOS), held_back(USAGE)], 1, 0, 1),
        ([refused(VIDEOS), held_back(AUDIO), accepted(USAGE), held_back(AUDIO)], 1, 1, 0),
        # The other was accepted before the first refusal only: the key may be revoked.
        ([accepted(VIDEOS), refused(USAGE)], 1, 0, None),
        ([accepted(VIDEOS), refused(USAGE), held_back(USAGE)], 1, 0, None),
        ([accepted(VIDEOS), refused(USAGE), unanswered(VIDEOS), refused(USAGE)], 1, 0, None),
        ([accepted(USAGE), refused(VIDEOS), held_back(AUDIO)], 1, None, 0),
        ([refused(USAGE), accepted(VIDEOS), accepted(USAGE), refused(USAGE)], 1, 0, None),
        # A path that is denied puts no other collector in doubt; the last path that is, does.
        ([accepted(USAGE), accepted(VIDEOS), refused(AUDIO)], 1, 1, 1),
        ([refused(AUDIO), accepted(USAGE), accepted(VIDEOS), refused(VIDEOS)], 1, None, 0),
        # Both are refused: the key is revoked.
        ([accepted(VIDEOS), refused(USAGE), refused(VIDEOS)], 0, 0, 0),
        ([accepted(VIDEOS), accepted(AUDIO), refused(VIDEOS), held_back(AUDIO)], 0, None, 0),
        ([refused(USAGE), refused(VIDEOS), accepted(VIDEOS)], 1, 0, 1),
        # A path is denied.
        ([accepted(VIDEOS), refused(AUDIO)], 1, None, 1),
        ([accepted(VIDEOS), refused(AUDIO), accepted(VIDEOS), refused(AUDIO)], 1, None, 1),
        # A failure without a decision of ScaleEngine shows nothing of the credentials.
        ([accepted(USAGE), unanswered(VIDEOS)], 0, 1, None),
        ([refused(USAGE), accepted(VIDEOS), unanswered(VIDEOS)], 0, 0, 1),
        ([refused(USAGE), accepted(VIDEOS), unanswered(VIDEOS), refused(USAGE)], 1, 0, 1),
        ([unanswered(USAGE), refused(USAGE)], 0, 0, None),
        # A poll that makes no request does not show that ScaleEngine is reached.
        ([refused(USAGE), accepted(VIDEOS), unanswered(VIDEOS), held_back(USAGE)], 0, 0, 1),
        ([held_back(USAGE)], 0, 0, None),
        # The secrets cannot be read; the next verdict is one of other credentials.
        ([accepted(USAGE), accepted(VIDEOS), unreadable(VIDEOS, 1.0)], 0, None, 0),
        ([unreadable(VIDEOS), accepted(VIDEOS, OLD, 1.0)], 1, None, 1),
        # Other credentials: what was decided on the old ones counts no more.
        ([refused(USAGE), accepted(VIDEOS), refused(VIDEOS, NEW, 1.0)], 0, None, 0),
        ([refused(USAGE), refused(VIDEOS), accepted(USAGE, NEW, 1.0)], 1, 1, None),
        ([accepted(USAGE), accepted(VIDEOS), refused(VIDEOS, NEW, 1.0)], 0, None, 0),
        # A poll that began with the old ones ends late, and says nothing of the new ones.
        ([accepted(USAGE, NEW, 1.0), refused(VIDEOS, OLD, 0.5)], 1, 1, None),
        ([refused(USAGE, NEW, 1.0), accepted(VIDEOS, OLD, 0.5)], 0, 0, None),
        ([accepted(USAGE, NEW, 1.0), unreadable(VIDEOS, 0.5)], 1, 1, None),
        # The old ones are put back.
        ([accepted(USAGE, NEW, 1.0), refused(VIDEOS, OLD, 2.0)], 0, None, 0),
    ],
)
def test_an_account_is_up_where_its_key_is_accepted(
    collector: CredentialCollector,
    story: Sequence[CredentialVerdict],
    is_up: int,
    usage: int | None,
    files: int | None,
) -> None:
    """An account is up if ScaleEngine is reached and accepts its key for anything."""
    for verdict in story:
        collector.record(verdict)
    assert up(collector) == {"main": is_up}
    expected = {("main", "disk_usage"): usage, ("main", "files"): files}
    assert by_collector(collector) == {
        labels: value for labels, value in expected.items() if value is not None
    }


def test_up_of_one_account_does_not_depend_on_another(collector: CredentialCollector) -> None:
    """One account says nothing of another, though both have the same credentials."""
    collector.record(accepted(USAGE))
    collector.record(refused(OTHER))
    assert up(collector) == {"main": 1, "other": 0}
    assert by_collector(collector) == {("main", "disk_usage"): 1, ("other", "disk_usage"): 0}


@given(st.lists(st.sampled_from([accepted(VIDEOS), accepted(AUDIO), refused(USAGE)]), min_size=1))
def test_up_does_not_flap_where_one_command_is_denied(story: list[CredentialVerdict]) -> None:
    """In any order of polls: once the account was up, it stays up."""
    collector = CredentialCollector(["main"], [USAGE, VIDEOS, AUDIO], ChangedTargets())
    was_up = False
    for verdict in story:
        collector.record(verdict)
        is_up = up(collector)["main"] == 1
        assert is_up >= was_up
        was_up = is_up


Change = Callable[[CredentialCollector], None]


@pytest.mark.parametrize(
    ("change", "is_up", "decided"),
    [
        # The command that was accepted is not polled any more: its verdict counts no more.
        (
            lambda credentials: credentials.set_targets(["main"], [USAGE]),
            {"main": 0},
            {("main", "disk_usage"): 0},
        ),
        (
            lambda credentials: credentials.set_targets(["main"], [VIDEOS]),
            {"main": 1},
            {("main", "files"): 1},
        ),
        (lambda credentials: credentials.set_targets(["main"], [AUDIO]), {}, {}),
        (lambda credentials: credentials.set_targets(["main"], [USAGE, VIDEOS], {"main"}), {}, {}),
        (lambda credentials: credentials.set_targets([], []), {}, {}),
        # Another interval makes no other target.
        (
            lambda credentials: credentials.set_targets(["main"], [replace(VIDEOS, interval=60.0)]),
            {"main": 1},
            {("main", "files"): 1},
        ),
    ],
)
def test_a_reload_keeps_verdicts_of_kept_targets(
    collector: CredentialCollector, change: Change, is_up: Up, decided: Accepted
) -> None:
    """What was decided counts for targets that are polled still, and for the same account only."""
    collector.record(refused(USAGE))
    collector.record(accepted(VIDEOS))
    change(collector)
    assert (up(collector), by_collector(collector)) == (is_up, decided)


def test_an_account_that_is_not_reached_stays_down_at_a_reload(
    collector: CredentialCollector,
) -> None:
    """A reload does not hide that no request gets a response."""
    collector.record(unanswered(VIDEOS))
    collector.set_targets(["main"], [USAGE, VIDEOS])
    assert up(collector) == {"main": 0}


def test_a_late_verdict_brings_no_removed_account_back(collector: CredentialCollector) -> None:
    """A late verdict brings back no account and no target."""
    collector.set_targets(["main"], [USAGE])
    collector.record(accepted(VIDEOS))
    collector.record(accepted(OTHER))
    assert up(collector) == {}
