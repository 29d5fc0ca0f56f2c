"""Any file is a web configuration or a ConfigError."""

import ssl
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.web.config_file import load_web_config
from exporter.web.config_file.go_values import TLS_12_SUITES, TLS_13_SUITES
from exporter.web.config_file.web_config import KNOWN_KEYS
from exporter.yamlfile.problems import ConfigError, Problem

HASH = "$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"
KEYS = sorted(KNOWN_KEYS | {"jane", "<<", "x"})
WORDS = [
    *("server.pem", "server.key", "authority.pem", "locked.key", "broken.pem", ".", "no", ""),
    *("TLS12", "TLS13", "TLS10", "NoClientCert", "VerifyClientCertIfGiven", "RequireClientCert"),
    *("RequireAndVerifyClientCert", "CurveP256", "X25519", "deny", "nosniff", "1s", "0", HASH),
    *(*TLS_12_SUITES, *sorted(TLS_13_SUITES)),
]
PIECES = [
    *(f"{key}: " for key in KEYS),
    *WORDS,
    *("\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", "&a ", "*a", "'", '"', "|", ">", "\t"),
    *("true", "false", "null", "1", "!!str ", "#", ":", ", ", "---", "\ud7ff", "${A}", "$"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
SECTIONS = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]
TLS = st.fixed_dictionaries(
    {"cert_file": st.just("server.pem"), "key_file": st.just("server.key")},
    optional={
        key: VALUES | st.lists(st.sampled_from(WORDS))
        for key in KEYS
        if not key.startswith(("cert", "key"))
    },
)

any_file = settings(
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # the folder is only read from
        HealthCheck.too_slow,
    ],
)


def is_taken_by_openssl(certificate: str, key: str) -> bool:
    """Return whether OpenSSL takes these files for a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError):
        return False
    return True


def load_with_config_errors(content: bytes) -> tuple[Problem, ...]:
    """Load a content; return what is wrong with it. Nothing but a ConfigError may come out."""
    Path("web.yml").write_bytes(content)
    try:
        load_web_config(Path("web.yml"))
    except ConfigError as error:
        return tuple(error.problems)
    return ()


@pytest.mark.usefixtures("folder")
@any_file
@given(content=st.binary())
def test_any_bytes_raise_only_config_errors(content: bytes) -> None:
    """Bytes that no editor would write are a configuration or end in a ConfigError."""
    load_with_config_errors(content)


@pytest.mark.usefixtures("folder")
@any_file
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_pieces_of_yaml_raise_only_config_errors(pieces: list[str]) -> None:
    """Texts made of the format's own words reach every rule."""
    load_with_config_errors("".join(pieces).encode())


@pytest.mark.usefixtures("folder")
@any_file
@given(value=st.fixed_dictionaries({}, optional=dict.fromkeys(SECTIONS, VALUES)))
def test_any_values_raise_only_config_errors(value: dict[str, object]) -> None:
    """Well-formed YAML with any value at any key."""
    load_with_config_errors(yaml.safe_dump(value).encode())


@pytest.mark.usefixtures("folder")
@any_file
@given(tls=TLS)
def test_any_values_with_a_good_certificate_raise_only_config_errors(
    tls: dict[str, object],
) -> None:
    """Where a context is made, OpenSSL refuses nothing that was not refused before."""
    load_with_config_errors(yaml.safe_dump({"tls_server_config": tls}).encode())


@pytest.mark.usefixtures("folder")
@any_file
@given(content=st.binary(max_size=200), name=st.sampled_from(["server.pem", "server.key"]))
def test_a_spoilt_certificate_or_key_is_named(content: bytes, name: str) -> None:
    """Where OpenSSL refuses a spoilt file, the error names its key; otherwise there is none."""
    good = Path(name).read_bytes()
    Path("spoilt").write_bytes(good[: len(good) // 2] + content + good[len(good) // 2 :])
    keys = {"cert_file": "server.pem", "key_file": "server.key"}
    spoilt = {key: "spoilt" if file == name else file for key, file in keys.items()}
    problems = load_with_config_errors(yaml.safe_dump({"tls_server_config": spoilt}).encode())
    (spoilt_key,) = [key for key, file in spoilt.items() if file == "spoilt"]
    if is_taken_by_openssl(spoilt["cert_file"], spoilt["key_file"]):
        assert problems == ()
    else:
        assert [problem.where for problem in problems] == [f"tls_server_config.{spoilt_key}"]
