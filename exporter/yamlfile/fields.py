"""The kinds of value that every file knows, each read strictly."""

from collections.abc import Callable
from pathlib import Path

from exporter.yamlfile.files import has_control_characters
from exporter.yamlfile.units import DURATION_FORMAT, parse_duration


class FieldError(ValueError):
    """A value that cannot stand; the message is the sentence for the operator.

    `key` names the key below the value that the sentence is about, if it is not the value itself.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def plain_text(text: str) -> str:
    """Give a text of one line, or raise FieldError."""
    if not text:
        raise FieldError("must not be empty")
    if has_control_characters(text):
        raise FieldError("must not hold control characters or line breaks")
    return text


def not_empty(items: tuple[object, ...]) -> tuple[object, ...]:
    """Give the list, or raise FieldError when nothing is in it."""
    if not items:
        raise FieldError("must not be an empty list; name at least one")
    return items


def resolve_path(folder: Path, value: object) -> object:
    """Give the path that a text names, a relative one from `folder`; or what is no text as it is.

    Raises FieldError for what no path can be.
    """
    return folder / plain_text(value) if isinstance(value, str) else value


def duration(minimum: str, maximum: str) -> Callable[[object], float]:
    """Give a validator that turns a duration from `minimum` to `maximum` into seconds.

    It raises FieldError or DurationError.
    """
    lowest, highest = parse_duration(minimum), parse_duration(maximum)

    def validate(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise FieldError(DURATION_FORMAT)
        seconds = parse_duration(value)
        if not lowest <= seconds <= highest:
            raise FieldError(f"must be from {minimum} to {maximum}")
        return seconds

    return validate
