"""What is missing, what stands twice, and all mistakes together, each with its place."""

from pathlib import Path

import pytest

from exporter.config import ConfigError, Problem, load
from tests.support.fixtures import ReadMistakes
from tests.support.sentences import (
    BARE_NUMBER,
    EMPTY_VALUE,
    FILE_WITH_VALUE,
    NAME_ACCOUNTS,
    NO_ACCOUNT,
    NO_DURATION,
    NO_LIST,
    NO_MAPPING,
    NO_STORE,
    NOTHING_LISTED,
    SAME_ACCOUNT,
    SECRET_WITH_SPACE,
    UNKNOWN_KEY,
    UNSET_VARIABLE,
)

NO_UNIT = f"{NO_DURATION}: {BARE_NUMBER}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("api: {}", [f"1:1: accounts: {NO_ACCOUNT}"]),
        ("accounts: []", [f"1:11: accounts: {NOTHING_LISTED}"]),
        ("accounts: {cdn: 1}", [f"1:11: accounts: {NO_LIST}"]),
        (
            "accounts:",
            [f"1:10: accounts: {NO_LIST}; {EMPTY_VALUE}"],
        ),
        ("accounts: [main]", [f"1:12: accounts[0]: {NO_MAPPING}"]),
        (
            "accounts:\n  - name: main",
            [
                (f"2:5: accounts[0].api_key: is missing; write it, or api_key{FILE_WITH_VALUE}"),
                (
                    "2:5: accounts[0].api_secret: is missing; write it, "
                    f"or api_secret{FILE_WITH_VALUE}"
                ),
                "2:5: accounts[0].cdn: is missing; write the CDN number of the account",
            ],
        ),
        (
            "accounts:\n  - {cdn: 1, api_key: k, api_secret: s, files: {paths: [{}]}}",
            [
                (
                    "2:57: accounts[0].files.paths[0].path: is missing; "
                    "write the path to count, such as sestore4/jb"
                )
            ],
        ),
    ],
)
def test_a_missing_key_is_reported_at_its_section(
    mistakes: ReadMistakes, text: str, lines: list[str]
) -> None:
    """The place is the key above what is missing, or the beginning of the list's item."""
    assert mistakes(text) == [f"config.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        ("name: main", "name: main", f"6:11: accounts[1].name: {SAME_ACCOUNT} 2"),
        ("cdn: 158", "cdn: 158", f"6:10: accounts[1].cdn: {SAME_ACCOUNT} 2"),
        ("name: '2'", "cdn: 2", f"6:10: accounts[1].cdn: {SAME_ACCOUNT} 2"),
        ("cdn: 1", "name: '1'", f"6:11: accounts[1].name: {SAME_ACCOUNT} 2"),
    ],
)
def test_two_accounts_of_one_name_are_a_mistake(
    mistakes: ReadMistakes, first: str, second: str, line: str
) -> None:
    """The name that counts is the one written, or else the CDN number."""
    text = "accounts:"
    for number, named in enumerate((first, second), start=1):
        own_cdn = "" if "cdn" in named else f"\n    cdn: {number}"
        blank = "" if own_cdn else "\n"
        text += f"\n  - {named}{own_cdn}{blank}\n    api_key: k\n    api_secret: s"
    assert mistakes(text) == [f"config.yaml:{line}; {NAME_ACCOUNTS}"]


def test_one_path_twice_in_an_account_is_a_mistake(mistakes: ReadMistakes, account: str) -> None:
    """The second is reported, in whichever form it is written; another account may have it too."""
    paths = """\
    files:
      paths:
        - sestore4/jb
        - path: sestore4/jb
          file_types: [audio]
        - sestore4/jb
"""
    other = account.replace("accounts:\n", "").replace("158", "159") + (
        "    files: {paths: [sestore4/jb]}\n"
    )
    assert mistakes(account + paths + other) == [
        ("config.yaml:8:17: accounts[0].files.paths[1].path: duplicate of line 7; remove one"),
        "config.yaml:10:11: accounts[0].files.paths[2]: duplicate of line 7; remove one",
    ]


def test_all_mistakes_are_reported_at_once_in_order(mistakes: ReadMistakes) -> None:
    """Given mistakes of every kind, then one attempt shows them all."""
    assert mistakes("""\
apy: {}
accounts:
  - cdn: one
    name: main
    api_key: ${UNSET}
    api_secret_file: nowhere
    disk_usage:
      interval: 90
      intervall: 1h
    files:
      paths: [sestore4/a, sestore4/a, jb, {}]
  - cdn: 2
    cdn: 3
    name: main
    api_key: a b
    api_secret: s
""") == [
        f"config.yaml:1:1: apy: {UNKNOWN_KEY} 'api'?",
        "config.yaml:3:10: accounts[0].cdn: must be a whole number",
        (f"config.yaml:5:14: accounts[0].api_key: the environment variable UNSET {UNSET_VARIABLE}"),
        "config.yaml:6:22: accounts[0].api_secret_file: names a file that does not exist",
        f"config.yaml:8:17: accounts[0].disk_usage.interval: {NO_UNIT}",
        (f"config.yaml:9:7: accounts[0].disk_usage.intervall: {UNKNOWN_KEY} 'interval'?"),
        "config.yaml:11:27: accounts[0].files.paths[1]: duplicate of line 11; remove one",
        f"config.yaml:11:39: accounts[0].files.paths[2]: {NO_STORE}",
        (
            "config.yaml:11:43: accounts[0].files.paths[3].path: is missing; "
            "write the path to count, such as sestore4/jb"
        ),
        "config.yaml:13:5: accounts[1].cdn: duplicate of line 12; remove one",
        (f"config.yaml:14:11: accounts[1].name: {SAME_ACCOUNT} 4; {NAME_ACCOUNTS}"),
        (f"config.yaml:15:14: accounts[1].api_key: {SECRET_WITH_SPACE}"),
    ]


def test_the_error_holds_each_problem_as_values(folder: Path, account: str) -> None:
    """A caller gets file, line, column, key and sentence apart."""
    file = folder / "own.yaml"
    file.write_text(account.replace("158", "many"))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.problems == (
        Problem(str(file), 2, 10, "accounts[0].cdn", "must be a whole number"),
    )
