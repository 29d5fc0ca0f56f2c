"""The YAML text as plain values, each with its place.

PyYAML reads the text into nodes with marks; here they become values, without the surprises of
YAML 1.1: what it would read as a date, a clock time, an octal number or an infinity is UNUSABLE,
and whoever wants a value there says what to write instead.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import yaml

from exporter.documents.problems import Loc, Place, Report
from exporter.documents.syntax import compose

DEEPEST = 20
MOST_VALUES = 100_000

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_DECIMAL = re.compile(r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})([eE][-+][0-9]{1,2})?")
_TRUE = ("true", "yes", "on")


class Unusable(Enum):
    """Stands for a scalar that has no plain meaning or whose problem is noted already."""

    UNUSABLE = "unusable"
    OCTAL = "octal"
    """A number that begins with a zero: YAML 1.1 reads `0170` as 120, YAML 1.2 as 170."""


UNUSABLE: Final = Unusable.UNUSABLE

Scalar = None | bool | int | float | str | Unusable
Value = Scalar | tuple["Value", ...] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file; mappings are dicts, lists are tuples."""

    value: Value
    _places: dict[Loc, Place]
    _key_places: dict[Loc, Place]

    def nearest(self, loc: Loc) -> Loc:
        """Give the longest part of `loc` that stands in the file."""
        while loc not in self._places:
            loc = loc[:-1]
        return loc

    def place(self, loc: Loc) -> Place:
        """Give the place of the value at `loc`, or of what is nearest above it."""
        return self._places[self.nearest(loc)]

    def key_place(self, loc: Loc) -> Place:
        """Give the place of the key at `loc`; of an item of a list, where it begins."""
        return self._key_places.get(loc) or self.place(loc)


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its variables replaced, and a sentence for each error and each warning."""

    text: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Interpolate = Callable[[str], Interpolated]


def read_document(
    text: str,
    report: Report,
    interpolate: Interpolate = Interpolated,
    warnings: Report | None = None,
    empty: str | None = None,
    *,
    only_texts: bool = False,
) -> Document | None:
    """Read YAML text, and pass each text in it through `interpolate`.

    Every error goes to `report`, every warning to `warnings`. With `only_texts`, each scalar is
    null or a text as it is written, whatever YAML takes it for.
    A text that holds nothing is the mistake that `empty` tells, or a mapping without keys where
    that is None. Gives None when the text is not YAML, or holds by its aliases far too much.
    """
    composed = compose(text)
    start = Place(1, 1)
    if composed is None and empty is None:
        return Document({}, {(): start}, {})
    if composed is None:
        report.add((), start, empty or "")
        return None
    if not isinstance(composed, yaml.Node):
        report.add((), composed.place, composed.sentence)
        return None
    reading = _Reading(interpolate, report, warnings or Report(""), only_texts)
    value = reading.value(composed, ())
    if len(reading.places) > MOST_VALUES:
        return None
    return Document(value, reading.places, reading.key_places)


@dataclass(slots=True)
class _Reading:
    interpolate: Interpolate
    report: Report
    warnings: Report
    only_texts: bool
    places: dict[Loc, Place] = field(default_factory=dict)
    key_places: dict[Loc, Place] = field(default_factory=dict)
    above: list[int] = field(default_factory=list)

    def value(self, node: yaml.Node, loc: Loc) -> Value:
        if len(self.places) == MOST_VALUES:
            self.report.add((), _place(node), "more values than any use has; name fewer aliases")
        self.places[loc] = _place(node)
        if len(self.places) > MOST_VALUES:
            return UNUSABLE
        fault = self._fault(node)
        if fault:
            self.report.add(loc, _place(node), fault)
            return UNUSABLE
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        self.above.append(id(node))
        try:
            return self._collection(node, loc)
        finally:
            self.above.pop()

    def _fault(self, node: yaml.Node) -> str | None:
        if id(node) in self.above:
            return "an alias (*name) stands inside of what it names; write the value out"
        if len(self.above) >= DEEPEST:
            return "is nested too deeply; no key of this file lies that deep"
        if node.tag.removeprefix(_TAG) not in _KINDS[type(node)]:
            return "has a tag (!name) that is not known here; remove the tag"
        return None

    def _collection(self, node: yaml.Node, loc: Loc) -> Value:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(item, (*loc, index)) for index, item in enumerate(node.value))
        values: dict[str, Value] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.report.add(loc, _place(key), "has a key that is no text; write a key's name")
            elif key.value in values:
                self._repeated((*loc, key.value), _place(key))
            else:
                self.key_places[(*loc, key.value)] = _place(key)
                values[key.value] = self.value(item, (*loc, key.value))
        return values

    def _repeated(self, loc: Loc, place: Place) -> None:
        first = self.key_places[loc].line
        self.report.add(loc, place, f"stands twice, first in line {first}; remove one of the two")

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Scalar:
        kind = node.tag.removeprefix(_TAG)
        if kind == "null" or not (kind == "str" or self.only_texts):
            return _plain(kind, node.value)
        interpolated = self.interpolate(node.value)
        for error in interpolated.errors:
            self.report.add(loc, _place(node), error)
        for warning in interpolated.warnings:
            self.warnings.add(loc, _place(node), warning)
        return UNUSABLE if interpolated.errors else interpolated.text


_KINDS: Mapping[type[yaml.Node], tuple[str, ...]] = {
    yaml.ScalarNode: ("null", "bool", "int", "float", "str", "timestamp", "merge", "value"),
    yaml.SequenceNode: ("seq",),
    yaml.MappingNode: ("map",),
}


def _plain(kind: str, text: str) -> Scalar:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    if kind == "int" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "float" and _DECIMAL.fullmatch(text):
        return float(text)
    return Unusable.OCTAL if _OCTAL.fullmatch(text) else UNUSABLE


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
