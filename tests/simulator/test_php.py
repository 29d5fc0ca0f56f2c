"""JSON as PHP prints and reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.php import PhpValue, decode, encode, whole_number, with_gaps

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[PhpValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"path": "a/b"}, r'{"path":"a\/b"}'),
        ("é", r'"\u00e9"'),
        ("🎬", r'"\ud83c\udfac"'),
        ("a\x7fb", '"a\x7fb"'),
        ("\b\f\n\r\t\x00", r'"\b\f\n\r\t\u0000"'),
        ("a\\u007f/", r'"a\\u007f\/"'),
        ({}, "[]"),
        ({"0": "a", "1": "b"}, '["a","b"]'),
        ({"1": "a", "0": "b"}, '{"1":"a","0":"b"}'),
        ({"1": "a"}, '{"1":"a"}'),
        ({"x": {"0": {}}}, '{"x":[[]]}'),
        ([1, True, None, "x"], '[1,true,null,"x"]'),
    ],
)
def test_values_are_printed_as_json_encode_does(value: PhpValue, text: str) -> None:
    """Each value is printed as json_encode does."""
    assert encode(value) == text


@given(VALUES)
def test_the_text_is_ascii_and_printed_again_the_same(value: PhpValue) -> None:
    """What was decoded from PHP's text is encoded to the same text: the server may check so."""
    text = encode(value)

    assert text.isascii()
    assert encode(decode(text)) == text


@given(st.lists(TEXTS))
def test_a_list_with_gaps_is_never_a_list(names: list[str]) -> None:
    """A list that lost items is printed as a mapping that still holds the others in order."""
    gaps = with_gaps(names)

    printed = json.loads(encode(gaps))
    assert list(gaps.values()) == names
    assert isinstance(printed, dict) or not names


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a":Infinity}', "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    """A text that PHP could not decode raises ValueError, however it is broken."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("-5", -5),
        ("005", 5),
        ("", None),
        ("5.0", None),
        (True, None),
        (5.0, None),
    ],
)
def test_numbers_and_digits_are_whole_numbers(value: PhpValue, number: int | None) -> None:
    """A number and a text of digits are whole numbers, nothing else is."""
    assert whole_number(value) == number
