"""Copies of the files of monitoring/ that run in fast motion, on the ports of this run.

Only what must differ is written again: addresses, and how long things last.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.yamlfile.units import format_prometheus_duration, parse_duration

MONITORING: Final = Path(__file__).parents[2] / "monitoring"
FASTER: Final = 300
"""How many times faster than in life everything goes: 15 minutes are 3 seconds."""

_TICK: Final = "1s"
_SHORTEST_FOR: Final = 2.0
"""Seconds that a state must last at least: no alert hangs on a single scrape that is late."""


RUNBOOK: Final = "https://wiki.example/scaleengine#"
DASHBOARD: Final = "https://grafana.example/d/scaleengine"
ADDRESSES: Final = {"alert_runbook": RUNBOOK, "alert_dashboard": DASHBOARD}
"""What an operator writes into ``addresses.yml``."""


def write_rules(folder: Path) -> None:
    """Write the rules, with every ``for`` made shorter, and an operator's own addresses."""
    rules = [
        {"record": f"scaleengine:{what}:info", "expr": "vector(1)", "labels": {"url": url}}
        for what, url in ADDRESSES.items()
    ]
    _write(
        folder / "addresses.yml", {"groups": [{"name": "scaleengine-addresses", "rules": rules}]}
    )
    text = (MONITORING / "alerts.yml").read_text()
    (folder / "alerts.yml").write_text(
        re.sub(r"(?m)^( +for: )(\w+)$", lambda found: found[1] + _lasting(found[2]), text)
    )


def write_prometheus(folder: Path, exporter: str, alertmanager: str) -> Path:
    """Write the configuration of Prometheus, for an exporter and an Alertmanager by address."""
    config = _read("prometheus.yml")
    config["global"] = {"scrape_interval": _TICK, "evaluation_interval": _TICK}
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [exporter]}]
    (peers,) = config["alerting"]["alertmanagers"]
    peers["static_configs"] = [{"targets": [alertmanager]}]
    return _write(folder / "prometheus.yml", config)


def write_alertmanager(folder: Path, receiver: str) -> Path:
    """Write the configuration of Alertmanager: each receiver is a path below one URL."""
    config = _read("alertmanager.yml")
    for entry in config["receivers"]:
        entry["webhook_configs"] = [{"url": f"{receiver}/{entry['name']}"}]
    for route in (config["route"], *config["route"]["routes"]):
        for key in {"group_wait", "group_interval", "repeat_interval"} & set(route):
            route[key] = format_prometheus_duration(parse_duration(route[key]) / FASTER)
    return _write(folder / "alertmanager.yml", config)


def _lasting(written: str) -> str:
    return format_prometheus_duration(max(_SHORTEST_FOR, parse_duration(written) / FASTER))


def _read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((MONITORING / name).read_text())
    return config


def _write(file: Path, config: Mapping[str, object]) -> Path:
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file
