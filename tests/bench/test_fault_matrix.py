"""The fault matrix: cases are as they must be, and what is not is seen."""

import gc
import math
import shutil
import socket
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.__main__ import main, outcomes
from bench.faults.catalogue import Case, Spoiled, catalogue
from bench.faults.environment import Overrides, Way, set_up_environment
from bench.faults.table import row, summary
from bench.faults.tls_proxy import HOST, Certificates, Names, TlsProxy
from bench.faults.trial import Outcome, When
from bench.faults.truth import FILES, series
from exporter.scaleengine.errors import Reason
from exporter.simulator import FaultRule
from tests.support.faults import HttpError
from tests.support.waiting import TIMEOUT

# Each is over soon: it is tried again after 30 s, which is half a second here.
QUICK = (
    "code 0002",
    "HTTP 503",
    "an HTML page",
    "reset in the body",
    "name not found",
    "expired certificate",
)


MISTAKEN = Case(
    "a mistaken case",
    Spoiled(Reason.AUTH, None, up=True),
    (FaultRule(HttpError(500)),),
    timeout=60.0,
)


def test_no_fault_changes_a_published_number() -> None:
    """A fault changes no number, is reported, and is over with the first poll after it.

    Where something else comes of it than expected, each point is reported. How long that takes says
    nothing here: the machine may be busy.
    """
    quick = (replace(case, timeout=60.0) for case in catalogue() if case.name in QUICK)
    cases = [*quick, MISTAKEN]
    with outcomes(cases, 7, leeway=math.inf) as found:
        tried = [outcome for outcome in found if not outcome.skipped]

    assert {outcome.case.name for outcome in tried} >= {*QUICK, MISTAKEN.name} - {
        "expired certificate"
    }
    for outcome in tried:
        if outcome.case is not MISTAKEN:
            expected = "last good, " if outcome.when is When.AFTER_GOOD else "absent, "
            assert outcome.problems == (), outcome.case.name
            assert outcome.publications > outcome.wrong == 0
            assert outcome.usage.startswith(expected)
            assert outcome.files.startswith(expected)
            assert outcome.log != "-"
        elif outcome.when is When.AT_START:
            assert_all_is_told(outcome)


def test_all_totals_of_a_tree_that_changes_twice_are_true() -> None:
    """A walk may see each of the two files that come without the other: all totals are true."""
    with set_up_environment("main", Way.STRAIGHT, 60.0, 900.0, Overrides(Names(), None)) as made:
        (files,) = (target for target in made.holdings.truths if target.path)
        total = series(FILES, account="main", path=files.path, file_type="video")
        before = made.holdings.numbers(files)[total]
        made.move_on()
        seen = made.holdings.truths[files].between(0.0, math.inf)

    assert [numbers[total] for numbers in seen] == [before, before + 1, before + 2]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_client_without_handshake_does_not_keep_the_proxy_open(tmp_path: Path) -> None:
    """What stands before ScaleEngine ends all the same, and leaves no connection open."""
    proxy = TlsProxy(behind=9)
    proxy.open(Certificates(tmp_path).good)
    with socket.create_connection((HOST, proxy.port), TIMEOUT) as client:
        proxy.stop()
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
    gc.collect()  # what is left open is a warning


def assert_all_is_told(mistaken: Outcome) -> None:
    assert set(mistaken.problems) == {
        "scaleengine_up is 0 during the fault",
        "disk_usage: failures for auth: none",
        "disk_usage: failures for server: some",
        "disk_usage: a poll made 3 requests",
        "files: numbers are absent, not good",
        "files: poll_success is 0.0",
        "files: failures for server: some",
    }
    assert row(mistaken, [MISTAKEN]).count("NOT AS IT MUST BE") == 7
    assert "not as they must be: 1" in summary([mistaken], 1.0)


def test_cases_that_run_alone_begin_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin when all others have ended, wherever they are in the list."""
    ended: list[tuple[str, When]] = []

    def attempt(case: Case, when: When, *_: object) -> Outcome:
        before = tuple(sorted(name for name, _ in ended))
        ended.append((case.name, when))
        return Outcome(case, when, problems=before)

    monkeypatch.setattr("bench.faults.__main__.attempt", attempt)
    names = ("alone", "together", "too")
    cases = [replace(MISTAKEN, name=name, alone=name == "alone") for name in names]
    with outcomes(cases, 2) as found:
        tried = list(found)

    assert [outcome.case.name for outcome in tried] == [
        *("together", "together", "too", "too", "alone", "alone")
    ]
    assert tried[4].problems == ("together", "together", "too", "too")
    assert tried[5].problems == ("alone", "together", "together", "too", "too")


def test_each_case_has_its_own_name() -> None:
    """A row is known by its name; ``--only`` finds a case by a part of it."""
    names = [case.name for case in catalogue()]

    assert len(set(names)) == len(names)


def test_cases_without_openssl_are_no_failure() -> None:
    """Where openssl is not installed, the cases of certificates say so, and are no failure."""
    case = next(case for case in catalogue() if case.name == "expired certificate")
    skipped = Outcome(case, When.AT_START, skipped="openssl is not installed")

    assert row(skipped, [case]).endswith("not tried: openssl is not installed")
    assert "0 cases in 1 s, 1 not tried; not as they must be: 0" in summary([skipped], 1.0)


@pytest.mark.parametrize(("problems", "status"), [((), 0), (("a problem",), 1)])
def test_the_exit_status_is_1_after_a_failure(
    problems: tuple[str, ...],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command ends with 1 if anything is not as it must be."""
    done = [Outcome(MISTAKEN, When.AT_START, problems=problems)]
    monkeypatch.setattr("bench.faults.__main__.outcomes", lambda *_: nullcontext(iter(done)))
    monkeypatch.setattr("sys.argv", ["faults"])

    assert main() == status
    assert MISTAKEN.name in capsys.readouterr().out
