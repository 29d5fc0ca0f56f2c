"""A real Prometheus scrapes the exporter, and has what ScaleEngine has."""

import re
from collections.abc import Mapping

import pytest

from tests.e2e.accounts import Polled, Samples, stored, today
from tests.e2e.polling_exporter import Exporter
from tests.e2e.proofs import Proofs
from tests.e2e.watching import Watch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

STORED = (
    '{__name__=~"scaleengine_(disk_usage_bytes|disk_usage_day_timestamp_seconds|disk_quota_bytes'
    '|files|folders|folder_files)"}'
)
COMPLAINT = re.compile(r"level=(warn|error)", re.IGNORECASE)


def test_the_target_is_up(watch: Watch, proofs: Proofs) -> None:
    """Prometheus finds the exporter healthy, and nothing wrong with its responses."""

    def targets() -> list[tuple[str, str]]:
        found = watch.prometheus.get("targets")["activeTargets"]
        return [(target["health"], target["lastError"]) for target in found]

    (seen,) = wait_until(targets, lambda found: found == [("up", "")], "a target that is up")
    proofs.add(watch.name, "health of the target, last error", seen)


def test_prometheus_drops_no_sample(watch: Watch, exporter: Exporter, proofs: Proofs) -> None:
    """Prometheus takes as many samples as /metrics has, and drops none."""
    query = watch.prometheus.value

    def counted() -> tuple[float | None, float | None, int]:
        lines = [line for line in exporter.metrics().splitlines() if not line.startswith("#")]
        taken = query('scrape_samples_scraped{job="scaleengine"}')
        kept = query('scrape_samples_post_metric_relabeling{job="scaleengine"}')
        return taken, kept, len(lines)

    seen = wait_until(counted, lambda counts: len(set(counts)) == 1, "the samples of /metrics")
    proofs.add(watch.name, "samples scraped, kept, in /metrics", seen)


def test_the_samples_are_right(watch: Watch, polled: Mapping[str, Polled], proofs: Proofs) -> None:
    """Bytes, days, quotas, files and folders are those of ScaleEngine: no series more or less."""

    def compared() -> tuple[Samples, Samples]:
        truth = {
            series: float(value)
            for account in polled.values()
            for series, value in stored(account, today()).items()
        }
        return watch.prometheus.samples(STORED), truth

    seen, truth = wait_until(compared, lambda both: both[0] == both[1], "what ScaleEngine has")
    proofs.add(watch.name, "series of what is stored, all as simulated", len(seen))
    for name in ("scaleengine_disk_usage_bytes", "scaleengine_files"):
        total = sum(value for (metric, _), value in truth.items() if metric == name)
        proofs.add(watch.name, f"sum of {name}", f"{total:.0f}")


def test_folders_sum_to_their_path(watch: Watch, proofs: Proofs) -> None:
    """In Prometheus too the files of all folders of a path are the files of the path."""
    expression = (
        "sum by (account, path, file_type) (scaleengine_folder_files)"
        " == bool max by (account, path, file_type) (scaleengine_files)"
    )
    seen = wait_until(
        lambda: watch.prometheus.instant(expression).numbers,
        lambda equal: equal == [1.0] * 3,
        "three paths and types whose folders sum to them",
    )
    proofs.add(watch.name, "paths whose folders sum to them", len(seen))


def test_samples_are_those_of_the_exporter(
    watch: Watch, exporter: Exporter, proofs: Proofs
) -> None:
    """Every series of /metrics, its own counters too, is in Prometheus, and no other."""

    def compared() -> tuple[set[object], set[object]]:
        taken = watch.prometheus.samples('{job="scaleengine",__name__=~"scaleengine_.+"}')
        return set(taken), {
            sample for sample in exporter.samples() if sample[0].startswith("scale")
        }

    seen, _ = wait_until(compared, lambda both: both[0] == both[1], "the series of /metrics")
    proofs.add(watch.name, "series with the exporter's prefix, all in /metrics", len(seen))


def test_prometheus_logs_no_warning(watch: Watch, proofs: Proofs) -> None:
    """No line of its log is a warning or an error: of scrapes, of rules, of notifications."""
    complaints = [line for line in watch.log.lines if COMPLAINT.search(line)]
    assert complaints == []
    proofs.add(watch.name, "warnings and errors in its log", len(complaints))
