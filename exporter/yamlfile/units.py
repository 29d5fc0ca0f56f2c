"""Durations as Prometheus writes them (``1h30m``), and sizes in bytes as people do (``1.5TiB``).

Source of the durations:
https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
Decimal units of sizes are powers of 1000 (SI), binary ones of 1024 (IEC 80000-13).
"""

import re
from fractions import Fraction

MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]{{1,12}}{unit})?" for unit in MILLISECONDS)

_DURATION = re.compile(DURATION_PATTERN + "$")
DURATION_FORMAT = "must be a duration such as 90s, 1h30m or 1d"
SIZE_UNITS = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", start=1)},
}
SIZE_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})? ?([kMGTP]?B|[KMGTP]iB)?$"
SIZE_FORMAT = "must be a size such as 500GB, 2TB or 1.5TiB"

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


class DurationError(ValueError):
    """The text is no duration; the message says how one is written."""


def parse_duration(text: str) -> float:
    """Parse a duration, which may be 0, and return its seconds.

    Raises DurationError with a message that says what to write.
    """
    found = _DURATION.fullmatch(text)
    if found:
        parts = zip(MILLISECONDS.values(), found.groups(), strict=True)
        return sum(size * _count(part) for size, part in parts if part) / 1000
    if re.fullmatch(r"[-+]?[0-9.]+", text):
        raise DurationError(f"{DURATION_FORMAT}: a number alone has no unit")
    if text.startswith("-"):
        raise DurationError(f"{DURATION_FORMAT}, not negative")
    raise DurationError(
        f"{DURATION_FORMAT}: units are {' '.join(MILLISECONDS)}, each once, the largest first"
    )


def format_prometheus_duration(seconds: float) -> str:
    """Write a number of seconds, rounded to milliseconds, as Prometheus does.

    Years and weeks are used only when nothing is left over: ``90d``, not ``12w6d``.
    """
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    text = ""
    for unit, size in MILLISECONDS.items():
        if unit in ("y", "w") and left % size:
            continue
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def _count(part: str) -> int:
    return int(part.rstrip("ywdhms"))


class SizeError(ValueError):
    """The text is no size; the message says how one is written."""


def parse_size(text: str) -> int:
    """Read a size and return its bytes, without what is left of one; a number alone is bytes.

    Raises SizeError with a message that says what to write.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise SizeError(SIZE_FORMAT)
    number, unit = found.groups()
    if unit not in SIZE_UNITS:
        raise SizeError(f"{SIZE_FORMAT}: units are {' '.join(filter(None, SIZE_UNITS))}")
    return int(Fraction(number) * SIZE_UNITS[unit])
