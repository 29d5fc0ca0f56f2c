"""The store holds for each target what its last polls said, and for how long it counts."""

from dataclasses import replace

import pytest

from exporter.polling.snapshots import FileCounts
from exporter.polling.store import TARGETS, LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, compute_delta
from exporter.scaleengine.errors import Reason

USAGE = DiskUsageTarget("main", interval=60.0, stale_after=180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video")
GOOD = LastGood(FileCounts(3, 1), finished=1000.0)


@pytest.mark.parametrize(
    ("monotonic", "counts"), [(1000.0, True), (1180.0, True), (1180.001, False), (1e9, False)]
)
def test_a_snapshot_counts_until_it_is_stale(monotonic: float, *, counts: bool) -> None:
    """A snapshot counts for ``stale_after`` seconds to the second, whether polls end or not."""
    store = Store([FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    assert (store.current()[FILES].snapshot(monotonic) == GOOD.snapshot) is counts


def test_a_target_is_unfinished_before_its_first_poll() -> None:
    """Before its first poll has ended there is nothing of a target, and it is unfinished."""
    store = Store([USAGE, FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1, Reason.NETWORK), None)
    assert store.current()[USAGE].snapshot(0.0) is None
    assert store.current()[FILES].snapshot(0.0) is None
    assert store.list_pending_targets() == (USAGE,)


def test_a_state_that_was_read_never_changes() -> None:
    """What a reader was given never changes under it."""
    store = Store([USAGE, FILES])
    before = store.current()
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    assert before[FILES].good is None
    assert store.current()[FILES].good is GOOD


def test_a_failed_poll_leaves_the_snapshot() -> None:
    """A poll without a good end changes how the last poll went, and nothing else."""
    store = Store([FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    failed = PollResult(2.0, 1.0, 1, Reason.SERVER)
    store.record(FILES, failed, None)
    assert (store.current()[FILES].good, store.current()[FILES].last) == (GOOD, failed)


def test_a_target_fails_since_its_first_failed_poll() -> None:
    """It is since the first failed poll after the last good one; a good poll ends that."""
    store, seen = Store([FILES]), []
    for finished, reason in enumerate((None, Reason.SERVER, Reason.NETWORK, None), start=1):
        good = None if reason else GOOD
        store.record(FILES, PollResult(finished, 1.0, 1, reason), good)
        seen.append(store.current()[FILES].failing_since)
    assert seen == [None, 2.0, 2.0, None]


def test_a_poll_of_an_unknown_target_is_not_stored() -> None:
    """The end of a poll of an unknown target is not taken in, and the store says so."""
    store = Store([USAGE])
    before = store.current()
    assert not store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    assert store.current() == before
    assert store.record(USAGE, PollResult(1.0, 1.0, 1), None)


OTHERS = DiskUsageTarget("archive", 60.0, 180.0)
CHANGED: list[tuple[Target, bool]] = [
    (FILES, True),
    (replace(FILES, interval=30.0), True),
    (replace(FILES, stale_after=600.0), True),
    (replace(FILES, account="archive"), False),
    (replace(FILES, path="sestore4/jb/a"), False),
    (replace(FILES, file_type="valid"), False),
    (replace(FILES, folder_depth=1), False),
    (replace(FILES, max_folders=10), False),
]


@pytest.mark.parametrize(("target", "kept"), CHANGED)
def test_another_target_keeps_a_snapshot_of_the_same_data(target: Target, *, kept: bool) -> None:
    """What is known stays where the same is asked for, however often; else it goes at once."""
    store, result = Store([FILES]), PollResult(1.0, 1.0, 1)
    store.record(FILES, result, GOOD)
    store.apply(compute_delta([], [target]))
    known = store.current()[target]
    assert known.target == target
    assert (known.last, known.good) == ((result, GOOD) if kept else (None, None))
    assert store.list_pending_targets() == (() if kept else (target,))


def test_another_stale_after_counts_at_once() -> None:
    """A snapshot that was stale counts again under a longer ``stale_after``."""
    store, patient = Store([FILES]), replace(FILES, stale_after=600.0)
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    assert store.current()[FILES].snapshot(1500.0) is None
    store.apply(compute_delta([], [patient]))
    assert store.current()[patient].snapshot(1500.0) == GOOD.snapshot


def test_the_state_of_a_removed_target_is_dropped() -> None:
    """What is known of a target that is left out is gone, also when the target comes back."""
    store = Store([USAGE, FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    store.apply(compute_delta([], [USAGE]))
    assert tuple(store.current()) == (USAGE,)
    store.apply(compute_delta([], [USAGE, FILES]))
    assert store.current()[FILES].good is None


def test_the_state_of_a_replaced_account_is_dropped() -> None:
    """Nothing is kept of an account that is another now under the same name; the rest stays."""
    store, result = Store([FILES, OTHERS]), PollResult(1.0, 1.0, 1)
    store.record(FILES, result, GOOD)
    store.record(OTHERS, result, GOOD)
    store.apply(compute_delta([], [FILES, OTHERS], replaced_accounts={"main"}))
    assert store.current()[FILES].good is None
    assert store.current()[OTHERS].good is GOOD
    assert store.list_pending_targets() == (FILES,)


def test_a_poll_marks_its_account_only_as_changed() -> None:
    """The account of a stored poll is among the changes, once."""
    store, result = Store([FILES, OTHERS]), PollResult(1.0, 1.0, 1)
    store.record(FILES, result, GOOD)
    store.record(FILES, result, None)
    store.record(USAGE, result, GOOD)
    assert store.changes.take() == {TARGETS: {"main"}}
    assert store.changes.take() == {}
    assert [known.target for known in store.account("main")] == [FILES]
    assert store.account("main")[0].good is GOOD
    assert store.account("unknown") == ()


@pytest.mark.parametrize(
    ("targets", "forgotten", "changed"),
    [
        ([FILES, OTHERS], (), set()),
        ([OTHERS, FILES], (), set()),
        ([FILES], (), {"archive"}),
        ([FILES, OTHERS, USAGE], (), {"main"}),
        ([replace(FILES, interval=30.0), OTHERS], (), {"main"}),
        ([FILES, OTHERS, replace(USAGE, account="new")], (), {"new"}),
        ([FILES, OTHERS], ("main",), {"main"}),
    ],
    ids=["nothing", "order", "gone", "target", "interval", "new", "forgotten"],
)
def test_a_reload_marks_only_changed_accounts(
    targets: list[Target], forgotten: tuple[str, ...], changed: set[str]
) -> None:
    """An account of which nothing is different after a reload has not changed."""
    store = Store([FILES, OTHERS])
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    store.changes.take()
    store.apply(compute_delta([], targets, replaced_accounts=forgotten))
    assert store.changes.take().get(TARGETS, set()) == changed


def test_the_due_time_is_kept_until_the_next() -> None:
    """It is known until the next time, for any result of the poll, and a change for its account."""
    target = DiskUsageTarget("main", 60, 180)
    store = Store([target])
    store.schedule(target, 7.0)
    assert store.changes.take() == {TARGETS: frozenset({"main"})}
    store.record(target, PollResult(8.0, 1.0, 1), LastGood(FileCounts(0, 0), 8.0))
    assert store.account("main")[0].next_due == 7.0
    store.schedule(target, 67.0)
    assert store.account("main")[0].next_due == 67.0
    store.schedule(DiskUsageTarget("gone", 60, 180), 1.0)
    assert store.account("gone") == ()
