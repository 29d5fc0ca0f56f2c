"""Every text that is not plain YAML gets its place and a sentence, and never a traceback."""

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import (
    AccountConfig,
    ApiConfig,
    Config,
    ConfigError,
    CountedPath,
    DiskUsageConfig,
    FilesConfig,
    load,
)
from tests.support.fixtures import LoadText, ReadMistakes
from tests.support.sentences import (
    COLON,
    EMPTY_FOLDER,
    IMPOSSIBLE_FILE_NAME,
    LEADING_ZERO,
    NEEDS_QUOTES,
    TAB,
)

FLOW = (
    "the list or mapping that begins here with '[' or '{' is broken or never closed; "
    "inside of it ${NAME} and special characters need quotes"
)
DEEP = "is nested too deeply; no key of this file lies that deep"
MISFIT = "this text is unexpected here; check indentation, quotes and the '-' of lists"
OPENING = "a text that begins with this character must be in quotes"
NO_KEY = "this line is no 'key: value'; a key is followed by ':' and a space"
ODD = "an invisible character (U+{}) cannot indent; write spaces"
SEPARATOR = "holds an invisible line separator (U+{}); remove it"
SECTIONS = (Config, ApiConfig, AccountConfig, DiskUsageConfig, FilesConfig, CountedPath)
ANCHOR = (
    "a text that begins with '&' or '*' must be in quotes; the name of an anchor has letters, "
    "digits, '-' and '_'"
)
DIRECTIVE = "a line that begins with '%' is a YAML directive; remove it, or put the text in quotes"
TAG = "a text that begins with '!' is a YAML tag; remove it, or put the text in quotes"
TAGGED = "has a tag (!name) that is not known here; remove the tag"
QUOTED = "the quoted text that begins here is never closed, or has a wrong '\\'"
ONE_DOCUMENT = "only one document is allowed; remove '---' or '...'"
OTHER = "is not YAML here; check indentation, quotes and colons"
EMPTY = "the file is empty; begin with 'accounts:' as config.example.yaml does"
TOP = "must begin with a key, as config.example.yaml does: with 'accounts:' or 'api:'"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f"1:1: {EMPTY}"),
        ("# only a comment\n", f"1:1: {EMPTY}"),
        ("- cdn: 158\n", f"1:1: {TOP}"),
        ("canary", f"1:1: {TOP}"),
        (b"api:\n  url: h\xe9\n", "2:9: is not UTF-8 here; save the file as UTF-8"),
        ("api:\n".encode("utf-16"), "1:1: is not UTF-8 here; save the file as UTF-8"),
        ("api:\n  url: \x07\n", "2:8: holds a control character; remove it"),
        ("api:\n\turl: canary\n", f"2:1: {TAB}"),
        ("api:\n  url: 'canary\n", f"2:8: {QUOTED}"),
        ("api:\n  url: '\n---\n'", f"2:8: {QUOTED}"),
        ('api:\n  url: "\\canary"\n', f"2:8: {QUOTED}"),
        ('api:\n  url: "\\UFFFFFFFF"\n', f"2:11: {OTHER}"),
        ("api: {url: canary\naccounts:\n", f"1:6: {FLOW}"),
        ("accounts: [${CANARY}]", f"1:11: {FLOW}"),
        ("api_key:canary\nb: 1", f"2:2: {COLON}"),
        ("api_key: a: canary", f"1:11: {COLON}"),
        ("api:\n  url: x\n  canary\n", f"3:3: {NO_KEY}"),
        ("api_key: @canary", f"1:10: {OPENING}"),
        ("api_key: `canary", f"1:10: {OPENING}"),
        ("api_key: %canary", f"1:10: {OPENING}"),
        ("api:\n%canary\n", f"2:1: {DIRECTIVE}"),
        ("%YAML 1.2\napi:\n", f"1:1: {DIRECTIVE}"),
        ("%YAML 1.2\n---\n'canary' canary", f"3:10: {MISFIT}"),
        ("%YAML 3.0\n---\napi:\n", f"1:1: {DIRECTIVE}"),
        ("%YAML " + "9" * 5000 + ".1\n---\napi:\n", f"1:7: {OTHER}"),
        ("api_key: *canary", f"1:10: {ANCHOR}"),
        ("api_key: &?canary", f"1:10: {ANCHOR}"),
        ("accounts: &a.canary []", f"1:11: {ANCHOR}"),
        ("api_key: !<canary", f"1:10: {TAG}"),
        ("api_key: !e!canary x", f"1:10: {TAG}"),
        ("api_key: |canary\n", "1:11: after '|' or '>' the text begins in the next line"),
        ("api: {}\n---\napi: {}\n", f"2:1: {ONE_DOCUMENT}"),
        ("api: {}\n...\napi: {}\n", f"3:1: {ONE_DOCUMENT}"),
        ("api:\n\u00a0\u00a0url: canary\n  x: y", "2:1: " + ODD.format("00A0")),
        ("api:\n  x: y\n \u3000 canary\n", "3:2: " + ODD.format("3000")),
        ("api: x\u2028canary: y", f"1:7: {SEPARATOR.format('2028')}"),
        ("# canary\r\n# canary\x85", f"2:9: {SEPARATOR.format('0085')}"),
        ("api:\r  url: \x07\n", "2:8: holds a control character; remove it"),
        ("accounts:\n    - cdn: 1\n  - cdn: 2\n", f"3:3: {MISFIT}"),
        ("api_key: 'canary' canary", f"1:19: {MISFIT}"),
        ("'canary' canary", f"1:10: {MISFIT}"),
        ("api: -\n  url", "1:6: a list or key cannot begin here; indent it"),
        ("api: ]", f"1:6: {OTHER}"),
    ],
)
def test_text_that_is_no_yaml_gets_a_place_and_a_sentence(
    mistakes: ReadMistakes, text: str | bytes, line: str
) -> None:
    """The sentence is the project's own and never holds a piece of the text."""
    assert mistakes(text) == [f"config.yaml:{line}"]


@pytest.mark.parametrize("text", ["[" * 2000, "- " * 2000, "{a: " * 2000, "? " * 2000])
def test_hostile_nesting_is_a_mistake_like_any_other(mistakes: ReadMistakes, text: str) -> None:
    """Deeper nesting than Python's stack allows is reported, not raised."""
    (line,) = mistakes(text)
    assert line.endswith(DEEP)


def test_deep_nesting_is_one_mistake(mistakes: ReadMistakes, account: str) -> None:
    """A list in a list, thirty deep, is reported once, at the level where it is enough."""
    lines = mistakes(account + "    name: " + "[" * 30 + "]" * 30)
    assert lines[0] == "config.yaml:5:11: accounts[0].name: must be text"
    assert lines[1] == f"config.yaml:5:28: accounts[0].name{'[0]' * 17}: {DEEP}"


def test_a_recursive_alias_is_a_mistake(mistakes: ReadMistakes, account: str) -> None:
    """An alias inside of what it names would have no end."""
    (line,) = mistakes(account + "    files: &files\n      paths: [*files]\n")
    assert line == (
        "config.yaml:5:12: accounts[0].files.paths[0]: "
        "an alias (*name) is inside of what it names; write the value out"
    )


def test_aliases_of_too_many_values_are_a_mistake(mistakes: ReadMistakes) -> None:
    """Nine lines of aliases that stand for a billion values are not read to their end."""
    levels = "\n".join(
        f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]"
        for below, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (line,) = mistakes(f"a: &a [{', '.join('1' * 10)}]\n{levels}\n")
    assert line.endswith(": more values than any use has; name fewer aliases")


def test_an_alias_stands_for_what_it_names(load_text: LoadText) -> None:
    """Given two accounts that share their paths by an alias, then both have them."""
    config = load_text("""\
accounts:
  - {cdn: 1, api_key: k, api_secret: s, files: &files {paths: [sestore1/a]}}
  - {cdn: 2, api_key: k, api_secret: s, files: *files}
""").config
    assert config.accounts[0].files == config.accounts[1].files


@pytest.mark.parametrize(
    ("tag", "line"),
    [
        ("!canary x", TAGGED),
        ("!!python/object:os.system x", TAGGED),
        ("!!binary x", TAGGED),
        ("!!set {a}", TAGGED),
        ("!!map x", TAGGED),
        ("!!int x", NEEDS_QUOTES),
    ],
)
def test_unknown_tags_are_a_mistake(
    mistakes: ReadMistakes, account: str, tag: str, line: str
) -> None:
    """A tag would make another value of the text; only YAML's plain ones are known."""
    assert mistakes(f"{account}    name: {tag}\n") == [
        f"config.yaml:5:11: accounts[0].name: {line}"
    ]


def test_a_plain_tag_says_what_a_value_is(load_text: LoadText, account: str) -> None:
    """The tag !!str makes a text of what looks like a number."""
    assert load_text(account + "    name: !!str 158\n").config.accounts[0].name == "158"


@pytest.mark.parametrize(
    "value", ["158", "1.5", "on", "yes", "2024-01-01", "1:30", "010", "0x9e", "=", ".inf", "<<"]
)
def test_a_value_that_yaml_reads_as_another_type_needs_quotes(
    mistakes: ReadMistakes, account: str, value: str
) -> None:
    """A name that YAML 1.1 takes for a number, a truth value or a date must be in quotes."""
    assert mistakes(f"{account}    name: {value}\n") == [
        f"config.yaml:5:11: accounts[0].name: {NEEDS_QUOTES}"
    ]


@pytest.mark.parametrize("value", ["158", "on", "2024-01-01", "1:30", "=", "~"])
def test_quotes_make_a_text_of_anything(load_text: LoadText, account: str, value: str) -> None:
    """In quotes, a name is what it says."""
    assert load_text(f'{account}    name: "{value}"\n').config.accounts[0].name == value


WHOLE = "config.yaml:2:10: accounts[0].cdn: must be a whole number"
ZERO = f"; {LEADING_ZERO}"


@pytest.mark.parametrize(
    "value", ["0x9e", "0o17", "1_58", "1:30", "0b1", "1e3", "9" * 40, "2024-01-01", "158canary"]
)
def test_numbers_are_written_in_plain_digits(
    mistakes: ReadMistakes, account: str, value: str
) -> None:
    """Octal, hexadecimal and base-sixty numbers are not guessed at."""
    assert mistakes(account.replace("158", value)) == [f"{WHOLE} in plain digits"]


@pytest.mark.parametrize("value", ["0158", "010", "00", "-08", "'0158'"])
def test_a_number_begins_with_no_zero(mistakes: ReadMistakes, account: str, value: str) -> None:
    """`010` is 8 for YAML 1.1 and 10 for YAML 1.2."""
    assert mistakes(account.replace("158", value)) == [WHOLE + ZERO]


@pytest.mark.parametrize("value", ["05", "08", "08.5"])
def test_a_number_with_decimals_begins_with_no_zero_either(
    mistakes: ReadMistakes, account: str, value: str
) -> None:
    """What is octal or not depends on the digits, so both are refused."""
    found = mistakes(f"{account}api:\n  requests_per_second: '{value}'\n")
    assert found[0].startswith("config.yaml:6:24: api.requests_per_second: must be a number")


@pytest.mark.parametrize(("value", "number"), [(".5", 0.5), ("5.", 5.0), ("1.5e+1", 15.0)])
def test_both_sides_of_a_decimal_point_may_be_empty(
    load_text: LoadText, account: str, value: str, number: float
) -> None:
    """Both versions of YAML read these alike."""
    config = load_text(f"{account}api:\n  requests_per_second: {value}\n").config
    assert config.api.requests_per_second == number


@pytest.mark.parametrize("character", ["\u00a0", "\u200b", "\ufeff", "\u3000"])
def test_an_invisible_character_is_named(
    mistakes: ReadMistakes, account: str, character: str
) -> None:
    """A number or a key with a mistake that cannot be seen."""
    name = f"U+{ord(character):04X}"
    assert mistakes(account.replace("158", f"158{character}")) == [
        f"{WHOLE}; remove the invisible character in it ({name})"
    ]
    assert mistakes(f"{account}a{character}qqq: {{}}\n") == [
        f"config.yaml:5:1: ?: is not a known key; it holds an invisible character ({name})"
    ]


def test_a_duplicate_key_is_a_mistake_at_the_second(mistakes: ReadMistakes) -> None:
    """Both places are named, and the first value is checked as usual."""
    twice = "duplicate of line"
    assert mistakes("""\
accounts:
  - cdn: many
    api_key: canary
    api_secret: s
    cdn: 158
    api_key: canary
""") == [
        "config.yaml:2:10: accounts[0].cdn: must be a whole number",
        f"config.yaml:5:5: accounts[0].cdn: {twice} 2; remove one",
        f"config.yaml:6:5: accounts[0].api_key: {twice} 3; remove one",
    ]


@pytest.mark.parametrize("key", ["? [canary]\n    : x", "{canary: x}: x", "{{ canary }}"])
def test_a_key_must_be_text(mistakes: ReadMistakes, account: str, key: str) -> None:
    """A list or mapping as a key, as a template leaves it behind, is reported with its place."""
    lines = mistakes(f"{account}    {key}\n" if key[1] != "{" else f"api: {key}\n{account}")
    assert [line for line in lines if "has a key that is no text; write a key's name" in line]
    assert "canary" not in "".join(lines)


def test_a_byte_order_mark_is_no_mistake(load_text: LoadText, account: str) -> None:
    """Editors on Windows put it before the text."""
    assert load_text("\ufeff" + account).config.accounts[0].cdn == 158


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing.yaml", "missing.yaml: the configuration file does not exist"),
        ("empty", f"empty: {EMPTY_FOLDER}"),
        (
            "file/config.yaml",
            "file/config.yaml: the configuration file does not exist: a part of its path is a file",
        ),
        ("x" * 300, f"{'x' * 300}: the configuration file cannot be read: File name too long"),
        ("a\0b", f"a\0b: the configuration file {IMPOSSIBLE_FILE_NAME}"),
        ("/dev/null", "/dev/null: the configuration file is no regular file"),
        ("large.yaml", "large.yaml: the configuration file is larger than 4096 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_mistake_without_a_line(
    folder: Path, name: str, line: str
) -> None:
    """There is no line to show, so the file's name stands alone."""
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "large.yaml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError) as caught:
        load(Path(name), {})
    assert str(caught.value) == line
    assert caught.value.problems[0].line is None


def test_a_missing_permission_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says whose right is missing."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (folder / "config.yaml").touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        load(Path("config.yaml"), {})
    assert str(caught.value) == (
        "config.yaml: the configuration file may not be read by the user that runs the exporter; "
        "give that user the right"
    )


def test_a_configuration_can_come_through_a_pipe(folder: Path, account: str) -> None:
    """A shell's <(command) gives the name of a pipe."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(account,))
    writer.start()
    config = load(pipe, {}).config
    writer.join()
    assert config.accounts[0].cdn == 158


def _only_config_errors(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        with suppress(ConfigError):
            load(Path(file.name), {"A": "\udcff"})


@settings(deadline=None)  # a busy machine is no failure
@given(content=st.binary())
def test_any_bytes_are_a_configuration_or_a_config_error(content: bytes) -> None:
    """Nothing else is ever raised, for any content of the file."""
    _only_config_errors(content)


KEYS = [
    *(key for section in SECTIONS for key in section.model_fields),
    *("api_key_file", "api_secret_file", "<<", "x"),
]
PIECES = [
    *(f"{key}: " for key in KEYS),
    *("\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", "&a ", "*a", "'", '"', "|", ">", "\t"),
    *("158", "-1", "1.5", ".nan", "010", "true", "null", "2024-01-01", "1h", "${A}", "$", "${"),
    *("sestore1/a", "/", "..", "!!str ", "!", "%", "#", ":", "---", "\\", "http://[", "\ud7ff"),
]


@settings(deadline=None)  # a busy machine is no failure
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_pieces_of_yaml_are_a_configuration_or_a_config_error(pieces: list[str]) -> None:
    """Texts made of the configuration's own words reach every rule, and raise nothing else."""
    _only_config_errors("".join(pieces).encode())


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["${A}", "sestore4/jb", "1h", "video", "https://x/", "http://[::1"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is no failure
@given(value=st.fixed_dictionaries({}, optional=dict.fromkeys(["api", "accounts"], VALUES)))
def test_any_values_are_a_configuration_or_a_config_error(value: dict[str, object]) -> None:
    """Well-formed YAML with any value at any key raises nothing else either."""
    _only_config_errors(yaml.safe_dump(value).encode())
