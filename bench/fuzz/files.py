"""The configuration and the web config file against any text: a mistake has its place.

What comes out is a configuration, or a ConfigError whose problems each name the file, a line and a
column of it, on one line, and show nothing of a secret.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml
from hypothesis import strategies as st

from bench.fuzz.target import Target
from exporter.config import load
from exporter.web.config_file import load_web_config
from exporter.yamlfile.problems import ConfigError

_CANARY: Final = "c4n4ryS3cret"
_HASH: Final = "$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"

_CONFIG_KEYS: Final = [
    *("api", "url", "timeout", "concurrency", "requests_per_second", "max_requests_per_poll"),
    *("ca_file", "log", "level", "accounts", "name", "cdn", "api_key", "api_secret", "<<"),
    *("api_key_file", "api_secret_file", "disk_usage", "enabled", "interval", "cpu_users", "*"),
    *("stale_after", "quotas", "files", "paths", "path", "file_types", "folder_depth", "limits"),
    *("max_folders", "users_per_account", "folders_per_path", "label_length", "x"),
]
_CONFIG_WORDS: Final = [
    *("158", "1h30m", "0s", "1e400", "-1", "99999999999999999999", ".inf", ".nan", "2TB", "video"),
    *("sestore4/jb", "sestore4/../x", "sestore", "https://h/", "http://[::1", "https://u:p@h/x"),
    *("${HOME_X}", "${", "$$", "secret", "/dev/null", ".", "debug", "true", "null", "2026-01-01"),
]
_WEB_KEYS: Final = [
    *("tls_server_config", "cert_file", "key_file", "client_auth_type", "client_ca_file", "x"),
    *("min_version", "max_version", "cipher_suites", "curve_preferences", "<<", "cert", "key"),
    *("client_allowed_sans", "prefer_server_cipher_suites", "http_server_config", "http2"),
    *("headers", "basic_auth_users", "rate_limit", "interval", "burst", "prometheus"),
    *("Strict-Transport-Security", "X-Frame-Options", "Content-Security-Policy"),
]
_WEB_WORDS: Final = [
    *(_HASH, "TLS12", "TLS13", "TLS10", "RequireAndVerifyClientCert", "X25519", "deny", "1s", "0"),
    *("-1", "1e400", "/dev/null", ".", "true", "null", "2026-01-01", "web.yml"),
]
_MARKS: Final = [
    *(
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "'",
        '"',
        "|",
        ">",
        "\t",
        "? ",
    ),
    *(
        "!!str ",
        "!!binary ",
        "!x ",
        "#",
        ":",
        ", ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "${A}",
        "\u2028",
    ),
    *("\ufeff", "\0", "\x85", "é", "\U0001f600", f"api_secret: {_CANARY}\n"),
]


def _texts(keys: list[str], words: list[str]) -> st.SearchStrategy[bytes]:
    """Draw any bytes, pieces of the format in any order, and well-formed YAML of any values."""
    pieces = st.sampled_from([f"{key}: " for key in keys] + words + _MARKS)
    scalars = st.one_of(
        st.sampled_from(words),
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.dates(),
    )
    values = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(keys), inner, max_size=6)
        ),
        max_leaves=30,
    )
    return st.one_of(
        st.binary(max_size=300),
        st.lists(pieces, max_size=60).map(lambda drawn: "".join(drawn).encode()),
        st.dictionaries(st.sampled_from(keys), values, max_size=5).map(
            lambda value: yaml.safe_dump(value, allow_unicode=True).encode()
        ),
        st.tuples(st.sampled_from(_MARKS), st.integers(1, 3000)).map(
            lambda drawn: ("api: " + drawn[0] * drawn[1]).encode(errors="replace")
        ),
    )


def _locates_each_mistake(
    load_file: Callable[[Path], object], name: str
) -> Callable[[bytes], None]:
    def check(content: bytes) -> None:
        path = Path(name)
        path.write_bytes(content)
        try:
            load_file(path)
        except ConfigError as error:
            _check(error, path, content)

    return check


def _check(error: ConfigError, path: Path, content: bytes) -> None:
    if not error.problems:
        raise AssertionError("an error without a problem")
    lines = len(content.decode("latin-1").splitlines()) + 1
    for problem in error.problems:
        text = str(problem)
        if problem.line is None or problem.column is None:
            raise AssertionError(f"no place: {text}")
        if not text.startswith(str(path)) or problem.column < 1 or not 1 <= problem.line <= lines:
            raise AssertionError(f"a wrong place: {text}")
        if not text.isprintable():
            raise AssertionError(f"not one line of text: {text!r}")
        if _CANARY in text:
            raise AssertionError("a secret is shown")


@contextmanager
def configuration() -> Iterator[Target[bytes]]:
    """Check the configuration file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        check = _locates_each_mistake(lambda path: load(path, {"A": "1"}), str(path))
        yield Target(_texts(_CONFIG_KEYS, _CONFIG_WORDS), check)


@contextmanager
def web_config() -> Iterator[Target[bytes]]:
    """Check the web config file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "web.yml")
        yield Target(
            _texts(_WEB_KEYS, _WEB_WORDS), _locates_each_mistake(load_web_config, str(path))
        )
