"""What any file of the operator becomes: values with places, and sentences."""

import pytest

from exporter.yamlfile.document import Document, Interpolated, read_document
from exporter.yamlfile.problems import ErrorCollector, Position, format_path


def read(text: str) -> tuple[Document | None, list[str]]:
    """Read a text, and give what is wrong with it."""
    report = ErrorCollector("own.yml")
    return read_document(text, report), [str(problem) for problem in report.problems()]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_text_that_holds_nothing_has_no_keys(text: str) -> None:
    """Where an empty file means something, it is a mapping that begins where the text does."""
    document, problems = read(text)
    assert document
    assert (document.value, problems) == ({}, [])
    assert document.position(("any", "way")) == Position(1, 1)


def test_a_text_that_holds_nothing_can_be_a_mistake() -> None:
    """Given a message for it, then that is reported."""
    report = ErrorCollector("own.yml")
    assert read_document("", report, empty="the file is empty") is None
    assert [str(problem) for problem in report.problems()] == ["own.yml:1:1: the file is empty"]


def test_texts_stay_as_they_are_written() -> None:
    """A dollar means nothing without a function that fills it in."""
    document, problems = read("a: $2y$10$x\nb: ${NAME}\n")
    assert document
    assert document.value == {"a": "$2y$10$x", "b": "${NAME}"}
    assert problems == []


def test_texts_can_be_filled_in() -> None:
    """What fills them in also says what is wrong with one, and what is odd."""
    report, warnings = ErrorCollector("own.yml"), ErrorCollector("own.yml")

    def double(text: str) -> Interpolated:
        return Interpolated(
            text * 2, ("is bad",) if text == "y" else (), ("is odd",) if text == "x" else ()
        )

    document = read_document("a: x\nb: y\n", report, double, warnings)
    assert document
    assert isinstance(document.value, dict)
    assert document.value["a"] == "xx"
    assert [str(problem) for problem in report.problems()] == ["own.yml:2:4: b: is bad"]
    assert [str(problem) for problem in warnings.problems()] == ["own.yml:1:4: a: is odd"]


@pytest.mark.parametrize(
    ("key", "known", "shown"),
    [
        ("a_key", (), "a_key"),
        ("HUNTER2", (), "?"),
        ("X-Frame-Options", (), "?"),
        ("X-Frame-Options", ("X-Frame-Options",), "X-Frame-Options"),
    ],
)
def test_a_key_that_may_be_a_secret_is_not_shown(
    key: str, known: tuple[str, ...], shown: str
) -> None:
    """Only what looks like a key, or is known to be one, is part of a problem."""
    assert format_path(("top", 0, key), known) == f"top[0].{shown}"
