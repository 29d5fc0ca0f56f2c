"""The command: from a configuration to a file, whatever comes between."""

import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.backfill.command import BackfillError, BackfillUsageError, Host, backfill
from exporter.backfill.gaps import report_gaps
from exporter.backfill.options import Destination, FirstDay, Options
from exporter.backfill.progress import Progress
from exporter.backfill.windows import midnight
from exporter.backfill.work_folder import place_file
from exporter.plan import Plan, PlannedAccount
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.masking import KnownSecrets
from exporter.scaleengine.transport import Endpoint
from exporter.simulator import (
    Account,
    Behaviour,
    Broken,
    Checks,
    Readings,
    Refusal,
    Simulator,
    steady_usage,
)
from tests.backfill.conftest import KEY, NOW, SECRET, TODAY, simulated

COMMAND = "exporter.backfill.command"
NO_REPLAY = Behaviour(checks=Checks(replay=False))
"""Two runs may ask for the same in one second."""
FIRST = date(2026, 9, 1)
DENIED = Refusal("0005")


def usage(day: date) -> Mapping[str, int]:
    """Return the bytes of a day; ScaleEngine remembers nothing before June."""
    return {"": day.toordinal(), "web": 7} if day >= date(2026, 6, 1) else {}


@dataclass(slots=True)
class Runner:
    """Runs the command on a simulator."""

    simulator: Simulator
    folder: Path
    ahead: float = 0.0
    quotas: Mapping[str, int] | None = None
    cpu_users: tuple[str, ...] = ()
    stop_after: int | None = None

    @property
    def file(self) -> Path:
        return self.folder / "h.om"

    def run(
        self,
        *,
        first_day: date | None = FIRST,
        days_back: int | None = None,
        end: float | None = None,
        **destination: object,
    ) -> int:
        """Return the exit status."""
        goal = Destination(**{"file": self.file, **destination})  # type: ignore[arg-type]
        start = None if first_day is None else FirstDay(first_day, days_back)
        options = Options(start, end, (), 43_200, (("job", "x"), ("instance", "y")), goal)
        plan = Plan(
            endpoint=Endpoint(self.simulator.url, 5.0, 4),
            concurrency=4,
            requests_per_second=None,
            requests_per_poll=5000,
            accounts=(
                PlannedAccount("main", 158, lambda: Credentials(KEY, SECRET), self.quotas or {}),
            ),
            targets=(DiskUsageTarget("main", 60.0, 180.0, self.cpu_users),),
        )
        clock = Clock(now=lambda: NOW + self.ahead)
        progress = _Stopping(self.stop_after)
        return backfill(plan, options, Host(progress.take, progress, KnownSecrets(), clock))

    def values(self, name: str = "scaleengine_disk_usage_bytes") -> dict[tuple[str, float], float]:
        """Return what the file has, by user and time."""
        return {
            (sample.labels.get("cpu_user", ""), float(sample.timestamp)): sample.value
            for family in text_string_to_metric_families(self.file.read_text())  # type: ignore[no-untyped-call]
            for sample in family.samples
            if sample.name == name
        }

    @property
    def left(self) -> set[str]:
        """Return the names of what is in the folder."""
        return {path.name for path in self.folder.iterdir()}


class _Stopping(Progress):
    """A progress that stops the run after some windows or steps."""

    def __init__(self, after: int | None) -> None:
        super().__init__(io.StringIO(), is_terminal=False)
        self._left = after
        self._stop: Callable[[], object] = lambda: None

    def take(self, stop: Callable[[], object]) -> None:
        self._stop = stop

    def show_window(self, account: str, window: object, rows: int) -> None:
        self.advance(1)

    def advance(self, steps: int) -> None:
        if self._left is not None:
            self._left -= steps
            if self._left == 0:
                self._stop()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([simulated(usage)], NO_REPLAY, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def runner(simulator: Simulator, tmp_path: Path) -> Runner:
    """Give what runs the command into an empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return Runner(simulator, folder)


def truth(first: date, last: date) -> dict[tuple[str, float], float]:
    """Return what a file with a sample each twelve hours must have."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {
        (user, float(midnight(day) + hours * 3600)): float(count)
        for day in days
        for user, count in usage(day).items()
        for hours in (0, 12)
    }


YESTERDAY = TODAY - timedelta(days=1)


def test_a_history(runner: Runner) -> None:
    """It ends with yesterday, and leaves nothing behind but the file."""
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, YESTERDAY)
    assert runner.left == {"h.om"}
    assert runner.simulator.call_count == 3


def test_as_far_back_as_there_is_data(runner: Runner) -> None:
    assert runner.run(first_day=None) == 0
    assert runner.values() == truth(date(2026, 6, 1), YESTERDAY)


def test_up_to_a_moment(runner: Runner) -> None:
    """So that nothing is missing before the first scrape; the moment itself is the scrape's."""
    assert runner.run(end=midnight(TODAY) + 12 * 3600) == 0
    expected = truth(FIRST, TODAY)
    for user in ("", "web"):
        del expected[user, float(midnight(TODAY) + 12 * 3600)]
    assert runner.values() == expected


def test_quotas_as_they_are_configured(runner: Runner) -> None:
    runner.quotas = {"*": 10**12}
    assert runner.run() == 0
    quotas = runner.values("scaleengine_disk_quota_bytes")
    assert quotas == {key: 1e12 for key in truth(FIRST, YESTERDAY) if key[0] == "web"}


@pytest.mark.parametrize(
    ("ahead", "today"), [(0, TODAY), (-3600, TODAY), (3600 * 9.5, TODAY), (-15.5 * 3600, YESTERDAY)]
)
def test_a_clock_that_is_off(ahead: float, today: date, runner: Runner) -> None:
    """No sample is in the future by our clock or by ScaleEngine's."""
    runner.ahead = ahead
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, today - timedelta(days=1))


def test_a_moment_that_is_in_the_future_at_scaleengine(runner: Runner) -> None:
    runner.ahead = 3600.0 * 2
    assert runner.run(end=NOW + 3600) == 0
    assert max(moment for _, moment in runner.values()) < NOW


def test_an_existing_file(runner: Runner) -> None:
    """It is kept unless it may be overwritten, and then replaced at the end only."""
    runner.file.write_text("mine")
    with pytest.raises(BackfillUsageError, match=r"h\.om exists: name another file, or set --ov"):
        runner.run()
    assert (runner.file.read_text(), runner.left) == ("mine", {"h.om"})
    assert runner.simulator.call_count == 0

    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(2,)),)))
    assert runner.run(overwrite=True) == 1
    assert runner.file.read_text() == "mine"
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(overwrite=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_file_that_appears_meanwhile(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not replaced, and nothing needs to be requested again."""

    def late(text: Path, destination: Destination, file: Path) -> None:
        file.write_text("mine")
        place_file(text, destination, file)

    monkeypatch.setattr(f"{COMMAND}.place_file", late)
    with pytest.raises(BackfillError, match="exists now: set --overwrite and --resume"):
        runner.run()
    assert runner.file.read_text() == "mine"
    monkeypatch.undo()
    before = runner.simulator.call_count
    assert runner.run(overwrite=True, resume=True) == 0
    assert (runner.values(), runner.simulator.call_count) == (truth(FIRST, YESTERDAY), before)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing/h.om", "missing cannot be written (No such file or directory)"),
        ("file/h.om", "file cannot be written (Not a directory)"),
    ],
)
def test_a_place_that_cannot_be_written(name: str, sentence: str, runner: Runner) -> None:
    """It is found before anything is requested."""
    (runner.folder / "file").touch()
    with pytest.raises(BackfillError) as caught:
        runner.run(file=runner.folder / name)
    assert sentence in str(caught.value)
    assert runner.simulator.call_count == 0


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file(exists: bool, runner: Runner) -> None:  # noqa: FBT001 - a case
    """The file that it leads to is written, and the link stays."""
    link = runner.folder / "link"
    link.symlink_to("h.om")
    if exists:
        runner.file.write_text("mine")
        with pytest.raises(BackfillUsageError, match=r"h\.om exists"):
            runner.run(file=link)
    assert runner.run(file=link, overwrite=exists) == 0
    assert link.is_symlink()
    assert not runner.file.is_symlink()
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_standard_output(
    runner: Runner, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the same text as a file, and there is no file that could be left behind."""
    monkeypatch.chdir(runner.folder)
    with structlog.testing.capture_logs():  # they would go to standard output too
        assert runner.run(file=None, stream=True) == 0
    assert runner.left == set()
    text = capfd.readouterr().out
    assert runner.run() == 0
    assert text == runner.file.read_text()


@pytest.mark.parametrize(
    ("output", "cause"), [("/dev/full", "No space left on device"), (None, "Broken pipe")]
)
def test_standard_output_that_cannot_be_written(
    output: str | None, cause: str, runner: Runner
) -> None:
    """The run fails: what nobody got is not written."""
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(1)
    try:
        with open(output or writer, "wb") as target:  # noqa: PTH123 - a path or a descriptor
            os.dup2(target.fileno(), 1)
        with pytest.raises(BackfillError, match=rf"standard output .* \({cause}\)"):
            runner.run(file=None, stream=True)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        if output is not None:
            os.close(writer)


def test_an_output_that_is_no_file(runner: Runner) -> None:
    with pytest.raises(BackfillUsageError, match="is no regular file"):
        runner.run(file=runner.folder)


def test_a_failure_half_way_and_its_resumption(runner: Runner) -> None:
    """It says how far it got; what is complete is not requested again."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
    with structlog.testing.capture_logs() as logged:
        assert runner.run() == 1
    assert runner.left == {"h.om.partial"}
    (failed,) = [event for event in logged if event["event"] == "account not collected"]
    assert (failed["complete_from"], failed["reason"]) == ("2026-09-23", "auth")
    assert logged[-1]["advice"] == "run again with --resume"

    runner.simulator.behave(NO_REPLAY)
    assert runner.run(resume=True) == 0
    assert runner.simulator.call_count == 4
    assert (runner.values(), runner.left) == (truth(FIRST, YESTERDAY), {"h.om"})


def test_resumed_on_another_day(runner: Runner) -> None:
    """It ends where the first run would have ended: the windows are the same."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
    assert runner.run() == 1
    runner.simulator.behave(replace(NO_REPLAY, checks=Checks(window=1e9, replay=False)))
    runner.ahead = 5 * 86_400.0
    assert runner.run(resume=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_resumed_on_another_day_with_the_same_days_back(runner: Runner) -> None:
    """``--from=82d`` is a later day by then; it means the day of the first run still."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
    assert runner.run(days_back=82) == 1
    runner.simulator.behave(NO_REPLAY)
    later = FIRST + timedelta(days=5)
    with pytest.raises(BackfillUsageError, match=r"for other --from \(it was 2026-09-01\)"):
        runner.run(first_day=later, days_back=83, resume=True)
    assert runner.run(first_day=later, days_back=82, resume=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_resumed_for_something_else(runner: Runner) -> None:
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
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
def test_rows_that_are_damaged(
    rows: Callable[[bytes], bytes], sentence: str, runner: Runner
) -> None:
    """They are not resumed, and do not keep a run from starting over."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
    assert runner.run() == 1
    file = runner.folder / "h.om.partial" / "rows.sqlite"
    file.write_bytes(rows(file.read_bytes()))
    runner.simulator.behave(NO_REPLAY)
    with pytest.raises(BackfillError) as caught:
        runner.run(resume=True)
    assert sentence in str(caught.value)
    assert runner.run() == 0
    assert (runner.values(), runner.left) == (truth(FIRST, YESTERDAY), {"h.om"})


def test_starting_over(runner: Runner) -> None:
    """Without --resume nothing of the run before is used."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED, calls=(3,)),)))
    assert runner.run() == 1
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(first_day=date(2026, 11, 1)) == 0
    assert runner.values() == truth(date(2026, 11, 1), YESTERDAY)


def test_a_failure_at_once(runner: Runner) -> None:
    """Where nothing was collected, nothing is left, and nothing is to be resumed."""
    runner.simulator.behave(replace(NO_REPLAY, broken=(Broken(DENIED),)))
    with structlog.testing.capture_logs() as logged:
        assert runner.run() == 1
    assert runner.left == set()
    assert logged[-1]["advice"] == "run again"
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(resume=True) == 0


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_interrupted(steps: int, runner: Runner) -> None:
    """A signal while it collects or writes leaves no file, and a run to resume."""
    runner.stop_after = steps
    assert runner.run() == 130
    assert runner.left == {"h.om.partial"}
    left = {path.name for path in (runner.folder / "h.om.partial").iterdir()}
    assert left == {"lock", "rows.sqlite"}
    runner.stop_after = None
    assert runner.run(resume=True) == 0
    assert runner.simulator.call_count == 3
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_two_at_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_gaps_are_reported_and_not_filled(tmp_path: Path) -> None:
    def gappy(day: date) -> Mapping[str, int]:
        found = {"web": 1} if not date(2026, 9, 20) <= day <= date(2026, 10, 24) else {}
        return found | ({"guest": 2} if day in (date(2026, 11, 1), date(2026, 11, 5)) else {})

    with Simulator([simulated(gappy)], NO_REPLAY, clock=lambda: NOW) as simulator:
        runner = Runner(simulator, tmp_path, cpu_users=("web", "guest", "ghost"))
        with structlog.testing.capture_logs() as logged:
            assert runner.run(first_day=FIRST) == 0
    assert len(runner.values()) == 2 * (47 + 2)
    reports = {event["event"]: event for event in logged if event["log_level"] == "warning"}
    gap = reports["days without data"]
    assert (gap["days"], gap["missing"]) == (35, "2026-09-20 to 2026-10-24")
    partial = reports["CPU users lack days between their first and last"]
    assert (partial["users"], partial["examples"]) == (2, "'guest', 'web'")
    assert reports["no data of CPU users"]["cpu_users"] == "'ghost'"


def test_no_data_at_all(tmp_path: Path) -> None:
    """The file is valid and has no sample, and a warning says so."""
    with Simulator([simulated(lambda _: {})], NO_REPLAY, clock=lambda: NOW) as simulator:
        runner = Runner(simulator, tmp_path)
        with structlog.testing.capture_logs() as logged:
            assert runner.run(first_day=None) == 0
    assert runner.values() == {}
    assert "no data" in {event["event"] for event in logged}


def test_a_key_as_the_name_of_a_user(tmp_path: Path) -> None:
    with Simulator([simulated(steady_usage({f"x{KEY}": 5}))], NO_REPLAY, clock=lambda: NOW) as api:
        runner = Runner(api, tmp_path)
        assert runner.run() == 0
    text = runner.file.read_text()
    assert KEY not in text
    assert 'cpu_user="x***"' in text


def test_a_key_as_the_name_of_a_user_when_no_request_is_left(tmp_path: Path) -> None:
    """The rows of the first run hold the name; the second run hides it all the same."""
    with Simulator([simulated(steady_usage({f"x{KEY}": 5}))], NO_REPLAY, clock=lambda: NOW) as api:
        runner = Runner(api, tmp_path, stop_after=4)  # it has three windows
        assert runner.run() == 130
        runner.stop_after = None
        assert runner.run(resume=True) == 0
        assert api.call_count == 3
    assert KEY not in runner.file.read_text()


def test_nothing_to_fill_in(runner: Runner) -> None:
    plan = Plan(Endpoint(runner.simulator.url, 5.0, 4), 4, None, 5000, (), ())
    options = Options(FirstDay(FIRST), None, (), 3600, (), Destination(runner.file))
    progress = Progress(io.StringIO(), is_terminal=False)
    host = Host(lambda _: None, progress, KnownSecrets(), Clock())
    with pytest.raises(BackfillUsageError, match="no account has disk_usage enabled"):
        backfill(plan, options, host)


def test_the_file_may_be_read_as_any_other(runner: Runner) -> None:
    """Only the folder of the run is private."""
    before = os.umask(0o022)
    try:
        assert runner.run() == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(runner.file.stat().st_mode) == 0o644


PROMTOOL = """#!{python}
import json, os, pathlib, sys
text, work = sys.argv[-2:]
print("a line of promtool", file=sys.stderr)
moments = [int(line.split()[-1]) for line in open(text) if not line.startswith("#")]
{tamper}
block = pathlib.Path(work, "01BLOCK")
block.mkdir()
meta = {{"stats": {{"numSamples": len(moments)}}, "minTime": min(moments) * 1000,
        "maxTime": max(moments) * 1000 + 1}}
(block / "meta.json").write_text(json.dumps(meta))
"""


def write_promtool(folder: Path, tamper: str = "") -> str:
    """Write a program that makes a block as promtool does."""
    program = folder / "promtool"
    program.write_text(PROMTOOL.format(python="/usr/bin/env python3", tamper=tamper))
    program.chmod(0o755)
    return str(program)


def test_blocks(runner: Runner, tmp_path: Path) -> None:
    promtool = write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool) == 0
    assert runner.left == {"01BLOCK"}
    meta = json.loads((runner.folder / "01BLOCK" / "meta.json").read_text())
    assert meta["stats"]["numSamples"] == 2 * len(truth(FIRST, YESTERDAY))


def test_blocks_and_the_file(runner: Runner, tmp_path: Path) -> None:
    promtool = write_promtool(tmp_path)
    assert runner.run(tsdb=runner.folder / "new", promtool=promtool) == 0
    assert runner.left == {"h.om", "new"}
    assert runner.values() == truth(FIRST, YESTERDAY)


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        ("sys.exit(3)", "failed with status 3 (a line of promtool): run again with --resume"),
        ("os.kill(os.getpid(), 9)", "failed with signal 9 (a line of promtool): run again"),
        ("moments.pop()", "the blocks hold 655 samples"),
        ("moments[0] -= 5", "and 656 from 1788220800 to 1795262400 were written"),
        ("sys.exit(0)", "the blocks hold 0 samples from None to None"),
    ],
)
def test_a_promtool_that_fails(tamper: str, sentence: str, runner: Runner, tmp_path: Path) -> None:
    """No block gets to its place, and the next run goes on from the rows."""
    promtool = write_promtool(tmp_path, tamper)
    with pytest.raises(BackfillError) as caught:
        runner.run(file=None, tsdb=runner.folder, promtool=promtool)
    assert sentence in str(caught.value)
    assert runner.left == {"scaleengine-backfill.partial"}
    write_promtool(tmp_path)
    assert runner.run(file=None, tsdb=runner.folder, promtool=promtool, resume=True) == 0
    assert (runner.left, runner.simulator.call_count) == ({"01BLOCK"}, 3)


def test_a_promtool_that_cannot_be_run(runner: Runner, tmp_path: Path) -> None:
    program = tmp_path / "promtool"
    program.write_text("no program")
    program.chmod(0o755)
    with pytest.raises(BackfillError, match=r"promtool cannot be run \(Exec format error\)"):
        runner.run(file=None, tsdb=runner.folder, promtool=str(program))


def test_interrupted_while_a_script_runs_promtool(runner: Runner, tmp_path: Path) -> None:
    """What the script has started ends too: it would write to the folder later."""
    program, pipe = tmp_path / "promtool", tmp_path / "pipe"
    os.mkfifo(pipe)
    program.write_text(f"#!/bin/sh\nsleep 1000 >{pipe} &\nwait\n")
    program.chmod(0o755)

    with ThreadPoolExecutor(1) as pool:
        # It is open while a process can write to it.
        reading = pool.submit(pipe.read_bytes)
        runner.stop_after = 7  # three windows, and two families of two users
        assert runner.run(file=None, tsdb=runner.folder, promtool=str(program)) == 130
        assert reading.result(timeout=60) == b""


def test_the_folder_for_blocks_is_tried_first(runner: Runner, tmp_path: Path) -> None:
    """Not only when all is collected; what is made there needs no other file system to move to."""
    promtool = write_promtool(tmp_path, "print(work, file=sys.stderr); sys.exit(3)")
    with pytest.raises(BackfillError, match=r"b cannot be written \(No such file or directory\)"):
        runner.run(tsdb=runner.folder / "a" / "b", promtool=promtool)
    assert (runner.left, runner.simulator.call_count) == (set(), 0)
    tsdb = runner.folder / "data"
    with pytest.raises(BackfillError, match=f"{tsdb}/scaleengine-blocks.partial/blocks"):
        runner.run(tsdb=tsdb, promtool=promtool)
    assert (runner.left, list(tsdb.iterdir())) == ({"data", "h.om.partial"}, [])


def test_no_promtool(runner: Runner) -> None:
    with pytest.raises(BackfillUsageError, match="install Prometheus' promtool, or name its path"):
        runner.run(file=None, tsdb=runner.folder, promtool="/nowhere/promtool")
    assert runner.simulator.call_count == 0


@pytest.mark.parametrize("readings", [Readings(with_today=False), Readings(with_tomorrow=True)])
def test_today_is_not_filled_in(readings: Readings, runner: Runner) -> None:
    """Whatever the API gives of today and tomorrow, the live series begin there."""
    runner.simulator.behave(replace(NO_REPLAY, readings=readings))
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, YESTERDAY)
    assert datetime.fromtimestamp(max(at for _, at in runner.values()), UTC).date() == YESTERDAY


def test_accounts_fail_alone(tmp_path: Path) -> None:
    """One that is refused does not keep the other from being collected."""
    other = Account(159, "other" + KEY, SECRET, usage)
    with Simulator([simulated(usage), other], NO_REPLAY, clock=lambda: NOW) as api:
        plan = Plan(
            endpoint=Endpoint(api.url, 5.0, 4),
            concurrency=4,
            requests_per_second=None,
            requests_per_poll=5000,
            accounts=(
                PlannedAccount("main", 158, lambda: Credentials("wrong", SECRET)),
                PlannedAccount("other", 159, lambda: Credentials("other" + KEY, SECRET)),
            ),
            targets=tuple(DiskUsageTarget(name, 60.0, 180.0) for name in ("main", "other")),
        )
        options = Options(FirstDay(FIRST), None, (), 3600, (), Destination(tmp_path / "h.om"))
        progress = Progress(io.StringIO(), is_terminal=False)
        host = Host(lambda _: None, progress, KnownSecrets(), Clock(now=lambda: NOW))
        with structlog.testing.capture_logs() as logged:
            assert backfill(plan, options, host) == 1
        assert api.call_count == 4
        failed = [event for event in logged if event["event"] == "account not collected"]
        assert [event["account"] for event in failed] == ["main"]
        one = replace(options, accounts=("other",))
        assert backfill(plan, one, host) == 0


def test_a_bar_on_a_terminal() -> None:
    """Its length is the number of windows where the first day is known."""
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    progress = Progress(stream, is_terminal=True)
    with progress.stage("collecting", 4):
        progress.advance(1)
        progress.warn("something", {})
        progress.advance(3)
    with progress.stage("making blocks", None):
        progress.advance(1)
    assert "collecting" in stream.getvalue()
    assert "4/4" in stream.getvalue()
