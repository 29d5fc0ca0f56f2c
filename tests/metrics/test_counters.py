"""What the exporter counts of its own work: from the start at 0, and by account and reason."""

import pytest

from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.credentials import CredentialVerdict
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, compute_delta
from exporter.scaleengine.client import Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import RowFault
from exporter.scaleengine.errors import Reason

USAGE = DiskUsageTarget("main", 60, 180)
VIDEOS = FilesTarget("main", 60, 180, "sestore4/jb", "video")
AUDIO = FilesTarget("other", 60, 180, "sestore4/jb", "audio")
REASONS = [
    "auth",
    "signature",
    "clock",
    "rate_limited",
    "server",
    "timeout",
    "network",
    "protocol",
    "api",
    "incomplete",
]
ROW_REASONS = [
    "not_an_object",
    "invalid_user",
    "invalid_day",
    "future_day",
    "invalid_bytes",
    "conflicting_bytes",
]


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    """Return metrics of two accounts: one has a disk usage and a path, the other only a path."""
    return build_metrics(Store([USAGE, VIDEOS, AUDIO]), {"main": 158, "other": 7}, clock)


def exchange(
    reason: Reason | None = None, *, accepted: bool = True, seconds: float = 0.3
) -> Exchange:
    """Return how a request of the account `main` ended."""
    return Exchange("main", "files.list", seconds, reason, accepted)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize(
    ("account", "collector", "command"),
    [
        ("main", "disk_usage", "disk.usage"),
        ("main", "files", "files.list"),
        ("other", "files", "files.list"),
    ],
)
def test_every_failure_reason_starts_at_0(
    metrics: Metrics, account: str, collector: str, command: str, reason: str
) -> None:
    """Each reason is there before it happens: an alert on an increase needs the 0 before the 1."""
    polls = {"account": account, "collector": collector, "reason": reason}
    requests = {"account": account, "command": command, "reason": reason}
    value = metrics.registry.get_sample_value
    assert value("scaleengine_poll_failures_total", polls) == 0
    assert value("scaleengine_api_request_failures_total", requests) == 0


def test_no_other_failure_reason_exists() -> None:
    """The reasons are a closed set: dashboards name them."""
    assert [str(reason) for reason in Reason] == REASONS


@pytest.mark.parametrize("reason", ROW_REASONS)
def test_every_reason_to_reject_a_row_starts_at_0(metrics: Metrics, reason: str) -> None:
    """Each reason is there before it happens, for the accounts whose disk usage is polled."""
    name = "scaleengine_disk_usage_rejected_rows_total"
    value = metrics.registry.get_sample_value
    assert value(name, {"account": "main", "reason": reason}) == 0
    assert value(name, {"account": "other", "reason": reason}) is None


def test_no_other_reason_to_reject_a_row_exists() -> None:
    """The reasons are a closed set: dashboards name them."""
    assert [str(fault) for fault in RowFault] == ROW_REASONS


def test_rejected_rows_are_counted_by_reason(metrics: Metrics) -> None:
    """Rejected rows are counted under their reason, after a failed poll too, and go on counting."""
    rejected = {RowFault.INVALID_BYTES: 3, RowFault.CONFLICTING_BYTES: 2}
    for reason in (None, Reason.PROTOCOL):
        metrics.record_poll(USAGE, PollResult(0.0, 1.0, 1, reason, rejected))
    metrics.apply(compute_delta([], [USAGE]), {"main": 158})
    metrics.record_poll(USAGE, PollResult(0.0, 1.0, 1))

    counted = values(metrics, "scaleengine_disk_usage_rejected_rows_total")
    assert {reason: count for (_, reason), count in counted.items() if count} == {
        "invalid_bytes": 6,
        "conflicting_bytes": 4,
    }


def test_rejected_rows_of_a_removed_account_are_not_counted(metrics: Metrics) -> None:
    """A poll that ends after its account is gone does not bring its series back."""
    metrics.apply(compute_delta([], [AUDIO]), {"other": 7})
    metrics.record_poll(USAGE, PollResult(0.0, 1.0, 1, None, {RowFault.INVALID_BYTES: 3}))
    assert values(metrics, "scaleengine_disk_usage_rejected_rows_total") == {}


def test_what_is_not_configured_is_not_counted(metrics: Metrics) -> None:
    """An account without a disk usage has no counters of it."""
    value = metrics.registry.get_sample_value
    labels = {"account": "other", "collector": "disk_usage"}
    assert value("scaleengine_polls_total", labels) is None
    labels = {"account": "other", "command": "disk.usage"}
    assert value("scaleengine_api_requests_total", labels) is None


@pytest.mark.parametrize(("reason", "failures"), [(None, 0), (Reason.SERVER, 1)])
def test_polls_are_counted_by_collector_and_reason(
    metrics: Metrics, reason: Reason | None, failures: int
) -> None:
    """Each poll counts once, a failed one under its reason too; other collectors do not notice."""
    metrics.polls.count(VIDEOS, PollResult(0.0, 1.0, 5, reason))

    value = metrics.registry.get_sample_value
    files = {"account": "main", "collector": "files"}
    assert value("scaleengine_polls_total", files) == 1
    assert value("scaleengine_poll_failures_total", {**files, "reason": "server"}) == failures
    assert value("scaleengine_polls_total", {**files, "collector": "disk_usage"}) == 0
    assert value("scaleengine_polls_total", {**files, "account": "other"}) == 0


@pytest.mark.parametrize(("reason", "failures"), [(None, 0), (Reason.TIMEOUT, 1)])
def test_requests_are_counted_by_command_and_reason(
    metrics: Metrics, reason: Reason | None, failures: int
) -> None:
    """Each request counts once, a failed one under its reason too, and its duration is observed."""
    metrics.record_exchange(exchange(reason))

    value = metrics.registry.get_sample_value
    files = {"account": "main", "command": "files.list"}
    duration = "scaleengine_api_request_duration_seconds"
    assert value("scaleengine_api_requests_total", files) == 1
    assert (
        value("scaleengine_api_request_failures_total", {**files, "reason": "timeout"}) == failures
    )
    assert value("scaleengine_api_requests_total", {**files, "command": "disk.usage"}) == 0
    assert value(f"{duration}_count", {"command": "files.list"}) == 1
    assert value(f"{duration}_sum", {"command": "files.list"}) == 0.3
    assert value(f"{duration}_bucket", {"command": "files.list", "le": "0.25"}) == 0
    assert value(f"{duration}_bucket", {"command": "files.list", "le": "0.5"}) == 1
    assert value(f"{duration}_count", {"command": "disk.usage"}) == 0


def test_each_account_has_its_cdn_number(metrics: Metrics) -> None:
    """Each configured account has its CDN number, before any request too."""
    value = metrics.registry.get_sample_value
    assert value("scaleengine_account_info", {"account": "main", "cdn": "158"}) == 1
    assert value("scaleengine_account_info", {"account": "other", "cdn": "7"}) == 1


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the series of one metric, by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_a_reload_leaves_the_series_of_its_targets(metrics: Metrics) -> None:
    """After a reload there are the series of its targets only; those that stay go on counting."""
    metrics.record_poll(USAGE, PollResult(0.0, 1.0, 1, Reason.SERVER))
    metrics.record_exchange(exchange(Reason.SERVER))
    added = DiskUsageTarget("added", 60, 180)
    metrics.apply(compute_delta([], [USAGE, added]), {"main": 158, "added": 9})

    assert values(metrics, "scaleengine_polls_total") == {
        ("main", "disk_usage"): 1,
        ("added", "disk_usage"): 0,
    }
    assert len(values(metrics, "scaleengine_poll_failures_total")) == 2 * len(REASONS)
    assert set(values(metrics, "scaleengine_api_requests_total")) == {
        ("main", "disk.usage"),
        ("added", "disk.usage"),
    }
    assert set(values(metrics, "scaleengine_account_info")) == {("main", "158"), ("added", "9")}
    metrics.record_poll(USAGE, PollResult(0.0, 1.0, 1))
    assert values(metrics, "scaleengine_polls_total")["main", "disk_usage"] == 2


def test_a_late_poll_brings_no_removed_series_back(metrics: Metrics) -> None:
    """A poll or a request that ends late does not bring back the series of a removed account."""
    metrics.apply(compute_delta([], []), {})
    metrics.record_poll(USAGE, PollResult(0.0, 1.0, 0, Reason.AUTH))
    metrics.record_exchange(exchange(Reason.SERVER, accepted=False))
    metrics.record_verdict(
        CredentialVerdict(USAGE, Credentials("key", "secret"), 0.0, accepted=True)
    )
    for name in ("polls_total", "api_requests_total", "up", "api_clock_skew_seconds"):
        assert values(metrics, f"scaleengine_{name}") == {}


def test_the_clock_skew_is_that_of_the_last_response(metrics: Metrics) -> None:
    """The skew is that of the last response with a Date, and absent before there is one."""
    metrics.record_exchange(exchange())
    assert values(metrics, "scaleengine_api_clock_skew_seconds") == {}
    for skew in (-3600.5, 2.0):
        metrics.record_exchange(Exchange("main", "files.list", 0.1, None, accepted=True, skew=skew))
        assert values(metrics, "scaleengine_api_clock_skew_seconds") == {("main",): skew}


@pytest.mark.parametrize(("replaced", "known"), [((), {("main",): 1.0}), (("main",), {})])
def test_another_account_of_the_same_name_starts_at_0(
    metrics: Metrics, replaced: tuple[str, ...], known: dict[tuple[str, ...], float]
) -> None:
    """What was known of an account is not known of another that has its name now."""
    metrics.record_exchange(Exchange("main", "disk.usage", 0.1, None, accepted=True, skew=0.0))
    metrics.record_verdict(
        CredentialVerdict(USAGE, Credentials("key", "secret"), 0.0, accepted=True)
    )
    metrics.apply(compute_delta([], [USAGE], replaced_accounts=replaced), {"main": 158})
    assert values(metrics, "scaleengine_up") == known
    assert len(values(metrics, "scaleengine_api_clock_skew_seconds")) == len(known)
