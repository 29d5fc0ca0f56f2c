"""What has been rendered and compressed is kept, and what a scrape gets is put together from it."""

import re
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from exporter.metrics.account_metrics import NO_ACCOUNT
from exporter.metrics.exposition import (
    AccountsLayer,
    Body,
    Exposition,
    build_empty_layer,
    expose,
    render_process_layer,
)
from exporter.metrics.family_text import ACCOUNTS_PER_BLOCK, render_sections

MANY = [f"account {number}" for number in range(3 * ACCOUNTS_PER_BLOCK + 1)]


def users(**bytes_total: float) -> Metric:
    """Return a gauge family of accounts."""
    family = GaugeMetricFamily("disk_bytes", "Bytes.", labels=("account", "user"))
    for account, value in bytes_total.items():
        family.add_metric((account, "web"), value)
    return family


def polls(**number: float) -> Metric:
    """Return a counter family of accounts."""
    family = CounterMetricFamily("polls", "Polls.", labels=("account",))
    for account, value in number.items():
        family.add_metric((account,), value)
    return family


def durations() -> Metric:
    """Return a histogram family of no account."""
    buckets = [("1.0", 2.0), ("+Inf", 3.0)]
    return HistogramMetricFamily("duration_seconds", "Durations.", buckets=buckets, sum_value=7)


def files(number: float) -> Metric:
    """Return a gauge family of the process layer."""
    return GaugeMetricFamily("files", "Files.", value=number)


def memory(used: float) -> Metric:
    """Return another gauge family of the process layer."""
    return GaugeMetricFamily("memory_bytes", "Memory.", value=used)


def changed(layer: AccountsLayer, *families: Metric) -> AccountsLayer:
    """Return the layer with the samples of these families, each of the account in its label."""
    return layer.with_sections(
        {
            family.name: render_sections(
                family,
                list(
                    dict.fromkeys(
                        sample.labels.get("account", NO_ACCOUNT) for sample in family.samples
                    )
                ),
            )
            for family in families
        }
    )


def gone(layer: AccountsLayer, name: str, *accounts: str) -> AccountsLayer:
    """Return the layer without samples of some accounts in a family."""
    return layer.with_sections({name: render_sections(Metric(name, "", "gauge"), accounts)})


@pytest.fixture
def layer() -> AccountsLayer:
    """Return a layer of two accounts."""
    empty = build_empty_layer([users(), polls(), durations()]).with_accounts(
        [NO_ACCOUNT, "one", "two"]
    )
    return changed(empty, users(one=5, two=6), polls(one=1), durations())


@pytest.fixture
def exposition(layer: AccountsLayer) -> Exposition:
    """Return an exposition of three families of accounts and two in the process layer."""
    return expose(layer, render_process_layer([files(3), memory(7)]))


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


def text_of(layer: AccountsLayer) -> str:
    """Return what a client reads of a layer alone; compressed, it must be the same."""
    exposition = expose(layer, render_process_layer(()))
    assert unpacked(exposition.gzip()) == joined(exposition.text())
    return joined(exposition.text()).decode()


def test_the_text_has_the_families_in_order(exposition: Exposition) -> None:
    """Those of accounts come first, then those of the process; each has one HELP and one TYPE."""
    lines = [line for line in joined(exposition.text()).splitlines() if line.startswith(b"#")]
    assert [line.split()[1:3] for line in lines] == [
        [kind, name]
        for name in (b"disk_bytes", b"polls_total", b"duration_seconds", b"files", b"memory_bytes")
        for kind in (b"HELP", b"TYPE")
    ]


def test_the_compressed_text_is_one_gzip_member(exposition: Exposition) -> None:
    """Compressed, it is a single gzip member of the same text, as every client reads it."""
    assert unpacked(exposition.gzip()) == joined(exposition.text())


def test_the_length_is_that_of_all_parts(exposition: Exposition) -> None:
    """The length is what has to stand in Content-Length."""
    for body in (exposition.text(), exposition.gzip()):
        assert body.length == len(joined(body))


def test_a_scrape_renders_nothing(exposition: Exposition) -> None:
    """However many ask, they get the very bytes that were made once, the gzip member's end too."""
    assert exposition.text() is exposition.text()
    assert exposition.gzip() is exposition.gzip()


def test_an_exposition_without_families_is_empty() -> None:
    """Without any family the text is empty, and its gzip is a whole member."""
    empty = expose(build_empty_layer(()), render_process_layer(()))
    assert joined(empty.text()) == unpacked(empty.gzip()) == b""
    assert joined(empty.text(["files"])) == unpacked(empty.gzip(["files"])) == b""


def test_a_change_of_the_process_layer_leaves_the_rest(exposition: Exposition) -> None:
    """A new process layer is small, and nothing of accounts is copied or compressed for it."""
    after = expose(exposition.accounts, render_process_layer([memory(8)]))
    kept = len(exposition.accounts.text_body.parts)
    assert list(map(id, after.text().parts[:kept])) == list(map(id, exposition.text().parts[:kept]))
    assert after.gzip().parts[1] is exposition.gzip().parts[1]
    assert b"\nmemory_bytes 8.0\n" in joined(after.text())
    assert unpacked(after.gzip()) == joined(after.text())


def test_a_change_of_an_account_leaves_other_blocks() -> None:
    """Its own block of its own family is made again, and no other."""
    layer = build_empty_layer([users(), polls()]).with_accounts(MANY)
    layer = changed(layer, users(**dict.fromkeys(MANY, 1)), polls(**dict.fromkeys(MANY, 1)))
    after = changed(layer, users(**{MANY[ACCOUNTS_PER_BLOCK]: 2}))
    assert after.families["polls"] is layer.families["polls"]
    before, now = layer.families["disk_bytes"].blocks, after.families["disk_bytes"].blocks
    assert [new is old for new, old in zip(now, before, strict=True)] == [True, False, True, True]
    assert text_of(after) == text_of(layer).replace(
        f'account="{MANY[ACCOUNTS_PER_BLOCK]}",user="web"}} 1.0',
        f'account="{MANY[ACCOUNTS_PER_BLOCK]}",user="web"}} 2.0',
    )


def test_the_same_samples_are_no_change(layer: AccountsLayer) -> None:
    """When nothing has changed, nothing is compressed, and the layer is the same."""
    assert changed(layer, users(one=5, two=6), durations()) is layer


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (users(one=7), [("one", "7.0"), ("two", "6.0")]),
        (users(one=5.5, two=1), [("one", "5.5"), ("two", "1.0")]),
        (users(), [("one", "5.0"), ("two", "6.0")]),
    ],
    ids=["one", "both", "nothing"],
)
def test_every_change_of_an_account_is_shown(
    layer: AccountsLayer, change: Metric, shown: list[tuple[str, str]]
) -> None:
    """An account has the samples that it was given last."""
    lines = text_of(changed(layer, change)).splitlines()
    samples = [line for line in lines if line.startswith("disk_bytes")]
    assert samples == [
        f'disk_bytes{{account="{name}",user="web"}} {value}' for name, value in shown
    ]


def test_samples_can_be_removed_and_added(layer: AccountsLayer) -> None:
    """A family keeps its HELP when its last sample goes, and is not found by its name then."""
    without = gone(layer, "disk_bytes", "one", "two")
    exposition = expose(without, render_process_layer(()))
    assert b"# TYPE disk_bytes gauge\n" in joined(exposition.text())
    assert joined(exposition.text(["disk_bytes"])) == b""
    assert exposition.known(["disk_bytes"]) == frozenset()
    assert text_of(changed(without, users(one=5, two=6))) == text_of(layer)


names = st.lists(st.sampled_from(MANY), unique=True)


@given(st.lists(st.tuples(names, st.dictionaries(st.sampled_from(MANY), st.integers(0, 99)))))
def test_accounts_come_and_go_in_any_order(
    steps: Iterable[tuple[list[str], Mapping[str, int]]],
) -> None:
    """Accounts that stay keep their samples, in the new order; those that come again have none."""
    layer, held = build_empty_layer([users()]), dict[str, int]()
    for accounts, samples in steps:
        new = {name: samples[name] for name in accounts if name in samples}
        layer = changed(layer.with_accounts(accounts), users(**new))
        merged = held | new
        held = {name: merged[name] for name in accounts if name in merged}
        assert text_of(layer).encode() == generate_latest(registry_of(users(**held)))


def test_an_exposition_is_immutable(exposition: Exposition) -> None:
    """Who holds an exposition reads the same from it after others have been made from it."""
    text, compressed = joined(exposition.text()), joined(exposition.gzip())
    text_of(changed(exposition.accounts, users(one=1), polls(two=2)))
    text_of(exposition.accounts.with_accounts(["two"]))
    assert (joined(exposition.text()), joined(exposition.gzip())) == (text, compressed)


def test_many_threads_can_ask_at_once(layer: AccountsLayer) -> None:
    """Compressed responses are right even when several threads ask for them, and publish."""

    def ask(number: int) -> bool:
        after = expose(changed(layer, polls(one=number)), render_process_layer([memory(number)]))
        wanted = ["disk_bytes", "memory_bytes"]
        return all(
            unpacked(after.gzip(chosen)) == joined(after.text(chosen)) for chosen in (None, wanted)
        )

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
    found = [
        " ".join(line.split()[:3]) if line[0] == "#" else re.split("[{ ]", line)[0]
        for line in lines
    ]
    assert found == shown
    assert b"" not in exposition.text(names).parts
    assert unpacked(exposition.gzip(names)) == joined(exposition.text(names))


def test_unknown_names_make_no_difference(exposition: Exposition) -> None:
    """Of what is requested, only names of samples make a difference."""
    assert exposition.known(["files", "nobody", "polls_total", "files"]) == {"files", "polls_total"}
    assert exposition.known([]) == exposition.known(["duration_seconds"]) == frozenset()


def test_a_chosen_family_is_compressed_once(exposition: Exposition) -> None:
    """However it is combined with others, and as long as it is the same."""
    after = expose(changed(exposition.accounts, polls(one=2)), render_process_layer([memory(8)]))
    first = exposition.gzip(["disk_bytes"]).parts[1]
    for reconcile, names in (
        (exposition, ["disk_bytes", "files"]),
        (after, ["disk_bytes", "memory_bytes"]),
    ):
        body = reconcile.gzip(names)
        assert any(part is first for part in body.parts)
        assert unpacked(body) == joined(reconcile.text(names))


def test_names_choose_lines_whatever_a_label_holds() -> None:
    """A label may hold what looks like a line break or another sample."""
    family = HistogramMetricFamily("duration_seconds", "Durations.", labels=("account",))
    family.add_metric(["a\r\nduration_seconds_sum 1\x85\u2028 {"], [("+Inf", 3.0)], 7)
    exposition = expose(build_empty_layer(()), render_process_layer([family]))
    lines = joined(exposition.text(["duration_seconds_count"])).split(b"\n")
    assert [line[:23] for line in lines[2:]] == [b"duration_seconds_count{", b""]


def registry_of(family: Metric) -> CollectorRegistry:
    """Return a registry of one family."""

    class One(CollectorRegistry):
        def collect(self) -> list[Metric]:
            return [family]

    return One()
