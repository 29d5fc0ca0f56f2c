"""Secrets are read from the text or from a file, and are seen nowhere else."""

import copy
import json
import os
import pickle
import pprint
import traceback
from pathlib import Path

import pytest

from exporter.config import ConfigError, LoadedConfig, Secret, SecretError, build_json_schema, load
from tests.support.fixtures import LoadText, ReadMistakes
from tests.support.sentences import (
    IMPOSSIBLE_FILE_NAME,
    IS_FOLDER,
    KEEP_ONE,
    NEEDS_QUOTES,
    SECRET_WITH_SPACE,
)

CANARY = "Canary0Key/+="
EMPTY = "accounts[0].api_secret: is empty; write it, in quotes if it begins with a '#'"
NO_TEXT = f"accounts[0].api_secret: {NEEDS_QUOTES}"
QUOTES = "begins and ends with quotes, which are no part of a secret; remove them"
CONTROL = "holds a control character; a secret is one word of visible characters"


def one_account(*lines: str) -> str:
    """Write an account whose key and secret stand in the given lines, from line 3 on."""
    return "\n".join(["accounts:", "  - cdn: 158", *(f"    {line}" for line in lines), ""])


def test_a_secret_in_the_text_is_read_as_it_is(load_text: LoadText) -> None:
    """Given a key and a secret in the configuration, then reading gives them, stripped."""
    text = one_account("api_key: k", f"api_secret: |\n      {CANARY}")
    account = load_text(text).config.accounts[0]
    assert (account.api_key.read(), account.api_secret.read()) == ("k", CANARY)


def test_a_secret_in_a_file_is_read_again_at_each_use(load_text: LoadText, folder: Path) -> None:
    """Given a secret in a file, when the file changes, then the next read gives the new one."""
    file = folder / "secret"
    file.write_text(f"{CANARY}\n")
    text = one_account("api_key: k", "api_secret_file: secret")
    secret = load_text(text).config.accounts[0].api_secret
    assert secret.read() == CANARY
    file.write_bytes(b"\xef\xbb\xbf rotated \r\n")
    assert secret.read() == "rotated"


def test_a_relative_file_begins_at_the_configurations_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given another current folder, then the secret next to the configuration is found."""
    inner = folder / "etc"
    inner.mkdir()
    (inner / "key").write_text("k")
    (inner / "config.yaml").write_text(one_account("api_key_file: key", "api_secret: s"))
    config = load(Path("etc/config.yaml"), {}).config
    monkeypatch.chdir("/")
    assert config.accounts[0].api_key.read() == "k"


def test_a_file_that_is_gone_later_is_a_secret_error(load_text: LoadText, folder: Path) -> None:
    """The error names the file, for the operator, and its cause alone."""
    file = folder / "secret"
    file.write_text(CANARY)
    text = one_account("api_key: k", "api_secret_file: secret")
    secret = load_text(text).config.accounts[0].api_secret
    file.unlink()
    with pytest.raises(SecretError) as caught:
        secret.read()
    assert str(caught.value) == f"the secret's file {file} does not exist"
    assert caught.value.cause == "does not exist"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"canary \xff", "is not UTF-8 text"),
        (b'"canary"\r\n', QUOTES),
        (b"'canary'", QUOTES),
        (b"canary canary", SECRET_WITH_SPACE),
        (b"canary\ncanary", SECRET_WITH_SPACE),
        (b"canary\x00canary", CONTROL),
        ("canary\u200bcanary".encode(), CONTROL),
        (b"c" * (64 * 1024 + 1), "is larger than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_mistake(
    mistakes: ReadMistakes, folder: Path, content: bytes, cause: str
) -> None:
    """The sentence says what is wrong and shows nothing of the content."""
    (folder / "secret").write_bytes(content)
    assert mistakes(one_account("api_key: k", "api_secret_file: secret")) == [
        f"config.yaml:4:22: accounts[0].api_secret_file: names a file that {cause}"
    ]


@pytest.mark.parametrize(
    ("file", "cause"),
    [
        (CANARY, "does not exist"),
        ("folder", IS_FOLDER),
        ("pipe", "is no regular file"),
        ('"canary\\0"', IMPOSSIBLE_FILE_NAME),
    ],
)
def test_a_secrets_file_that_cannot_be_read_is_a_mistake(
    mistakes: ReadMistakes, folder: Path, file: str, cause: str
) -> None:
    """The file is not named with its place: the value may be the secret itself."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    assert mistakes(one_account("api_key: k", f"api_secret_file: {file}")) == [
        f"config.yaml:4:22: accounts[0].api_secret_file: names a file that {cause}"
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", f"16: {EMPTY}"),
        ("#canary", f"16: {EMPTY}"),
        ("''", f"17: {EMPTY}"),
        ("' '", "17: accounts[0].api_secret: is empty"),
        ("12345", f"17: {NO_TEXT}"),
        ("12_345", f"17: {NO_TEXT}"),
        ("2024-01-01", f"17: {NO_TEXT}"),
        ("on", f"17: {NO_TEXT}"),
        ("[canary]", f"17: {NO_TEXT}"),
        ("{canary: x}", f"17: {NO_TEXT}"),
        ("'\"canary\"'", f"17: accounts[0].api_secret: {QUOTES}"),
        ("canary canary", f"17: accounts[0].api_secret: {SECRET_WITH_SPACE}"),
        ('"canary\\x07"', f"17: accounts[0].api_secret: {CONTROL}"),
        ('"canary\\udcff"', f"17: accounts[0].api_secret: {CONTROL}"),
    ],
)
def test_a_text_that_is_no_secret_is_a_mistake(
    mistakes: ReadMistakes, value: str, line: str
) -> None:
    """Given a bad value, then the place is shown and the value is not."""
    assert mistakes(one_account("api_key: k", f"api_secret: {value} ")) == [f"config.yaml:4:{line}"]


def test_a_secret_has_one_place_only(mistakes: ReadMistakes) -> None:
    """Both X and X_file are a mistake at X_file, even when the file cannot be read."""
    assert mistakes(one_account("api_key_file: x", "api_key: k", "api_secret: s")) == [
        f"config.yaml:3:5: accounts[0].api_key_file: conflicts with api_key; {KEEP_ONE}"
    ]


@pytest.fixture
def planted(load_text: LoadText, folder: Path) -> LoadedConfig:
    """Return a configuration whose key and secret are the canary, one of them in a file."""
    (folder / "secret").write_text(CANARY)
    text = one_account("api_key: ${KEY}", "api_secret_file: secret")
    return load_text(text, {"KEY": CANARY})


def test_no_way_of_showing_a_configuration_shows_a_secret(planted: LoadedConfig) -> None:
    """Given a canary as key and secret, when all is shown in every way, then it is in none."""
    config = planted.config
    shown = [
        repr(planted),
        str(config),
        f"{config.accounts[0].api_key}",
        pprint.pformat(config.model_dump()),
        str(dict(config)),
        config.model_dump_json(),
        json.dumps(config.model_dump(mode="json")),
        str(config.model_fields_set),
        json.dumps(build_json_schema()),
    ]
    assert config.accounts[0].api_key.read() == CANARY
    assert [text for text in shown if CANARY in text] == []
    assert "***" in config.model_dump_json()


def test_a_secret_is_not_stored(planted: LoadedConfig) -> None:
    """Pickling would write the secret down."""
    with pytest.raises(TypeError, match="a secret is not to be stored"):
        pickle.dumps(planted.config)


def test_a_copied_configuration_keeps_its_secrets(planted: LoadedConfig) -> None:
    """A copy holds the same Secret, which never changes."""
    copied = copy.deepcopy(planted.config)
    assert copied == planted.config
    assert copied.accounts[0].api_key is planted.config.accounts[0].api_key


@pytest.mark.parametrize(
    "broken",
    [
        "cdn: [{text}]",
        "api_key: {text} {text}",
        "api_key: [{text}]",
        "api_key: @{text}",
        "api_key: ${{{text}",
        "api_key: *{text}",
        "api_key: 'x{text}",
        "api_key: !{text} x",
        "api_key: {{{{{text}}}}}",
        "api_key_file: {text}",
        "{text}: x",
        "api_key:{text}",
        'name: "{text}\\n"',
        "disk_usage: {text}",
        "disk_usage: {{interval: {text}}}",
        "disk_usage: {{enabled: {text}}}",
        "files: {{interval: -{text}}}",
        "files: {{paths: ['{text}', '{text}']}}",
        "files: {{paths: [{{path: sestore4, file_types: ['{text}']}}]}}",
    ],
)
def test_no_mistake_shows_the_value(load_text: LoadText, broken: str) -> None:
    """Given the canary in a wrong place, then neither error, cause nor traceback has it."""
    text = one_account(broken.format(text=CANARY), f"api_secret: {CANARY}")
    with pytest.raises(ConfigError) as caught:
        load_text(text, {"SECRET": CANARY})
    error = caught.value
    shown = traceback.format_exception(error)
    assert CANARY not in "".join([*shown, repr(error), str(error), str(error.problems)])
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_bad_file_leaves_nothing_of_it_in_the_error(tmp_path: Path) -> None:
    """Given bytes that are no text, then neither the error nor what caused it has them."""
    file = tmp_path / "secret"
    file.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(SecretError) as caught:
        Secret(file=file).read()
    error = caught.value
    assert CANARY not in "".join([*traceback.format_exception(error), repr(error)])
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (Secret("a"), Secret("a"), True),
        (Secret("a"), Secret("b"), False),
        (Secret(file=Path("/a")), Secret(file=Path("/a")), True),
        (Secret(file=Path("/a")), Secret(file=Path("/b")), False),
        (Secret("a"), Secret(file=Path("/a")), False),
        (Secret("a"), "a", False),
    ],
)
def test_secrets_are_equal_by_text_or_file(one: Secret, other: object, *, equal: bool) -> None:
    """A reload can see whether an account is still the same."""
    assert (one == other) is equal
    assert len({one, other}) == (1 if equal else 2)
