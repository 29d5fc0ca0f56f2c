"""What is written for promtool."""

import io
from collections.abc import Iterable
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.backfill.openmetrics import SampleTimes, Series, UserDays, WriteResult, write_history
from exporter.backfill.windows import midnight
from exporter.metrics.descriptions import Quotas

DAY = date(2026, 3, 29)
HOUR = 3600


def write(
    users: Iterable[tuple[str, str, dict[date, int]]],
    *,
    step: int = 6 * HOUR,
    end: float = 2e9,
    labels: dict[str, str] | None = None,
    quotas: Quotas | None = None,
    hidden: str = "no name has this",
) -> tuple[str, WriteResult]:
    output = io.BytesIO()
    known = list(users)

    def read() -> Iterable[UserDays]:
        return ((account, user, days.items()) for account, user, days in known)

    series = Series(labels or {}, quotas or {}, lambda text: text.replace(hidden, "***"))
    users_only = [(account, user) for account, user, _ in known]
    written = write_history(users_only, read, series, SampleTimes(step, end), output)
    return output.getvalue().decode(), written


def test_the_text_has_families_and_samples_in_order() -> None:
    """Families in order of their names, series and moments in order, and the end."""
    text, written = write(
        [("main", "", {DAY: 5}), ("main", "web", {DAY: 7, DAY + timedelta(days=1): 8})],
        step=12 * HOUR,
        labels={"job": "scaleengine"},
        quotas={"main": {"*": 9}},
    )
    lines = [line for line in text.splitlines() if not line.startswith("# HELP")]
    web = '{account="main",cpu_user="web",job="scaleengine"}'
    empty = '{account="main",job="scaleengine"}'
    assert lines == [
        "# TYPE scaleengine_disk_quota_bytes gauge",
        f"scaleengine_disk_quota_bytes{web} 9 1774742400",
        f"scaleengine_disk_quota_bytes{web} 9 1774785600",
        f"scaleengine_disk_quota_bytes{web} 9 1774828800",
        f"scaleengine_disk_quota_bytes{web} 9 1774872000",
        "# TYPE scaleengine_disk_usage_bytes gauge",
        f"scaleengine_disk_usage_bytes{empty} 5 1774742400",
        f"scaleengine_disk_usage_bytes{empty} 5 1774785600",
        f"scaleengine_disk_usage_bytes{web} 7 1774742400",
        f"scaleengine_disk_usage_bytes{web} 7 1774785600",
        f"scaleengine_disk_usage_bytes{web} 8 1774828800",
        f"scaleengine_disk_usage_bytes{web} 8 1774872000",
        "# TYPE scaleengine_disk_usage_day_timestamp_seconds gauge",
        f"scaleengine_disk_usage_day_timestamp_seconds{empty} 1774742400 1774742400",
        f"scaleengine_disk_usage_day_timestamp_seconds{empty} 1774742400 1774785600",
        f"scaleengine_disk_usage_day_timestamp_seconds{web} 1774742400 1774742400",
        f"scaleengine_disk_usage_day_timestamp_seconds{web} 1774742400 1774785600",
        f"scaleengine_disk_usage_day_timestamp_seconds{web} 1774828800 1774828800",
        f"scaleengine_disk_usage_day_timestamp_seconds{web} 1774828800 1774872000",
        "# EOF",
    ]
    assert written == WriteResult(5, 16, 1774742400, 1774872000)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
HISTORIES = st.dictionaries(
    NAMES,
    st.dictionaries(
        st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 2**53), min_size=1
    ),
    max_size=4,
)


@settings(max_examples=30)
@given(history=HISTORIES, step=st.integers(7200, 86_400))
def test_any_history_reads_back(history: dict[str, dict[date, int]], step: int) -> None:
    """A strict parser takes it; values, moments and names are those of the rows."""
    users = [("main", user, dict(sorted(days.items()))) for user, days in sorted(history.items())]
    text, written = write(users, step=step)
    found: dict[tuple[str, str], dict[float, float]] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            assert sample.timestamp is not None
            key = (sample.name, sample.labels["cpu_user"])
            found.setdefault(key, {})[float(sample.timestamp)] = sample.value
    for user, days in history.items():
        moments = {
            float(midnight(day) + second): float(count)
            for day, count in days.items()
            for second in range(0, 86_400, step)
        }
        assert found["scaleengine_disk_usage_bytes", user] == moments
    assert written.samples == sum(map(len, found.values()))
    assert written.series == len(found)


def test_the_text_is_read_as_the_older_format_too() -> None:
    """Servers that know no OpenMetrics take it: comments aside it is the same."""
    text, _ = write([("main", 'a"\\\nb', {DAY: 5})])
    samples = [sample for family in text_families(text) for sample in family.samples]
    assert {sample.labels["cpu_user"] for sample in samples} == {'a"\\\nb'}


def test_no_sample_at_or_after_the_end() -> None:
    """The last day is cut off, and a day after the end has nothing."""
    days = {DAY: 1, DAY + timedelta(days=1): 2}
    for seconds, expected in ((0, 0), (1, 1), (6 * HOUR, 1), (6 * HOUR + 0.5, 2), (86_400, 4)):
        _, written = write([("main", "web", days)], end=midnight(DAY) + seconds)
        assert written.samples == 2 * expected, seconds


def test_users_that_are_the_same_without_secrets_are_left_out() -> None:
    text, written = write(
        [("main", "a-s3cret", {DAY: 1}), ("main", "a-***", {DAY: 2}), ("main", "b", {DAY: 3})],
        hidden="s3cret",
    )
    assert "s3cret" not in text
    assert written.series == 2


def test_a_secret_in_a_name_is_hidden() -> None:
    text, _ = write([("main", "a-s3cret", {DAY: 1})], hidden="s3cret")
    assert 'cpu_user="a-***"' in text


def test_without_rows_the_text_is_valid() -> None:
    """Without rows it is a valid text still."""
    text, written = write([])
    assert text.endswith("# EOF\n")
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert [family.samples for family in families] == [[], []]
    assert written == WriteResult()
