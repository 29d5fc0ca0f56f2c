"""Which receiver gets which alert, and which alert is not sent because of another."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import requests
import yaml

from tests.support.child import Child
from tests.support.waiting import TIMEOUT, wait_until

CONFIG = Path(__file__).parents[2] / "monitoring" / "alertmanager.yml"
ALERTS = CONFIG.with_name("alerts.yml")
AMTOOL = which("amtool")
ALERTMANAGER = which("alertmanager") or which("prometheus-alertmanager")

needs_alertmanager = pytest.mark.skipif(
    (AMTOOL is None or ALERTMANAGER is None) and not os.environ.get("CI"),
    reason="Alertmanager is not installed; CI installs it",
)

HERE = {"job": "scaleengine", "instance": "one:10058"}
THERE = {"job": "scaleengine", "instance": "two:10058"}


def alert(name: str, **labels: str) -> Mapping[str, str]:
    return {"alertname": f"ScaleEngine{name}", **labels}


# What is wrong, and whether it is sent while all of it is wrong at once.
AT_ONCE = [
    (alert("ExporterDown", **HERE), True),
    (alert("AccountDown", **HERE, account="a"), False),
    (alert("PollsStale", **HERE, account="a", path="p"), False),
    (alert("ReloadFailed", **HERE), False),
    # Another exporter's, which runs.
    (alert("AccountDown", **THERE, account="a"), True),
    (alert("PollsFailing", **THERE, account="a", collector="files", path="p"), False),
    (alert("PollsStale", **THERE, account="a", collector="files", path="p"), False),
    (alert("ApiRequestsFailing", **THERE, account="a"), False),
    (alert("PollsFailing", **THERE, account="b", collector="files", path="p"), True),
    (alert("ApiRequestsFailing", **THERE, account="b"), True),
    # Of two paths of an account that is up, one is stale.
    (alert("PollsStale", **THERE, account="c", collector="files", path="p"), True),
    (alert("PollsFailing", **THERE, account="c", collector="files", path="p"), False),
    (alert("PollsFailing", **THERE, account="c", collector="files", path="q"), True),
    # Of an account that is up, one command is denied.
    (alert("CommandDenied", **THERE, account="d", collector="files"), True),
    (alert("PollsStale", **THERE, account="d", collector="files", path="p"), False),
    (alert("PollsFailing", **THERE, account="d", collector="files", path="p"), False),
    (alert("PollsStale", **THERE, account="d", collector="disk_usage"), True),
    (alert("ApiRequestsFailing", **THERE, account="d"), True),
    (alert("CommandDenied", **THERE, account="a", collector="files"), False),
    # True for any exporter: it has no label of one.
    (alert("DiskOverQuota", job="scaleengine", account="a", cpu_user="u"), True),
    (alert("DiskFullSoon", job="scaleengine", account="a", cpu_user="u"), False),
    (alert("DiskFullSoon", job="scaleengine", account="a", cpu_user="v"), True),
    (alert("FilesGone", job="scaleengine", account="a", path="p"), True),
]


def amtool(*arguments: str) -> str:
    """Run amtool on the configuration, and return what it prints."""
    assert AMTOOL is not None, "amtool is missing: install Alertmanager"
    ran = subprocess.run(  # noqa: S603 - the program is amtool, found on the path
        [AMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Run an Alertmanager with the configuration; give its URL."""
    assert ALERTMANAGER is not None, "alertmanager is missing: install Alertmanager"
    command = [
        ALERTMANAGER,
        f"--config.file={CONFIG}",
        f"--storage.path={tmp_path}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    with Child(command) as running:
        address = running.wait_for_line(r"address=(127\.0\.0\.1:[1-9]\d*)")
        yield f"http://{address}/api/v2"


@needs_alertmanager
def test_amtool_finds_no_mistake() -> None:
    """Alertmanager's own tool finds the configuration good."""
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@needs_alertmanager
@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "notify")])
def test_severity_chooses_the_receiver(severity: str, receiver: str) -> None:
    """A critical alert sends a page, a warning only notifies."""
    labels = [f"severity={severity}", "alertname=ScaleEngineAny", "account=a"]
    routed = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert routed.strip() == receiver


def test_every_severity_of_an_alert_is_routed() -> None:
    """Every alert has a severity that is routed."""
    rules = [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
    severities = {rule["labels"]["severity"] for rule in rules if "alert" in rule}
    assert severities == {"critical", "warning"}


def test_alerts_of_an_account_are_one_message() -> None:
    """Alerts are gathered by account, on every route."""
    route = yaml.safe_load(CONFIG.read_text())["route"]
    assert route["group_by"] == ["account"]
    assert not [child for child in route["routes"] if "group_by" in child]


def test_the_stack_notifies_no_receiver_by_default() -> None:
    """As shipped, the stack sends nothing."""
    receivers: list[dict[str, Any]] = yaml.safe_load(CONFIG.read_text())["receivers"]
    assert receivers == [{"name": "page"}, {"name": "notify"}]


def test_inhibition_names_alerts_that_exist() -> None:
    """Every alert that the rules of inhibition name is defined."""
    defined = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    named: set[str] = set()
    for text in re.findall(r'alertname=~?"([^"]+)"', CONFIG.read_text()):
        stem, _, choices = text.rstrip(")").partition("(")
        named |= {stem + choice for choice in choices.split("|")}
    assert named - {"ScaleEngine.+"} <= defined
    assert len(named) > 1


@needs_alertmanager
def test_consequences_of_an_alert_are_inhibited(alertmanager: str) -> None:
    """A real Alertmanager with all alerts sends the causes and holds back what follows."""
    raised = [{"labels": labels} for labels, _ in AT_ONCE]
    requests.post(f"{alertmanager}/alerts", json=raised, timeout=TIMEOUT).raise_for_status()
    expected = {tuple(sorted(labels.items())): sent for labels, sent in AT_ONCE}
    wait_until(lambda: _sent(alertmanager), lambda known: known == expected, str(expected))


def _sent(alertmanager: str) -> dict[tuple[tuple[str, str], ...], bool]:
    known = requests.get(f"{alertmanager}/alerts", timeout=TIMEOUT).json()
    return {
        tuple(sorted(alert["labels"].items())): alert["status"]["state"] == "active"
        for alert in known
    }
