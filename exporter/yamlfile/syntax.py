"""YAML text to PyYAML's nodes; what PyYAML cannot read gets a message of our own.

PyYAML's messages quote the text, and the text may be a secret: none of them is passed on, nor
kept as the cause of another exception.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from exporter.yamlfile.problems import Position

_BLANKS: Final = " \t"
_BREAKS: Final = "\r\n"
_ENDS: Final = "\0\r\n"
_BLOCK_INDICATORS: Final = re.compile(r"([-+]?[1-9]?|[1-9][-+])(?=[\0 \t\r\n])")
_DOCUMENT_MARK: Final = re.compile(r"(---|\.\.\.)[\0 \t\r\n]")


HAS_LIBYAML: Final[bool] = yaml.__with_libyaml__
"""Whether PyYAML was built with LibYAML, as its wheels are."""

if TYPE_CHECKING:
    _Parser = yaml.SafeLoader  # CSafeLoader has the same methods, but for the composer
else:
    _Parser = yaml.CSafeLoader if HAS_LIBYAML else yaml.SafeLoader
_FLOW = (
    "the list or mapping that begins here with '[' or '{' is broken or never closed; "
    "inside of it ${NAME} and special characters need quotes"
)
_HEADER = "a line that begins with '%' is a YAML directive; remove it, or put the text in quotes"
_TAGS = "a text that begins with '!' is a YAML tag; remove it, or put the text in quotes"
_MISFIT = "this text is unexpected here; check indentation, quotes and the '-' of lists"
_ANCHORS = (
    "a text that begins with '&' or '*' must be in quotes; the name of an anchor has letters, "
    "digits, '-' and '_'"
)
_ONE_DOCUMENT = "only one document is allowed; remove '---' or '...'"
_TAB = "a tab cannot indent; write spaces"
_CONFLICT_MARKER = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?= |\r?$)", re.MULTILINE)
_CONFLICT = (
    "is a conflict marker of a merge; keep one of the two versions, and remove the lines that "
    "begin with '<<<<<<<', '=======' and '>>>>>>>'"
)
_TAB_AFTER_INDICATOR = re.compile(r" *([-?:] *)+\t")

# What PyYAML says (context and problem), and what we say. The first that fits is used.
_SENTENCES = (
    (r"character '\\t'", _TAB),
    (r"that cannot start any token", "a text that begins with this character must be in quotes"),
    (r"simple key.*':'", "this line is no 'key: value'; a key is followed by ':' and a space"),
    (
        r"mapping values are not",
        (
            "a ':' is not allowed here; check the indentation, quote a text that holds ': ', "
            "and end each key above with ': '"
        ),
    ),
    (r"(sequence entries|mapping keys) are not", "a list or key cannot begin here; indent it"),
    (r"quoted scalar", "the quoted text that begins here is never closed, or has a wrong '\\'"),
    (r"(alias|anchor)", _ANCHORS),
    (r"flow (sequence|mapping|node)|unclosed", _FLOW),
    (r"(scanning|tag handle|parsing) a.* tag|tag handle|'!'", _TAGS),
    (r"directive|%|incompatible", _HEADER),
    (r"block scalar", "after '|' or '>' the text begins in the next line"),
    (r"another document", _ONE_DOCUMENT),
    (r"block (collection|mapping)", _MISFIT),
)
_OTHER = "is not YAML here; check indentation, quotes and colons"
# Line breaks for YAML 1.1 and PyYAML, characters for YAML 1.2 and editors.
_SEPARATOR = re.compile("[\x85\u2028\u2029]")
_SEPARATOR_SENTENCE = "holds an invisible line separator (U+{:04X}); remove it"
# As text that is copied from a web page has it.
_ODD_INDENTATION = re.compile("^[ \t]*([^\\S \t\r\n]|[\u200b\ufeff])", re.MULTILINE)
_ODD_SENTENCE = "an invisible character (U+{:04X}) cannot indent; write spaces"
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_DOCUMENT_END = re.compile(r"^\.\.\.\s", re.MULTILINE)
_LINE_BREAK = re.compile(r"\r\n?|\n")
# What LibYAML reads differently: it allows ``|-#``, takes ``!`` alone for a tag, splits
# ``{a?1:2}``, and finds an empty value at another place where a bracket or the end of the text
# follows.
_PYTHON_ONLY = re.compile(r"[\t\r\0\ufeff!|>?]|^%|:\s*[\]},]|[^\n]\Z", re.MULTILINE)
# A bracket that follows an empty value and a comment is the first of its line.
_COMMENTED = re.compile(r":\s*#")
_BRACKET_FIRST = re.compile(r"^ *[\]},]", re.MULTILINE)
_FROM_START = re.compile(r"simple key|quoted scalar|flow (sequence|mapping)|an? (tag|alias|anchor)")


class _Composer(yaml.composer.Composer):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node; a second definition of an anchor replaces the first."""
        # A composer gets its events from the parser that is combined with it.
        if not self.check_event(yaml.AliasEvent):  # type: ignore[attr-defined]
            self.anchors.pop(self.peek_event().anchor, None)  # type: ignore[attr-defined]
        return super().compose_node(parent, index)


class FastLoader(_Composer, _Parser):
    """Composes the nodes of a text from LibYAML's events.

    The composer is PyYAML's own in Python: that of LibYAML's binding recurses in C, where no limit
    keeps a text that is nested deeply from overflowing the stack.
    """

    def __init__(self, text: str) -> None:
        _Parser.__init__(self, text)
        yaml.composer.Composer.__init__(self)


class Loader(_Composer, yaml.SafeLoader):
    """Composes the nodes of a text, with tabs as separation and anchors that are defined again."""

    def scan_to_next_token(self) -> None:
        """Skip blanks, comments and line breaks; raise ScannerError for a tab that indents."""
        while True:
            self._skip_blanks()
            if self.peek() == "#":
                while self.peek() not in _ENDS:
                    self.forward()
            if not self._take_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_plain_spaces(
        self,
        indent: int,
        start_mark: yaml.Mark,  # noqa: ARG002 - the signature is PyYAML's
    ) -> list[str]:
        """Return the blanks and line breaks inside of a plain scalar, folded."""
        blanks = self._take_blanks()
        if self.peek() not in _BREAKS:
            return [blanks] if blanks else []
        self._take_line_break()
        self.allow_simple_key = True
        empty_lines: list[str] = []
        while not self._is_document_mark():
            self._skip_indentation(indent)
            if self.peek() not in _BREAKS:
                return empty_lines or [" "]
            empty_lines.append(self._take_line_break())
        return []

    def scan_block_scalar_indicators(self, start_mark: yaml.Mark) -> tuple[bool | None, int | None]:
        """Return what follows the ``|`` or ``>`` of a block scalar; raise ScannerError."""
        found = _BLOCK_INDICATORS.match(self.prefix(3))
        if found is None:
            super().scan_block_scalar_indicators(start_mark)
            return None, None
        indicators = found[0]
        self.forward(len(indicators))
        digit = indicators.strip("+-")
        keeps_breaks = "+" in indicators if len(indicators) > len(digit) else None
        return keeps_breaks, int(digit) if digit else None

    def scan_block_scalar_ignored_line(self, start_mark: yaml.Mark) -> None:
        """Skip the blanks after the ``|`` or ``>`` of a block scalar, then as PyYAML does."""
        self._take_blanks()
        super().scan_block_scalar_ignored_line(start_mark)

    def _skip_blanks(self) -> None:
        """Skip blanks; raise ScannerError where a tab is before the first word of a line."""
        if self.flow_level or self.column:
            # Nothing that depends on its column may follow a tab: ``-<TAB>- x`` has no indentation.
            if "\t" in self._take_blanks() and not self.flow_level:
                self.allow_simple_key = False
            return
        self.forward(self._count(" "))
        mark = self.get_mark()
        if self._take_blanks() and self.peek() not in _ENDS + "#":
            raise yaml.scanner.ScannerError(None, None, "found character '\\t'", mark)

    def _skip_indentation(self, indent: int) -> None:
        """Skip the blanks before the next line of a plain scalar, unless a tab indents it."""
        blanks = self._count(_BLANKS)
        if self.flow_level or self._count(" ") >= indent or self.peek(blanks) in _BREAKS:
            self.forward(blanks)

    def _take_line_break(self) -> str:
        line_break: str = self.scan_line_break()  # type: ignore[no-untyped-call]
        return line_break

    def _take_blanks(self) -> str:
        blanks: str = self.prefix(self._count(_BLANKS))
        self.forward(len(blanks))
        return blanks

    def _count(self, characters: str) -> int:
        length = 0
        while self.peek(length) in characters:
            length += 1
        return length

    def _is_document_mark(self) -> bool:
        return self.column == 0 and bool(_DOCUMENT_MARK.match(self.prefix(4)))


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Why and where the text is not YAML."""

    position: Position
    message: str


def compose(text: str) -> yaml.Node | SyntaxFault | None:
    """Read the text's one document into nodes, or say what is wrong with it.

    Returns None for a text that holds nothing.
    """
    separator = _SEPARATOR.search(text)
    if separator:
        message = _SEPARATOR_SENTENCE.format(ord(separator[0]))
        return SyntaxFault(_find_position(text, separator.start()), message)
    if HAS_LIBYAML and _is_the_same_for_libyaml(text):
        with suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
            return FastLoader(text).get_single_node()
    return _compose_in_python(text)


def _is_the_same_for_libyaml(text: str) -> bool:
    """Return whether LibYAML, if it takes the text, finds the same nodes at the same positions."""
    if _PYTHON_ONLY.search(text):
        return False
    return not (_COMMENTED.search(text) and _BRACKET_FIRST.search(text))


def _compose_in_python(text: str) -> yaml.Node | SyntaxFault | None:
    """Do the same with the loader that knows all of YAML 1.2 that is read here, and every fault."""
    try:
        loader = Loader(text)
    except yaml.reader.ReaderError as error:
        return SyntaxFault(
            _find_position(text, error.position), "holds a control character; remove it"
        )
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        return _build_fault(error, text)
    except RecursionError:
        return _build_fault_at(
            loader.get_mark(), "is nested too deeply; no key of this file lies that deep"
        )
    except (ValueError, OverflowError):
        # A character or version number larger than Python's own.
        return _build_fault_at(loader.get_mark(), _OTHER)


def _build_fault(error: yaml.MarkedYAMLError, text: str) -> SyntaxFault:
    conflict = _CONFLICT_MARKER.search(text)
    if conflict is not None:
        return SyntaxFault(_find_position(text, conflict.start()), _CONFLICT)
    indentation = _ODD_INDENTATION.search(text)
    if indentation is not None:
        message = _ODD_SENTENCE.format(ord(indentation[0][-1]))
        return SyntaxFault(_find_position(text, indentation.end() - 1), message)
    said = f"{error.context} {error.problem}"
    message = next((ours for theirs, ours in _SENTENCES if re.search(theirs, said)), _OTHER)
    mark = error.problem_mark
    if mark and "document start" in said:
        return _describe_missing_document(text[: mark.index], mark)
    line = text[mark.index - mark.column : mark.index] if mark else ""
    if _TAB_AFTER_INDICATOR.match(line):
        message = _TAB
    if mark is None or (error.context_mark and _FROM_START.search(said)):
        mark = error.context_mark
    return SyntaxFault(Position(1, 1), message) if mark is None else _build_fault_at(mark, message)


def _describe_missing_document(before: str, mark: yaml.Mark) -> SyntaxFault:
    """Return why the text at a mark begins no document, from what is before it."""
    directive = _DIRECTIVE.search(before, before.rfind("\n---") + 1)
    if directive is not None:
        return SyntaxFault(_find_position(before, directive.start()), _HEADER)
    return _build_fault_at(mark, _ONE_DOCUMENT if _DOCUMENT_END.search(before) else _MISFIT)


def _build_fault_at(mark: yaml.Mark, message: str) -> SyntaxFault:
    return SyntaxFault(Position(mark.line + 1, mark.column + 1), message)


def _find_position(text: str, position: int) -> Position:
    *lines, line = _LINE_BREAK.split(text[:position])
    return Position(len(lines) + 1, len(line) + 1)
