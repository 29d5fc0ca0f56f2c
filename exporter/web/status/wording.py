"""Numbers and times as a person reads them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from unicodedata import category

_PREFIXES: Final = ("", "k", "M", "G", "T", "P", "E")
_THREE_DIGITS: Final = 999.5
_THIN_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_TWO_UNITS: Final = 10
_MAX_NAME: Final = 120
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PERCENT: Final = 0.01
_JUST_NOW: Final = 2.0
_MINUTE: Final = 60.0


def format_bytes(size: int) -> str:
    """Return bytes with three digits and a decimal unit: ``1.23 TB``."""
    amount, power = float(abs(size)), 0
    while amount >= _THREE_DIGITS and power < len(_PREFIXES) - 1:
        amount, power = amount / 1000, power + 1
    digits = 0 if power == 0 else max(0, 2 - (amount >= 9.995) - (amount >= 99.95))  # noqa: PLR2004 - where rounding adds a digit
    sign = _MINUS if size < 0 else ""
    return f"{sign}{amount:.{digits}f}{_NO_BREAK}{_PREFIXES[power]}B"


def format_number(number: int) -> str:
    """Return a whole number with its digits in groups of three."""
    return f"{number:,}".replace(",", _THIN_SPACE).replace("-", _MINUS)


def format_change(change: int) -> str:
    """Return a change of bytes with its sign."""
    if change == 0:
        return f"\N{PLUS-MINUS SIGN}0{_NO_BREAK}B"
    return ("+" if change > 0 else "") + format_bytes(change)


def format_share(share: float) -> str:
    """Return a share in whole percent; what is more than nothing is not said to be nothing."""
    text = f"{max(1.0, share * 100) if share else 0:.0f}{_NO_BREAK}%"
    return f"less than {text}" if 0 < share < _PERCENT else text


def format_duration(seconds: float) -> str:
    """Return a duration with its largest unit, and the next one while the number is small."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}{_NO_BREAK}ms"
    if seconds < _TWO_UNITS:
        return f"{seconds:.2g}{_NO_BREAK}s"
    for number, (unit, name) in enumerate(_UNITS):
        if seconds >= unit:
            count, rest = divmod(seconds, unit)
            text = f"{count:.0f}{_NO_BREAK}{name}"
            if count < _TWO_UNITS and unit > 1:
                smaller, smaller_name = _UNITS[number + 1]
                if rest >= smaller:
                    text += f" {rest // smaller:.0f}{_NO_BREAK}{smaller_name}"
            return text
    return ""


def format_age(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, to the minute."""
    seconds = (now - moment).total_seconds()
    if seconds < _JUST_NOW:
        return "just now"
    return f"{format_duration(seconds if seconds < _MINUTE else seconds // _MINUTE * _MINUTE)} ago"


def format_until(moment: datetime, now: datetime) -> str:
    """Return in how long a moment will be, to the minute; ``now`` where it has come."""
    seconds = (moment - now).total_seconds()
    if seconds < 1:
        return "now"
    rounded = seconds if seconds < _MINUTE else seconds // _MINUTE * _MINUTE
    return f"in{_NO_BREAK}{format_duration(rounded)}"


def format_time(moment: datetime) -> str:
    """Return a moment in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def format_name(name: str) -> str:
    """Return a name that others have chosen, so that all of it can be seen.

    Of a very long name the middle is left out.
    """
    if not name:
        return "(empty name)"
    if len(name) > _MAX_NAME:
        half = _MAX_NAME // 2
        name = f"{name[:half]}…{name[-half:]} ({format_number(len(name))} characters)"
    return make_visible(name)


def make_visible(text: str) -> str:
    """Return a text in which what has no shape, or turns its direction, is as Python writes it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if category(char) in _UNSEEN else char for char in text)


def format_names(names: Sequence[str], max_names: int = 3) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(map(format_name, names[:max_names]))
    others = len(names) - max_names
    return shown if others <= 0 else f"{shown} and {format_number(others)} more"


def format_sentence(text: str) -> str:
    """Return a text that begins with a capital letter, and in which all can be seen."""
    return make_visible(text[:1].upper() + text[1:])
