"""The lines of samples are those that prometheus_client writes."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.metrics.family_text import render_family, render_head, render_sections

labels = st.dictionaries(
    st.sampled_from(["account", "path", "folder", "file_type", "odd-name", "naïve", "a:b"]),
    st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(['"', "\\n", "\n", "\\"]),
)
values = st.floats() | st.integers(-(2**63), 2**63).map(float)
suffixes = st.sampled_from(["", "_total", "_created", "_gsum", "-odd"])
timestamps = st.none() | st.floats(0, 1e9)
samples = st.lists(st.tuples(suffixes, labels, values, timestamps), max_size=5)


class One(Collector):
    """Collects one family."""

    def __init__(self, family: Metric) -> None:
        self.family = family

    def collect(self) -> list[Metric]:
        """Return the family."""
        return [self.family]


def written(family: Metric) -> bytes:
    registry = CollectorRegistry()
    registry.register(One(family))
    return generate_latest(registry)


@given(st.sampled_from([GaugeMetricFamily, CounterMetricFamily]), samples)
def test_lines_are_those_of_prometheus_client(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    held: list[tuple[str, dict[str, str], float, float | None]],
) -> None:
    """For any labels, values and timestamps."""
    family = kind("scaleengine_files", "Files.")
    for suffix, its_labels, value, timestamp in held:
        family.add_sample(f"{family.name}{suffix}", its_labels, value, timestamp)

    assert b"".join(render_family(family).texts) == written(family)


def test_each_account_has_its_own_lines() -> None:
    """Each account has its own lines, an account without samples none."""
    family = GaugeMetricFamily("scaleengine_files", "Files.", labels=("account", "path"))
    family.add_metric(("one", "a\nb"), 1)
    family.add_metric(("two", 'c"d'), 2.5)
    family.add_metric(("one", "e\\f"), 3)
    sections = render_sections(family, ["one", "two", "three"])

    assert sections.texts == {
        "one": b'scaleengine_files{account="one",path="a\\nb"} 1.0\n'
        b'scaleengine_files{account="one",path="e\\\\f"} 3.0\n',
        "two": b'scaleengine_files{account="two",path="c\\"d"} 2.5\n',
        "three": b"",
    }
    assert render_head(family) == b"".join(written(family).splitlines(keepends=True)[:2])
