"""What compose.yaml starts fits together, is pinned, and is locked up."""

import os
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.config import load
from exporter.flags import DEFAULT_ADDRESS
from tests.support.waiting import TIMEOUT

ROOT = Path(__file__).parents[2]
PROMTOOL = which("promtool")
MONITORING = ROOT / "monitoring"
README = (MONITORING / "README.md").read_text()
DATASOURCES = "grafana/provisioning/datasources/prometheus.yml"
DASHBOARDS = "grafana/provisioning/dashboards/scaleengine.yml"
ACCOUNT = {
    "SCALEENGINE_CDN": "158",
    "SCALEENGINE_API_KEY": "key",
    "SCALEENGINE_API_SECRET": "secret",
}

Service = dict[str, Any]


def filled(value: Any, environ: dict[str, str]) -> Any:
    """Put variables into all text of a value, as Compose does."""
    if isinstance(value, dict):
        return {key: filled(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, environ) for item in value]
    if not isinstance(value, str):
        return value

    def meaning(variable: re.Match[str]) -> str:
        given = environ.get(variable["name"])
        unset = not given if variable["or_empty"] else given is None
        return variable["default"] if unset else str(given)

    return re.sub(r"\$\{(?P<name>\w+)(?P<or_empty>:?)-(?P<default>[^}]*)\}", meaning, value)


def services(environ: dict[str, str]) -> dict[str, Service]:
    """Read the services of compose.yaml in an environment."""
    read: dict[str, Service] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return {name: filled(service, environ) for name, service in read.items()}


SERVICES = services({})
ONCE = {"history", "blocks"}
"""Services that end when their work is done."""


def mounts(service: Service) -> dict[str, tuple[str, bool]]:
    """Return what is mounted where, and whether it can be written."""
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return {where: (what, mode != ["ro"]) for what, where, *mode in parts}


def document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((MONITORING / name).read_text())
    return read


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned(name: str) -> None:
    """Each image is pinned by its whole version."""
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_restricted(name: str) -> None:
    """A service has a read-only root, no capability and no way to more; volumes alone it writes."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "user", "network_mode", "pid"}
    written = [what for what, writable in mounts(service).values() if writable]
    assert [what for what in written if "/" in what] == []


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback(name: str) -> None:
    """Ports are published on loopback."""
    assert [
        port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")
    ] == []


def test_each_service_has_a_health_check() -> None:
    """Each service has a health check, the exporter in its image, and starts after its sources."""
    running = {name: service for name, service in SERVICES.items() if name not in ONCE}
    assert {name for name, service in running.items() if "healthcheck" not in service} == {
        "exporter"
    }
    assert "\nHEALTHCHECK " in (ROOT / "Dockerfile").read_text()
    awaited = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert awaited["prometheus"] == {"exporter", "alertmanager", "blocks"}
    assert (awaited["blocks"], awaited["history"]) == ({"history"}, {"exporter"})
    assert awaited["grafana"] == {"prometheus"}


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_exist(name: str) -> None:
    """Folders and files that a service is given are in the project."""
    given = [what for what, _ in mounts(SERVICES[name]).values() if what.startswith(".")]
    assert [what for what in given if not (ROOT / what).exists()] == []


def test_the_image_is_this_version() -> None:
    """What is built is named after the version of the program."""
    assert SERVICES["exporter"]["image"] == f"scaleengine-exporter:{__version__}"


def test_without_settings_the_demo_runs() -> None:
    """Without an .env the exporter shows the demo, and no secret stands in the file."""
    assert SERVICES["exporter"]["command"] == "demo"
    assert set(SERVICES["exporter"]["environment"].values()) == {""}


def test_settings_configure_a_real_account() -> None:
    """With an .env the exporter polls the account that it names."""
    settings = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    service = services({**settings, **ACCOUNT})["exporter"]
    folder, _ = mounts(service)["/etc/scaleengine-exporter"]
    loaded = load(ROOT / folder / "config.yaml", service["environment"])
    assert service["command"] == ""
    assert service["environment"] == ACCOUNT
    assert [account.cdn for account in loaded.config.accounts] == [158]
    assert loaded.warnings == ()


def test_all_settings_are_in_the_example() -> None:
    """The example of the .env names each variable of compose.yaml but the build's."""
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    explained = re.findall(r"^(?:# )?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert used - {"REVISION"} == set(explained)


def test_no_documented_command_disables_the_restart() -> None:
    """Docker starts nothing again, after a reboot, that `docker kill` has sent any signal to."""
    advised = re.findall(r"`(docker (?:compose )?(?:kill|exec)[^`]*)`; ", README)
    assert {name for name in SERVICES if SERVICES[name]["restart"] != "unless-stopped"} == ONCE
    assert {SERVICES[name]["restart"] for name in ONCE} == {"no"}
    assert advised == ["docker compose exec exporter sh -c 'kill -HUP 1'"]


def test_prometheus_addresses_services_of_the_stack() -> None:
    """Prometheus scrapes and notifies services of the stack; the job is that of the alerts."""
    config = document("prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "scaleengine"
    assert job["static_configs"] == [{"targets": [f"exporter{DEFAULT_ADDRESS}"]}]
    (peers,) = config["alerting"]["alertmanagers"]
    assert peers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert {"exporter", "alertmanager"} <= set(SERVICES)


def test_datasources_address_services_of_the_stack() -> None:
    """The datasources are services of the stack, and one is the default."""
    sources = document(DATASOURCES)["datasources"]
    urls = {source["type"]: source["url"] for source in sources}
    assert urls == {
        "prometheus": "http://prometheus:9090",
        "alertmanager": "http://alertmanager:9093",
    }
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]


def test_the_datasource_has_the_scrape_interval() -> None:
    """Rates are taken over windows that fit the interval at which Prometheus scrapes."""
    source = document(DATASOURCES)["datasources"][0]
    assert (
        source["jsonData"]["timeInterval"]
        == document("prometheus.yml")["global"]["scrape_interval"]
    )


def test_grafana_opens_with_the_dashboard() -> None:
    """The dashboard is mounted where it is provisioned from, and is the first page."""
    (provider,) = document(DASHBOARDS)["providers"]
    given = {what: where for where, (what, _) in mounts(SERVICES["grafana"]).items()}
    board = given["./monitoring/dashboard.json"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(board).parent == Path(provider["options"]["path"])
    assert home == board


@pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI"),
    reason="promtool is not installed; CI installs it",
)
def test_promtool_finds_no_mistake() -> None:
    """Promtool finds the configuration good, and the rules that it names."""
    assert PROMTOOL is not None, "promtool is missing: install Prometheus"
    checked = subprocess.run(  # noqa: S603 - the program is promtool, found on the path
        [PROMTOOL, "check", "config", "prometheus.yml"],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
