"""The store holds for each target what its last polls said, and for how long it counts."""

import pytest

from exporter.polling.snapshots import FileCounts
from exporter.polling.store import Good, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.errors import Reason

USAGE = DiskUsageTarget("main", interval=60.0, stale_after=180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video")
GOOD = Good(FileCounts(3, 1), finished=1_700_000_000.0, elapsed=1000.0)


@pytest.mark.parametrize(
    ("elapsed", "counts"), [(1000.0, True), (1180.0, True), (1180.001, False), (1e9, False)]
)
def test_a_snapshot_counts_until_it_is_stale(elapsed: float, *, counts: bool) -> None:
    """A snapshot counts for ``stale_after`` seconds to the second, whether polls end or not."""
    store = Store([FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1), GOOD)
    assert (store.current()[FILES].snapshot(elapsed) == GOOD.snapshot) is counts


def test_nothing_is_known_at_first() -> None:
    """Before its first poll has ended there is nothing of a target, and it is unfinished."""
    store = Store([USAGE, FILES])
    store.record(FILES, PollResult(1.0, 1.0, 1, Reason.NETWORK), None)
    assert store.current()[USAGE].snapshot(0.0) is None
    assert store.current()[FILES].snapshot(0.0) is None
    assert store.unfinished() == (USAGE,)


def test_a_reader_keeps_what_it_has() -> None:
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
