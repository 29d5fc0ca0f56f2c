"""YAML text to PyYAML's nodes; what PyYAML cannot read gets a sentence of our own.

PyYAML's messages quote the text, and the text may be a secret: none of them is passed on, nor
kept as the cause of another exception.
"""

import re
from dataclasses import dataclass

import yaml

from exporter.documents.problems import Place

_FLOW = (
    "the list or mapping that begins here with '[' or '{' is broken or never closed; "
    "inside of it ${NAME} and special characters need quotes"
)
_HEADER = "a line that begins with '%' is a YAML directive; remove it, or put the text in quotes"
_TAGS = "a text that begins with '!' is a YAML tag; remove it, or put the text in quotes"
_MISFIT = "does not fit what stands before it; check indentation, quotes and the '-' of lists"
_ANCHORS = "a text that begins with '&' or '*' must be in quotes"

# What PyYAML says (context and problem), and what we say. The first that fits is used.
_SENTENCES = (
    (r"character '\\t'", "a tab cannot indent; write spaces"),
    (r"character '%'", _HEADER),
    (r"that cannot start any token", "a text that begins with this character must be in quotes"),
    (r"simple key.*':'", "this line is no 'key: value'; a key is followed by ':' and a space"),
    (
        r"mapping values are not",
        "a ':' cannot stand here; quote a text that holds ': ', and end each key above with ': '",
    ),
    (r"(sequence entries|mapping keys) are not", "a list or key cannot begin here; indent it"),
    (r"quoted scalar", "the quoted text that begins here is never closed, or has a wrong '\\'"),
    (r"(alias|anchor)", _ANCHORS),
    (r"flow (sequence|mapping|node)|unclosed", _FLOW),
    (r"(scanning|tag handle|parsing) a.* tag|tag handle|'!'", _TAGS),
    (r"directive|%|incompatible", _HEADER),
    (r"block scalar", "after '|' or '>' the text begins in the next line"),
    (r"another document", "only one document may stand here; remove '---'"),
    (r"block (collection|mapping)|document start", _MISFIT),
)
_OTHER = "is not YAML here; check indentation, quotes and colons"
_FROM_START = re.compile(r"simple key|quoted scalar|flow (sequence|mapping)|an? (tag|alias|anchor)")


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Why and where the text is not YAML."""

    place: Place
    sentence: str


def compose(text: str) -> yaml.Node | SyntaxFault | None:
    """Read the text's one document into nodes, or say what is wrong with it.

    Gives None for a text that holds nothing.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        return SyntaxFault(_place_of(text, error.position), "holds a control character; remove it")
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        return _fault(error)
    except RecursionError:
        return _at(loader.get_mark(), "is nested too deeply; no key of this file lies that deep")
    except (ValueError, OverflowError):
        # A character or version number larger than Python's own.
        return _at(loader.get_mark(), _OTHER)


def _fault(error: yaml.MarkedYAMLError) -> SyntaxFault:
    said = f"{error.context} {error.problem}"
    sentence = next((ours for theirs, ours in _SENTENCES if re.search(theirs, said)), _OTHER)
    mark = error.problem_mark
    if mark is None or (error.context_mark and _FROM_START.search(said)):
        mark = error.context_mark
    return SyntaxFault(Place(1, 1), sentence) if mark is None else _at(mark, sentence)


def _at(mark: yaml.Mark, sentence: str) -> SyntaxFault:
    return SyntaxFault(Place(mark.line + 1, mark.column + 1), sentence)


def _place_of(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))
