"""What is allowed and seldom meant is a warning with its place, and the configuration is used."""

from pathlib import Path

import pytest

from tests.support.certificates import certify_expired
from tests.support.fixtures import LoadText
from tests.support.sentences import SERIES_GO, SHORT_STALE_AFTER


def warnings(load_text: LoadText, text: str) -> list[str]:
    """Return the lines of the warnings that a good configuration ends in."""
    return [str(warning) for warning in load_text(text).warnings]


def test_overlapping_paths_are_a_warning_at_the_inner_one(
    load_text: LoadText, account: str
) -> None:
    """Given a path below another, in any order and form, then the nearest above is named."""
    text = f"""{account}\
    files:
      paths:
        - sestore4/jb/archive/old
        - path: sestore4/jb
        - sestore4/jb/archive
        - sestore4/jbx
        - sestore5/jb
"""
    assert warnings(load_text, text) == [
        (
            "config.yaml:7:11: accounts[0].files.paths[0]: "
            "lies inside sestore4/jb/archive (line 9): their counts overlap"
        ),
        (
            "config.yaml:9:11: accounts[0].files.paths[2]: "
            "lies inside sestore4/jb (line 8): their counts overlap"
        ),
    ]


def test_paths_of_two_accounts_do_not_overlap(load_text: LoadText, account: str) -> None:
    """Each account has a storage of its own."""
    other = account.replace("accounts:\n", "").replace("158", "159")
    inner, outer = ("    files: {paths: [" + path + "]}\n" for path in ("sestore4/jb", "sestore4"))
    assert warnings(load_text, account + inner + other + outer) == []


@pytest.mark.parametrize("url", ["http://api.scaleengine.net/", "HTTP://10.0.0.1:80/stable/"])
def test_plain_http_is_a_warning(load_text: LoadText, account: str, url: str) -> None:
    """The key would travel in the clear."""
    assert warnings(load_text, f"{account}api:\n  url: {url}\n") == [
        (
            "config.yaml:6:8: api.url: "
            "is http: the API key travels where others can read it; write https://"
        )
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.scaleengine.net/",
        "HTTPS://api.scaleengine.net/",
        "http://localhost/",
        "http://api.localhost:8080/",
        "http://127.0.0.2:1/",
        "http://[::1]/",
    ],
)
def test_https_and_this_machine_are_no_warning(load_text: LoadText, account: str, url: str) -> None:
    """What stays on this machine needs no encryption."""
    assert warnings(load_text, f"{account}api:\n  url: {url}\n") == []


def test_a_stale_after_below_the_interval_is_a_warning(load_text: LoadText, account: str) -> None:
    """Given a stale_after below its interval, then both places are named."""
    text = f"""{account}\
    disk_usage: {{stale_after: 59m}}
    files: {{interval: 1m30s, stale_after: 1m29s}}
"""
    assert warnings(load_text, text) == [
        (
            "config.yaml:5:31: accounts[0].disk_usage.stale_after: "
            f"{SHORT_STALE_AFTER}, 1h: {SERIES_GO}"
        ),
        (
            "config.yaml:6:43: accounts[0].files.stale_after: "
            f"{SHORT_STALE_AFTER}, 1m30s: {SERIES_GO}"
        ),
    ]


def test_an_expired_authority_is_a_warning(load_text: LoadText, account: str, folder: Path) -> None:
    """No server whose certificate it signed is trusted any more."""
    end = certify_expired(folder)
    assert warnings(load_text, f"{account}api: {{ca_file: pem}}\n") == [
        (
            "config.yaml:5:16: api.ca_file: names a file that holds a certificate that expired on "
            f"{end:%Y-%m-%d at %H:%M} UTC; renew it"
        )
    ]


WILDCARD = "holds a wildcard, and '*' and '?' are plain characters here; write whole names"
HOME = "holds '~', which is not expanded to a home folder here; write the folder's name"
QUOTES = "holds quotes, which are a part of the name so; write it without, or in ' or \""
SPACE = "begins or ends with a space, or a folder in it does; write it without"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sestore4/*", WILDCARD),
        ("'sestore4/j?b'", WILDCARD),
        ("sestore4/~/jb", HOME),
        ("sestore4/“jb”", QUOTES),
        ("'sestore4/jb '", SPACE),
        ("sestore4/ jb/a", SPACE),
    ],
)
def test_an_implausible_name_is_a_warning(
    load_text: LoadText, account: str, name: str, sentence: str
) -> None:
    """ScaleEngine will not know it, and its poll can only fail."""
    text = f"{account}    files: {{paths: [{name}]}}\n    disk_usage: {{cpu_users: [{name}]}}\n"
    assert warnings(load_text, text) == [
        f"config.yaml:5:21: accounts[0].files.paths[0]: {sentence}",
        f"config.yaml:6:30: accounts[0].disk_usage.cpu_users[0]: {sentence}",
    ]


def test_a_stale_after_below_the_interval_of_a_path_is_a_warning(
    load_text: LoadText, account: str
) -> None:
    """A path's own interval counts, where it has one."""
    text = f"""{account}\
    files:
      paths:
        - {{path: sestore4/a, interval: 1h, stale_after: 59m}}
        - {{path: sestore4/b, stale_after: 1m}}
        - {{path: sestore4/c, interval: 1h}}
"""
    assert warnings(load_text, text) == [
        (
            "config.yaml:7:57: accounts[0].files.paths[0].stale_after: "
            f"{SHORT_STALE_AFTER}, 1h: {SERIES_GO}"
        ),
        (
            "config.yaml:8:43: accounts[0].files.paths[1].stale_after: "
            f"{SHORT_STALE_AFTER}, 15m: {SERIES_GO}"
        ),
    ]


def test_no_enabled_account_is_a_warning(load_text: LoadText, account: str) -> None:
    """A disabled account among others is no warning, also without its secrets."""
    parked = "  - {cdn: 7, enabled: false, api_secret_file: missing}\n"
    assert warnings(load_text, account + parked) == []
    assert warnings(load_text, "accounts:\n" + parked) == [
        "config.yaml:2:3: accounts: are all disabled: nothing is polled; remove an 'enabled: false'"
    ]
