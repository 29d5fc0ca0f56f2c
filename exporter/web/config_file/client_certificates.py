"""Whose certificates are let in: what client_auth_type and client_allowed_sans mean."""

import ssl
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from exporter.documents.fields import FieldError

REQUIRED: Final = "RequireAndVerifyClientCert"
IF_GIVEN: Final = "VerifyClientCertIfGiven"
NONE: Final = "NoClientCert"

_POLICIES: Final[Mapping[str, ssl.VerifyMode]] = {
    NONE: ssl.CERT_NONE,
    IF_GIVEN: ssl.CERT_OPTIONAL,
    REQUIRED: ssl.CERT_REQUIRED,
}
# OpenSSL calls back for a verdict on each certificate, and Python's ssl has no part in that call.
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

_KINDS: Final = ("DNS", "IP Address", "email", "URI")


def policy(name: object) -> object:
    """Give the verify mode that a client_auth_type means; raises FieldError."""
    if name in _UNVERIFIED:
        raise FieldError(
            f"takes certificates that nobody verified, which Python's ssl cannot do; write "
            f"{REQUIRED} or {IF_GIVEN} with client_ca_file, or {NONE}"
        )
    if not isinstance(name, str) or name not in _POLICIES:
        raise FieldError(f"must be one of {', '.join(_POLICIES)}")
    return _POLICIES[name]


def alternative_names(certificate: Mapping[str, object]) -> frozenset[str]:
    """Give the DNS names, IP addresses, e-mail addresses and URIs of a verified certificate.

    `certificate` is what `ssl.SSLObject.getpeercert` returns.
    """
    found = certificate.get("subjectAltName", ())
    pairs = found if isinstance(found, tuple) else ()
    return plain_names(name for kind, name in pairs if kind in _KINDS)


def plain_names(names: Iterable[str]) -> frozenset[str]:
    """Give the names, with each IP address written in the one usual way."""
    return frozenset(map(_plain, names))


def _plain(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name
