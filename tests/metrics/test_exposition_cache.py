"""What has been rendered and compressed is kept, and what a scrape gets is put together from it."""

import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from exporter.metrics.exposition import Body, Exposition, Layer, without_families


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


def memory(used: float) -> Metric:
    """Return a gauge family as it stands in the tail."""
    return GaugeMetricFamily("memory_bytes", "Memory.", value=used)


@pytest.fixture
def exposition() -> Exposition:
    """Give an exposition of two families in the bulk, two of counters and one in the tail."""
    bulk, counters = [users(web=5), files(3)], [polls(1), durations()]
    return without_families().renewed(bulk, counters, [memory(7)])


def layers(exposition: Exposition) -> tuple[Layer, Layer, Layer]:
    """Return all layers, from the lowest up."""
    return exposition.bulk, exposition.counters, exposition.tail


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
        b"memory_bytes",
    ]


def test_compressed_it_is_one_member(exposition: Exposition) -> None:
    """Compressed, it is a single gzip member of the same text, as every client reads it."""
    assert unpacked(exposition.gzip()) == joined(exposition.text())


def test_the_length_is_that_of_all_parts(exposition: Exposition) -> None:
    """The length is what has to stand in Content-Length."""
    for body in (exposition.text(), exposition.gzip()):
        assert body.length == len(joined(body))


def test_a_scrape_makes_nothing(exposition: Exposition) -> None:
    """However many ask, they get the very bytes that were made once, the gzip member's end too."""
    assert exposition.text() is exposition.text()
    assert exposition.gzip() is exposition.gzip()


def test_nothing_is_copied(exposition: Exposition) -> None:
    """A body consists of the families' own texts, or of the layers' own compressed bytes."""
    texts = [each.text for layer in layers(exposition) for each in layer.families]
    assert [id(part) for part in exposition.text().parts] == [id(text) for text in texts]
    packed = [layer.compressed for layer in layers(exposition)]
    assert [id(part) for part in exposition.gzip().parts[:-1]] == [id(each) for each in packed]


def test_nothing_at_all_is_an_exposition() -> None:
    """Without any family the text is empty, and its gzip is a whole member."""
    empty = without_families()
    assert joined(empty.text()) == unpacked(empty.gzip()) == b""
    assert joined(empty.text(["files"])) == unpacked(empty.gzip(["files"])) == b""


def test_a_change_of_the_tail_leaves_the_rest(exposition: Exposition) -> None:
    """A new tail is small, and compresses nothing of what lies below, however large that is."""
    many = {f"user{number}": number * 1.5 for number in range(1000)}
    large = exposition.renewed([users(**many)], [polls(1)], [memory(7)])
    small_after = exposition.renewed(None, [polls(1), durations()], [memory(8)])
    large_after = large.renewed(None, [polls(1)], [memory(8)])
    assert layers(small_after)[:2] == layers(exposition)[:2]
    assert layers(large_after)[:2] == layers(large)[:2]
    assert b"\nmemory_bytes 8.0\n" in joined(large_after.text())
    assert unpacked(large_after.gzip()) == joined(large_after.text())
    assert large_after.gzip().length > small_after.gzip().length + 1000
    ends = [sum(map(len, each.gzip().parts[2:])) for each in (large_after, small_after)]
    assert abs(ends[0] - ends[1]) <= 8


def test_families_that_are_equal_are_not_rendered_again(exposition: Exposition) -> None:
    """Of a layer with a change, only the changed family gets new bytes."""
    after = exposition.renewed([users(web=6), files(3)], [polls(1), durations()], [memory(7)])
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
    after = exposition.renewed([changed, files(3)], [polls(1), durations()], [memory(7)])
    assert after.bulk.families[0].text == generate_latest(registry_of(changed))


@pytest.mark.parametrize("bulk", [None, [users(web=5), files(3)]], ids=["unasked", "equal"])
def test_a_change_of_the_counters_leaves_the_bulk(
    exposition: Exposition, bulk: list[Metric] | None
) -> None:
    """When only counters have moved, the bulk is not compressed again."""
    after = exposition.renewed(bulk, [polls(2), durations()], [memory(7)])
    assert after.bulk is exposition.bulk
    assert b"polls_total 2.0\n" in joined(after.text())
    assert unpacked(after.gzip()) == joined(after.text())


def test_without_a_change_all_is_kept(exposition: Exposition) -> None:
    """When nothing has changed, nothing is rendered or compressed."""
    after = exposition.renewed([users(web=5), files(3)], [polls(1), durations()], [memory(7)])
    assert layers(after) == layers(exposition)


def test_families_can_go_and_come(exposition: Exposition) -> None:
    """A layer has the families that it was given last, in their order, even none."""
    empty = exposition.renewed([], [], [])
    assert joined(empty.text()) == unpacked(empty.gzip()) == b""
    after = empty.renewed([files(3), users(web=5)], [polls(1)], [memory(7)])
    assert [each.family.name for each in after.bulk.families] == ["files", "disk_bytes"]
    assert unpacked(after.gzip()) == joined(after.text())


def test_an_exposition_never_changes(exposition: Exposition) -> None:
    """Who holds an exposition reads the same from it after others have been made from it."""
    text, compressed = joined(exposition.text()), joined(exposition.gzip())
    exposition.renewed([users(web=1), files(1)], [polls(2), durations()], [memory(8)])
    exposition.renewed(None, [polls(3), durations()], [memory(7)])
    exposition.renewed(None, [polls(1), durations()], [memory(9)])
    assert (joined(exposition.text()), joined(exposition.gzip())) == (text, compressed)


def test_many_threads_can_ask_at_once(exposition: Exposition) -> None:
    """Compressed answers are right even when several threads ask for them, and publish."""
    series = {f"user{number}": number * 1.5 for number in range(1000)}
    large = exposition.renewed([users(**series)], [polls(1)], [memory(7)])

    def ask(number: int) -> bool:
        after = large.renewed(None, [polls(number)], [memory(number)])
        return all(unpacked(each.gzip()) == joined(each.text()) for each in (large, after))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(40)))


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["files"], ["# HELP files", "# TYPE files", "files"]),
        (["files", "files"], ["# HELP files", "# TYPE files", "files"]),
        (["memory_bytes"], ["# HELP memory_bytes", "# TYPE memory_bytes", "memory_bytes"]),
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
            ["files", "memory_bytes", "nobody"],
            [
                *("# HELP files", "# TYPE files", "files"),
                *("# HELP memory_bytes", "# TYPE memory_bytes", "memory_bytes"),
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


def test_names_that_are_known(exposition: Exposition) -> None:
    """Of what is requested, only names of samples make a difference."""
    assert exposition.known(["files", "nobody", "polls_total", "files"]) == {"files", "polls_total"}
    assert exposition.known([]) == exposition.known(["duration_seconds"]) == frozenset()


def test_a_chosen_family_is_compressed_once(exposition: Exposition) -> None:
    """However it is combined with others, and as long as it is the same."""
    after = exposition.renewed(None, (), [memory(8)])
    first = exposition.gzip(["files"]).parts[1]
    for renewed, names in (
        (exposition, ["disk_bytes", "files"]),
        (after, ["files", "memory_bytes"]),
    ):
        body = renewed.gzip(names)
        assert any(part is first for part in body.parts)
        assert unpacked(body) == joined(renewed.text(names))


def test_a_family_without_series_is_not_chosen(exposition: Exposition) -> None:
    """A family that has no series now is no answer to its name."""
    after = exposition.renewed([users()], [], [])
    assert joined(after.text(["disk_bytes"])) == b""
    assert b"# TYPE disk_bytes gauge\n" in joined(after.text())


def registry_of(family: Metric) -> CollectorRegistry:
    """Return a registry of one family."""

    class One(CollectorRegistry):
        def collect(self) -> list[Metric]:
            return [family]

    return One()
