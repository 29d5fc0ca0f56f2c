"""Every panel of the dashboard has something to draw, asked for as Grafana asks."""

import json
from collections.abc import Mapping, Sequence

import pytest

from monitoring.dashboard.queries import PanelQuery, panel_queries, variable_queries
from tests.e2e.accounts import Polled, User
from tests.e2e.copies import MONITORING
from tests.e2e.prometheus_api import Point, QueryResult
from tests.e2e.proofs import PanelValue, Proofs
from tests.e2e.watching import Watch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

BOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = panel_queries(BOARD)
DAY = 86400.0
ONLY_WHILE_A_POLL_FAILS = "scaleengine_poll_failure_info"


def shown(points: Sequence[Point]) -> str:
    """Return how many series there are, and the newest value of the largest with its labels."""
    largest = max(points, key=lambda point: (point.value == point.value, point.value))
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(largest.labels.items()))
    return f"{len(points)} series; {{{labels}}} {largest.value:.15g}"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel}-{query.ref}")
def test_the_expression_returns_data(query: PanelQuery, watch: Watch, proofs: Proofs) -> None:
    """The expression returns a number at least, and Prometheus has nothing to say against it."""
    ask = watch.prometheus.instant if query.instant else watch.prometheus.range
    if ONLY_WHILE_A_POLL_FAILS in query.expression:
        assert ask(query.expression) == QueryResult(points=[], complaints=[])
        return
    response = wait_until(
        lambda: ask(query.expression),
        lambda response: bool(response.numbers),
        f"a number from {query.expression}",
    )
    assert response.complaints == []
    proofs.add_panel(
        watch.name,
        PanelValue(f"{query.panel} {query.ref}", query.expression, shown(response.points)),
    )


def users(polled: Mapping[str, Polled]) -> dict[tuple[str, str], User]:
    """Return the CPU users of all accounts, as the tables name them."""
    return {
        (account.name, name or "(empty name)"): user
        for account in polled.values()
        for name, user in account.users.items()
    }


def ask_table(watch: Watch, ref: str) -> QueryResult:
    """Ask for a column of the table of CPU users."""
    (query,) = (query for query in QUERIES if (query.panel, query.ref) == ("CPU users", ref))
    return watch.prometheus.instant(query.expression)


@pytest.mark.parametrize(("ref", "days"), [("B", 1), ("C", 7)])
def test_changes_are_right(
    ref: str, days: int, watch: Watch, polled: Mapping[str, Polled], proofs: Proofs
) -> None:
    """The change of each CPU user in a day and in a week is what was simulated."""
    expected = {key: days * float(user.bytes_a_day) for key, user in users(polled).items()}
    seen = wait_until(
        lambda: _by_user(ask_table(watch, ref)), lambda seen: seen == expected, str(expected)
    )
    proofs.add(watch.name, f"bytes more in {days} d by CPU user", list(seen.values()))


def test_the_day_when_a_quota_is_full_is_right(
    watch: Watch, polled: Mapping[str, Polled], proofs: Proofs
) -> None:
    """Days until full: what is left of the quota, at the growth of a week, in days."""
    expected = {
        key: (user.quota - user.bytes_at_start) / user.bytes_a_day
        for key, user in users(polled).items()
        if user.quota is not None and user.bytes_a_day > 0
    }
    seen = _by_user(ask_table(watch, "F"))
    # A run over midnight is a day of growth nearer to it.
    assert seen.keys() == expected.keys()
    assert all(seen[key] == pytest.approx(expected[key], abs=1.01) for key in expected)
    proofs.add(watch.name, "days until the quota is full", {k[1]: v for k, v in seen.items()})


def _by_user(response: QueryResult) -> dict[tuple[str, str], float]:
    return {
        (point.labels["account"], point.labels["cpu_user"]): point.value
        for point in response.points
    }


def test_variables_have_values(watch: Watch, polled: Mapping[str, Polled], proofs: Proofs) -> None:
    """Accounts, CPU users, paths and file types can be chosen: all that there are."""
    paths = [path for account in polled.values() for path in account.paths]
    expected = {
        "account": set(polled),
        "cpu_user": {name for account in polled.values() for name in account.users} - {""},
        "path": {path.path for path in paths},
        "file_type": {file_type for path in paths for file_type in path.file_types},
    }
    offered = {}
    for query in variable_queries(BOARD):
        values = watch.prometheus.get(f"label/{query.label}/values", **{"match[]": query.selector})
        offered[query.variable] = set(values)
    assert offered == expected
    proofs.add(watch.name, "values of the variables", {k: len(v) for k, v in offered.items()})
