"""What the exporter-toolkit accepts is accepted: for Go, a zero value means "not set"."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.web.config_file import WebConfig
from exporter.web.config_file.go_values import TLS_12_SUITES, TLS_13_SUITES
from exporter.web.config_file.tls import TlsServer
from tests.support.sentences import NO_SWITCH

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

Load = Callable[[str], WebConfig]
Mistakes = Callable[[str], list[str]]

TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
USERS = "basic_auth_users: {jane: $2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS}\n"
PLAIN = "tls_server_config: sets nothing: plain HTTP is served"
OPEN = "basic_auth_users: names no user: no password is required"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# a comment\n",
        "---\n",
        "--- # a comment\n...\n",
        "null\n",
        "~",
        "{}\n",
        "http_server_config:\n",
        "http_server_config: {}\n",
        "http_server_config:\n  http2:\n  headers:\n",
        "http_server_config: {http2: no, headers: {}}\n",
        "http_server_config: {http2: n}\n",
        "http_server_config: {headers: {X-Frame-Options: , X-XSS-Protection: ''}}\n",
        "rate_limit:\n",
        "rate_limit: {}\n",
        "rate_limit:\n  interval:\n  burst:\n",
        "rate_limit: {interval: 0, burst: 0}\n",
        "rate_limit: {interval: 0s}\n",
        "rate_limit: {burst: 0}\n",
        "rate_limit: {interval: 0, burst: 20}\n",
    ],
)
def test_empty_sections_change_nothing(load: Load, text: str) -> None:
    """Plain HTTP for every client, without a header, a limit or a warning."""
    config = load(text)
    assert config.context is None
    assert (config.users, config.headers, config.rate_limit) == ({}, {}, None)
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("tls_server_config:\n", f"1:1: {PLAIN}"),
        ("tls_server_config: {}\n", f"1:1: {PLAIN}"),
        ("tls_server_config: {cert_file: '', key_file: ''}\n", f"1:1: {PLAIN}"),
        ("tls_server_config:\n  cert_file:\n  min_version:\n", f"1:1: {PLAIN}"),
        ("basic_auth_users:\n", f"1:1: {OPEN}"),
        ("basic_auth_users: {}\n", f"1:1: {OPEN}"),
        (
            "rate_limit: {interval: 1s, burst: 0}\n",
            "1:35: rate_limit.burst: is 0: every request is refused",
        ),
        (
            "http_server_config: {http2: true}\n",
            "1:29: http_server_config.http2: has no effect: HTTP/1.1 is spoken; leave it out",
        ),
    ],
)
def test_a_section_without_effect_is_a_warning(load: Load, text: str, warning: str) -> None:
    """An empty section is accepted as Go accepts it, but not in silence."""
    assert [str(found) for found in load(text).warnings] == [f"web.yml:{warning}"]


NULLS = {
    **dict.fromkeys(("cert", "key"), ("", "''", "~")),
    **dict.fromkeys(("client_ca", "client_ca_file", "client_auth_type"), ("", "''", "~")),
    **dict.fromkeys(("min_version", "max_version"), ("", '""', "null")),
    **dict.fromkeys(("cipher_suites", "curve_preferences"), ("", "[]")),
    "client_allowed_sans": ("", "null"),
    "prefer_server_cipher_suites": ("",),
    "cert_file": ("",),
    "key_file": ("",),
}


def test_each_tls_key_is_tested() -> None:
    """A key that is new here has to be thought about."""
    assert set(NULLS) == set(TlsServer.model_fields)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in NULLS.items() for value in values]
)
def test_an_empty_key_of_tls_is_not_set(load: Load, key: str, value: str) -> None:
    """Everything is as if the key was not there."""
    inline = {"cert_file": "  cert: |\n    {}", "key_file": "  key: |\n    {}"}
    text = TLS
    if key in inline:
        file = {"cert_file": "server.pem", "key_file": "server.key"}[key]
        content = Path(file).read_text().replace("\n", "\n    ")
        text = TLS.replace(f"  {key}: {file}", inline[key].format(content))
    config = load(f"{text}  {key}: {value}\n")
    assert config.context
    assert config.context.verify_mode == ssl.CERT_NONE
    assert config.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert config.context.maximum_version == ssl.TLSVersion.TLSv1_3
    assert config.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert config.allowed_sans == frozenset()
    assert config.warnings == ()


REQUIRED = "  client_auth_type: RequireAndVerifyClientCert\n"
SUITE = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
ALL_SUITES = ", ".join([*TLS_12_SUITES, *sorted(TLS_13_SUITES)])


@pytest.mark.parametrize(
    "more",
    [
        "",
        "  client_auth_type: NoClientCert\n",
        "  client_auth_type : RequireAndVerifyClientCert\n",
        "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: authority.pem\n",
        f"{REQUIRED}  client_ca_file: authority.pem\n  client_allowed_sans: [one, two]\n",
        f"  cipher_suites: [{ALL_SUITES}]\n",
        f"  cipher_suites: [{SUITE}]\n  prefer_server_cipher_suites: false\n  max_version: TLS12\n",
        f"  cipher_suites: [{SUITE}]\nhttp_server_config:\n  http2: false\n",
        "  min_version: TLS13\n  curve_preferences: [CurveP521]\n",
    ],
)
def test_good_files_of_the_toolkit_are_accepted(load: Load, more: str) -> None:
    """Each combination of keys of its own good files, but those that Python's ssl cannot do."""
    assert load(TLS + more).context


def test_a_costly_hash_is_a_warning(load: Load) -> None:
    """A check of a password with it takes long, but Go accepts it."""
    (warning,) = load(USERS.replace("$04$", "$18$")).warnings
    assert str(warning) == (
        "web.yml:1:26: basic_auth_users.jane: has a cost of 18: checking a password takes seconds; "
        "10 is usual"
    )
    assert load(USERS.replace("$04$", "$14$")).warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("X-XSS-Protection", "1", "1"),
        ("X-XSS-Protection", "0", "0"),
        ("X-XSS-Protection", "1; mode=block", "1; mode=block"),
        ("X-Frame-Options", "deny", "deny"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains", None),
        ("Content-Security-Policy", "off", "off"),
        ("Content-Security-Policy", "2026-01-01", "2026-01-01"),
    ],
)
def test_a_header_is_a_text_whatever_it_looks_like(
    load: Load, name: str, value: str, sent: str | None
) -> None:
    """A number, a truth value or a date is one only where the key asks for it."""
    config = load(f"http_server_config: {{headers: {{{name}: {value}}}}}\n")
    assert config.headers == {name: sent or value}


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        ("1s", 1.0),
        ("1h", 3600.0),
        ("1.5s", 1.5),
        ("1h1.5m", 3690.0),
        ("250ms", 0.25),
        ("100us", 0.0001),
        ("100µs", 0.0001),
        ("50ns", 5e-8),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1d", 86400.0),
        ("24h", 86400.0),
    ],
)
def test_an_interval_is_read_as_go_writes_it(load: Load, interval: str, seconds: float) -> None:
    """Go's durations have decimals and small units; those of Prometheus have days."""
    limit = load(f"rate_limit: {{interval: {interval}, burst: 1}}\n").rate_limit
    assert limit
    assert limit.interval == pytest.approx(seconds)


def test_a_key_of_a_section_that_sets_something_is_still_needed(mistakes: Mistakes) -> None:
    """Go serves plain HTTP where `min_version` is alone; an operator who writes it means TLS."""
    found = mistakes("tls_server_config: {min_version: TLS13, cert_file: ''}\n")
    assert len(found) == 2


def change(site: "Site", text: str) -> list[tuple[object, object]]:
    """Reload another text, and return the warnings that the log has of it."""
    with capture_logs() as logged:
        (site.folder / "web.yml").write_text(text)
        assert site.live.refresh() == ()
    return [
        (line["event"], line.get("key", line.get("warning")))
        for line in logged
        if line["log_level"] == "warning"
    ]


def test_an_empty_section_at_a_reload_never_ends_tls(serve: Callable[[str], "Site"]) -> None:
    """What has no value in the file stays in force: TLS cannot be switched off by a reload."""
    site = serve(TLS)
    (site.folder / "web.yml").write_text("tls_server_config:\n")
    (problem,) = site.live.refresh()
    assert problem.message == NO_SWITCH
    assert site.live.current.context


def test_a_warning_is_logged_at_the_start_and_once_for_each_reload(
    serve: Callable[[str], "Site"],
) -> None:
    """The file is looked at each second, and is not news each time."""
    with capture_logs() as logged:
        site = serve("basic_auth_users:\n")
        site.live.refresh()
        site.live.refresh()
    warnings = [line["warning"] for line in logged if line["log_level"] == "warning"]
    assert warnings == [f"{site.folder / 'web.yml'}:1:1: {OPEN}"]
    found = change(site, "basic_auth_users:\n\n")
    assert found == [("web configuration may be wrong", warnings[0])]
