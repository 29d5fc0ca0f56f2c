"""The soak: a few hours of it, in seconds."""

import pytest

from bench.faults.month import DAY, PATHS, SLOT, account_script, slots
from bench.soak import soak
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target

FLAT = {"memory is flat", "threads and descriptors are flat"}
"""These say nothing of a process that has just begun, nor of a machine that is busy."""


def test_some_hours_with_faults_publish_no_wrong_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Polls with a fault one time in five publish no wrong number, and end well."""
    soaked = soak(days=0.2, minutes=0.06)

    assert {what for what, holds in soaked.results.items() if not holds} <= FLAT
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 10
    assert soaked.results["every target was good again after the last fault"]


def test_the_script_of_an_account_follows_from_the_seed() -> None:
    """What happens to accounts, and what is true of them, follows from the seed alone."""
    for name, (path, *_) in PATHS.items():
        targets: list[Target] = [
            DiskUsageTarget(name, 60.0, 180.0),
            FilesTarget(name, 60.0, 180.0, path, "video", folder_depth=1),
        ]
        lives = [account_script(name, targets, "seed", days=10.0) for _ in range(2)]
        for life in lives:
            life.advance(10 * DAY)
        for target in targets:
            first, second = (life.holdings.truths[target] for life in lives)
            assert first.between(0, 10 * DAY) == second.between(0, 10 * DAY)
            assert (
                len({tuple(sorted(map(str, m.items()))) for m in first.between(0, 10 * DAY)}) > 10
            )
    assert slots("seed", 10.0) == slots("seed", 10.0) != slots("another", 10.0)


def test_about_every_fifth_slot_has_a_fault() -> None:
    """There is a fault in every fifth slot or so, of many kinds."""
    month = slots("seed", 30.0)
    faults = [slot for slot in month if not slot.good]

    assert len(month) == 30 * DAY / SLOT
    assert 0.17 < len(faults) / len(month) < 0.23
    assert len({str(slot) for slot in faults}) > 25
