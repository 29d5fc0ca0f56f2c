"""Passwords against their bcrypt hashes."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import bcrypt

from exporter.documents.fields import FieldError

MAX_QUICK_COST: Final = 14
"""The highest cost with which a check takes a second or two; each step up doubles that."""

_MAX_COST: Final = 31

_BYTES_THAT_COUNT: Final = 72
_HASH: Final = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_CHEAPEST: Final = 4
_SALT: Final = slice(7, 29)


def is_right(password: bytes, hashed: bytes) -> bool:
    """Tell whether a hash is that of the password; takes a time that the hash's cost sets.

    bcrypt reads 72 bytes. A longer password is cut there, as htpasswd does when it makes the hash
    and Go's exporters when they check it.
    """
    return bcrypt.checkpw(password[:_BYTES_THAT_COUNT], hashed)


def dummy_hashes(hashes: Iterable[bytes]) -> Mapping[int, bytes]:
    """Return a hash of no known password for each cost that these have, cheapest first.

    Without any, the cheapest cost has one.
    """
    costs = sorted(set(map(cost_of, hashes))) or [_CHEAPEST]
    return {cost: b"$2b$%02d$" % cost + b"." * 53 for cost in costs}


def hashed(text: str) -> bytes:
    """Give a bcrypt hash as bytes, or raise FieldError; nothing of the text is in that."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise FieldError("is no bcrypt hash; htpasswd -nBC 10 USER writes one, after the colon")
    cost = int(found["cost"])
    if not _CHEAPEST <= cost <= _MAX_COST:
        raise FieldError(f"has a cost of {cost}; bcrypt knows {_CHEAPEST} to {_MAX_COST}")
    try:
        bcrypt.hashpw(b"", b"$2b$%02d$" % _CHEAPEST + text[_SALT].encode())
    except ValueError:
        raise FieldError("is a broken bcrypt hash: no such salt is ever made") from None
    return text.encode()


def cost_of(hashed: bytes) -> int:
    """Return the cost of a bcrypt hash, the binary logarithm of its rounds."""
    return int(hashed[4:6])
