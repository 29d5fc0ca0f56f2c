"""Untrusted JSON becomes what the API promises, or is refused in a few words."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.json_values import (
    Json,
    UnexpectedError,
    decode,
    items,
    kind,
    mapping,
    merged,
    name,
    whole_number,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values: st.SearchStrategy[Json] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


@given(values)
def test_json_is_read(value: Json) -> None:
    """Whatever JSON holds is read as it was written, escaped or not."""
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("count", [1, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting(opening: str, closing: str, count: int) -> None:
    """Nesting without a bottom is refused; it ends neither the thread nor the process."""
    body = (opening * count + "null" + closing * count).encode()
    if count == 1:
        assert decode(body) in ([None], {"a": None})
        return
    with pytest.raises(UnexpectedError) as caught:
        decode(body)
    assert str(caught.value) == "it is nested too deeply"


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", "it is not JSON"),
        (b" ", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"{} {}", "it is not JSON"),
        (b"{'a': 1}", "it is not JSON"),
        (b'{"a": 1,}', "it is not JSON"),
        (b'"\x01"', "it is not JSON"),
        (b'"\xff\xfe"', "it is not JSON"),
        (b'"\xed\xa0\x80"', "it is not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "it is not JSON"),
        ('{"a": 1}'.encode("utf-16"), "it is not JSON"),
        (b"9" * 10_000, "it is not JSON"),
        (b'{"a": NaN}', "NaN and Infinity are no JSON"),
        (b"[Infinity]", "NaN and Infinity are no JSON"),
        (b"-Infinity", "NaN and Infinity are no JSON"),
        (b'{"a": 1, "b": 2, "a": 1}', "a mapping names the same thing twice"),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', "a mapping names the same thing twice"),
    ],
)
def test_no_json(body: bytes, flaw: str) -> None:
    """What is no strict JSON in UTF-8 is refused."""
    with pytest.raises(UnexpectedError) as caught:
        decode(body)
    assert str(caught.value) == flaw


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (-1, -1),
        (1024, 1024),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        ("0", 0),
        ("-1", -1),
        ("007", 7),
        ("185080787782", 185080787782),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        (1024.0, 1024),
        (-0.0, 0),
        (2.0**53, 2**53),
    ],
)
def test_whole_numbers(value: Json, number: int) -> None:
    """A whole number is read from a number, a text, or a float that is one."""
    found = whole_number(value)

    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "null"),
        (True, "true or false"),
        (False, "true or false"),
        (2**63, "a number"),
        (-(2**63) - 1, "a number"),
        (1.5, "a number"),
        (2.0**54, "a number"),
        (math.inf, "a number"),
        (math.nan, "a number"),
        ("9223372036854775808", "a number"),
        ("9" * 10_000, "a text"),
        ("", "a text"),
        ("-", "a text"),
        ("+1", "a text"),
        ("1.0", "a text"),
        ("1e3", "a text"),
        ("0x10", "a text"),
        (" 1", "a text"),
        ("1\n", "a text"),
        ("1_000", "a text"),
        ("٣", "a text"),
        ([1], "a list"),
        ({"0": 1}, "a mapping"),
    ],
)
def test_no_whole_numbers(value: Json, what: str) -> None:
    """Anything else is no whole number, and is not shown."""
    with pytest.raises(UnexpectedError) as caught:
        whole_number(value)
    assert str(caught.value) == f"{what} stands where a whole number should"


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_as_text(number: int) -> None:
    """Every number of 64 bits means the same as a number and as a text."""
    assert whole_number(number) == whole_number(str(number)) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web", "web"),
        ("", ""),
        (17, "17"),
        (-1, "-1"),
        ("17", "17"),
        ("é€😀", "é€😀"),
        ("\0", "\0"),
    ],
)
def test_names(value: Json, text: str) -> None:
    """A name is a text, or the number that PHP has made of one."""
    assert name(value) == text


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "null stands where a name should"),
        (True, "true or false stands where a name should"),
        (1.5, "a number stands where a name should"),
        ([], "a list stands where a name should"),
        ({}, "a mapping stands where a name should"),
        ("a\ud800", "a name holds half of a character"),
        ("\udfff\ud83d", "a name holds half of a character"),
    ],
)
def test_no_names(value: Json, sentence: str) -> None:
    """Anything else is no name; neither is a text that UTF-8 cannot hold."""
    with pytest.raises(UnexpectedError) as caught:
        name(value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], []),
        ({}, []),
        (["a", 1, None], ["a", 1, None]),
        ({"0": "a", "2": "b"}, ["a", "b"]),
        ({"7": "b", "3": "a"}, ["b", "a"]),
    ],
)
def test_items(value: Json, found: list[Json]) -> None:
    """A list is one, and so is PHP's mapping from index to value, in its order."""
    assert list(items(value)) == found


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "null"),
        ("a", "a text"),
        (0, "a number"),
        ({"movie.mp4": "video"}, "a mapping"),
        ({"0": "a", "": "b"}, "a mapping"),
        ({"0": "a", "-1": "b"}, "a mapping"),
        ({"٣": "a"}, "a mapping"),
    ],
)
def test_no_items(value: Json, what: str) -> None:
    """Anything else is no list, a mapping from something else than an index neither."""
    with pytest.raises(UnexpectedError) as caught:
        items(value)
    assert str(caught.value) == f"{what} stands where a list should"


@pytest.mark.parametrize(("value", "found"), [({"a": 1}, {"a": 1}), ({}, {}), ([], {})])
def test_mappings(value: Json, found: dict[str, Json]) -> None:
    """A mapping is one, and so is PHP's empty one."""
    assert mapping(value) == found


@pytest.mark.parametrize(
    ("value", "what"),
    [(None, "null"), ("", "a text"), (0, "a number"), (False, "true or false"), ([{}], "a list")],
)
def test_no_mappings(value: Json, what: str) -> None:
    """Anything else is no mapping."""
    with pytest.raises(UnexpectedError) as caught:
        mapping(value)
    assert str(caught.value) == f"{what} stands where a mapping should"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([{"a": 1, "b": 2}], {"a": 1, "b": 2}),
        ([{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
        ([{"a": 1}, {}, {"b": 2}], {"a": 1, "b": 2}),
        ([], {}),
        ([{}], {}),
        ([[]], {}),
        ([[], []], {}),
        ([[{"a": 1}], {"b": 2}], {"0": {"a": 1}, "b": 2}),
    ],
)
def test_merged_mappings(value: Json, found: dict[str, Json]) -> None:
    """A list of mappings is one mapping; a part that is a list has its indexes for names."""
    assert merged(value) == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([{"a": 1}, {"a": 1}], "two parts of a folder name the same thing"),
        ([{"a": 1}, "b"], "a text stands where a mapping should"),
        ([None], "null stands where a mapping should"),
        ("a", "a text stands where a list of parts should"),
        (None, "null stands where a list of parts should"),
        ({}, "a mapping stands where a list of parts should"),
    ],
)
def test_no_merged_mappings(value: Json, sentence: str) -> None:
    """Anything else is no mapping in parts."""
    with pytest.raises(UnexpectedError) as caught:
        merged(value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("secret", "a text"),
        (["secret"], "a list"),
        ({"secret": 1}, "a mapping"),
    ],
)
def test_kinds(value: Json, said: str) -> None:
    """A value is described without being shown."""
    assert kind(value) == said
