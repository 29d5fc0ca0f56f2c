"""Durations as Prometheus writes them: `90s`, `1h30m`, `1d`.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
"""

import re

MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
PATTERN = "^(?=[0-9])" + "".join(f"([0-9]{{1,12}}{unit})?" for unit in MILLISECONDS)

_PATTERN = re.compile(PATTERN + "$")
HOW = "must be a duration such as 90s, 1h30m or 1d"


class DurationError(ValueError):
    """The text is no duration; the message says how one is written."""


def parse(text: str) -> float:
    """Read a duration and return its seconds; nought is a duration too.

    Raises DurationError with a sentence that says what to write.
    """
    found = _PATTERN.fullmatch(text)
    if found:
        parts = zip(MILLISECONDS.values(), found.groups(), strict=True)
        return sum(size * _count(part) for size, part in parts if part) / 1000
    if re.fullmatch(r"[-+]?[0-9.]+", text):
        raise DurationError(f"{HOW}: a number alone has no unit")
    if text.startswith("-"):
        raise DurationError(f"{HOW}, not negative")
    raise DurationError(f"{HOW}: units are {' '.join(MILLISECONDS)}, each once, the largest first")


def write(seconds: float) -> str:
    """Write a number of seconds, rounded to milliseconds, as Prometheus does.

    Years and weeks are used only when nothing is left over: `90d`, not `12w6d`.
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
