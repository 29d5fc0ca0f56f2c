"""The command `backfill`: from a configuration to a file."""

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from exporter.backfill.command import BackfillUsageError, Host, backfill
from exporter.backfill.options import BackfillOptions, Destination, FirstDay
from exporter.backfill.progress import BackfillProgress
from exporter.backfill.windows import midnight
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.transport import Endpoint
from exporter.settings import AccountSettings, Settings
from exporter.simulator import SimulatedAccount, Simulator, steady_usage
from tests.backfill.conftest import (
    FIRST,
    NO_REPLAY,
    NOW,
    TODAY,
    YESTERDAY,
    Runner,
    simulated,
    truth,
    usage,
)
from tests.support.api_variants import ApiVariant
from tests.support.credentials import KEY, SECRET


def test_a_history_has_every_day_until_yesterday(runner: Runner) -> None:
    """It ends with yesterday, and leaves nothing behind but the file."""
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, YESTERDAY)
    assert runner.left == {"h.om"}
    assert runner.simulator.request_count == 3


def test_without_from_it_goes_back_as_far_as_there_is_data(runner: Runner) -> None:
    assert runner.run(first_day=None) == 0
    assert runner.values() == truth(date(2026, 6, 1), YESTERDAY)


def test_with_to_it_ends_before_that_time(runner: Runner) -> None:
    """So that nothing is missing before the first scrape; the moment itself is the scrape's."""
    assert runner.run(end=midnight(TODAY) + 12 * 3600) == 0
    expected = truth(FIRST, TODAY)
    for user in ("", "web"):
        del expected[user, float(midnight(TODAY) + 12 * 3600)]
    assert runner.values() == expected


def test_quotas_are_the_configured_ones(runner: Runner) -> None:
    runner.quotas = {"*": 10**12}
    assert runner.run() == 0
    quotas = runner.values("scaleengine_disk_quota_bytes")
    assert quotas == {key: 1e12 for key in truth(FIRST, YESTERDAY) if key[0] == "web"}


@pytest.mark.parametrize(
    ("ahead", "today"), [(0, TODAY), (-3600, TODAY), (3600 * 9.5, TODAY), (-15.5 * 3600, YESTERDAY)]
)
def test_a_wrong_clock_makes_no_sample_in_the_future(
    ahead: float, today: date, runner: Runner
) -> None:
    """No sample is in the future by our clock or by ScaleEngine's."""
    runner.ahead = ahead
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, today - timedelta(days=1))


def test_samples_end_at_the_time_of_scaleengine(runner: Runner) -> None:
    runner.ahead = 3600.0 * 2
    assert runner.run(end=NOW + 3600) == 0
    assert max(moment for _, moment in runner.values()) < NOW


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


def test_without_data_the_file_is_empty_and_valid(tmp_path: Path) -> None:
    """The file is valid and has no sample, and a warning says so."""
    with Simulator([simulated(lambda _: {})], NO_REPLAY, clock=lambda: NOW) as simulator:
        runner = Runner(simulator, tmp_path)
        with structlog.testing.capture_logs() as logged:
            assert runner.run(first_day=None) == 0
    assert runner.values() == {}
    assert "no data" in {event["event"] for event in logged}


def test_a_key_as_the_name_of_a_user_is_redacted(tmp_path: Path) -> None:
    with Simulator([simulated(steady_usage({f"x{KEY}": 5}))], NO_REPLAY, clock=lambda: NOW) as api:
        runner = Runner(api, tmp_path)
        assert runner.run() == 0
    text = runner.file.read_text()
    assert KEY not in text
    assert 'cpu_user="x***"' in text


def test_without_an_account_with_disk_usage_it_fails(runner: Runner) -> None:
    settings = Settings(Endpoint(runner.simulator.url, 5.0, 4), 4, None, 5000, (), ())
    options = BackfillOptions(FirstDay(FIRST), None, (), 3600, (), Destination(runner.file))
    progress = BackfillProgress(io.StringIO(), is_terminal=False)
    host = Host(lambda _: None, progress, SecretRedactor(), Clock())
    with pytest.raises(BackfillUsageError, match="no account has disk_usage enabled"):
        backfill(settings, options, host)


@pytest.mark.parametrize("variant", [ApiVariant(with_today=False), ApiVariant(with_tomorrow=True)])
def test_today_is_not_filled_in(variant: ApiVariant, runner: Runner) -> None:
    """Rows of today and tomorrow are left out: the live series begin there."""
    runner.simulator.behave(replace(NO_REPLAY, variant=variant))
    assert runner.run() == 0
    assert runner.values() == truth(FIRST, YESTERDAY)
    assert datetime.fromtimestamp(max(at for _, at in runner.values()), UTC).date() == YESTERDAY


def test_accounts_fail_alone(tmp_path: Path) -> None:
    """One that is refused does not keep the other from being collected."""
    other = SimulatedAccount(159, "other" + KEY, SECRET, usage)
    with Simulator([simulated(usage), other], NO_REPLAY, clock=lambda: NOW) as api:
        settings = Settings(
            endpoint=Endpoint(api.url, 5.0, 4),
            concurrency=4,
            requests_per_second=None,
            requests_per_poll=5000,
            accounts=(
                AccountSettings("main", 158, lambda: Credentials("wrong", SECRET)),
                AccountSettings("other", 159, lambda: Credentials("other" + KEY, SECRET)),
            ),
            targets=tuple(DiskUsageTarget(name, 60.0, 180.0) for name in ("main", "other")),
        )
        options = BackfillOptions(
            FirstDay(FIRST), None, (), 3600, (), Destination(tmp_path / "h.om")
        )
        progress = BackfillProgress(io.StringIO(), is_terminal=False)
        host = Host(lambda _: None, progress, SecretRedactor(), Clock(now=lambda: NOW))
        with structlog.testing.capture_logs() as logged:
            assert backfill(settings, options, host) == 1
        assert api.request_count == 4
        failed = [event for event in logged if event["event"] == "account not collected"]
        assert [event["account"] for event in failed] == ["main"]
        one = replace(options, accounts=("other",))
        assert backfill(settings, one, host) == 0


def test_the_bar_counts_the_windows() -> None:
    """Its length is the number of windows where the first day is known."""
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    progress = BackfillProgress(stream, is_terminal=True)
    with progress.stage("collecting", 4):
        progress.advance(1)
        progress.warn("something", {})
        progress.advance(3)
    with progress.stage("making blocks", None):
        progress.advance(1)
    assert "collecting" in stream.getvalue()
    assert "4/4" in stream.getvalue()
