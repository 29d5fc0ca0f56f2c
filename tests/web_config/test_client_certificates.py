"""Who is let in by a certificate, and by the names in it."""

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from exporter.web.config_file import WebConfig
from exporter.web.config_file.go_values import find_alternative_names

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

Serve = Callable[[str], "Site"]

GOOD_TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
REQUIRED = "  client_auth_type: RequireAndVerifyClientCert\n"
IF_GIVEN = "  client_auth_type: VerifyClientCertIfGiven\n"
AUTHORITY = "  client_ca_file: authority.pem\n"


def reaches(site: "Site", client: str | None) -> bool:
    """Return whether a client with this certificate gets a response."""
    try:
        return site.ask(context=site.trust(client)).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize(
    ("keys", "client", "is_let_in"),
    [
        ("", None, True),
        ("", "intruder", True),
        ("  client_auth_type: NoClientCert\n", "intruder", True),
        (REQUIRED + AUTHORITY, None, False),
        (REQUIRED + AUTHORITY, "intruder", False),
        (REQUIRED + AUTHORITY, "prometheus", True),
        (IF_GIVEN + AUTHORITY, None, True),
        (IF_GIVEN + AUTHORITY, "intruder", False),
        (IF_GIVEN + AUTHORITY, "prometheus", True),
        (REQUIRED, None, False),
        (REQUIRED, "prometheus", False),
        (REQUIRED + "  client_ca_file: intruder.pem\n", "intruder", True),
        (REQUIRED + "  client_ca_file: intruder.pem\n", "prometheus", False),
    ],
)
def test_each_client_auth_policy_accepts_the_right_clients(
    serve: Serve, keys: str, client: str | None, *, is_let_in: bool
) -> None:
    """As in Go: each certificate of client_ca_file is trusted, and no other."""
    assert reaches(serve(GOOD_TLS + keys), client) is is_let_in


def test_without_a_client_ca_the_systems_authorities_count(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Go: a client whose authority the system trusts comes in, another does not."""
    monkeypatch.setenv("SSL_CERT_FILE", "authority.pem")
    site = serve(GOOD_TLS + REQUIRED)
    assert reaches(site, "prometheus")
    assert not reaches(site, "intruder")


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ("one.example", 200),
        ("two.example, one.example", 200),
        ("10.0.0.1", 200),
        ("'fe80::1'", 200),
        ("'FE80:0:0::0001'", 200),
        ("a@b.example", 200),
        ("'spiffe://x/y'", 200),
        ("two.example", 403),
        ("ONE.example", 403),
        ("example", 403),
        ("'*.example'", 403),
        ("10.0.0.2", 403),
        ("'spiffe://x'", 403),
        ("prometheus", 403),
    ],
)
def test_a_certificate_needs_an_allowed_name(serve: Serve, allowed: str, status: int) -> None:
    """A name is exactly one of the certificate's alternative names; its subject is none."""
    keys = f"{REQUIRED}{AUTHORITY}  client_allowed_sans: [{allowed}]\n"
    site = serve(GOOD_TLS + keys)
    response = site.ask(context=site.trust("prometheus"))
    assert response.status == status
    if status == 403:
        assert response.body == b"Forbidden\n"
        assert response.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        ({}, set()),
        ({"subjectAltName": ()}, set()),
        ({"subjectAltName": (("DirName", "x"), ("othername", "y"))}, set()),
        ({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"), ("DNS", "a"))}, {"::1", "a"}),
    ],
)
def test_only_four_kinds_of_name_count(certificate: dict[str, object], names: set[str]) -> None:
    """DNS names, IP addresses, e-mail addresses and URIs, as in Go."""
    assert find_alternative_names(certificate) == names


def test_names_of_addresses_are_read_in_any_form(load: Callable[[str], WebConfig]) -> None:
    """An address in the file and the same one in a certificate are equal however written."""
    keys = f"{REQUIRED}  client_allowed_sans: ['2001:DB8:0::1', x]\n"
    assert load(GOOD_TLS + keys).allowed_sans == {"2001:db8::1", "x"}
