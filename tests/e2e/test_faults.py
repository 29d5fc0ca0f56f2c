"""Each failure sends the right alert to the right receiver, and so does its end."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from exporter.simulator import Behaviour, FaultRule, FileType, Simulator
from monitoring.dashboard.queries import annotation_expressions, panel_queries
from tests.e2e.accounts import TB, USUAL, Polled, series
from tests.e2e.copies import DASHBOARD, MONITORING, RUNBOOK
from tests.e2e.polling_exporter import Exporter
from tests.e2e.proofs import Proofs
from tests.e2e.received_alerts import ReceivedAlerts
from tests.e2e.watching import Watch
from tests.support.faults import Refusal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

BOARD = json.loads((MONITORING / "dashboard.json").read_text())
ACCOUNT_DOWN = "ScaleEngineAccountDown"
EXPORTER_DOWN = "ScaleEngineExporterDown"
FILES_GONE = "ScaleEngineFilesGone"
OVER_QUOTA = "ScaleEngineDiskOverQuota"
REQUESTS_FAILING = "ScaleEngineApiRequestsFailing"
RESTARTING = "ScaleEngineExporterRestarting"
RESTARTS = 5
"""As many as the threshold of the alert."""
NO_POLLS = {"ScaleEnginePollsFailing", "ScaleEnginePollsStale"}
EXPECTED_ALERTS = {ACCOUNT_DOWN, EXPORTER_DOWN, FILES_GONE, OVER_QUOTA, REQUESTS_FAILING} | NO_POLLS
EXPECTED_ALERTS |= {RESTARTING}
"""What the faults here lead to."""

AT_THE_START = {"ScaleEngineExporterMissing"}
"""In fast motion an alert fires before Prometheus has found its first target."""

Watches = Mapping[str, Watch]


@pytest.fixture
def received(watches: Watches, proofs: Proofs) -> ReceivedAlerts:
    """Return the notifications from now on."""
    return ReceivedAlerts(watches.values(), proofs)


@contextmanager
def wrong_key(exporter: Exporter, polled: Polled) -> Iterator[None]:
    """Let an account have a wrong key until the block ends."""
    exporter.write_key(polled, "E2E0WRONGWRONGWRONG")
    try:
        yield
    finally:
        exporter.write_key(polled, polled.account.api_key)


def test_refused_credentials_send_a_page(
    exporter: Exporter,
    polled: Mapping[str, Polled],
    watches: Watches,
    received: ReceivedAlerts,
    proofs: Proofs,
) -> None:
    """Refused credentials send a page, and no alert for the polls that are missing then."""
    with wrong_key(exporter, polled["shop"]):
        for watch in watches.values():
            down = received.firing(
                watch,
                ACCOUNT_DOWN,
                severity="critical",
                cause="credentials",
                account="shop",
                instance=exporter.address,
            )
            assert down.receiver == "page"
            assert down.summary == (
                "ScaleEngine refuses the credentials of account shop, or they cannot be read:"
                " check cdn, api_key and api_secret, and whether the key was changed"
            )
        for watch in watches.values():
            received.held_back(watch, ACCOUNT_DOWN, NO_POLLS)
            assert {alert.alert for alert in received.find(watch, account="shop")} == {ACCOUNT_DOWN}
            alerts_are_drawn(watch, "shop", proofs)
    for watch in watches.values():
        received.resolved(watch, ACCOUNT_DOWN)


def alerts_are_drawn(watch: Watch, account: str, proofs: Proofs) -> None:
    """While alerts of an account fire, the dashboard marks and counts them."""
    marks = watch.prometheus.range(annotation_expressions(BOARD)["Alerts"]).points
    (tile,) = (query.expression for query in panel_queries(BOARD) if query.panel == "Alerts")
    counted = watch.prometheus.value(tile)
    assert account in {point.labels.get("account") for point in marks}
    assert counted is not None
    assert counted > 0
    proofs.add(watch.name, "alerts that the dashboard marks, counts", (len(marks), counted))


@contextmanager
def vanished(polled: Polled, path: str) -> Iterator[int]:
    """Let all videos below a path be gone until the block ends; give how many they are."""
    root = polled.account.storage.find(path)
    assert root is not None
    names = list(root.walk("video"))
    for name in names:
        root.remove(name)
    try:
        yield len(names)
    finally:
        for name in names:
            root.add(name, FileType.VIDEO)


def test_vanished_files_send_a_page(
    polled: Mapping[str, Polled], watches: Watches, received: ReceivedAlerts
) -> None:
    """Files that are gone send a page: which path of which account, and how many there were."""
    path = "sestore4/séries"
    with vanished(polled["demo"], path) as files:
        for watch in watches.values():
            gone = received.firing(
                watch, FILES_GONE, severity="critical", account="demo", path=path, file_type="video"
            )
            assert gone.receiver == "page"
            assert gone.summary == (
                f"All video files below {path} of account demo are gone:"
                " find out who deleted or moved them"
            )
            assert f"There were {files} within the last day" in gone.annotations["description"]
            assert gone.annotations["runbook_url"] == f"{RUNBOOK}scaleenginefilesgone"
            assert gone.annotations["dashboard_url"] == DASHBOARD
    for watch in watches.values():
        received.resolved(watch, FILES_GONE)


@contextmanager
def lowered_quota(exporter: Exporter, account: str, cpu_user: str, limit: int) -> Iterator[None]:
    """Let a CPU user have another quota, in bytes, until the block ends."""
    exporter.write_configuration({account: {cpu_user: limit}})
    exporter.reload()
    try:
        yield
    finally:
        exporter.write_configuration()
        exporter.reload()


def test_usage_over_the_quota_sends_a_page(
    exporter: Exporter, watches: Watches, received: ReceivedAlerts
) -> None:
    """A quota that is lowered by a reload sends a page: which user is over it, and by how much."""
    with lowered_quota(exporter, "demo", "live", 1 * TB):
        for watch in watches.values():
            over = received.firing(
                watch, OVER_QUOTA, severity="critical", account="demo", cpu_user="live"
            )
            assert over.receiver == "page"
            assert over.summary == (
                "CPU user live of account demo uses 200% of the disk quota:"
                " delete files or raise the quota now"
            )
    for watch in watches.values():
        received.resolved(watch, OVER_QUOTA)


@contextmanager
def refused(scaleengine: Simulator, polled: Polled) -> Iterator[None]:
    """Let ScaleEngine refuse to list the paths of an account until the block ends."""
    refusing = tuple(FaultRule(Refusal("0042"), path=path.path) for path in polled.paths)
    scaleengine.behave(Behaviour(checks=USUAL.checks, faults=refusing))
    try:
        yield
    finally:
        scaleengine.behave(USUAL)


@contextmanager
def ended(exporter: Exporter) -> Iterator[None]:
    """Let the exporter be ended until the block ends."""
    assert exporter.end() == 0
    try:
        yield
    finally:
        exporter.start()


def test_an_exporter_that_is_down_sends_a_page(
    exporter: Exporter,
    scaleengine: Simulator,
    polled: Mapping[str, Polled],
    watches: Watches,
    received: ReceivedAlerts,
) -> None:
    """An exporter that is down sends a page; alerts about its numbers end."""
    with refused(scaleengine, polled["demo"]):
        for watch in watches.values():
            wait_until(
                watch.prometheus.firing, lambda names: REQUESTS_FAILING in names, REQUESTS_FAILING
            )
        with ended(exporter):
            for watch in watches.values():
                down = received.firing(
                    watch, EXPORTER_DOWN, severity="critical", instance=exporter.address
                )
                assert down.receiver == "page"
                assert down.summary == (
                    f"Prometheus cannot scrape the ScaleEngine exporter at {exporter.address}:"
                    " see whether it runs, and read its log"
                )
            for watch in watches.values():
                received.held_back(watch, EXPORTER_DOWN, {REQUESTS_FAILING})
                wait_until(
                    watch.sent, lambda sent: sent == {EXPORTER_DOWN}, f"only {EXPORTER_DOWN}"
                )
    for watch in watches.values():
        received.resolved(watch, EXPORTER_DOWN)


def wait_for_a_scrape(watch: Watch, exporter: Exporter) -> None:
    """Wait until a Prometheus has seen the process that runs now."""
    name = "process_start_time_seconds"
    started = exporter.samples()[series(name, {})]
    wait_until(
        lambda: watch.prometheus.value(f'{name}{{job="scaleengine"}}'),
        lambda seen: seen == started,
        f"{watch.name}: a scrape of the new process",
    )


def test_repeated_restarts_are_notified(
    exporter: Exporter, watches: Watches, received: ReceivedAlerts
) -> None:
    """Repeated restarts send a notification, though each time the polls are good."""
    for _ in range(RESTARTS):
        with ended(exporter):
            pass
        for watch in watches.values():
            wait_for_a_scrape(watch, exporter)
    for watch in watches.values():
        restarting = received.firing(
            watch, RESTARTING, severity="warning", instance=exporter.address
        )
        assert restarting.receiver == "notify"
        assert "times in six hours" in restarting.summary


def test_no_other_alert_is_sent(watches: Watches, proofs: Proofs) -> None:
    """In all that time no other alert was sent."""
    for watch in watches.values():
        alerts = {alert.alert for alert in watch.receiver.notifications} - AT_THE_START
        assert alerts <= EXPECTED_ALERTS
        proofs.add(watch.name, "alerts sent in all, none false", len(alerts))
