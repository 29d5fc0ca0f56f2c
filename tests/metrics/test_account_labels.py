"""The labels that an operator gives an account are on its info metric, and nowhere else."""

from collections.abc import Mapping

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.store import Store
from exporter.polling.targets import DiskUsageTarget, compute_delta
from exporter.scaleengine.clock import Clock

TARGETS = (DiskUsageTarget("main", 60, 180), DiskUsageTarget("other", 60, 180))
ACCOUNTS = {"main": 158, "other": 7}


def find_labels(metrics: Metrics) -> dict[str, dict[str, str]]:
    """Return the labels of each account that are not the exporter's, as the text says."""
    text = generate_latest(metrics.registry).decode()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    infos = [sample for sample in samples if sample.name == "scaleengine_account_info"]
    assert not any("customer" in sample.labels for sample in samples if sample not in infos)
    return {
        sample.labels["account"]: {
            name: value for name, value in sample.labels.items() if name not in ("account", "cdn")
        }
        for sample in infos
    }


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"main": {"customer": "acme"}},
        {"main": {"customer": 'a "b" \\ {c}, d="e"'}, "other": {"tier": "gold", "customer": "é"}},
    ],
)
def test_labels_of_accounts_are_on_their_series(
    clock: Clock, labels: Mapping[str, Mapping[str, str]]
) -> None:
    """Their values may hold anything, and accounts may have different ones."""
    metrics = build_metrics(Store(TARGETS), ACCOUNTS, clock, labels=labels)
    assert find_labels(metrics) == {name: labels.get(name, {}) for name in ACCOUNTS}


def test_a_reload_changes_the_labels(clock: Clock) -> None:
    """They are those of now, and their account is published again."""
    metrics = build_metrics(Store(TARGETS), ACCOUNTS, clock, labels={"main": {"customer": "a"}})
    metrics.changes.take()
    delta = compute_delta(TARGETS, TARGETS)
    metrics.apply(delta, ACCOUNTS, labels={"other": {"customer": "b"}})
    assert metrics.changes.take()["configured"] == {"main", "other"}
    assert find_labels(metrics) == {"main": {}, "other": {"customer": "b"}}
