"""Tabs, anchors and directives are read as YAML 1.2 reads them."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.yamlfile import syntax
from exporter.yamlfile.document import read_document
from exporter.yamlfile.problems import ErrorCollector, Position
from exporter.yamlfile.syntax import SyntaxFault, compose
from tests.support.sentences import TAB


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: x\t# comment\n", {"a": "x"}),
        ("a: x \t \n", {"a": "x"}),
        ("a:\tx\n", {"a": "x"}),
        ("a\t: x\n", {"a": "x"}),
        ("'a'\t:\t\"x\"\t# comment\n", {"a": "x"}),
        ("a: &x\tx\nb: *x\t# comment\n", {"a": "x", "b": "x"}),
        ("\t# comment\na: x\n", {"a": "x"}),
        ("a: x\n\t\nb: y\n", {"a": "x", "b": "y"}),
        ("a: x\n  \t # comment\nb: y\n", {"a": "x", "b": "y"}),
        ("a:\t\n  b: x\n", {"a": {"b": "x"}}),
        ("a:\t# comment\n  b: x\n", {"a": {"b": "x"}}),
        ("-\tx\n- y\n", ("x", "y")),
        ("-\t[x]\n", (("x",),)),
        ("?\ta\n:\tx\n", {"a": "x"}),
        ("a: [x,\ty\t]\n", {"a": ("x", "y")}),
        ("a: [x,\n\ty\n\t]\n", {"a": ("x", "y")}),
        ("a: {b:\tx}\n", {"a": {"b": "x"}}),
        ("a: x\ty\n", {"a": "x\ty"}),
        ("a: x\n \ty\n", {"a": "x y"}),
        ("a: x\n\t\n  y\n", {"a": "x\ny"}),
        ("a: |\t# comment\n  x\n", {"a": "x\n"}),
        ("a: >-\t\n  x\n", {"a": "x"}),
        ("a: |2+\n    x\n\n", {"a": "  x\n\n"}),
        ("a: |-1\n  x\n", {"a": " x"}),
        ("a: |\n x\n  \ty\n", {"a": "x\n \ty\n"}),
        ("a: '\tx\t'\n", {"a": "\tx\t"}),
        ('a: "x\n \t y"\n', {"a": "x y"}),
        ("---\t# comment\na: x\n...\t# comment\n", {"a": "x"}),
        ("%YAML 1.2\n---\na: x\n", {"a": "x"}),
        ("%FUTURE x\n--- # comment\na: x\n", {"a": "x"}),
        ("a: x\r\nb: y\r\n", {"a": "x", "b": "y"}),
        ("a: x\rb: y\r", {"a": "x", "b": "y"}),
        ("a: &x 'x'\nb: &x 'y'\nc: *x\n", {"a": "x", "b": "y", "c": "y"}),
    ],
)
def test_what_yaml_allows_is_read(text: str, value: object) -> None:
    report = ErrorCollector("own.yml")
    document = read_document(text, report)
    assert report.problems() == ()
    assert document
    assert document.value == value


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\ta: x\n", "1:1"),
        ("a:\n\tb: x\n", "2:1"),
        ("a:\n  b: x\n  \tc: y\n", "3:3"),
        ("a:\n  - x\n\t- y\n", "3:1"),
        ("a: x\n\ty\n", "2:1"),
        ("a: |\n\tx\n", "2:1"),
        ("a: |\n  x\n\ty\n", "3:1"),
        ("-\t- x\n", "1:3"),
        ("-\ta: x\n", "1:4"),
        ("- \t b: x\n", "1:6"),
        ("?\ta: x\n", "1:4"),
        ("a: x\r\n\tb: y\r\n", "2:1"),
    ],
)
def test_a_tab_cannot_indent(text: str, place: str) -> None:
    """It is not defined how far a tab indents, so YAML forbids it (YAML 1.2.2, 6.1)."""
    report = ErrorCollector("own.yml")
    assert read_document(text, report) is None
    assert [str(problem) for problem in report.problems()] == [f"own.yml:{place}: {TAB}"]


PIECES = st.sampled_from(
    [
        *("\n", "\n  ", "\n    ", " ", "- ", "a: ", "b:", "x", "x y", "[", "]", "{", "}", ","),
        *("'", '"', "|", ">", "|-\n", ">+2\n", "# c", "&a ", "*a", "!!str ", "? ", ": ", "---"),
        *("...", "\n---\n", "\n\n", "%YAML 1.1\n", "\r\n", "0", "\\", "!", "|-#", "a?1:2", "é"),
    ]
)


def composed(node: yaml.Node | None) -> object:
    """Return a node as values that can be compared, with its places."""
    if node is None:
        return None
    start = (node.start_mark.line, node.start_mark.column)
    if isinstance(node, yaml.MappingNode):
        return (node.tag, start, [(composed(key), composed(value)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return (node.tag, start, [composed(item) for item in node.value])
    return (node.tag, start, node.value)


def read_by_pyyaml(text: str) -> object:
    """Return what PyYAML composes, or a SyntaxFault."""
    try:
        return composed(yaml.compose(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        return SyntaxFault(Position(1, 1), str(error))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(PIECES, max_size=30).map("".join).filter(lambda text: "*a" not in text))
def test_text_without_tabs_is_read_as_pyyaml_reads_it(text: str) -> None:
    """Only anchors that are defined again are read otherwise."""
    text = text.replace("&a", "", text.count("&a") - 1)
    found, expected = compose(text), read_by_pyyaml(text)
    if isinstance(found, SyntaxFault):
        assert isinstance(expected, SyntaxFault)
    else:
        assert composed(found) == expected


@pytest.mark.skipif(not syntax.HAS_LIBYAML, reason="PyYAML is built without LibYAML here")
@pytest.mark.parametrize(
    ("text", "is_fast"),
    [
        ("accounts:\n  - cdn: 158\n    paths: [a, 'b']\n", True),
        ("a: x\tx\n", False),
        ("a: |\n  x\n", False),
        ("a: x", False),
        ("a: [\n", False),
        ("a: {b: # c\n }\n", False),
        ("a: [\n  b\n]\n", True),
        (f"a: {'[' * 100_000}\n", False),
    ],
    ids=["usual", "tab", "block", "no line break", "fault", "empty value", "bracket", "deep"],
)
def test_libyaml_reads_what_is_usual(
    monkeypatch: pytest.MonkeyPatch, text: str, *, is_fast: bool
) -> None:
    """LibYAML reads a usual configuration; the syntax in Python reads what LibYAML refuses."""
    read_in_python: list[str] = []

    class Watched(syntax.Loader):
        def __init__(self, text: str) -> None:
            read_in_python.append(text)
            super().__init__(text)

    monkeypatch.setattr(syntax, "Loader", Watched)
    compose(text)
    assert read_in_python == ([] if is_fast else [text])


@pytest.mark.parametrize("text", ["a: [x, 'y']\nb: &b {c: 1}\nd: *b\n", "a: [\n", ""])
def test_without_libyaml_all_is_the_same(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Where PyYAML is built without LibYAML, texts are read in Python."""
    fast = compose(text)
    monkeypatch.setattr(syntax, "HAS_LIBYAML", False)
    slow = compose(text)
    if isinstance(fast, SyntaxFault):
        assert fast == slow
    else:
        assert not isinstance(slow, SyntaxFault)
        assert composed(fast) == composed(slow)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(PIECES | st.just("\t"), max_size=30).map("".join))
def test_text_with_tabs_is_read_or_refused(text: str) -> None:
    """Nothing else is raised."""
    found = compose(text)
    assert found is None or isinstance(found, yaml.Node | SyntaxFault)
