"""A new Prometheus has a year of history in its first minute, and the live series go on from it."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Folder, SimulatedAccount, Simulator
from monitoring.dashboard.queries import panel_queries
from tests.e2e.accounts import GB, TB, USUAL, Polled, User, today
from tests.e2e.polling_exporter import Exporter, running_exporter
from tests.e2e.programs import NO_PROMETHEUS_3, needed, prometheus_3, promtool_of, run
from tests.e2e.prometheus_api import PrometheusApi, QueryResult
from tests.e2e.proofs import Proofs
from tests.e2e.test_dashboard import BOARD
from tests.e2e.watching import Watch, watching
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

STEP: Final = 3600
DAYS: Final = 365
USERS: Final = {
    "": User(90 * TB, 20 * GB),
    "séries": User(60 * TB, 15 * GB, quota=70 * TB),
    "archiv": User(9 * TB, -5 * GB, quota=30 * TB),
    "guest": User(1 * TB, 1 * GB),
}
GUEST_LEFT: Final = 40
GUEST_CAME: Final = 200
"""Days before the start on which the user ``guest`` has its last and its first row."""


@dataclass(frozen=True, slots=True)
class History:
    """A folder of blocks, what is simulated, and the moment at which the history ends."""

    data: Path
    polled: Polled
    exporter: Exporter
    end: float


def truth(start: date, day: date) -> Mapping[str, int]:
    """Return the bytes of each CPU user that has a row of a day."""
    passed = (day - start).days
    found = {name: user.bytes_at_start + passed * user.bytes_a_day for name, user in USERS.items()}
    if not -GUEST_CAME <= passed <= -GUEST_LEFT:
        del found["guest"]
    return found


def day_starts(start: date, day: date) -> Mapping[str, int]:
    """Return 00:00 UTC of a day, for each CPU user that has a row of it."""
    return dict.fromkeys(truth(start, day), _midnight(day))


def quotas(start: date, day: date) -> Mapping[str, int]:
    """Return the quota of each CPU user that has one and a row of a day."""
    limits = {user: USERS[user].quota for user in truth(start, day)}
    return {user: limit for user, limit in limits.items() if limit is not None}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Run an exporter, and let its history be filled in as the documentation says."""
    start = today()
    account = SimulatedAccount(
        cdn=160,
        api_key="E2E6IMNO2TMSNUR4HDQ3TQRMUUY69FBG",
        api_secret="e2e60ea0fca3a8c4c28cb77859bda10720fe2ae46b9ed9a6f5e754dcba8d",
        usage=lambda day: truth(start, day),
        storage=Folder(),
    )
    polled = Polled("year", start, account, USERS, ())
    folder = tmp_path_factory.mktemp("backfill")
    promtool = promtool_of(needed("prometheus"))
    with (
        Simulator([account], USUAL) as scaleengine,
        running_exporter(folder, scaleengine.url, [polled]) as exporter,
    ):
        end = int(time.time())
        run(
            [
                *("env", "TZ=America/St_Johns", sys.executable, "-m", "exporter", "backfill"),
                f"--config.file={folder / 'config.yaml'}",
                f"--from={start - timedelta(days=DAYS)}",
                f"--to={datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}",
                f"--step={STEP}s",
                "--label=job=scaleengine",
                f"--label=instance={exporter.address}",
                f"--to-tsdb={folder / 'data'}",
                f"--promtool={promtool}",
            ]
        )
        yield History(folder / "data", polled, exporter, end)


@pytest.fixture(scope="module", params=["installed", "newer"])
def fresh(
    history: History, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """Start a new Prometheus on the blocks, each of those that there are in turn."""
    prometheus = needed("prometheus") if request.param == "installed" else prometheus_3()
    if prometheus is None:
        pytest.skip(NO_PROMETHEUS_3)
    alertmanager = needed("alertmanager", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp(f"fresh-{request.param}")
    shutil.copytree(history.data, folder / "data")
    with ExitStack() as ending:
        programs = (prometheus, alertmanager)
        yield ending.enter_context(
            watching(folder, programs, history.exporter.address, is_demo=True)
        )


def read_series(api: PrometheusApi, name: str) -> dict[str, list[tuple[float, float]]]:
    """Return the time and value of all samples of a metric, by CPU user: each has one series."""
    found = api.get("query", query=f'{name}{{account="year"}}[{DAYS + 2}d]')["result"]
    users = [series["metric"].get("cpu_user", "") for series in found]
    assert len(users) == len(set(users)), "a user has one series, live and filled in"
    assert {(series["metric"]["job"], series["metric"]["account"]) for series in found} == {
        ("scaleengine", "year")
    }
    return {
        user: [(float(at), float(value)) for at, value in series["values"]]
        for user, series in zip(users, found, strict=True)
    }


def day_of(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def test_each_day_of_a_year_is_right(fresh: Watch, history: History, proofs: Proofs) -> None:
    """Each day of each user is what ScaleEngine has, at each hour, and no other day is there."""
    start = history.polled.start
    first = start - timedelta(days=DAYS)
    for name, expected in (
        ("scaleengine_disk_usage_bytes", truth),
        ("scaleengine_disk_usage_day_timestamp_seconds", day_starts),
        ("scaleengine_disk_quota_bytes", quotas),
    ):
        seen = {
            (user, at): value
            for user, samples in read_series(fresh.prometheus, name).items()
            for at, value in samples
            if at < history.end
        }
        assert seen == {
            (user, float(at)): float(value)
            for at in range(_midnight(first), int(history.end), STEP)
            for user, value in expected(start, day_of(at)).items()
        }
        proofs.add(fresh.name, f"samples of a year of {name}, all as simulated", len(seen))


def test_nothing_is_missing_or_doubled_at_the_first_scrape(
    fresh: Watch, history: History, proofs: Proofs
) -> None:
    """Between what is filled in and what is scraped nothing is missing and nothing is doubled."""

    def scraped() -> Mapping[str, list[tuple[float, float]]]:
        return read_series(fresh.prometheus, "scaleengine_disk_usage_bytes")

    seen = wait_until(
        scraped,
        lambda found: found[""][-1][0] > history.end,
        "a scrape after the history",
    )
    longest = 0.0
    for user in USERS.keys() - {"guest"}:
        moments = [at for at, _ in seen[user]]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert min(gaps) > 0, f"{user} has a doubled point"
        longest = max(longest, *gaps)
        live = [value for at, value in seen[user] if at >= history.end]
        assert set(live) <= {float(truth(history.polled.start, today())[user])}
    # Prometheus starts later than the exporter, whose start is the end of the history.
    assert longest <= STEP + 300
    assert all(at < history.end for at, _ in seen["guest"])
    proofs.add(fresh.name, "longest time between samples of a year and live ones, in s", longest)


def test_the_dashboard_has_data_from_the_first_minute(fresh: Watch, proofs: Proofs) -> None:
    """The forecast, the changes in a day and a week, and the day when a quota is full are there."""
    growing = {user or "(empty name)": USERS[user] for user in USERS.keys() - {"guest"}}
    weekly = {user: 7.0 * points.bytes_a_day for user, points in growing.items()}
    assert by_user(ask(fresh, "CPU users", "C")) == weekly
    assert by_user(ask(fresh, "CPU users", "B")) == {
        user: float(points.bytes_a_day) for user, points in growing.items()
    }
    forecast = by_user(ask(fresh, "Forecast: disk usage 30 days later", "A"))
    expected = {
        u: points.bytes_at_start + 30.0 * points.bytes_a_day for u, points in growing.items()
    }
    # The panel shows the users that have a name, where there are any.
    assert forecast.keys() == expected.keys() - {"(empty name)"}
    for user, value in forecast.items():
        # Steps of a day, not a line: half a day of growth is within what is meant.
        assert value == pytest.approx(expected[user], abs=1.5 * abs(growing[user].bytes_a_day))
    full = by_user(ask(fresh, "CPU users", "F"))
    series = USERS["séries"]
    assert series.quota is not None
    days = (series.quota - series.bytes_at_start) / series.bytes_a_day
    assert full == {"séries": pytest.approx(days, abs=1.01)}
    proofs.add(fresh.name, "bytes more in a week, of a Prometheus just started", weekly)
    proofs.add(fresh.name, "forecast of a Prometheus just started", forecast)


def ask(watch: Watch, panel: str, ref: str) -> QueryResult:
    """Ask for an expression of a panel, once."""
    (query,) = (q for q in panel_queries(BOARD) if (q.panel, q.ref) == (panel, ref))
    ask = watch.prometheus.instant if query.instant else watch.prometheus.range
    return ask(query.expression)


def by_user(response: QueryResult) -> dict[str, float]:
    return {point.labels["cpu_user"]: point.value for point in response.points}


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
