"""How long the certificates of a PEM file are valid, and a message where that is not long.

Python's ssl has the dates of a certificate only after a handshake, or for authorities alone. The
``cryptography`` package could, but nothing else here needs its ten megabytes. So the two dates are
read here: their place in a certificate is fixed by RFC 5280, 4.1.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_SOON: Final = timedelta(days=14)
_SHORT_LIFE: Final = 3  # a certificate is renewed when a third of its life is left
_BLOCK: Final = re.compile(
    rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(.*?)-----END \1-----", re.DOTALL
)
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_LONG_LENGTH: Final = 0x80
_CENTURY: Final = 50  # RFC 5280, 4.1.2.5.1: years below are of this century


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate is valid."""

    not_before: datetime
    not_after: datetime


def find_validity_problems(pem: bytes, now: float) -> Iterator[str]:
    """Find the certificates that are not valid, or not for long, at ``now`` in seconds since 1970.

    Each message ends a sentence that begins with the file, as in "names a file that ...".
    """
    validities = read_validities(pem)
    moment = datetime.fromtimestamp(now, UTC)
    for number, validity in enumerate(validities, 1):
        which = f"certificate {number} of {len(validities)}" if len(validities) > 1 else ""
        problem = _describe_problem(validity, moment)
        if problem:
            yield f"holds a certificate{f' ({which})' if which else ''} that {problem}"


def read_validities(pem: bytes) -> list[Validity]:
    """Return the validity of each certificate in the text; invalid ones are left out."""
    validities = []
    for der in read_certificates(pem):
        try:
            validities.append(_read_validity(der))
        except (ValueError, IndexError):
            continue
    return validities


def read_certificates(pem: bytes) -> Iterator[bytes]:
    """Return each certificate in the text, in DER; ones that are not base64 are left out."""
    for block in _BLOCK.finditer(pem):
        try:
            yield base64.b64decode(block[2])
        except binascii.Error:
            continue


def _describe_problem(validity: Validity, now: datetime) -> str | None:
    left = validity.not_after - now
    if left < timedelta(0):
        return f"expired on {_format_moment(validity.not_after)}; renew it"
    if validity.not_before > now:
        start = _format_moment(validity.not_before)
        return f"is not valid before {start}; check it, and the clock of this machine"
    if left < min(_SOON, (validity.not_after - validity.not_before) / _SHORT_LIFE):
        return f"expires soon, on {_format_moment(validity.not_after)}; renew it"
    return None


def _format_moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d at %H:%M} UTC"


def _read_validity(der: bytes) -> Validity:
    """Read Certificate.tbsCertificate.validity; raises ValueError or IndexError."""
    _, start, _ = _read_header(der, 0)
    _, at, _ = _read_header(der, start)
    tag, _, end = _read_header(der, at)
    # The version may be left out. Serial number, signature and issuer precede the validity.
    for _ in range(3 if tag == _VERSION else 2):
        _, _, end = _read_header(der, end)
    _, at, _ = _read_header(der, end)
    not_before, at = _read_time(der, at)
    not_after, _ = _read_time(der, at)
    return Validity(not_before, not_after)


def _read_header(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element at a position, where its content begins and where it ends."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length >= _LONG_LENGTH:
        size = length - _LONG_LENGTH
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    return tag, start, start + length


def _read_time(der: bytes, at: int) -> tuple[datetime, int]:
    tag, start, end = _read_header(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), end
