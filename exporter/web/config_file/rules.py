"""Rules between the values of the file, looked at before they become models."""

from collections.abc import Iterator
from typing import Final

from exporter.documents.document import Value
from exporter.documents.problems import Finding
from exporter.web.config_file.ciphers import TLS_13_SUITES, VERSIONS
from exporter.web.config_file.client_certificates import IF_GIVEN, NONE, REQUIRED

_TLS: Final = "tls_server_config"


def broken_rules(top: Value) -> Iterator[Finding]:
    """Find each rule that the file's value breaks: the way to the place, and a sentence."""
    tls = top.get(_TLS) if isinstance(top, dict) else None
    if not isinstance(tls, dict):
        return
    for name in ("cert", "key", "client_ca"):
        if name in tls and f"{name}_file" in tls:
            yield (_TLS, f"{name}_file"), f"stands beside {name}; keep one of the two"
    for name in ("cert", "key"):
        if name not in tls and f"{name}_file" not in tls:
            yield (
                (_TLS, name),
                f"is missing; write it, or {name}_file with the path of a file that holds it",
            )
    yield from _client_certificates(tls)
    yield from _versions(tls)


def _client_certificates(tls: dict[str, Value]) -> Iterator[Finding]:
    policy = tls.get("client_auth_type", NONE)
    for name in ("client_ca", "client_ca_file"):
        if name in tls and policy == NONE:
            yield (_TLS, name), f"needs client_auth_type: {REQUIRED} or {IF_GIVEN}"
    if "client_allowed_sans" in tls and policy in (NONE, IF_GIVEN):
        yield (
            (_TLS, "client_allowed_sans"),
            f"needs client_auth_type: {REQUIRED}, or clients without a certificate come in",
        )


def _versions(tls: dict[str, Value]) -> Iterator[Finding]:
    order = list(VERSIONS)
    oldest, newest = tls.get("min_version", order[0]), tls.get("max_version", order[-1])
    if oldest not in order or newest not in order:
        return
    if order.index(oldest) > order.index(newest):
        yield (_TLS, "max_version"), f"is below min_version, {oldest}"
    yield from _suites(tls.get("cipher_suites"), takes_12=oldest == order[0])


def _suites(names: Value, *, takes_12: bool) -> Iterator[Finding]:
    if not isinstance(names, tuple):
        return
    of_13 = {name for name in names if isinstance(name, str) and name in TLS_13_SUITES}
    if of_13 and of_13 != TLS_13_SUITES:
        yield (
            (_TLS, "cipher_suites"),
            "names some suites of TLS 1.3, but all three are always offered; name all or none",
        )
    elif of_13 and takes_12 and len(of_13) == len(names):
        yield (
            (_TLS, "cipher_suites"),
            "names no suite of TLS 1.2; name one, or write min_version: TLS13",
        )
