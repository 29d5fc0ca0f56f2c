"""What a change of the web configuration lets in that was refused before.

A change loosens when a request or connection would be accepted that the configuration in force
refuses, or when a response loses a header that protects browsers. What cannot be compared, such as
two passwords or two values of a header, counts as loosened. A change can be stricter as well.
"""

import ssl
from collections.abc import Iterator
from typing import Final

from exporter.web.config_file.web_config import WebConfig

Loosening = tuple[str, str]
"""The key of the file that loosens, and a message about it that names nothing secret."""

_TLS_1_3: Final = "TLSv1.3"


def find_loosenings(before: WebConfig, now: WebConfig) -> Iterator[Loosening]:
    """Find each protection that the second configuration has less of than the first."""
    yield from _compare_users(before, now)
    yield from _compare_requests(before, now)
    if before.context is None:
        return
    if now.context is None:
        yield "tls_server_config", "plain HTTP is served now"
        return
    yield from _compare_client_certificates(before, now)
    yield from _compare_encryption(before.context, now.context)


def is_tls_stricter(before: WebConfig, now: WebConfig) -> bool:
    """Return whether a connection may be refused now that was accepted before."""
    if before.context is None or now.context is None:
        return False
    return any(_compare_client_certificates(now, before)) or any(
        _compare_encryption(now.context, before.context)
    )


def _compare_users(before: WebConfig, now: WebConfig) -> Iterator[Loosening]:
    if not before.users:
        return
    if not now.users:
        yield "basic_auth_users", "no password is asked for any more"
        return
    added = now.users.keys() - before.users.keys()
    if added:
        yield "basic_auth_users", f"users added: {len(added)}"
    changed = [user for user in now.users if before.users.get(user) not in (None, now.users[user])]
    if changed:
        yield "basic_auth_users", f"users with another password: {len(changed)}"


def _compare_requests(before: WebConfig, now: WebConfig) -> Iterator[Loosening]:
    if before.rate_limit and not now.rate_limit:
        yield "rate_limit", "any number of requests is accepted now"
    elif before.rate_limit and now.rate_limit:
        if now.rate_limit.interval < before.rate_limit.interval:
            yield "rate_limit.interval", "more requests are accepted now"
        if now.rate_limit.burst > before.rate_limit.burst:
            yield "rate_limit.burst", "more requests are accepted at once now"
    for name, value in before.headers.items():
        if now.headers.get(name) != value:
            change = "has another value now" if name in now.headers else "is not sent any more"
            yield f"http_server_config.headers.{name}", change


def _compare_client_certificates(before: WebConfig, now: WebConfig) -> Iterator[Loosening]:
    if before.context is None or now.context is None:
        return
    if now.context.verify_mode < before.context.verify_mode:
        if before.context.verify_mode == ssl.CERT_REQUIRED:
            change = "clients without a certificate are let in now"
        else:
            change = "certificates of clients are not verified any more"
        yield "tls_server_config.client_auth_type", change
    if before.allowed_sans and not now.allowed_sans:
        yield (
            "tls_server_config.client_allowed_sans",
            "the names in a client's certificate do not count any more",
        )
    elif before.allowed_sans and now.allowed_sans - before.allowed_sans:
        yield "tls_server_config.client_allowed_sans", "clients of other names are let in now"
    if ssl.CERT_NONE in (before.context.verify_mode, now.context.verify_mode):
        return
    if before.client_authorities is None:
        return
    if now.client_authorities is None:
        yield "tls_server_config.client_ca", "the system's authorities are trusted now"
    elif now.client_authorities - before.client_authorities:
        yield "tls_server_config.client_ca", "certificates of another authority are trusted now"


def _compare_encryption(before: ssl.SSLContext, now: ssl.SSLContext) -> Iterator[Loosening]:
    if now.minimum_version < before.minimum_version:
        yield "tls_server_config.min_version", f"{now.minimum_version.name} is spoken now"
    added = sorted(_list_suites(now) - _list_suites(before))
    if added and before.minimum_version < ssl.TLSVersion.TLSv1_3:
        yield "tls_server_config.cipher_suites", f"offered now: {', '.join(added)}"


def _list_suites(context: ssl.SSLContext) -> set[str]:
    """Return the suites of TLS 1.2 that can be chosen; those of TLS 1.3 are always the same."""
    if context.minimum_version >= ssl.TLSVersion.TLSv1_3:
        return set()
    ciphers = context.get_ciphers()
    return {str(cipher["name"]) for cipher in ciphers if cipher["protocol"] != _TLS_1_3}
