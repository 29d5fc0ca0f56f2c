"""What Prometheus reads: the whole text, its metrics and their labels, and any label's way back."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from string import Template

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter import __version__
from exporter.metrics.account_metrics import AllAccounts
from exporter.metrics.families import SnapshotCollector, SnapshotRedactor
from exporter.metrics.registry import Metrics, build_metrics
from exporter.metrics.self_metrics import WallTime
from exporter.polling.credentials import CredentialVerdict
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    RejectedRows,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.redaction import SecretRedactor
from exporter.version import revision
from tests.support.waiting import TIMEOUT

Exposition = Callable[[CollectorRegistry], str]

GOLDEN = Path(__file__).parent / "golden.prom"
PROMTOOL = shutil.which("promtool")

TREE = {"account", "path", "file_type"}
POLL = {"account", "collector", "path", "file_type"}
QUOTAS = {"main": {"live\n\\": 2 * 10**12, "*": 10**13}, 'büro "2"': {"*": 1, "archive": 1024}}
TABLE: Mapping[str, tuple[str, set[str]]] = {
    "scaleengine_disk_usage_bytes": ("gauge", {"account", "cpu_user"}),
    "scaleengine_disk_usage_day_timestamp_seconds": ("gauge", {"account", "cpu_user"}),
    "scaleengine_disk_usage_rejected_users": ("gauge", {"account"}),
    "scaleengine_disk_usage_rejected_rows": ("counter", {"account", "reason"}),
    "scaleengine_disk_quota_bytes": ("gauge", {"account", "cpu_user"}),
    "scaleengine_files": ("gauge", TREE),
    "scaleengine_folders": ("gauge", TREE),
    "scaleengine_folder_files": ("gauge", {*TREE, "folder"}),
    "scaleengine_account_info": ("gauge", {"account", "cdn"}),
    "scaleengine_up": ("gauge", {"account"}),
    "scaleengine_credentials_accepted": ("gauge", {"account", "collector"}),
    "scaleengine_api_clock_skew_seconds": ("gauge", {"account"}),
    "scaleengine_account_request_demand_ratio": ("gauge", {"account"}),
    "scaleengine_walk_strategy_info": ("gauge", {"account", "strategy"}),
    "scaleengine_poll_success": ("gauge", POLL),
    "scaleengine_poll_failure_info": ("gauge", {*POLL, "reason"}),
    "scaleengine_poll_overdue_seconds": ("gauge", POLL),
    "scaleengine_poll_next_timestamp_seconds": ("gauge", POLL),
    "scaleengine_poll_duration_seconds": ("gauge", POLL),
    "scaleengine_poll_requests": ("gauge", POLL),
    "scaleengine_poll_last_success_timestamp_seconds": ("gauge", POLL),
    "scaleengine_poll_interval_seconds": ("gauge", POLL),
    "scaleengine_polls": ("counter", {"account", "collector"}),
    "scaleengine_poll_failures": ("counter", {"account", "collector", "reason"}),
    "scaleengine_api_requests": ("counter", {"account", "command"}),
    "scaleengine_api_request_failures": ("counter", {"account", "command", "reason"}),
    "scaleengine_api_request_duration_seconds": ("histogram", {"command"}),
    "scaleengine_exporter_build_info": ("gauge", {"version", "revision", "pythonversion"}),
}
"""Every metric as the parser names it: a counter without ``_total``, a histogram without ``le``."""

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    """Return the metrics of two accounts, with targets in each state that there is.

    Of `main`, the disk usage (without one user) and one path are good, another path failed after it
    was good. Of `büro "2"`, the disk usage is stale and the path has not been polled yet.
    """
    usage = DiskUsageTarget("main", 3600, 10800)
    videos = FilesTarget("main", 900, 2700, "sestore4/jb", "video", 1)
    broken = FilesTarget("main", 900, 2700, "sestore4/jb/archive", "invalid")
    stale = DiskUsageTarget('büro "2"', 60, 180)
    waiting = FilesTarget('büro "2"', 60, 180, "sestore7/a\\b", "audio")
    store = Store([usage, videos, broken, stale, waiting])
    metrics = build_metrics(
        store, {"main": 158, 'büro "2"': 7}, clock, QUOTAS, requests_per_second=5.0
    )

    users = (
        UserUsage("", date(2014, 11, 11), 1024),
        UserUsage("live\n\\", date(2014, 11, 10), 9007199254740991),
    )
    rejected = (RejectedRows(RowFault.INVALID_BYTES, 2, (), ("web",)),)
    folders = (FolderCount(".", 1), FolderCount("séries", 2), FolderCount("_other", 0))
    finished: list[tuple[DiskUsageTarget | FilesTarget, PollResult, LastGood | None]] = [
        (
            usage,
            PollResult(4990.0, 0.25, 1, rejected_rows={RowFault.INVALID_BYTES: 2}),
            LastGood(DiskUsageSnapshot(users, rejected), 4990.0, 1),
        ),
        (
            videos,
            PollResult(4991.5, 1.5, 12, walk_strategy="parent_entries"),
            LastGood(FileCounts(3, 2, folders), 4991.5, 12),
        ),
        (broken, PollResult(4000.0, 0.5, 2), LastGood(FileCounts(0, 0), 4000.0, 2)),
        (broken, PollResult(4900.0, 30.0, 3, Reason.TIMEOUT), None),
        (
            stale,
            PollResult(4819.0, 0.75, 1),
            LastGood(DiskUsageSnapshot(users[:1]), 4819.0),
        ),
    ]
    for target, result, good in finished:
        store.record(target, result, good)
        metrics.polls.count(target, result)
        store.schedule(target, result.finished + target.interval)
    for exchange in (
        Exchange("main", "disk.usage", 0.25, None, accepted=True),
        Exchange("main", "files.list", 0.125, None, accepted=True),
        Exchange("main", "files.list", 30.0, Reason.TIMEOUT, accepted=False),
        Exchange("main", "files.list", 31.0, None, accepted=True, skew=-1.5),
    ):
        metrics.record_exchange(exchange)
    known = Credentials("key", "secret")
    metrics.record_verdict(CredentialVerdict(usage, known, 0.0, accepted=False))
    metrics.record_verdict(CredentialVerdict(broken, known, 0.0, accepted=False))
    metrics.record_verdict(CredentialVerdict(videos, known, 0.0, accepted=True))
    return metrics


def test_the_text_is_the_golden_text(metrics: Metrics, exposition: Exposition) -> None:
    """/metrics is, byte for byte, the golden text."""
    golden = Template(GOLDEN.read_text()).substitute(
        version=__version__, revision=revision(), python=platform.python_version()
    )
    assert exposition(metrics.registry) == golden


def test_every_metric_has_its_type_help_and_labels(
    metrics: Metrics, exposition: Exposition
) -> None:
    """Each metric is there with its type, a text of help and exactly its labels; no other is."""
    families = {
        family.name: family
        for family in text_string_to_metric_families(exposition(metrics.registry))
    }
    found = {
        name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for name, family in families.items()
    }
    assert found == TABLE
    assert all(family.documentation for family in families.values())


def test_samples_have_no_timestamps(metrics: Metrics) -> None:
    """Prometheus sets the time itself: it would not notice the end of a series otherwise."""
    text = generate_latest(metrics.registry).decode()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    assert samples
    assert {sample.timestamp for sample in samples} == {None}


def test_metrics_of_the_library_are_there(metrics: Metrics) -> None:
    """Metrics of prometheus_client for the process and Python are there, too."""
    text = generate_latest(metrics.registry).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names


@pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI"),
    reason="promtool is not installed; CI installs it",
)
def test_promtool_finds_nothing(metrics: Metrics) -> None:
    """Promtool finds no mistake in names, help and types of the whole page."""
    assert PROMTOOL is not None, "promtool is missing: install Prometheus"
    checked = subprocess.run(  # noqa: S603 - the program is promtool, found on the path
        [PROMTOOL, "check", "metrics"],
        input=generate_latest(metrics.registry),
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == (b"", b"", 0)


@settings(deadline=None)
@given(account=any_text, path=any_text, folder=any_text)
@example(account="\\n", path='"},{', folder="\\")
@example(account="# HELP x\n", path="a\r\nb 1", folder="\u2028\x85\x00")
def test_any_label_value_reads_back(account: str, path: str, folder: str) -> None:
    """For any name of an account, a path or a folder, a reader gets that very name."""
    target = FilesTarget(account, 60, 180, path, "video", 1)
    store = Store([target])
    counts = FileCounts(1, 1, (FolderCount(folder, 1),))
    store.record(target, PollResult(0.0, 0.0, 1), LastGood(counts, 0.0))
    registry = CollectorRegistry()
    clock = Clock(monotonic=lambda: 0.0)
    known = SnapshotCollector(store, clock, WallTime(clock), SnapshotRedactor(SecretRedactor()))
    registry.register(AllAccounts(known, lambda: [target.account]))

    read = text_string_to_metric_families(generate_latest(registry).decode())

    (sample,) = next(family.samples for family in read if family.name == "scaleengine_folder_files")
    assert sample.labels == {
        "account": account,
        "path": path,
        "folder": folder,
        "file_type": "video",
    }


@settings(deadline=None)
@given(bytes_total=st.integers(0, 2**53))
@example(bytes_total=2**53)
@example(bytes_total=2**53 - 1)
@example(bytes_total=1234567)
def test_bytes_are_exact(bytes_total: int) -> None:
    """Bytes come through unrounded up to 9 PB, which is as far as Prometheus' own numbers go."""
    target = DiskUsageTarget("main", 60, 180)
    store = Store([target])
    usage = DiskUsageSnapshot((UserUsage("web", date(2014, 11, 11), bytes_total),))
    store.record(target, PollResult(0.0, 0.0, 1), LastGood(usage, 0.0))
    registry = CollectorRegistry()
    clock = Clock(monotonic=lambda: 0.0)
    known = SnapshotCollector(store, clock, WallTime(clock), SnapshotRedactor(SecretRedactor()))
    registry.register(AllAccounts(known, lambda: [target.account]))

    read = text_string_to_metric_families(generate_latest(registry).decode())

    (sample,) = next(
        family.samples for family in read if family.name == "scaleengine_disk_usage_bytes"
    )
    assert sample.value == bytes_total
