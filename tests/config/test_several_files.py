"""A configuration may be in several files, and in the files of a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exporter.config import ConfigError, LoadedConfig, load, load_files, loading
from exporter.yamlfile.files import read_text
from exporter.yamlfile.problems import ErrorCollector
from tests.support.sentences import (
    EMPTY_FOLDER,
    NAME_ACCOUNTS,
    NO_ACCOUNT,
    NOTHING_LISTED,
    UNKNOWN_KEY,
)

Write = Callable[[Mapping[str, str]], None]


def account(cdn: int, more: str = "") -> str:
    return f"accounts:\n  - cdn: {cdn}\n    api_key: k\n    api_secret: s\n{more}"


@pytest.fixture
def write(folder: Path) -> Write:
    """Return a function that writes files, by their names."""

    def write_them(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(text)

    return write_them


def read(*paths: str) -> LoadedConfig:
    return load_files([Path(path) for path in paths], {})


def find_mistakes(*paths: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(*paths)
    return str(caught.value).splitlines()


def cdns(loaded: LoadedConfig) -> list[int]:
    return [account.cdn for account in loaded.config.accounts]


def test_each_file_adds_its_accounts(write: Write) -> None:
    """The sections come from the file that has them, whichever it is."""
    write({"a.yaml": account(1), "b.yaml": "api: {timeout: 5s}", "c.yaml": account(3)})
    loaded = read("a.yaml", "b.yaml", "c.yaml")
    assert cdns(loaded) == [1, 3]
    assert loaded.config.api.timeout == 5.0
    assert loaded.config.api.concurrency == 4


def test_several_files_give_the_same_as_one(write: Write) -> None:
    """Nothing else depends on how it is divided."""
    write({"all.yaml": account(1, "  - {cdn: 2, api_key: k, api_secret: s}\napi: {timeout: 5s}")})
    write({"a.yaml": account(1), "b.yaml": account(2, "api: {timeout: 5s}")})
    assert read("a.yaml", "b.yaml").config == read("all.yaml").config


def test_a_folder_stands_for_its_files(write: Write) -> None:
    """They come in the order of their names; other files, hidden files and folders do not count."""
    write({"d/20.yaml": account(2), "d/10.yaml": account(1), "d/30.yaml": account(3)})
    write({"d/.40.yaml": "x", "d/notes.txt": "x", "d/50.yaml/60.yaml": account(6)})
    assert cdns(read("d")) == [1, 2, 3]
    assert cdns(load(Path("d"), {})) == [1, 2, 3]


def test_relative_paths_begin_at_their_file(write: Write) -> None:
    """Each file of a secret is looked for next to the file that names it."""
    text = "accounts: [{cdn: %d, api_key: k, api_secret_file: secret}]"
    write({"a/x.yaml": text % 1, "a/secret": "one", "b/x.yaml": text % 2, "b/secret": "two"})
    accounts = read("a/x.yaml", "b/x.yaml").config.accounts
    assert [account.api_secret.read() for account in accounts] == ["one", "two"]


def test_every_mistake_names_its_file(write: Write) -> None:
    """The mistakes of all files come at once."""
    write({"a.yaml": "accounts: [{cdn: x, api_key: k, api_secret: s}]", "b.yaml": "apj: 1"})
    assert find_mistakes("a.yaml", "missing.yaml", "b.yaml") == [
        "a.yaml:1:18: accounts[0].cdn: must be a whole number",
        "missing.yaml: the configuration file does not exist",
        f"b.yaml:1:1: apj: {UNKNOWN_KEY} 'api'?",
    ]


def test_one_account_name_in_two_files_is_a_mistake(write: Write) -> None:
    """Both places are named: a CDN number is the name of an account without one."""
    write({"a.yaml": account(1), "b.yaml": account(7, "    name: '1'\n")})
    assert find_mistakes("a.yaml", "b.yaml") == [
        (
            "b.yaml:5:11: accounts[0].name: names the same account as a.yaml, line 2; "
            f"{NAME_ACCOUNTS}"
        )
    ]


def test_one_section_in_two_files_is_a_mistake(write: Write) -> None:
    """Which of them counts would depend on their order."""
    write({"a.yaml": account(1, "log: {level: info}\n"), "b.yaml": "log: {level: debug}"})
    assert find_mistakes("a.yaml", "b.yaml") == [
        "b.yaml:1:6: log: is in a.yaml, line 5, too; keep it in one of the two files"
    ]


def test_no_accounts_in_any_file_are_a_mistake(write: Write) -> None:
    """One file at least must name some."""
    write({"a.yaml": "log: {level: info}", "b.yaml": "api: {timeout: 5s}"})
    assert find_mistakes("a.yaml", "b.yaml") == [f"a.yaml:1:1: accounts: {NO_ACCOUNT}"]


def test_a_folder_without_files_is_a_mistake(write: Write) -> None:
    """It is reported at once, with what is wrong in the other files."""
    write({"d/notes.txt": "x", "a.yaml": "accounts: []"})
    assert find_mistakes("d", "a.yaml") == [
        f"d: {EMPTY_FOLDER}",
        f"a.yaml:1:11: accounts: {NOTHING_LISTED}",
    ]


def test_warnings_name_their_files(write: Write) -> None:
    write({"a.yaml": account(1), "b.yaml": "api: {url: 'http://example.org/'}"})
    (warning,) = read("a.yaml", "b.yaml").warnings
    assert str(warning).startswith("b.yaml:1:12: api.url: is http: ")


@pytest.fixture
def config_map(write: Write, folder: Path) -> Path:
    """Return a folder as Kubernetes mounts a ConfigMap, with an old and a new version of it."""
    write({"old/a.yaml": account(1), "old/b.yaml": account(2)})
    write({"new/a.yaml": account(2), "new/b.yaml": account(3)})
    mounted = folder / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to("../old")
    for name in ("a.yaml", "b.yaml"):
        (mounted / name).symlink_to(f"..data/{name}")
    return mounted


def swap(config_map: Path, version: str) -> None:
    (config_map / "..tmp").symlink_to(f"../{version}")
    (config_map / "..tmp").replace(config_map / "..data")


def test_a_config_map_is_read_whole(config_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is swapped between two files is read again: half of each would be a conflict here."""
    versions = ["new"]

    def read_and_swap(path: Path, name: str, report: ErrorCollector, *, stream: bool) -> str | None:
        text = read_text(path, name, report, stream=stream)
        if versions:
            swap(config_map, versions.pop())
        return text

    assert cdns(load(config_map, {})) == [1, 2]
    monkeypatch.setattr(loading, "read_text", read_and_swap)
    assert cdns(load(config_map, {})) == [2, 3]


def test_files_that_keep_changing_are_an_error(
    config_map: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are given up after some reads, with what to do."""
    versions = ["old", "new"] * 20

    def read_and_swap(path: Path, name: str, report: ErrorCollector, *, stream: bool) -> str | None:
        if path.name == "b.yaml":
            swap(config_map, versions.pop())
        return read_text(path, name, report, stream=stream)

    monkeypatch.setattr(loading, "read_text", read_and_swap)
    with pytest.raises(ConfigError, match="changed during each of 5 reads; reload when"):
        load(config_map, {})
