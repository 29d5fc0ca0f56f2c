"""The YAML text as plain values, each with its place.

PyYAML reads the text into nodes with marks; here they become values, without the surprises of
YAML 1.1: what it would read as a date, a clock time, an octal number or an infinity is UNUSABLE,
and the model that needs a value there says what to write instead.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import yaml

from exporter.yamlfile.problems import ErrorCollector, Loc, Position
from exporter.yamlfile.syntax import compose

MAX_DEPTH = 20
MAX_VALUES = 100_000

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_DECIMAL = re.compile(r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})([eE][-+][0-9]{1,2})?")
_TRUE = ("true", "yes", "on")


class UnusableScalar(Enum):
    """The type of a scalar that has no plain meaning, or whose error is recorded already."""

    UNUSABLE = "unusable"
    OCTAL = "octal"
    """A number that begins with a zero: YAML 1.1 reads ``0170`` as 120, YAML 1.2 as 170."""


UNUSABLE: Final = UnusableScalar.UNUSABLE

Scalar = None | bool | int | float | str | UnusableScalar
YamlValue = Scalar | tuple["YamlValue", ...] | dict[str, "YamlValue"]


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file; mappings are dicts, lists are tuples."""

    value: YamlValue
    _positions: dict[Loc, Position]
    _key_positions: dict[Loc, Position]

    def nearest(self, loc: Loc) -> Loc:
        """Return the longest part of ``loc`` that is in the file."""
        while loc not in self._positions:
            loc = loc[:-1]
        return loc

    def position(self, loc: Loc) -> Position:
        """Return the place of the value at ``loc``, or of what is nearest above it."""
        return self._positions[self.nearest(loc)]

    def key_position(self, loc: Loc) -> Position:
        """Return the place of the key at ``loc``; of an item of a list, where it begins."""
        return self._key_positions.get(loc) or self.position(loc)


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its variables replaced, and a message for each error and each warning."""

    text: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Interpolate = Callable[[str], Interpolated]


def read_document(
    text: str,
    report: ErrorCollector,
    interpolate: Interpolate = Interpolated,
    warnings: ErrorCollector | None = None,
    empty: str | None = None,
    *,
    only_texts: bool = False,
) -> Document | None:
    """Read YAML text, and pass each text in it through ``interpolate``.

    Every error goes to ``report``, every warning to ``warnings``. With ``only_texts``, each scalar
    is null or a text as it is written, also where YAML reads a number or a date. A text that holds
    nothing is the mistake that ``empty`` names, or a mapping without keys where that is None.
    Returns None when the text is not YAML, or holds by its aliases far too much.
    """
    composed = compose(text)
    start = Position(1, 1)
    if composed is None and empty is None:
        return Document({}, {(): start}, {})
    if composed is None:
        report.add((), start, empty or "")
        return None
    if not isinstance(composed, yaml.Node):
        report.add((), composed.position, composed.message)
        return None
    reading = _Constructor(interpolate, report, warnings or ErrorCollector(""), only_texts)
    value = reading.value(composed, ())
    if len(reading.positions) > MAX_VALUES:
        return None
    return Document(value, reading.positions, reading.key_positions)


@dataclass(slots=True)
class _Constructor:
    interpolate: Interpolate
    report: ErrorCollector
    warnings: ErrorCollector
    only_texts: bool
    positions: dict[Loc, Position] = field(default_factory=dict)
    key_positions: dict[Loc, Position] = field(default_factory=dict)
    above: list[int] = field(default_factory=list)

    def value(self, node: yaml.Node, loc: Loc) -> YamlValue:
        if len(self.positions) == MAX_VALUES:
            self.report.add(
                (), _get_position(node), "more values than any use has; name fewer aliases"
            )
        self.positions[loc] = _get_position(node)
        if len(self.positions) > MAX_VALUES:
            return UNUSABLE
        fault = self._find_fault(node)
        if fault:
            self.report.add(loc, _get_position(node), fault)
            return UNUSABLE
        if isinstance(node, yaml.ScalarNode):
            return self._construct_scalar(node, loc)
        self.above.append(id(node))
        try:
            return self._construct_collection(node, loc)
        finally:
            self.above.pop()

    def _find_fault(self, node: yaml.Node) -> str | None:
        if id(node) in self.above:
            return "an alias (*name) is inside of what it names; write the value out"
        if len(self.above) >= MAX_DEPTH:
            return "is nested too deeply; no key of this file lies that deep"
        if node.tag.removeprefix(_TAG) not in _TYPE_NAMES[type(node)]:
            return "has a tag (!name) that is not known here; remove the tag"
        return None

    def _construct_collection(self, node: yaml.Node, loc: Loc) -> YamlValue:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(item, (*loc, index)) for index, item in enumerate(node.value))
        values: dict[str, YamlValue] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.report.add(
                    loc, _get_position(key), "has a key that is no text; write a key's name"
                )
            elif key.value in values:
                self._report_duplicate_key((*loc, key.value), _get_position(key))
            else:
                self.key_positions[(*loc, key.value)] = _get_position(key)
                values[key.value] = self.value(item, (*loc, key.value))
        return values

    def _report_duplicate_key(self, loc: Loc, position: Position) -> None:
        first = self.key_positions[loc].line
        self.report.add(loc, position, f"duplicate of line {first}; remove one")

    def _construct_scalar(self, node: yaml.ScalarNode, loc: Loc) -> Scalar:
        type_name = node.tag.removeprefix(_TAG)
        if type_name == "null" or not (type_name == "str" or self.only_texts):
            return _classify_plain(type_name, node.value)
        interpolated = self.interpolate(node.value)
        for error in interpolated.errors:
            self.report.add(loc, _get_position(node), error)
        for warning in interpolated.warnings:
            self.warnings.add(loc, _get_position(node), warning)
        return UNUSABLE if interpolated.errors else interpolated.text


_TYPE_NAMES: Mapping[type[yaml.Node], tuple[str, ...]] = {
    yaml.ScalarNode: ("null", "bool", "int", "float", "str", "timestamp", "merge", "value"),
    yaml.SequenceNode: ("seq",),
    yaml.MappingNode: ("map",),
}


def _classify_plain(type_name: str, text: str) -> Scalar:
    if type_name == "null":
        return None
    if type_name == "bool":
        return text.lower() in _TRUE
    if type_name == "int" and _INTEGER.fullmatch(text):
        return int(text)
    if type_name == "float" and _DECIMAL.fullmatch(text):
        return float(text)
    return UnusableScalar.OCTAL if _OCTAL.fullmatch(text) else UNUSABLE


def _get_position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
