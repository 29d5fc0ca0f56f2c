"""What has been rendered and compressed is kept, and what a scrape gets is put together from it."""

import zlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from exporter.metrics.exposition import Body, Exposition, without_families


def users(**occupied: float) -> Metric:
    """Return a gauge family."""
    family = GaugeMetricFamily("disk_bytes", "Bytes.", labels=("user",))
    for user, value in occupied.items():
        family.add_metric((user,), value)
    return family


def files(number: float) -> Metric:
    """Return another gauge family."""
    return GaugeMetricFamily("files", "Files.", value=number)


def polls(number: float) -> Metric:
    """Return a counter family."""
    return CounterMetricFamily("polls", "Polls.", value=number)


def durations() -> Metric:
    """Return a histogram family."""
    buckets = [("1.0", 2.0), ("+Inf", 3.0)]
    return HistogramMetricFamily("duration_seconds", "Durations.", buckets=buckets, sum_value=7)


@pytest.fixture
def tail() -> CollectorRegistry:
    """Give a registry with one gauge, which says when it was rendered."""
    registry = CollectorRegistry(auto_describe=True)
    Gauge("renderings", "How often this was rendered.", registry=registry)
    return registry


@pytest.fixture
def exposition(tail: CollectorRegistry) -> Exposition:
    """Give an exposition of two families in the bulk, two of counters and one in the tail."""
    return exposed(without_families(tail), [users(web=5), files(3)], [polls(1), durations()])


def exposed(
    before: Exposition, bulk: Collection[Metric], counters: Collection[Metric]
) -> Exposition:
    """Return an exposition of these families that keeps what it can from the one before."""
    lower = before.bulk.renewed(before.bulk.below, bulk)
    return Exposition(lower, before.counters.renewed(lower.compressor, counters), before.tail)


def joined(body: Body) -> bytes:
    """Return what a client reads."""
    return b"".join(body.parts)


def unpacked(body: Body) -> bytes:
    """Return what a client reads that knows of no second gzip member, as most do not."""
    member = zlib.decompressobj(31)
    text = member.decompress(joined(body))
    assert member.eof
    assert member.unused_data == b""
    return text


def test_the_text_has_the_layers_in_order(exposition: Exposition) -> None:
    """The families of the bulk come first, then the counters, then the tail."""
    helps = [line for line in joined(exposition.text()).splitlines() if b"HELP" in line]
    assert [line.split()[2] for line in helps] == [
        b"disk_bytes",
        b"files",
        b"polls_total",
        b"duration_seconds",
        b"renderings",
    ]


def test_compressed_it_is_one_member(exposition: Exposition) -> None:
    """Compressed, it is a single gzip member of the same text, as every client reads it."""
    assert unpacked(exposition.gzip()) == joined(exposition.text())


def test_the_length_is_that_of_all_parts(exposition: Exposition) -> None:
    """The length is what has to stand in Content-Length."""
    for body in (exposition.text(), exposition.gzip()):
        assert body.length == len(joined(body))


def test_a_scrape_copies_nothing_large(exposition: Exposition) -> None:
    """The parts are the very bytes that were rendered once, however many scrapes there are."""
    texts, again = exposition.text().parts, exposition.text().parts
    assert [id(part) for part in texts[:-1]] == [id(part) for part in again[:-1]]
    bulk, counters, _ = exposition.gzip().parts
    assert bulk is exposition.bulk.compressed
    assert counters is exposition.counters.compressed


def test_a_scrape_compresses_nothing_large(tail: CollectorRegistry) -> None:
    """What a scrape itself compresses is the tail, whatever lies below: that was flushed before."""
    many = {f"user{number}": number * 1.5 for number in range(1000)}
    small = exposed(without_families(tail), [users(web=5)], [polls(1)]).gzip()
    large = exposed(without_families(tail), [users(**many)], [polls(1)]).gzip()
    assert large.length > small.length + 1000
    assert len(large.parts[-1]) <= len(small.parts[-1]) + 8


def test_the_tail_is_rendered_at_each_scrape(exposition: Exposition) -> None:
    """What tells of the process is as of the scrape, compressed or not, with names or without."""
    gauge = Gauge("scrapes", "How often it was scraped.", registry=exposition.tail)
    for number in (1, 2):
        gauge.set(number)
        line = b"\nscrapes %d.0\n" % number
        assert line in joined(exposition.text())
        assert line in unpacked(exposition.gzip())
        assert line in joined(exposition.text(["scrapes"]))


def test_families_that_are_equal_are_not_rendered_again(exposition: Exposition) -> None:
    """Of a layer with a change, only the changed family gets new bytes."""
    after = exposed(exposition, [users(web=6), files(3)], [polls(1), durations()])
    assert after.bulk.families[0] is not exposition.bulk.families[0]
    assert after.bulk.families[1] is exposition.bulk.families[1]
    assert b'disk_bytes{user="web"} 6.0\n' in joined(after.text())
    assert unpacked(after.gzip()) == joined(after.text())


@pytest.mark.parametrize(
    "changed",
    [users(), users(web=5, live=1), users(live=5), users(web=5.5)],
    ids=["series gone", "series new", "label changed", "value changed"],
)
def test_every_change_of_a_family_shows(exposition: Exposition, changed: Metric) -> None:
    """A family differs when a series goes, comes, or has another label or value."""
    after = exposed(exposition, [changed, files(3)], [polls(1), durations()])
    assert after.bulk.families[0].text == generate_latest(registry_of(changed))


def test_a_change_of_the_counters_leaves_the_bulk(exposition: Exposition) -> None:
    """When only counters have moved, the bulk is not compressed again."""
    after = exposed(exposition, [users(web=5), files(3)], [polls(2), durations()])
    assert after.bulk is exposition.bulk
    assert b"polls_total 2.0\n" in joined(after.text())
    assert unpacked(after.gzip()) == joined(after.text())


def test_without_a_change_all_is_kept(exposition: Exposition) -> None:
    """When nothing has changed, nothing is rendered or compressed."""
    after = exposed(exposition, [users(web=5), files(3)], [polls(1), durations()])
    assert (after.bulk, after.counters) == (exposition.bulk, exposition.counters)


def test_families_can_go_and_come(exposition: Exposition) -> None:
    """A layer has the families that it was given last, in their order, even none."""
    empty = exposed(exposition, [], [])
    assert joined(empty.text()) == unpacked(empty.gzip()) == generate_latest(empty.tail)
    after = exposed(empty, [files(3), users(web=5)], [polls(1)])
    assert [each.family.name for each in after.bulk.families] == ["files", "disk_bytes"]
    assert unpacked(after.gzip()) == joined(after.text())


def test_an_exposition_never_changes(exposition: Exposition) -> None:
    """Who holds an exposition reads the same from it after others have been made from it."""
    text, compressed = joined(exposition.text()), joined(exposition.gzip())
    exposed(exposition, [users(web=1), files(1)], [polls(2), durations()])
    exposed(exposition, [users(web=5), files(3)], [polls(3), durations()])
    assert (joined(exposition.text()), joined(exposition.gzip())) == (text, compressed)


def test_many_threads_can_ask_at_once(exposition: Exposition) -> None:
    """Compressed answers are right even when several threads ask for them, and publish."""
    series = {f"user{number}": number * 1.5 for number in range(1000)}
    large = exposed(exposition, [users(**series)], [polls(1)])

    def ask(number: int) -> bool:
        after = exposed(large, [users(**series)], [polls(number)])
        return all(unpacked(each.gzip()) == joined(each.text()) for each in (large, after))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(40)))


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["files"], ["# HELP files", "# TYPE files", "files"]),
        (["files", "files"], ["# HELP files", "# TYPE files", "files"]),
        (["renderings"], ["# HELP renderings", "# TYPE renderings", "renderings"]),
        (["polls_total"], ["# HELP polls_total", "# TYPE polls_total", "polls_total"]),
        (["polls"], []),
        (["duration_seconds"], []),
        (
            ["duration_seconds_sum", "duration_seconds_count"],
            [
                "# HELP duration_seconds",
                "# TYPE duration_seconds",
                "duration_seconds_count",
                "duration_seconds_sum",
            ],
        ),
        (
            ["files", "renderings", "nobody"],
            [
                *("# HELP files", "# TYPE files", "files"),
                *("# HELP renderings", "# TYPE renderings", "renderings"),
            ],
        ),
        (["nobody"], []),
        ([""], []),
        ([], []),
    ],
)
def test_names_choose_samples(exposition: Exposition, names: list[str], shown: list[str]) -> None:
    """Names choose samples, from all layers, as they are called; what is unknown chooses none."""
    lines = joined(exposition.text(names)).decode().splitlines()
    found = [" ".join(line.split()[:3]) if line[0] == "#" else line.split()[0] for line in lines]
    assert found == shown
    assert b"" not in exposition.text(names).parts
    assert unpacked(exposition.gzip(names)) == joined(exposition.text(names))


def test_a_family_without_series_is_not_chosen(exposition: Exposition) -> None:
    """A family that has no series now is no answer to its name."""
    after = exposed(exposition, [users()], [])
    assert joined(after.text(["disk_bytes"])) == b""
    assert b"# TYPE disk_bytes gauge\n" in joined(after.text())


def registry_of(family: Metric) -> CollectorRegistry:
    """Return a registry of one family."""

    class One(CollectorRegistry):
        def collect(self) -> list[Metric]:
            return [family]

    return One()
