"""Every mistake in a configuration gets its place and a sentence that says what to write."""

from pathlib import Path

import pytest
from pydantic_core import ErrorDetails

from exporter.config.loading import MESSAGES
from exporter.yamlfile.models import choose_message
from tests.support.fixtures import LoadText, ReadMistakes
from tests.support.sentences import (
    BARE_NUMBER,
    BOOLEAN_EXPECTED,
    EMPTY_VALUE,
    IS_FOLDER,
    KEY_OF_ANOTHER_PLACE,
    NEEDS_QUOTES,
    NO_DURATION,
    NO_LIST,
    NO_MAPPING,
    NO_SIZE,
    NO_STORE,
    NO_SUCH_KEY,
    NOTHING_LISTED,
    ORDER_OF_UNITS,
    UNKNOWN_KEY,
)

NO_UNIT = f"{NO_DURATION}: {BARE_NUMBER}"
UNITS = f"{NO_DURATION}: units are y w d h m s ms, {ORDER_OF_UNITS}"
A_URL = "must be a URL such as https://api.scaleengine.net/stable/"
DOTS = "must not hold '.' or '..'; write the path itself, such as sestore4/jb"
SLASH = "must not end with a slash or hold two together; write sestore4/jb"
CONTROL = "must not hold control characters or line breaks"
TYPES = "write one of video, audio, smil, valid, invalid, includeinvalid, deleted"
SIZE = f"{NO_SIZE}: units are B kB MB GB TB PB KiB MiB GiB TiB PiB"
LABEL = "is not the name of a label; write letters, digits and '_', with no digit first"
TAKEN = "is a label that Prometheus or the exporter sets; write another name"
ACCOUNT_KEYS = (
    "cdn, name, enabled, labels, api_key, api_secret, disk_usage, files, api_key_file, "
    "api_secret_file"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("url: ftp://host/", "8: api.url: must begin with https://"),
        ("url: api.scaleengine.net", "8: api.url: must begin with https://"),
        ("url: https://", f"8: api.url: {A_URL}"),
        ("url: https://host:0/", f"8: api.url: {A_URL}"),
        ("url: https://host:port/", f"8: api.url: {A_URL}"),
        ("url: https://[::1/", f"8: api.url: {A_URL}"),
        ("url: https://ho st/", f"8: api.url: {A_URL}"),
        (
            "url: https://me:canary@host/",
            "8: api.url: must hold no user and password; write the host alone after https://",
        ),
        *(
            (
                f"url: https://host/{end}",
                "8: api.url: must end with the path; remove what begins with '?' or '#'",
            )
            for end in ("?key=canary", "#canary", "?")
        ),
        ('url: ""', "8: api.url: must not be empty"),
        ('url: "https://host/\\n"', f"8: api.url: {CONTROL}"),
        ("url: 3", f"8: api.url: {NEEDS_QUOTES}"),
        ("url: [x]", "8: api.url: must be text"),
        ("timeout: 30", f"12: api.timeout: {NO_UNIT}"),
        ("timeout: 0", f"12: api.timeout: {NO_UNIT}"),
        ("timeout: 1.5", f"12: api.timeout: {NO_UNIT}"),
        ("timeout: 0s", "12: api.timeout: must be from 1ms to 10m"),
        ("timeout: 11m", "12: api.timeout: must be from 1ms to 10m"),
        ("timeout: -3s", f"12: api.timeout: {NO_DURATION}, not negative"),
        ("timeout: fast", f"12: api.timeout: {UNITS}"),
        ("timeout: 1:30", f"12: api.timeout: {NO_DURATION}"),
        ("timeout: true", f"12: api.timeout: {NO_DURATION}"),
        ("timeout: null", f"12: api.timeout: {NO_DURATION}"),
        ("timeout: [3s]", f"12: api.timeout: {NO_DURATION}"),
        ("concurrency: 0", "16: api.concurrency: must be at least 1"),
        ("concurrency: 65", "16: api.concurrency: must be at most 64"),
        ("concurrency: many", "16: api.concurrency: must be a whole number"),
        ("concurrency: 4.0", "16: api.concurrency: must be a whole number"),
        ("concurrency: true", "16: api.concurrency: must be a whole number"),
        ("concurrency: null", f"16: api.concurrency: must be a whole number; {EMPTY_VALUE}"),
        ("requests_per_second: 0", "24: api.requests_per_second: must be more than 0"),
        ("requests_per_second: -1", "24: api.requests_per_second: must be more than 0"),
        ("requests_per_second: 1001", "24: api.requests_per_second: must be at most 1000"),
        ("requests_per_second: no", "24: api.requests_per_second: must be a number"),
        (
            "requests_per_second: .nan",
            "24: api.requests_per_second: must be a number in plain digits",
        ),
        ("max_workers: 0", "16: api.max_workers: must be at least 1"),
        ("max_workers: 1001", "16: api.max_workers: must be at most 1000"),
        ("max_requests_per_poll: 0", "26: api.max_requests_per_poll: must be at least 1"),
        ("ca_file: ca.pem", "12: api.ca_file: names a file that does not exist"),
        ("ca_file: .", f"12: api.ca_file: names a file that {IS_FOLDER}"),
        (
            "ca_file: empty.pem",
            "12: api.ca_file: names a file that holds no certificate in PEM form",
        ),
        ('ca_file: ""', "12: api.ca_file: must not be empty"),
        ("ca_file: false", f"12: api.ca_file: {NEEDS_QUOTES}"),
        ("tiemout: 3s", f"3: api.tiemout: {UNKNOWN_KEY} 'timeout'?"),
        (
            "to: 3s",
            (
                f"3: api.to: {NO_SUCH_KEY} url, timeout, concurrency, "
                "max_workers, requests_per_second, max_requests_per_poll, ca_file"
            ),
        ),
        ("Time-out: 3s", f"3: api.Time-out: {UNKNOWN_KEY} 'timeout'?"),
        (
            "interval: 3s",
            (
                f"3: api.interval: {KEY_OF_ANOTHER_PLACE} "
                "under disk_usage or under files or under paths; check its indentation"
            ),
        ),
        (
            "CANARY: x",
            (
                f"3: api.?: {NO_SUCH_KEY} url, timeout, concurrency, "
                "max_workers, requests_per_second, max_requests_per_poll, ca_file"
            ),
        ),
    ],
)
def test_mistakes_in_the_api_section_have_a_place_and_a_message(
    mistakes: ReadMistakes, account: str, folder: Path, text: str, line: str
) -> None:
    """Given one bad value below `api`, then its line, column, key and message are reported."""
    (folder / "empty.pem").touch()
    assert mistakes(f"{account}api:\n  {text}\n") == [f"config.yaml:6:{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: ''", "5:11: accounts[0].name: must not be empty"),
        ("name: |\n      two\n      lines", f"5:11: accounts[0].name: {CONTROL}"),
        ('name: "\\ud800"', f"5:11: accounts[0].name: {CONTROL}"),
        ("name: ", f"5:10: accounts[0].name: must be text; {EMPTY_VALUE}"),
        ("name: [a]", "5:11: accounts[0].name: must be text"),
        (
            "disk_usage:",
            f"5:16: accounts[0].disk_usage: {NO_MAPPING}; {EMPTY_VALUE}",
        ),
        ("disk_usage: on", f"5:17: accounts[0].disk_usage: {NO_MAPPING}"),
        (
            "disk_usage: {enabled: maybe}",
            f"5:27: accounts[0].disk_usage.enabled: {BOOLEAN_EXPECTED}",
        ),
        (
            "disk_usage: {interval: 500ms}",
            "5:28: accounts[0].disk_usage.interval: must be from 1s to 1y",
        ),
        (
            "disk_usage: {stale_after: 5}",
            f"5:31: accounts[0].disk_usage.stale_after: {NO_UNIT}",
        ),
        (
            "disk_usage: {stale_after: 11y}",
            "5:31: accounts[0].disk_usage.stale_after: must be from 1s to 10y",
        ),
        (
            "disk_usage: {cpu_users: jb}",
            f"5:29: accounts[0].disk_usage.cpu_users: {NO_LIST}",
        ),
        (
            "disk_usage: {cpu_users: [jb, '']}",
            "5:34: accounts[0].disk_usage.cpu_users[1]: must not be empty",
        ),
        (
            "disk_usage: {cpu_users: [jb, x, jb]}",
            "5:37: accounts[0].disk_usage.cpu_users[2]: duplicate of line 5; remove one",
        ),
        (
            "disk_usage: {enabled: false}",
            (
                "2:5: accounts[0]: polls nothing; "
                "set disk_usage.enabled to true, or name paths in files.paths"
            ),
        ),
        (
            "disk_usage: {enabled: 'false'}\n    files: {paths: []}",
            (
                "2:5: accounts[0]: polls nothing; "
                "set disk_usage.enabled to true, or name paths in files.paths"
            ),
        ),
        (
            "files: [sestore4/jb]",
            f"5:12: accounts[0].files: {NO_MAPPING}",
        ),
        (
            "disk_usage: {quotas: {Jb2: 5XB}}",
            f"5:32: accounts[0].disk_usage.quotas.Jb2: {SIZE}",
        ),
        (
            "disk_usage: {quotas: {'a \"b': x}}",
            f'5:35: accounts[0].disk_usage.quotas."a \\"b": {NO_SIZE}',
        ),
        (
            "files: {paths: {sestore4/jb: {file_types: [video]}}}",
            (
                "5:20: accounts[0].files.paths: must be a list; write '- path: ' before each path, "
                "and its other keys below 'path'"
            ),
        ),
        (
            "files: {paths: [sestore4/jb: {file_types: [video]}]}",
            (
                "5:21: accounts[0].files.paths[0]: has a path as a key; write '- path: ' and the "
                "path, and its other keys below 'path'"
            ),
        ),
        (
            "files: {sestore4/jb: {}}",
            (
                "5:13: accounts[0].files.sestore4/jb: is not a known key; a path is an item of a "
                "list: write it below files.paths"
            ),
        ),
        (
            "“cdn”: 1",
            (
                '5:5: accounts[0]."“cdn”": is not a known key; it holds typographic quotes '
                "(U+201C), write it without"
            ),
        ),
        (
            "Disk Usage: {}",
            f"5:5: accounts[0].\"Disk Usage\": {UNKNOWN_KEY} 'disk_usage'?",
        ),
        (
            f"{'8fc8c48d' * 4}: 1",
            f"5:5: accounts[0].?: {NO_SUCH_KEY} {ACCOUNT_KEYS}",
        ),
        ("enabled: maybe", f"5:14: accounts[0].enabled: {BOOLEAN_EXPECTED}"),
        ("labels: [a]", f"5:13: accounts[0].labels: {NO_MAPPING}"),
        ("labels: {n: 1}", f"5:17: accounts[0].labels.n: {NEEDS_QUOTES}"),
        ("labels: {n: ''}", "5:17: accounts[0].labels.n: must not be empty"),
        ('labels: {n: "a\\nb"}', f"5:17: accounts[0].labels.n: {CONTROL}"),
        *(
            (f"labels: {{{name}: x}}", f"5:{16 + len(name)}: accounts[0].labels.{name}: {LABEL}")
            for name in ("ä", "1a", "a-b")
        ),
        *(
            (f"labels: {{{name}: x}}", f"5:{16 + len(name)}: accounts[0].labels.{name}: {TAKEN}")
            for name in ("__a", "account", "cdn", "job", "instance")
        ),
        (
            "<<: {name: x}",
            "5:5: accounts[0].<<: merging with '<<' is not known here; write the keys out",
        ),
    ],
)
def test_mistakes_in_an_account_have_a_place_and_a_message(
    mistakes: ReadMistakes, account: str, text: str, line: str
) -> None:
    """Given one bad value in an account, then its line, column, key and message are reported."""
    assert mistakes(f"{account}    {text}\n") == [f"config.yaml:{line}"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/sestore4/jb", "must not begin with a slash; write sestore4/jb for a folder jb"),
        ("jb", NO_STORE),
        ("sestore/jb", NO_STORE),
        ("sestore4x/jb", NO_STORE),
        ("Sestore4/jb", NO_STORE),
        ("sestore\uff14/jb", NO_STORE),
        ("sestore4/jb/", SLASH),
        ("sestore4//jb", SLASH),
        ("sestore4/./jb", DOTS),
        ("sestore4/../jb", DOTS),
        ("''", "must not be empty"),
        ('"sestore4/j\\tb"', CONTROL),
        ("158", NEEDS_QUOTES),
    ],
)
def test_mistakes_in_a_path_have_a_place_and_a_message(
    mistakes: ReadMistakes, account: str, path: str, line: str
) -> None:
    """A path begins with its sestore and is written in one way only, in both forms."""
    long_form = mistakes(f"{account}    files:\n      paths:\n        - path: {path}\n")
    assert long_form == [f"config.yaml:7:17: accounts[0].files.paths[0].path: {line}"]
    if path != "158":
        short_form = mistakes(f"{account}    files:\n      paths:\n        - {path}\n")
        assert short_form == [f"config.yaml:7:11: accounts[0].files.paths[0]: {line}"]


@pytest.mark.parametrize("path", ["sestore4", "sestore12/jb/a b", "sestore4/.a/..b", "sestore0/é"])
def test_a_path_can_be_a_whole_store_or_any_folder(
    load_text: LoadText, account: str, path: str
) -> None:
    """Names of folders are free."""
    loaded = load_text(f"{account}    files:\n      paths:\n        - {path}\n")
    assert loaded.config.accounts[0].files.paths[0].path == path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("file_types: []", f"8:23: {{}}.file_types: {NOTHING_LISTED}"),
        ("file_types: video", f"8:23: {{}}.file_types: {NO_LIST}"),
        ("file_types: [film]", f"8:24: {{}}.file_types[0]: is not a file type; {TYPES}"),
        ("file_types: [null]", f"8:24: {{}}.file_types[0]: is not a file type; {TYPES}"),
        (
            "file_types: [video, audio, video]",
            "8:38: {}.file_types[2]: duplicate of line 8; remove one",
        ),
        ("folder_depth: 0", "8:25: {}.folder_depth: must be at least 1"),
        ("folder_depth: all", "8:25: {}.folder_depth: must be a whole number"),
        ("max_folders: 0", "8:24: {}.max_folders: must be at least 1"),
        ("depth: 1", f"8:11: {{}}.depth: {UNKNOWN_KEY} 'folder_depth'?"),
        ("file_type_s: 1", f"8:11: {{}}.file_type_s: {UNKNOWN_KEY} 'file_types'?"),
    ],
)
def test_mistakes_in_the_long_form_of_a_path_have_a_place_and_a_message(
    mistakes: ReadMistakes, account: str, text: str, line: str
) -> None:
    """Given one bad value next to a path, then its line, column, key and message are reported."""
    lines = mistakes(
        f"{account}    files:\n      paths:\n        - path: sestore4/jb\n          {text}\n"
    )
    assert lines == ["config.yaml:" + line.format("accounts[0].files.paths[0]")]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("qqqq: 1\n", "1:1: qqqq"),
        ("api:\n  qqqq: 1\n", "2:3: api.qqqq"),
        ("limits:\n  qqqq: 1\n", "2:3: limits.qqqq"),
        ("log:\n  qqqq: 1\n", "2:3: log.qqqq"),
        ("accounts:\n  - qqqq: 1\n", "2:5: accounts[0].qqqq"),
        ("accounts:\n  - disk_usage: {qqqq: 1}\n", "2:18: accounts[0].disk_usage.qqqq"),
        ("accounts:\n  - files: {qqqq: 1}\n", "2:13: accounts[0].files.qqqq"),
        ("accounts:\n  - files: {paths: [{qqqq: 1}]}\n", "2:22: accounts[0].files.paths[0].qqqq"),
    ],
)
def test_each_section_names_its_keys_where_one_is_unknown(
    mistakes: ReadMistakes, section: str, line: str
) -> None:
    """Given a key like no other, then the message has its place, and that it is not known."""
    found = [mistake for mistake in mistakes(section) if "qqqq" in mistake]
    assert [mistake.rpartition(": is not a known key")[0] for mistake in found] == [
        "config.yaml:" + line
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("listen: ':80'", "5:1: listen: {}; the flag --web.listen-address sets the address"),
        ("listen-address: x", "5:1: listen-address: {}; the flag --web.listen-address sets the "),
        ("metrics_path: /m", "5:1: metrics_path: {}; the flag --web.telemetry-path sets the path"),
        ("log: {format: json}", "5:7: log.format: {}; the flag --log.format sets the format"),
    ],
)
def test_a_setting_that_is_a_flag_names_the_flag(
    mistakes: ReadMistakes, account: str, text: str, line: str
) -> None:
    """Another exporter may have it in its file."""
    (found,) = mistakes(f"{account}{text}\n")
    assert found.startswith("config.yaml:" + line.format("is not a known key"))


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> other"])
def test_a_conflict_marker_is_named(mistakes: ReadMistakes, account: str, marker: str) -> None:
    """Git leaves three of them where a merge needs a decision."""
    (found,) = mistakes(f"{account}{marker}\n{account}")
    assert found.startswith("config.yaml:5:1: is a conflict marker of a merge; keep one")


@pytest.mark.parametrize("key", ["api_key_file: ~/key", "api_key_file: ../~/key"])
def test_a_tilde_is_not_expanded(mistakes: ReadMistakes, account: str, key: str) -> None:
    """A shell replaces it, a file is read as it is."""
    (found,) = mistakes(account.replace("api_key: key", key))
    assert found.endswith(
        "does not exist; '~' is not expanded to a home folder here, write the whole path"
    )


def test_an_unknown_validation_error_has_a_message() -> None:
    """A newer pydantic may refuse a value for a reason with a name of its own."""
    error = ErrorDetails(type="novel", loc=("api", "url"), msg="canary", input="canary")
    assert choose_message(error, MESSAGES) == "is not valid here; see config.example.yaml"
