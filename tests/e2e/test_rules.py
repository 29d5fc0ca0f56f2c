"""Every rule is evaluated, by a Prometheus that has series to evaluate it on."""

import pytest
import yaml

from tests.e2e.copies import ADDRESSES, MONITORING
from tests.e2e.proofs import Proofs
from tests.e2e.watching import Watch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

WRITTEN = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def test_every_rule_is_evaluated_without_error(watch: Watch, proofs: Proofs) -> None:
    """Prometheus has evaluated all rules that are written, and found none wanting."""

    def health() -> dict[str, int]:
        found: dict[str, int] = {}
        for group in watch.prometheus.get("rules")["groups"]:
            for rule in group["rules"]:
                state = rule["health"] + rule.get("lastError", "")
                found[state] = found.get(state, 0) + 1
        return found

    seen = wait_until(health, lambda found: set(found) == {"ok"}, "rules that are well")
    assert seen == {"ok": len(WRITTEN) + len(ADDRESSES)}
    proofs.add(watch.name, "rules by health", seen)


def test_recordings_have_data(watch: Watch, proofs: Proofs) -> None:
    """Recording rules record something where the exporter has what they ask for."""
    names = {rule["record"] for rule in WRITTEN if "record" in rule}

    def recorded() -> set[str]:
        found = watch.prometheus.instant('count by (__name__) ({__name__=~".+:.+"})').points
        return {point.labels["__name__"] for point in found}

    # One that needs a failure is empty as long as there is none.
    unless_failed = {"account_reason:scaleengine_api_request_failures:latest"}
    seen = wait_until(
        recorded, lambda found: names - unless_failed <= found, f"all of {sorted(names)}"
    )
    proofs.add(watch.name, "recording rules with data, of all", f"{len(seen)} of {len(names)}")
