"""Several processes share the accounts: each account has one of them, and few move."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import serve
from exporter.config import load
from exporter.flags import WebFlags
from exporter.metrics.registry import add_shard_gauges, build_metrics
from exporter.polling.store import Store
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.service import ConfigSource
from exporter.settings import Settings, build_settings
from exporter.sharding import (
    AUTO,
    EVERYTHING,
    MAX_TOTAL,
    Shard,
    ShardError,
    choose_shard,
    compute_ordinal,
)
from tests.support.command_line import read_command_line, read_wrong_command_line

CDNS = st.integers(1, 2**63)
TOTALS = st.integers(1, 300)
PREFIX = "SCALEENGINE_EXPORTER_"


@given(cdn=CDNS, total=TOTALS)
def test_each_account_has_one_shard(cdn: int, total: int) -> None:
    assert [n for n in range(total) if Shard(n, total).owns(cdn)] == [compute_ordinal(cdn, total)]


@given(cdn=CDNS, total=st.integers(1, MAX_TOTAL - 1))
def test_accounts_move_only_to_the_new_shard(cdn: int, total: int) -> None:
    """With one shard more an account stays where it is, or belongs to the new shard."""
    assert compute_ordinal(cdn, total + 1) in {compute_ordinal(cdn, total), total}


@pytest.mark.parametrize("total", [2, 3, 4, 10, 25])
@pytest.mark.parametrize("first", [1, 158, 10**6])
def test_shards_are_balanced(total: int, first: int) -> None:
    """CDN numbers in a row, as they are given out, are spread evenly."""
    accounts = 2000
    sizes = Counter(compute_ordinal(cdn, total) for cdn in range(first, first + accounts))
    mean = accounts / total
    assert set(sizes) == set(range(total))
    assert all(abs(size - mean) < 5 * mean**0.5 for size in sizes.values())


def test_few_accounts_move() -> None:
    """From three shards to four about a quarter of the accounts moves."""
    moved = sum(compute_ordinal(cdn, 3) != compute_ordinal(cdn, 4) for cdn in range(2000))
    assert 450 < moved < 550


def test_shards_stay_the_same() -> None:
    """Another release must not move accounts: these numbers are part of the contract."""
    expected = [4, 9, 2, 5, 2, 5, 4, 4, 4, 2, 1, 5]
    assert [compute_ordinal(cdn, 10) for cdn in range(1, 13)] == expected


ACCOUNT = "  - {{name: {name}, cdn: {cdn}, api_key: k, api_secret: s}}\n"


def test_settings_have_the_accounts_of_their_shard(tmp_path: Path) -> None:
    """The plans of all shards are together that of the only one, in the order of the file."""
    file = tmp_path / "config.yaml"
    accounts = [ACCOUNT.format(name=f"a{cdn}", cdn=cdn) for cdn in range(1, 41)]
    file.write_text("accounts:\n" + "".join(accounts))
    config = load(file, {}).config
    everything = build_settings(config)
    settings_seen = [build_settings(config, Shard(n, 3)) for n in range(3)]
    order = [account.name for account in everything.accounts]
    parts = [[account.name for account in settings.accounts] for settings in settings_seen]
    assert all(part == sorted(part, key=order.index) for part in parts)
    assert sorted(name for part in parts for name in part) == sorted(order)
    for settings, part in zip(settings_seen, parts, strict=True):
        assert {target.account for target in settings.targets} == set(part)
        assert settings.find_warnings() == []


def test_a_shard_without_accounts_is_a_warning(tmp_path: Path) -> None:
    """It polls nothing, and says so; the configuration as a whole is good."""
    file = tmp_path / "config.yaml"
    file.write_text("accounts:\n" + ACCOUNT.format(name="a", cdn=158))
    other = (compute_ordinal(158, 4) + 1) % 4
    settings = build_settings(load(file, {}).config, Shard(other, 4))
    assert (settings.accounts, settings.targets) == ((), ())
    assert settings.find_warnings() == [
        f"no enabled account of the configuration belongs to shard {other} of 4: it polls nothing"
    ]


def test_accounts_of_one_cdn_share_a_shard(tmp_path: Path) -> None:
    """They share ScaleEngine's rate limit, and a new name moves nothing."""
    file = tmp_path / "config.yaml"
    names = [f"a{number}" for number in range(20)]
    file.write_text("accounts:\n" + "".join(ACCOUNT.format(name=n, cdn=158) for n in names))
    settings = build_settings(load(file, {}).config, Shard(compute_ordinal(158, 7), 7))
    assert [account.name for account in settings.accounts] == names


@pytest.mark.parametrize(
    ("asked", "host", "ordinal"),
    [
        (2, "anything", 2),
        (AUTO, "scaleengine-exporter-2", 2),
        (AUTO, "exporter-0", 0),
        (AUTO, "exporter-11.exporter.monitoring.svc.cluster.local", 11),
        (AUTO, "exporter-01", 1),
    ],
)
def test_the_shard_comes_from_the_flag_or_the_host_name(
    asked: int | str, host: str, ordinal: int
) -> None:
    """It is the number that was given, or that at the end of the host's name."""
    assert choose_shard(asked, 12, host) == Shard(ordinal, 12)  # type: ignore[arg-type]


NO_ORDINAL = (
    "--shard=auto finds no number at the end of the host name {!r}: name the host as a "
    "StatefulSet does, such as exporter-2, or write --shard=2"
)
OUT_OF_RANGE = (
    "is out of range for --total-shards=3: shards are numbered from 0 to 2; correct one of the "
    "two flags"
)


@pytest.mark.parametrize(
    ("asked", "host", "sentence"),
    [
        (3, "x", f"--shard=3 {OUT_OF_RANGE}"),
        (AUTO, "exporter-3", f"--shard=auto is 3 on host 'exporter-3', which {OUT_OF_RANGE}"),
        *(
            (AUTO, host, NO_ORDINAL.format(host))
            for host in (
                "exporter",
                "exporter2",
                "exporter-",
                "",
                "e-x.zone-1",
                "e-²",
                "exporter-2-x",
            )
        ),
    ],
)
def test_an_impossible_shard_is_an_error(asked: int | str, host: str, sentence: str) -> None:
    """A shard that cannot be is an error that says what to do."""
    with pytest.raises(ShardError) as caught:
        choose_shard(asked, 3, host)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


def test_a_reload_keeps_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that a reload adds belong to the shards that their numbers say."""
    settings_seen: list[Settings] = []

    def run(settings: Settings, source: ConfigSource[object], *_: object) -> None:
        file.write_text("accounts:\n" + "".join(accounts))
        settings_seen.extend([settings, source.accept(source.read())])

    monkeypatch.setattr(serve, "run", run)
    monkeypatch.setattr(serve, "open_sockets", lambda *_: [])
    file = tmp_path / "config.yaml"
    accounts = [ACCOUNT.format(name=f"a{cdn}", cdn=cdn) for cdn in range(1, 41)]
    file.write_text("accounts:\n" + "".join(accounts[:20]))
    shard = Shard(1, 3)
    web = WebFlags((), "/metrics", None, enable_lifecycle=False)
    process = Process({}, SignalThread(lambda _: None), BackgroundWriter(2))
    files = serve.ConfigFiles([file], shard)
    serve.serve_config(files, web, "info", SecretRedactor(), process)
    polled = [{account.cdn for account in settings.accounts} for settings in settings_seen]
    owned = {cdn for cdn in range(1, 41) if shard.owns(cdn)}
    assert polled == [{cdn for cdn in owned if cdn <= 20}, owned]


@pytest.mark.parametrize("command", ["serve", "check", "backfill"])
def test_each_command_that_reads_accounts_takes_the_shard_flags(command: str) -> None:
    """Each command that reads accounts takes them, and the environment sets them."""
    arguments = [] if command == "serve" else [command]
    for given_flags, environ in (
        (["--shard=1", "--total-shards=3"], {}),
        ([], {f"{PREFIX}SHARD": "1", f"{PREFIX}TOTAL_SHARDS": "3"}),
    ):
        _, name, flags = read_command_line(*arguments, *given_flags, **environ)
        assert (name, flags["shard"], flags["total_shards"]) == (command, 1, 3)
    flags = read_command_line(*arguments, "--shard=AUTO").flags
    assert (flags["shard"], flags["total_shards"]) == (AUTO, 1)


@pytest.mark.parametrize(
    ("flag", "text", "what"),
    [
        *(("shard", text, "is no shard: write a whole number from 0 on, or auto")
          for text in ("x", "-1", "1.5", "", "²", "automatic", "9" * 10)),
        *(("total-shards", text, "is no number of shards: write a whole number from 1 to 10000")
          for text in ("x", "0", "-1", "", "auto", "10001", "9" * 5000)),
    ],
)  # fmt: skip
def test_a_shard_that_is_no_number_is_refused(
    capsys: pytest.CaptureFixture[str], flag: str, text: str, what: str
) -> None:
    message = read_wrong_command_line(capsys, f"--{flag}={text}")
    assert message == f"Invalid value for --{flag}: {text!r} {what}"


@pytest.mark.parametrize("shard", [EVERYTHING, Shard(2, 5)])
def test_the_metrics_have_the_shard(shard: Shard) -> None:
    metrics = build_metrics(Store([]), {}, Clock())
    add_shard_gauges(metrics, shard.ordinal, shard.total)
    value: Callable[[str], float | None] = metrics.registry.get_sample_value
    assert value("scaleengine_exporter_shard") == shard.ordinal
    assert value("scaleengine_exporter_total_shards") == shard.total
