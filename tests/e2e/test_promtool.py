"""Promtool and amtool find no mistake: in what is shipped, and in what is run."""

import re
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.copies import MONITORING, write_alertmanager, write_prometheus, write_rules
from tests.e2e.polling_exporter import Exporter
from tests.e2e.programs import NO_PROMETHEUS_3, needed, prometheus_3, promtool_of, run
from tests.e2e.proofs import Proofs

pytestmark = pytest.mark.timeout(300)

RULES = MONITORING / "alerts.yml"
ALERTMANAGER = MONITORING / "alertmanager.yml"


@pytest.fixture(params=["installed", "newer"])
def promtool(request: pytest.FixtureRequest) -> str:
    """Return the promtool of each Prometheus in turn."""
    if request.param == "installed":
        return needed("promtool")
    if (newer := prometheus_3()) is None:
        pytest.skip(NO_PROMETHEUS_3)
    return promtool_of(newer)


class RunPromtool(Protocol):
    """Run promtool, which must find nothing wrong."""

    def __call__(self, *arguments: str | Path, given: str = "") -> None: ...


@pytest.fixture
def run_promtool(promtool: str, proofs: Proofs) -> RunPromtool:
    """Return a function that runs a check, and adds its output to the proofs."""
    version = run([promtool, "--version"]).split()[2]

    def run_check(*arguments: str | Path, given: str = "") -> None:
        output = run([promtool, *arguments], given=given)
        shown = " ".join(Path(str(argument)).name for argument in arguments[:3])
        proofs.add(f"promtool {version}", shown, _on_one_line(output))

    return run_check


def test_the_configuration_of_prometheus_is_valid(run_promtool: RunPromtool) -> None:
    """The configuration of Prometheus is good, with the rules that it names."""
    run_promtool("check", "config", MONITORING / "prometheus.yml")


def test_the_copied_configuration_is_valid(run_promtool: RunPromtool, tmp_path: Path) -> None:
    """What this run makes of it is good too."""
    write_rules(tmp_path)
    run_promtool("check", "config", write_prometheus(tmp_path, "127.0.0.1:1", "127.0.0.1:2"))


def test_the_rules_are_valid(run_promtool: RunPromtool) -> None:
    """The rules are good, and nothing in them is in doubt."""
    run_promtool("check", "rules", "--lint-fatal", RULES)


def test_the_metrics_are_valid(run_promtool: RunPromtool, exporter: Exporter) -> None:
    """What a running exporter serves has no fault that promtool knows."""
    run_promtool("check", "metrics", given=exporter.metrics())


@pytest.mark.parametrize("file", ["shipped", "copied"])
def test_the_configuration_of_alertmanager_is_valid(
    file: str, tmp_path: Path, proofs: Proofs
) -> None:
    """The configuration of Alertmanager is good, as shipped and as this run has it."""
    shipped = file == "shipped"
    config = ALERTMANAGER if shipped else write_alertmanager(tmp_path, "http://127.0.0.1:1")
    output = run([needed("amtool"), "check-config", config])
    assert "SUCCESS" in output
    proofs.add("amtool", f"check-config ({file})", _on_one_line(output))


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "notify")])
def test_critical_alerts_page_and_warnings_notify(
    severity: str, receiver: str, proofs: Proofs
) -> None:
    """What is critical goes to who is paged, a warning to who is notified."""
    labels = [f"severity={severity}", "alertname=ScaleEngineAny", "account=demo"]
    routed = ["config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    output = run([needed("amtool"), *routed, f"--verify.receivers={receiver}", *labels])
    routed_to = output.splitlines()[-1]
    assert routed_to == receiver
    proofs.add("amtool", f"config routes test severity={severity}", routed_to)


def _on_one_line(output: str) -> str:
    """Return the output of a check in one line, without the folders of the files."""
    return re.sub(r"/\S*/", "", " ".join(output.split())) or "no output"
