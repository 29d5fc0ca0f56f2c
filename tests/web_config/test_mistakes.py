"""What is no web configuration is refused with place and sentence, all mistakes at once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.web.config_file import WebConfig, load_web_config
from exporter.yamlfile.problems import ConfigError
from tests.support.sentences import (
    BARE_NUMBER,
    BOOLEAN_EXPECTED,
    COLON,
    IS_FOLDER,
    NO_DURATION,
    NO_MAPPING,
    NO_SUCH_KEY,
    UNKNOWN_KEY,
)

Load = Callable[[str], WebConfig]
Mistakes = Callable[[str], list[str]]

GOOD_TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
HEADERS = (
    "Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, "
    "Strict-Transport-Security"
)
NO_HASH = "is no bcrypt hash; htpasswd -nBC 10 USER writes one, after the colon"
COST = "; bcrypt knows 4 to 31"
HASH = "$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"
NO_INTERVAL = "is missing; write the time for one request, such as 1s"
NO_BURST = "is missing; write how many requests may come at once"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{headers: {X-Frame-Options: allow}}", "49: {}: must be 'deny', 'sameorigin' or ''"),
        ("{headers: {X-Content-Type-Options: sniff}}", "56: {}: must be 'nosniff' or ''"),
        (
            "{headers: {Server: x}}",
            f"32: {{}}: {NO_SUCH_KEY} {HEADERS}",
        ),
        (
            "{headers: {x-frame-options: deny}}",
            f"32: {{}}: {UNKNOWN_KEY} 'X-Frame-Options'?",
        ),
        (
            '{headers: {Content-Security-Policy: "a\\r\\nb: c"}}',
            "57: {}: must hold only ASCII characters, and no line breaks",
        ),
        (
            "{headers: {Content-Security-Policy: é}}",
            "57: {}: must hold only ASCII characters, and no line breaks",
        ),
        ("{headers: {X-XSS-Protection: [x]}}", "50: {}: must be text"),
        ("{headers: {Server: }}", f"32: {{}}: {NO_SUCH_KEY} {HEADERS}"),
        ("{http2: 1}", f"29: {{}}.http2: {BOOLEAN_EXPECTED}"),
    ],
)
def test_mistakes_in_http_have_a_place_and_a_message(
    mistakes: Mistakes, text: str, line: str
) -> None:
    """Only the five headers, with values that they can have, and HTTP/1.1."""
    header = text.rsplit("{", maxsplit=1)[-1].split(":", maxsplit=1)[0]
    place = f"http_server_config{'' if header == 'http2' else '.headers.' + header}"
    assert mistakes(f"http_server_config: {text}\n") == [f"web.yml:1:{line.format(place)}"]


@pytest.mark.parametrize(
    ("users", "line"),
    [
        ("[a]", f"19: basic_auth_users: {NO_MAPPING}"),
        ("{jane: canary}", f"26: basic_auth_users.jane: {NO_HASH}"),
        ("{jane: }", "25: basic_auth_users.jane: must be text: a bcrypt hash"),
        ("{jane: 5}", f"26: basic_auth_users.jane: {NO_HASH}"),
        ("{jane: ''}", f"26: basic_auth_users.jane: {NO_HASH}"),
        ("''", f"19: basic_auth_users: {NO_MAPPING}"),
        (f"{{jane: {HASH}x}}", f"26: basic_auth_users.jane: {NO_HASH}"),
        (f"{{jane: {HASH[:-1]}}}", f"26: basic_auth_users.jane: {NO_HASH}"),
        (f"{{jane: {HASH.replace('2b', '2x')}}}", f"26: basic_auth_users.jane: {NO_HASH}"),
        (
            f"{{jane: {HASH.replace('04', '32')}}}",
            f"26: basic_auth_users.jane: has a cost of 32{COST}",
        ),
        (
            f"{{jane: {HASH.replace('04', '03')}}}",
            f"26: basic_auth_users.jane: has a cost of 3{COST}",
        ),
        (
            f"{{jane: {HASH.replace('......................', '9' * 22)}}}",
            "26: basic_auth_users.jane: is a broken bcrypt hash: no such salt is ever made",
        ),
        (
            f"{{'a:b': {HASH}}}",
            (
                "27: basic_auth_users.?: names a user that no client can; "
                "a name has no ':' or control characters"
            ),
        ),
    ],
)
def test_mistakes_in_users_have_a_place_and_a_message(
    mistakes: Mistakes, users: str, line: str
) -> None:
    """A hash that could never match, or would take too long, is reported when the file is read."""
    assert mistakes(f"basic_auth_users: {users}\n") == [f"web.yml:1:{line}"]


@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        ("{burst: 1}", [f"1: rate_limit.interval: {NO_INTERVAL}"]),
        ("{burst: 1, interval: }", [f"24: rate_limit.interval: {NO_INTERVAL}"]),
        ("{interval: 1s}", [f"1: rate_limit.burst: {NO_BURST}"]),
        ("{interval: 1s, burst: ~}", [f"28: rate_limit.burst: {NO_BURST}"]),
        (
            "{burst: x, interval: 1}",
            [
                "21: rate_limit.burst: must be a whole number",
                f"34: rate_limit.interval: {NO_DURATION}: {BARE_NUMBER}",
            ],
        ),
        (
            "{burst: 1.5, interval: 1s}",
            ["21: rate_limit.burst: must be a whole number in plain digits"],
        ),
        ("{burst: -1, interval: 0}", ["21: rate_limit.burst: must be at least 0"]),
        ("{burst: 1, interval: [1s]}", [f"34: rate_limit.interval: {NO_DURATION}"]),
        ("{burst: 1, interval: 2d}", ["34: rate_limit.interval: must be from 0s to 1d"]),
        ("{burst: 1, interval: 25h}", ["34: rate_limit.interval: must be from 0s to 1d"]),
        (
            "{x: 0}",
            [
                f"1: rate_limit.interval: {NO_INTERVAL}",
                f"1: rate_limit.burst: {NO_BURST}",
                f"14: rate_limit.x: {NO_SUCH_KEY} interval, burst",
            ],
        ),
    ],
)
def test_mistakes_in_the_rate_limit_have_a_place_and_a_message(
    mistakes: Mistakes, limit: str, lines: list[str]
) -> None:
    """Both keys are needed: one alone would be ignored, or would let no client in."""
    assert mistakes(f"rate_limit: {limit}\n") == [f"web.yml:1:{line}" for line in lines]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "junk: 1\n",
            (
                f"1:1: junk: {NO_SUCH_KEY} tls_server_config, "
                "http_server_config, basic_auth_users, rate_limit"
            ),
        ),
        (
            "tls_config: {}\n",
            f"1:1: tls_config: {UNKNOWN_KEY} 'tls_server_config'?",
        ),
        ("tls_server_config: ''\n", f"1:20: tls_server_config: {NO_MAPPING}"),
        ("rate_limit: []\n", f"1:13: rate_limit: {NO_MAPPING}"),
        (
            "junk:\n",
            (
                f"1:1: junk: {NO_SUCH_KEY} tls_server_config, "
                "http_server_config, basic_auth_users, rate_limit"
            ),
        ),
        (
            "- x\n",
            (
                "1:1: must begin with a key: tls_server_config, http_server_config, "
                "basic_auth_users or rate_limit"
            ),
        ),
        ("rate_limit: {}\nrate_limit: {}\n", None),
        (
            "a: b: c\n",
            f"1:5: {COLON}",
        ),
    ],
)
def test_unknown_and_duplicate_keys_have_a_place_and_a_message(
    mistakes: Mistakes, text: str, line: str | None
) -> None:
    """Unknown keys, keys that stand twice and what is no YAML are reported as in config.yaml."""
    found = mistakes(text)
    if line is None:
        assert found[-1] == ("web.yml:2:1: rate_limit: duplicate of line 1; remove one")
    else:
        assert found == [f"web.yml:{line}"]


def test_all_mistakes_are_reported_at_once(mistakes: Mistakes) -> None:
    """Given a mistake in each section, then each is reported, a key that does not fit included."""
    text = """\
tls_server_config: {cert_file: server.pem, key_file: successor.key, max_version: TLS9}
http_server_config: {http2: maybe}
basic_auth_users: {jane: x}
rate_limit: {interval: soon, burst: 1}
"""
    assert [line.split(": ")[1] for line in mistakes(text)] == [
        "tls_server_config.max_version",
        "http_server_config.http2",
        "basic_auth_users.jane",
        "rate_limit.interval",
    ]
    assert [line.split(": ")[1] for line in mistakes(text.replace(", max_version: TLS9", ""))] == [
        "tls_server_config.key_file",
        "http_server_config.http2",
        "basic_auth_users.jane",
        "rate_limit.interval",
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing.yml", "missing.yml: the web configuration file does not exist"),
        (".", f".: the web configuration file {IS_FOLDER}"),
        ("pipe", "pipe: the web configuration file is no regular file"),
    ],
)
def test_a_file_that_cannot_be_read_again_is_refused(folder: Path, name: str, line: str) -> None:
    """A pipe gives its text only once, so it is refused like a missing file."""
    os.mkfifo(folder / "pipe")
    with pytest.raises(ConfigError) as caught:
        load_web_config(Path(name))
    assert str(caught.value) == line


def test_a_lack_of_memory_is_reported(mistakes: Mistakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no file descriptor for OpenSSL to read from, then that is reported, not raised."""

    def refuse(_: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert mistakes(GOOD_TLS) == [
        (
            "web.yml:2:14: tls_server_config.cert_file: "
            "cannot be handed to OpenSSL: Too many open files"
        )
    ]


def test_no_key_and_no_hash_is_ever_shown(folder: Path, load: Load, mistakes: Mistakes) -> None:
    """Neither the configuration's text form nor an error holds a key or a hash."""
    key = (folder / "server.key").read_text()
    inline = key.replace("\n", "\n    ")
    text = f"tls_server_config:\n  cert_file: server.pem\n  key: |\n    {inline}\n"
    users = f"basic_auth_users: {{jane: {HASH}}}\n"
    assert HASH not in repr(load(text + users))
    assert key.splitlines()[1] not in repr(load(text + users))
    messages = "".join(mistakes(text + users + "junk: 1\n"))
    assert HASH not in messages
    assert key.splitlines()[1] not in messages
