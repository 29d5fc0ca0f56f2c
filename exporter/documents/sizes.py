"""Sizes in bytes as people write them: `2TB`, `1.5GiB`, `500 MB`.

Decimal units are powers of 1000 (SI), binary ones of 1024 (IEC 80000-13).
"""

import re
from fractions import Fraction

UNITS = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", start=1)},
}
PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})? ?([kMGTP]?B|[KMGTP]iB)?$"
HOW = "must be a size such as 500GB, 2TB or 1.5TiB"

_PATTERN = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


class SizeError(ValueError):
    """The text is no size; the message says how one is written."""


def parse(text: str) -> int:
    """Read a size and return its bytes, without what is left of one; a number alone is bytes.

    Raises SizeError with a sentence that says what to write.
    """
    found = _PATTERN.fullmatch(text)
    if not found:
        raise SizeError(HOW)
    number, unit = found.groups()
    if unit not in UNITS:
        raise SizeError(f"{HOW}: units are {' '.join(filter(None, UNITS))}")
    return int(Fraction(number) * UNITS[unit])
