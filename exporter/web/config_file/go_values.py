"""Values as Go's exporters write them: TLS names with those of OpenSSL, and truth values.

Source of Go's names: https://pkg.go.dev/crypto/tls#CipherSuites and #CurveID, with the suites
without forward secrecy that Go counted among them until 1.22; of OpenSSL's: openssl-ciphers(1).
"""

import ssl
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import BeforeValidator

from exporter.yamlfile.models import FieldError

TLS_12_SUITES: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
TLS_13_SUITES: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""In TLS 1.3, Go and OpenSSL use the names of RFC 8446."""

_CURVES: Final[Mapping[str, str]] = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}
VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_OLD_VERSIONS: Final = ("TLS10", "TLS11")
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

_NAME_TYPES: Final = ("DNS", "IP Address", "email", "URI")


_SWITCHES: Final = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


def parse_suite(name: str) -> str:
    """Return a suite's name as it is, or raise FieldError if it is unknown."""
    if name not in TLS_12_SUITES and name not in TLS_13_SUITES:
        raise FieldError(
            "is not a cipher suite that is offered; write one of Go's names, such as "
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        )
    return name


def parse_curve(name: str) -> str:
    """Return what OpenSSL calls a curve, or raise FieldError."""
    if name not in _CURVES:
        raise FieldError(f"is not a curve; write one of {', '.join(_CURVES)}")
    return _CURVES[name]


def parse_tls_version(name: object) -> object:
    """Return the TLS version that a text names, or what is no text as it is; raises FieldError."""
    if name in _OLD_VERSIONS:
        raise FieldError(
            "is not offered: RFC 8996 forbids TLS 1.0 and 1.1, and OpenSSL refuses them at its "
            f"usual security level; write {' or '.join(VERSIONS)}"
        )
    if not isinstance(name, str) or name not in VERSIONS:
        raise FieldError(f"must be {' or '.join(VERSIONS)}")
    return VERSIONS[name]


def choose_suites(context: ssl.SSLContext, names: Iterable[str]) -> None:
    """Offer these suites of TLS 1.2, in this order, and no others; raises FieldError.

    Those of TLS 1.3 are always offered: Python's ssl has no say in them.
    """
    wanted = [TLS_12_SUITES[name] for name in names if name in TLS_12_SUITES]
    if not wanted:
        return
    try:
        context.set_ciphers(":".join(wanted))
        lacking = set(wanted) - {cipher["name"] for cipher in context.get_ciphers()}
    except ssl.SSLError:
        lacking = set(wanted)
    if lacking:
        raise FieldError(
            f"names suites that the OpenSSL of this machine lacks: {', '.join(sorted(lacking))}"
        )


def parse_client_auth_type(name: object) -> object:
    """Return the verify mode that a client_auth_type means; raises FieldError."""
    if name in _UNVERIFIED:
        raise FieldError(
            f"accepts certificates without verifying them, which Python's ssl cannot do; write "
            f"{REQUIRED} or {IF_GIVEN} with client_ca_file, or {NONE}"
        )
    if not isinstance(name, str) or name not in _POLICIES:
        raise FieldError(f"must be one of {', '.join(_POLICIES)}")
    return _POLICIES[name]


def find_alternative_names(certificate: Mapping[str, object]) -> frozenset[str]:
    """Return the DNS names, IP addresses, e-mail addresses and URIs of a verified certificate.

    ``certificate`` is what ``ssl.SSLObject.getpeercert`` returns.
    """
    found = certificate.get("subjectAltName", ())
    pairs = found if isinstance(found, tuple) else ()
    return normalize_names(name for name_type, name in pairs if name_type in _NAME_TYPES)


def normalize_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names, with each IP address written in the one usual way."""
    return frozenset(map(_normalize_name, names))


def _normalize_name(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def _parse_switch(value: object) -> object:
    """Return the truth value that a text names, or what is no such text as it is."""
    return _SWITCHES.get(value.lower(), value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_parse_switch)]
