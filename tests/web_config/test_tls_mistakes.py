"""Each key of tls_server_config that cannot be honoured is refused with place and sentence."""

from collections.abc import Callable

import pytest

from tests.support.sentences import (
    ANOTHER_KEY,
    BOOLEAN_EXPECTED,
    FILE_WITH_VALUE,
    IS_FOLDER,
    KEEP_ONE,
    KEY_OF_ANOTHER_PLACE,
    NO_LIST,
    NOTHING_LISTED,
    UNKNOWN_KEY,
)

Mistakes = Callable[[str], list[str]]

GOOD_TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
NO_CERT = f"{{}}.cert: is missing; write it, or cert{FILE_WITH_VALUE}"
NO_KEY_AT_ALL = f"{{}}.key: is missing; write it, or key{FILE_WITH_VALUE}"
NO_CERTIFICATE = "holds no certificate in PEM form, or a broken one"
NO_KEY = "holds no private key in PEM form"
UNVERIFIED = (
    "accepts certificates without verifying them, which Python's ssl cannot do; write "
    "RequireAndVerifyClientCert or VerifyClientCertIfGiven with client_ca_file, or NoClientCert"
)
POLICIES = "must be one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"
NEEDS_POLICY = "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven"
NEEDS_REQUIRED = (
    "needs client_auth_type: RequireAndVerifyClientCert, or clients without a certificate come in"
)
REQUIRED = "\n  client_auth_type: RequireAndVerifyClientCert"
OLD = (
    "is not offered: RFC 8996 forbids TLS 1.0 and 1.1, and OpenSSL refuses them at its usual "
    "security level; write TLS12 or TLS13"
)
NO_SUITE = (
    "is not a cipher suite that is offered; write one of Go's names, such as "
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
)
SOME_13 = "names some suites of TLS 1.3, but all three are always offered; name all or none"
ALL_13 = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256"
ONE_CURVE = (
    "names several curves, and Python's ssl takes one alone; name the first, or leave the key out "
    "for OpenSSL's own choice"
)


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ("client_auth_type: NoClientCert", [f"20: {NO_CERT}", f"20: {NO_KEY_AT_ALL}"]),
        ("cipher_suites: []", [f"20: {NO_CERT}", f"20: {NO_KEY_AT_ALL}"]),
        ("min_version: TLS13", [f"20: {NO_CERT}", f"20: {NO_KEY_AT_ALL}"]),
        ("cert_file: server.pem", [f"20: {NO_KEY_AT_ALL}"]),
        ("key_file: server.key", [f"20: {NO_CERT}"]),
        ("cert_file: '', key_file: server.key", [f"20: {NO_CERT}"]),
        ("cert_file: , key_file: server.key", [f"20: {NO_CERT}"]),
        ("cert_file: server.pem, key: ''", [f"44: {NO_KEY_AT_ALL}"]),
        (
            "cert_file: no.pem, key_file: no.key",
            [
                "32: {}.cert_file: names a file that does not exist",
                "50: {}.key_file: names a file that does not exist",
            ],
        ),
        (
            "cert_file: ., key_file: 5",
            [
                f"32: {{}}.cert_file: names a file that {IS_FOLDER}",
                "45: {}.key_file: names a file that does not exist",
            ],
        ),
        (
            "cert_file: empty.pem, key_file: empty.pem",
            [
                f"32: {{}}.cert_file: names a file that {NO_CERTIFICATE}",
                f"53: {{}}.key_file: names a file that {NO_KEY}",
            ],
        ),
        (
            "cert_file: broken.pem, key_file: server.key",
            [f"32: {{}}.cert_file: names a file that {NO_CERTIFICATE}"],
        ),
        (
            "cert_file: server.pem, key_file: broken.key",
            ["54: {}.key_file: names a file that holds no private key that OpenSSL can read"],
        ),
        *(
            (
                f"cert_file: server.pem, key_file: {other}.key",
                [f"54: {{}}.key_file: names a file that {ANOTHER_KEY}"],
            )
            for other in ("successor", "rsa")
        ),
        (
            "cert_file: server.pem, key_file: locked.key",
            [
                (
                    "54: {}.key_file: names a file that holds a key with a passphrase, which "
                    "cannot be entered here; openssl pkey -in locked.pem -out key.pem writes it "
                    "without"
                )
            ],
        ),
        (
            "cert_file: weak.pem, key_file: weak.key",
            [
                (
                    "32: {}.cert_file: names a file that holds a certificate too weak for OpenSSL; "
                    "RSA needs 2048 bits, signatures SHA-256"
                )
            ],
        ),
        (
            "cert: canary, key: canary",
            [f"27: {{}}.cert: {NO_CERTIFICATE}", f"40: {{}}.key: {NO_KEY}"],
        ),
        (
            "cert_file: server.pem, cert: canary, key_file: server.key, key: canary",
            [
                f"21: {{}}.cert_file: conflicts with cert; {KEEP_ONE}",
                f"50: {{}}.cert: {NO_CERTIFICATE}",
                f"58: {{}}.key_file: conflicts with key; {KEEP_ONE}",
                f"85: {{}}.key: {NO_KEY}",
            ],
        ),
    ],
)
def test_mistakes_in_the_certificate_and_key_have_a_place(
    mistakes: Mistakes, keys: str, lines: list[str]
) -> None:
    """Without both, and both fitting, nothing is served: there is no falling back to plain HTTP."""
    found = mistakes(f"tls_server_config: {{{keys}}}\n")
    assert found == [f"web.yml:1:{line.format('tls_server_config')}" for line in lines]
    assert "canary" not in "".join(found)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("client_ca: canary", f"4:14: {{}}: {NO_CERTIFICATE}"),
        ("client_ca_file: no.pem", "4:19: {}: names a file that does not exist"),
        (f"client_ca_file: empty.pem{REQUIRED}", f"4:19: {{}}: names a file that {NO_CERTIFICATE}"),
        ("client_ca_file: authority.pem", f"4:3: {{}}: {NEEDS_POLICY}"),
        (
            "client_ca_file: authority.pem\n  client_auth_type: NoClientCert",
            f"4:3: {{}}: {NEEDS_POLICY}",
        ),
        *(
            (f"client_auth_type: {name}", f"4:21: {{}}: {UNVERIFIED}")
            for name in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
        ),
        ("client_auth_type: Canary", f"4:21: {{}}: {POLICIES}"),
        ("client_auth_type: [canary]", f"4:21: {{}}: {POLICIES}"),
        ("client_allowed_sans: [x]", f"4:3: {{}}: {NEEDS_REQUIRED}"),
        (
            "client_allowed_sans: [x]\n  client_auth_type: VerifyClientCertIfGiven",
            f"4:3: {{}}: {NEEDS_REQUIRED}",
        ),
        (
            f"client_allowed_sans: []{REQUIRED}",
            f"4:24: {{}}: {NOTHING_LISTED}",
        ),
        (f"client_allowed_sans: ['']{REQUIRED}", "4:25: {}[0]: must not be empty"),
        ("min_version: TLS10", f"4:16: {{}}: {OLD}"),
        ("max_version: TLS11", f"4:16: {{}}: {OLD}"),
        ("min_version: TLS111", "4:16: {}: must be TLS12 or TLS13"),
        ("min_version: 1.2", "4:16: {}: must be TLS12 or TLS13"),
        ("max_version: TLS12\n  min_version: TLS13", "4:3: {}: is below min_version, TLS13"),
        ("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", f"4:19: {{}}[0]: {NO_SUITE}"),
        ("cipher_suites: [ECDHE-RSA-AES128-SHA]", f"4:19: {{}}[0]: {NO_SUITE}"),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", f"4:3: {{}}: {SOME_13}"),
        (
            f"cipher_suites: [{ALL_13}]",
            "4:3: {}: names no suite of TLS 1.2; name one, or write min_version: TLS13",
        ),
        ("cipher_suites: x", f"4:18: {{}}: {NO_LIST}"),
        ("cipher_suites: [{a: b}]", "4:19: {}[0]: must be text"),
        ("prefer_server_cipher_suites: maybe", f"4:32: {{}}: {BOOLEAN_EXPECTED}"),
        (
            "curve_preferences: [CurveP255]",
            "4:23: {}[0]: is not a curve; write one of X25519, CurveP256, CurveP384, CurveP521",
        ),
        ("curve_preferences: [CurveP256, X25519]", f"4:22: {{}}: {ONE_CURVE}"),
        ("min-version: TLS12", f"4:3: {{}}: {UNKNOWN_KEY} 'min_version'?"),
        (
            "http2: false",
            (f"4:3: {{}}: {KEY_OF_ANOTHER_PLACE} under http_server_config; check its indentation"),
        ),
    ],
)
def test_mistakes_in_other_tls_keys_have_a_place(mistakes: Mistakes, keys: str, line: str) -> None:
    """Given a good certificate and one bad key, then that key alone is reported."""
    place = "tls_server_config." + keys.split(":", maxsplit=1)[0]
    assert mistakes(f"{GOOD_TLS}  {keys}\n") == [f"web.yml:{line.format(place)}"]
