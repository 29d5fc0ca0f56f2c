"""A secret that ScaleEngine uses as a name is in no label."""

from datetime import date

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    Snapshot,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from tests.support.credentials import KEY

QUOTED = 'key "with" \\ both'
USAGE = DiskUsageTarget("main", interval=60, stale_after=180)
FILES = FilesTarget("main", 60, 180, "sestore4/jb", "video", folder_depth=1)
TODAY = date(2014, 11, 11)


class Scrape:
    """Metrics of one account whose key is known, after polls."""

    def __init__(self, clock: Clock) -> None:
        self.secrets = SecretRedactor()
        self.secrets.register(KEY, QUOTED)
        self.store = Store([USAGE, FILES])
        self.clock = clock
        quotas = {"main": {"*": 9}}
        self.metrics: Metrics = build_metrics(
            self.store, {"main": 158}, clock, quotas, self.secrets
        )

    def poll(self, target: Target, snapshot: Snapshot) -> None:
        """Let a poll end with a snapshot."""
        now = self.clock.monotonic()
        self.store.record(target, PollResult(now, 1.0, 1), LastGood(snapshot, now))

    def text(self) -> str:
        """Return what a scrape shows."""
        return generate_latest(self.metrics.registry).decode()

    def values(self, metric: str, label: str) -> dict[str, float]:
        """Return the values of a metric by a label; fails where a label value comes twice."""
        samples = [
            sample
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == metric
        ]
        found = {sample.labels[label]: sample.value for sample in samples}
        assert len(found) == len(samples)
        return found


@pytest.fixture
def scrape(clock: Clock) -> Scrape:
    """Give metrics without a poll."""
    return Scrape(clock)


def usage(**bytes_total: int) -> DiskUsageSnapshot:
    return DiskUsageSnapshot(
        tuple(UserUsage(user, TODAY, size) for user, size in bytes_total.items())
    )


def counts(**files: int) -> FileCounts:
    folders = tuple(FolderCount(folder, number) for folder, number in files.items())
    return FileCounts(sum(files.values()), len(files), folders)


@pytest.mark.parametrize("name", [KEY, KEY.lower(), f"a{KEY}b", QUOTED])
def test_a_secret_as_a_name_is_redacted(scrape: Scrape, name: str) -> None:
    """It is redacted where it names a user or a folder, in every family; the number stays."""
    scrape.poll(USAGE, usage(**{"live": 1, name: 2}))
    scrape.poll(FILES, counts(**{"live": 1, name: 2}))
    text = scrape.text()
    assert KEY.lower() not in text.lower()
    assert '\\"with\\"' not in text
    shown = name.lower().replace(KEY.lower(), "***").replace(QUOTED, "***")
    assert scrape.values("scaleengine_disk_usage_bytes", "cpu_user") == {"live": 1, shown: 2}
    assert scrape.values("scaleengine_folder_files", "folder") == {"live": 1, shown: 2}
    assert scrape.values("scaleengine_disk_quota_bytes", "cpu_user") == {"live": 9, shown: 9}


def test_folders_with_the_same_redacted_name_are_summed(scrape: Scrape) -> None:
    """Their files are added up: the folders still sum to the files of the path."""
    scrape.poll(FILES, counts(**{KEY: 2, "live": 1, KEY.lower(): 3}))
    assert scrape.values("scaleengine_folder_files", "folder") == {"***": 5, "live": 1}
    assert scrape.values("scaleengine_files", "path") == {"sestore4/jb": 6}


def test_users_with_the_same_redacted_name_have_no_number(scrape: Scrape) -> None:
    """They have no number: none would be right for both."""
    scrape.poll(USAGE, usage(**{KEY: 2, "live": 1, KEY.lower(): 3}))
    for metric in ("bytes", "day_timestamp_seconds"):
        assert set(scrape.values(f"scaleengine_disk_usage_{metric}", "cpu_user")) == {"live"}


def test_a_secret_that_is_registered_later_is_redacted(scrape: Scrape) -> None:
    """It is redacted in what was polled before it was known."""
    scrape.poll(USAGE, usage(**{"the later secret": 2}))
    assert set(scrape.values("scaleengine_disk_usage_bytes", "cpu_user")) == {"the later secret"}
    scrape.secrets.register("the later secret")
    assert set(scrape.values("scaleengine_disk_usage_bytes", "cpu_user")) == {"***"}


def test_the_warning_comes_once_without_the_secret(scrape: Scrape) -> None:
    """It comes once, however often it is polled and scraped, and does not show the secret."""
    with capture_logs() as events:
        for size in (1, 2, 3):
            scrape.poll(USAGE, usage(**{KEY: size}))
            scrape.text()
            scrape.text()
    (event,) = events
    assert (event["log_level"], event["event"]) == ("warning", "secret redacted in a name")
    assert KEY not in str(event)


def test_names_without_a_secret_are_looked_at_once(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot is not searched again while it is the same."""
    looked: list[str] = []
    are_in = SecretRedactor.are_in

    def are_in_noted(secrets: SecretRedactor, text: str) -> bool:
        looked.append(text)
        return are_in(secrets, text)

    monkeypatch.setattr(SecretRedactor, "are_in", are_in_noted)
    scrape.poll(USAGE, usage(live=1, archive=2))
    for _ in range(3):
        scrape.text()
    assert looked == ["live\0archive"]
