"""A check that polls each target whole."""

import os
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from exporter.check.full_polls import FullPoll, build_full_poll_result
from exporter.check.results import Outcome, RequestRange, build_demand_result
from exporter.check.runner import CheckOptions
from exporter.polling.request_log import FolderCost, PollTrace
from exporter.polling.snapshots import FileCounts
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.simulator import Simulator
from exporter.terminal import Progress
from tests.support.fixtures import CheckAccounts, DescribeAccount
from tests.support.sentences import FAILED_NOT_COUNTED

if TYPE_CHECKING:
    from tests.check.conftest import Checked


FULL = CheckOptions("json", full=True)
TARGET = FilesTarget("main", 900.0, 2700.0, "sestore4/jb", "video")
USAGE = DiskUsageTarget("main", 3600.0, 10800.0)


def facts(found: "Checked", what: str) -> list[Mapping[str, object]]:
    """Return the facts of each good finding about one thing."""
    read = [finding["facts"] for finding in found.of(what, "ok")]
    return [fact for fact in read if isinstance(fact, dict)]


def test_a_full_poll_shows_the_numbers_and_its_requests(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Each target is polled whole: its numbers are those of the account."""
    found = checked(scaleengine.url, main(), options=FULL, requests_per_second=100)

    assert found.good
    calls = scaleengine.requests
    usage, jb, small = facts(found, "disk_usage") + facts(found, "files")
    assert (jb["files"], jb["folders"]) == (250, 0)
    assert (small["files"], small["folders"]) == (3, 2)
    assert usage["requests"] == 1
    by_path = [
        sum(bool(call.path and call.path.startswith(f"sestore4/{name}")) for call in calls)
        for name in ("jb", "small")
    ]
    assert [jb["requests"], small["requests"]] == by_path
    assert jb["costliest_folders"] == [
        {"path": "sestore4/jb", "requests": by_path[0], "seconds": pytest.approx(0, abs=60)}
    ]
    (demand,) = facts(found, "demand")
    assert demand == {
        "requests_per_hour_min": 1 + 4 * sum(by_path),
        "requests_per_hour_max": 1 + 4 * sum(by_path),
        "requests_per_hour_allowed": 360_000.0,
    }


def test_a_selected_path_is_the_only_one_polled(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """One path is looked at, and nothing else is requested."""
    options = CheckOptions("json", full=True, accounts=("main",), paths=("sestore4/small",))
    found = checked(scaleengine.url, main(), main(name="other"), options=options)

    assert {finding["account"] for finding in found.findings} == {None, "main"}
    paths = {str(request.path).removesuffix("/1") for request in scaleengine.requests}
    assert paths == {"sestore4/small"}
    (demand,) = found.of("demand")
    assert str(demand["detail"]).startswith("what was tried needs about ")


def test_a_poll_over_the_request_limit_fails(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """A path that takes more requests than a poll may make fails as that poll does."""
    files = {"paths": ["sestore4/jb"]}
    found = checked(scaleengine.url, main(files=files), options=FULL, max_requests_per_poll=2)

    assert not found.good
    (failure,) = found.of("files", "fail")
    assert (failure["path"], failure["reason"]) == ("sestore4/jb", "incomplete")
    (demand,) = found.of("demand")
    assert str(demand["detail"]).endswith(FAILED_NOT_COUNTED)


def test_the_costliest_folders_are_named() -> None:
    """A line names the folders that took several requests, the costliest first."""
    folders = (FolderCost("sestore4/jb/a", 7, 1.5), FolderCost("sestore4/jb/b", 1, 0.2))
    whole = FullPoll(FileCounts(1700, 2), 9, 3.0, PollTrace(folders=folders, size=70_000))
    finding = build_full_poll_result(TARGET, whole, 5000)

    assert finding.outcome is Outcome.OK
    assert finding.detail == (
        "1,700 files and 2 folders; 9 requests in 3.0 s (3.0 a second), 70,000 bytes; "
        "most requests for sestore4/jb/a (7)"
    )


def test_a_poll_longer_than_its_interval_is_a_warning() -> None:
    """A poll that takes longer than its interval is to be looked at."""
    whole = FullPoll(FileCounts(250, 0), 3, 901.0, PollTrace())
    finding = build_full_poll_result(TARGET, whole, 5000)

    assert finding.outcome is Outcome.WARN
    assert finding.detail.endswith("; that is longer than its interval of 900 s")
    assert finding.advice is not None


EXACT = {USAGE: RequestRange(1, 1), TARGET: RequestRange(100, 100)}


@pytest.mark.parametrize(
    ("needed", "per_second", "detail", "outcome"),
    [
        (
            EXACT,
            5,
            "needs about 401 requests an hour of 18,000 allowed; sestore4/jb video alone 400",
            Outcome.OK,
        ),
        (
            EXACT,
            0.1,
            "needs about 401 requests an hour of 360 allowed; sestore4/jb video alone 400",
            Outcome.WARN,
        ),
        (
            {TARGET: RequestRange(100, 100)},
            None,
            "needs about 400 requests an hour, without a limit",
            Outcome.OK,
        ),
        (
            {TARGET: RequestRange(100, 300)},
            5,
            "needs 400 to 1,200 requests an hour (estimate) of 18,000 allowed",
            Outcome.OK,
        ),
        (
            {USAGE: RequestRange(1, 1), TARGET: RequestRange(2, None)},
            5,
            "needs at least 9 requests an hour of 18,000 allowed; use --full to count them",
            Outcome.OK,
        ),
        (
            {USAGE: RequestRange(1, 1), TARGET: None},
            5,
            f"needs at least 1 request an hour of 18,000 allowed; {FAILED_NOT_COUNTED}",
            Outcome.OK,
        ),
    ],
)
def test_the_demand_of_an_account_is_exact_or_bounded(
    needed: Mapping[FilesTarget | DiskUsageTarget, RequestRange | None],
    per_second: float | None,
    detail: str,
    outcome: Outcome,
) -> None:
    """It is exact, a range or a lower bound, as far as each poll is known."""
    finding = build_demand_result("main", needed, per_second)

    assert finding is not None
    assert (finding.detail, finding.outcome) == (detail, outcome)


def test_the_demand_is_not_shown_where_every_target_failed() -> None:
    """Where every target failed, nothing is shown."""
    assert build_demand_result("main", {USAGE: None, TARGET: None}, 5) is None


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Return a stream that is a terminal."""
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    return _Terminal()


def test_the_progress_bar_is_shown_and_removed(terminal: _Terminal) -> None:
    """A terminal shows how far a poll is; hiding it leaves a clean line with a cursor."""
    progress = Progress(terminal)
    progress.show("main sestore4/jb video (2 of 3)")
    progress.advance(3, 12, "300 files, 2 folders, 5.0 requests/s")
    progress.hide()

    shown = terminal.getvalue()
    assert "trying main sestore4/jb video (2 of 3) [#####---------------] 3/12" in shown
    assert "300 files, 2 folders, 5.0 requests/s" in shown
    assert shown.endswith("\x1b[?25h\r\x1b[2K")


def test_the_bar_shows_no_end_after_more_requests_than_expected(terminal: _Terminal) -> None:
    """It shows what is done, and no end that would be wrong."""
    progress = Progress(terminal)
    progress.show("it")
    progress.advance(13, 12, "")

    assert "] 13\r" in terminal.getvalue()
    assert "13/" not in terminal.getvalue()


def test_without_a_terminal_there_is_no_bar() -> None:
    """Where there is no terminal, nothing is shown."""
    stream = StringIO()
    progress = Progress(stream)
    progress.show("it")
    progress.advance(1, 2, "")
    progress.close()

    assert stream.getvalue() == ""
