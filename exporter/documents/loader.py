"""PyYAML's loader, with what YAML 1.2 allows and PyYAML does not.

PyYAML reads YAML 1.1 and refuses every tab outside of quotes. YAML 1.2 allows a tab wherever a
space separates two things in a line, and forbids it in indentation alone (https://yaml.org/spec/
1.2.2/, 6.1 to 6.3). An anchor may be defined again (the same, 7.1).

LibYAML's parser, in C, is many times as fast where PyYAML was built with it. It gives the same
nodes and positions of a plain text, but other errors, so `Loader` reads every text again that
`FastLoader` refuses.

The methods that are replaced here are PyYAML's own, and not documented: its version has a cap.
"""

import re
from typing import TYPE_CHECKING, Final

import yaml

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


class _Composer(yaml.composer.Composer):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node; one that defines an anchor again replaces the older one."""
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
        """Skip blanks; raise ScannerError where a tab stands before the first word of a line."""
        if self.flow_level or self.column:
            # Nothing that depends on its column may follow a tab: `-<TAB>- x` has no indentation.
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
