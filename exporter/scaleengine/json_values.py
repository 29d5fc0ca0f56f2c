"""Narrow untrusted JSON to what the API promises: the one place where its types are judged.

The API is PHP: numbers may come as texts, a list as a mapping from index to value, a mapping as a
list of one or several mappings, an empty mapping as ``[]``. Every function accepts all forms of
its thing and raises SchemaError for anything else.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from exporter.scaleengine.json_memory import (
    KEPT_STRINGS,
    ConvertedObjects,
    decode_and_empty,
    estimate_cost,
)
from exporter.scaleengine.response_memory import MAX_PARSED


class Converted:
    """What a command makes of a mapping while a text is read, since it takes less memory."""

    __slots__ = ()


Json: TypeAlias = "bool | int | Decimal | str | list[Json] | dict[str, Json] | Converted | None"
"""A number with a fraction or an exponent is a Decimal, which keeps all digits as written."""
JsonObject: TypeAlias = Mapping[str, Json]

_NUMERIC: Final = re.compile(
    r"[ \t\n\r\v\f]*[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?[ \t\n\r\v\f]*"
)
"""A numeric string, as the PHP manual defines it, of a reasonable length."""
_THOUSANDS: Final = re.compile(r"\D*[1-9][0-9]{0,2}\.[0-9]{3}\D*")
"""A text that is a number in two ways: "5.000" can be five, or five thousand with a separator."""
_AROUND: Final = "\ufeff \t\r\n"
_INDEX: Final = re.compile(r"[0-9]+")
_LIMIT: Final = 2**63
MAX_DEPTH: Final = 256
"""Lists and objects inside each other. The parser is recursive: far deeper ones crash a thread with
a small stack."""
_MAX_DIGITS: Final = 1000
_MAYBE_ROUNDED: Final = 10**14
"""PHP prints a float with 14 digits (its ``precision``), and from here on with an exponent."""


class SchemaError(Exception):
    """A value that the API does not promise; its text says what is wrong, in a few words."""


class TooCostlyError(SchemaError):
    """A body whose values may take more memory than one response may have."""


def _keep_object(found: dict[str, Json]) -> Json:
    return found


@dataclass(frozen=True, slots=True)
class ObjectHook:
    """What takes the place of the mappings of a text, each as soon as it was read.

    ``convert`` returns it. ``replaced`` are mappings that it never returns as they are.
    """

    convert: Callable[[dict[str, Json]], Json] = _keep_object
    replaced: ConvertedObjects | None = None


KEEP_OBJECTS: Final = ObjectHook()
"""Leaves all mappings as they are."""


def decode(
    body: bytes | bytearray,
    max_memory: int = MAX_PARSED,
    object_hook: ObjectHook = KEEP_OBJECTS,
) -> Json:
    """Read a body as strict JSON in UTF-8: no NaN, no name twice, no bottomless nest.

    Byte order marks and blanks around it are left out (RFC 8259, 8.1): each file of a PHP program
    may print its own. A body that can be emptied is emptied, for it may be large. Raises
    TooCostlyError where the values may take more than ``max_memory`` bytes, and SchemaError.
    """
    try:
        return _decode(body, max_memory, object_hook)
    finally:
        if isinstance(body, bytearray):
            body.clear()  # a failure refers to it until it was logged


def _decode(body: bytes | bytearray, max_memory: int, object_hook: ObjectHook) -> Json:
    cost = estimate_cost(body, max_memory, MAX_DEPTH, object_hook.replaced)
    if cost.depth > MAX_DEPTH:
        raise SchemaError("it is nested too deeply")
    if cost.memory > max_memory:
        raise TooCostlyError(f"reading it takes more than {max_memory // 10**6} MB of memory")
    is_empty = not body or body.isspace()
    hook = _CountingHook(object_hook.convert)
    try:
        text = decode_and_empty(body).strip(_AROUND)
    except UnicodeDecodeError as error:
        error.object = b""  # it holds the whole body
        raise SchemaError("it is not in UTF-8") from None
    try:
        value: Json = json.loads(
            text,
            object_hook=hook,
            parse_float=_parse_decimal,
            parse_constant=_reject_constant,
        )
    except RecursionError:
        raise SchemaError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        error.doc = ""  # it holds the whole text
        raise SchemaError("it is empty" if is_empty else "it is not JSON") from None
    except ValueError:
        raise SchemaError("a number in it has thousands of digits") from None
    if hook.members != cost.keys:
        raise SchemaError("a mapping has the same key twice")
    return value


class _CountingHook:
    """Counts the members of all objects, keeps one of equal texts in them, and converts them.

    Thirty days of a CPU user name it thirty times, and each day names all users.
    """

    def __init__(self, convert: Callable[[dict[str, Json]], Json]) -> None:
        self.members = 0
        self._convert = convert
        self._texts: dict[str, str] = {}

    def __call__(self, found: dict[str, Json]) -> Json:
        self.members += len(found)
        for key, value in found.items():
            if isinstance(value, str):
                if len(self._texts) >= KEPT_STRINGS:
                    self._texts.clear()
                found[key] = self._texts.setdefault(value, value)
        return self._convert(found)


def as_mapping(value: Json, subject: str = "") -> JsonObject:
    """Return a mapping; PHP prints an empty one as ``[]``. Raises SchemaError.

    ``subject`` names the value in the message, where the caller does not put its name before it.
    """
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise SchemaError(f"{subject} must be a mapping, is {describe_type(value)}".lstrip())
    return value


def as_object(value: Json) -> JsonObject:
    """Return a mapping; PHP prints one whose names are 0, 1, 2 and so on as a list."""
    if isinstance(value, list):
        return {str(index): member for index, member in enumerate(value)}
    return as_mapping(value)


def as_sub_folders(value: Json) -> JsonObject:
    """Return a mapping; one of nothing but empty folders 0, 1, 2 and so on comes as a list.

    A list with something in it may be a folder that is written as a list of its parts, or one
    whose sub-folders are named 0, 1, 2: raises SchemaError, since nothing decides.
    """
    if isinstance(value, list) and any(value):
        raise SchemaError("a list may hold its parts, or sub-folders named 0, 1, 2")
    return as_object(value)


def merge_folder_parts(value: Json) -> JsonObject:
    """Merge the parts of a folder, a list of mappings, into one; raises SchemaError."""
    if not isinstance(value, list):
        raise SchemaError(f"must be a list of parts, is {describe_type(value)}")
    members: dict[str, Json] = {}
    for part in map(as_object, value):
        if not members.keys().isdisjoint(part):
            raise SchemaError("two parts of a folder name the same thing")
        members.update(part)
    return members


def as_list(value: Json) -> Iterator[Json]:
    """Return the values of a list; PHP prints one with gaps as a mapping from index to value."""
    if isinstance(value, list):
        return iter(value)
    if isinstance(value, dict) and all(map(_INDEX.fullmatch, value)):
        return iter(value.values())
    raise SchemaError(f"must be a list, is {describe_type(value)}")


def take_list(value: Json) -> Iterator[Json]:
    """Return the values of a list as ``as_list`` does, and let go of each: None takes its place.

    So a long list and what is made of it are never in memory together.
    """
    as_list(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            value[index] = None
            yield item
    elif isinstance(value, dict):
        for key, item in value.items():
            value[key] = None
            yield item


def as_int(value: Json) -> int:
    """Return a whole number of 64 bits, given as a number or a text.

    A text is read as PHP reads a numeric string: "5000000000.00" and " 5e9 " are whole numbers.
    Nothing is guessed: a fraction that is not zero is refused, and so are an exponent behind which
    PHP may have rounded the last digits away, and a text like "5.000".
    """
    number = value
    if isinstance(value, str) and _NUMERIC.fullmatch(value) and not _THOUSANDS.fullmatch(value):
        number = Decimal(value.strip())
    if isinstance(number, Decimal) and -_LIMIT <= number < _LIMIT and not number % 1:
        if abs(number) >= _MAYBE_ROUNDED and "E" in str(number):
            raise SchemaError("a number has an exponent, so its last digits may be rounded")
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not -_LIMIT <= number < _LIMIT:
        raise SchemaError(f"must be a whole number, is {describe_type(value)}")
    return number


def as_str(value: Json) -> str:
    """Return a name; PHP turns names that look like whole numbers into numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise SchemaError(f"must be a name, is {describe_type(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SchemaError("a name has half of a surrogate pair") from None
    return value


def describe_type(value: Json) -> str:
    """Return what a value is without showing it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a mapping"


def _parse_decimal(digits: str) -> Decimal:
    if len(digits) > _MAX_DIGITS:
        raise SchemaError(f"a number in it has more than {_MAX_DIGITS} digits")
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise SchemaError("a number in it has an exponent that is too large") from None


def _reject_constant(_: str) -> Json:
    raise SchemaError("NaN and Infinity are not JSON")
