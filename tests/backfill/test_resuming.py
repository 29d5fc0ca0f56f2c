"""Runs that fail or are interrupted, and their resumption."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import structlog

from exporter.backfill.command import BackfillError, BackfillUsageError
from exporter.backfill.rows import report_gaps
from exporter.simulator import Checks, FaultRule, Simulator, steady_usage
from tests.backfill.conftest import (
    DENIED,
    FIRST,
    NO_REPLAY,
    NOW,
    YESTERDAY,
    Runner,
    simulated,
    truth,
)
from tests.support.credentials import KEY

COMMAND = "exporter.backfill.command"


def test_a_failed_run_is_resumed_without_repeated_requests(runner: Runner) -> None:
    """It says how far it got; what is complete is not requested again."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    with structlog.testing.capture_logs() as logged:
        assert runner.run() == 1
    assert runner.left == {"h.om.partial"}
    (failed,) = [event for event in logged if event["event"] == "account not collected"]
    assert (failed["complete_from"], failed["reason"]) == ("2026-09-23", "auth")
    assert logged[-1]["advice"] == "run again with --resume"

    runner.simulator.behave(NO_REPLAY)
    assert runner.run(resume=True) == 0
    assert runner.simulator.request_count == 4
    assert (runner.values(), runner.left) == (truth(FIRST, YESTERDAY), {"h.om"})


def test_a_run_resumed_on_another_day_ends_where_the_first_would(runner: Runner) -> None:
    """It ends where the first run would have ended: the windows are the same."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    assert runner.run() == 1
    runner.simulator.behave(replace(NO_REPLAY, checks=Checks(window=1e9, replay=False)))
    runner.ahead = 5 * 86_400.0
    assert runner.run(resume=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_relative_first_day_is_that_of_the_first_run(runner: Runner) -> None:
    """``--from=82d`` is a later day by then; it means the day of the first run still."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    assert runner.run(days_back=82) == 1
    runner.simulator.behave(NO_REPLAY)
    later = FIRST + timedelta(days=5)
    with pytest.raises(BackfillUsageError, match=r"for other --from \(it was 2026-09-01\)"):
        runner.run(first_day=later, days_back=83, resume=True)
    assert runner.run(first_day=later, days_back=82, resume=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_run_with_other_options_is_not_resumed(runner: Runner) -> None:
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    assert runner.run() == 1
    with pytest.raises(BackfillUsageError, match=r"for other --from \(it was 2026-09-01\)"):
        runner.run(resume=True, first_day=date(2026, 9, 2))
    with pytest.raises(BackfillUsageError, match=r"for other --to \(it was 2026-11-22T00:00:00Z\)"):
        runner.run(resume=True, end=NOW)
    runner.cpu_users = ("web",)
    with pytest.raises(BackfillUsageError, match="for other the accounts, their cdn or cpu_users"):
        runner.run(resume=True)
    assert runner.left == {"h.om.partial"}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (lambda _: b"no rows", "are damaged (file is not a database): leave out --resume"),
        (lambda good: good[: len(good) // 2], "are damaged (database disk image is malformed)"),
    ],
)
def test_damaged_rows_are_not_resumed(
    rows: Callable[[bytes], bytes], sentence: str, runner: Runner
) -> None:
    """They are not resumed, and do not keep a run from starting over."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    assert runner.run() == 1
    file = runner.folder / "h.om.partial" / "rows.sqlite"
    file.write_bytes(rows(file.read_bytes()))
    runner.simulator.behave(NO_REPLAY)
    with pytest.raises(BackfillError) as caught:
        runner.run(resume=True)
    assert sentence in str(caught.value)
    assert runner.run() == 0
    assert (runner.values(), runner.left) == (truth(FIRST, YESTERDAY), {"h.om"})


def test_without_resume_it_starts_over(runner: Runner) -> None:
    """Without --resume nothing of the run before is used."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(3,)),)))
    assert runner.run() == 1
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(first_day=date(2026, 11, 1)) == 0
    assert runner.values() == truth(date(2026, 11, 1), YESTERDAY)


def test_a_failure_before_any_row_leaves_nothing(runner: Runner) -> None:
    """Where nothing was collected, nothing is left, and nothing is to be resumed."""
    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED),)))
    with structlog.testing.capture_logs() as logged:
        assert runner.run() == 1
    assert runner.left == set()
    assert logged[-1]["advice"] == "run again"
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(resume=True) == 0


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_an_interrupt_leaves_a_run_to_resume(steps: int, runner: Runner) -> None:
    """A signal while it collects or writes leaves no file, and a run to resume."""
    runner.stop_after = steps
    assert runner.run() == 130
    assert runner.left == {"h.om.partial"}
    left = {path.name for path in (runner.folder / "h.om.partial").iterdir()}
    assert left == {"lock", "rows.sqlite"}
    runner.stop_after = None
    assert runner.run(resume=True) == 0
    assert runner.simulator.request_count == 3
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_second_run_at_the_same_time_fails(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second ends, and takes nothing from the first."""
    errors = []

    def other_run(*arguments: object) -> object:
        with pytest.raises(BackfillError, match=r"another backfill works in .*/h\.om\.partial:"):
            runner.run()
        errors.append(1)
        return report_gaps(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(f"{COMMAND}.report_gaps", other_run)
    assert runner.run() == 0
    assert len(errors) == 1
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_key_as_a_user_name_is_redacted_in_a_resumed_run(tmp_path: Path) -> None:
    """The rows of the first run hold the name; the second run hides it all the same."""
    with Simulator([simulated(steady_usage({f"x{KEY}": 5}))], NO_REPLAY, clock=lambda: NOW) as api:
        runner = Runner(api, tmp_path, stop_after=4)  # it has three windows
        assert runner.run() == 130
        runner.stop_after = None
        assert runner.run(resume=True) == 0
        assert api.request_count == 3
    assert KEY not in runner.file.read_text()
