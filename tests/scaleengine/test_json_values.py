"""Untrusted JSON becomes what the API promises, or is refused in a few words."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.json_values import (
    Json,
    SchemaError,
    as_int,
    as_list,
    as_mapping,
    as_str,
    decode,
    describe_type,
    merge_folder_parts,
)
from tests.support.sentences import (
    HALF_CHARACTER,
    LIST_EXPECTED,
    MAPPING_EXPECTED,
    NAME_EXPECTED,
    NAME_TWICE,
    NO_PARTS,
    NO_WHOLE_NUMBER,
    NOT_UTF8,
    TOO_DEEP,
    TWO_PARTS,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values: st.SearchStrategy[object] = st.recursive(
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
def test_json_is_read(value: object) -> None:
    """Any JSON is read as it was written, escaped or not."""
    for escaped in (True, False):
        text = json.dumps(value, ensure_ascii=escaped)
        assert decode(text.encode()) == json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize(
    "written",
    [
        b' \r\n\t{"a": 1}\n ',
        b'\xef\xbb\xbf{"a": 1}',
        b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}',
        b'\n\xef\xbb\xbf\r\n\xef\xbb\xbf {"a": 1}\xef\xbb\xbf\n',
    ],
)
def test_blanks_around_json_are_ignored(written: bytes) -> None:
    """Blanks and byte order marks around JSON are no part of it, however many there are."""
    assert decode(written) == {"a": 1}


def test_a_byte_order_mark_in_a_text_is_kept() -> None:
    """Inside a text a byte order mark is a letter as any other."""
    assert decode(b'["\xef\xbb\xbfa", "\\ufeff"]') == ["\ufeffa", "\ufeff"]


@pytest.mark.parametrize("count", [1, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_endless_nesting_is_refused(opening: str, closing: str, count: int) -> None:
    """Nesting without a bottom is refused; it ends neither the thread nor the process."""
    body = (opening * count + "null" + closing * count).encode()
    if count == 1:
        assert decode(body) in ([None], {"a": None})
        return
    with pytest.raises(SchemaError) as caught:
        decode(body)
    assert str(caught.value) == TOO_DEEP


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", "it is empty"),
        (b" ", "it is empty"),
        (b"{", "it is not JSON"),
        (b"{} {}", "it is not JSON"),
        (b"{'a': 1}", "it is not JSON"),
        (b'{"a": 1,}', "it is not JSON"),
        (b'"\x01"', "it is not JSON"),
        (b'"\xff\xfe"', NOT_UTF8),
        (b'"\xed\xa0\x80"', NOT_UTF8),
        (b'{"a\xe9": 1}', NOT_UTF8),
        (b'{"a\xef\xbb": 1}', NOT_UTF8),
        (b'{\xef\xbb\xbf"a": 1}', "it is not JSON"),
        (b"\xef\xbb\xbf", "it is not JSON"),
        (b"\x00{}", "it is not JSON"),
        (b"\x0b{}", "it is not JSON"),
        (b"\xc2\xa0{}", "it is not JSON"),
        ('{"a": 1}'.encode("utf-16"), NOT_UTF8),
        ('{"a": 1}'.encode("utf-16-le"), "it is not JSON"),
        (b"9" * 10_000, "a number in it has thousands of digits"),
        (b"0." + b"9" * 10_000, "a number in it has more than 1000 digits"),
        (b"1e99999999999999999999", "a number in it has an exponent that is too large"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b"[Infinity]", "NaN and Infinity are not JSON"),
        (b"-Infinity", "NaN and Infinity are not JSON"),
        (b'{"a": 1, "b": 2, "a": 1}', NAME_TWICE),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', NAME_TWICE),
    ],
)
def test_text_that_is_not_json_is_refused(body: bytes, flaw: str) -> None:
    """What is no strict JSON in UTF-8 is refused."""
    with pytest.raises(SchemaError) as caught:
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
        (" 17 ", 17),
        ("\t+17\n", 17),
        ("5000000000.00", 5_000_000_000),
        ("-1.0", -1),
        ("0.000", 0),
        ("5.", 5),
        ("5.0000", 5),
        ("5000.000", 5000),
        ("1e3", 1000),
        ("5.0E+9", 5_000_000_000),
        ("9007199254740993.00", 2**53 + 1),
        ("-9223372036854775808.0", -(2**63)),
    ],
)
def test_a_whole_number_is_read_from_a_number_or_text(value: Json, number: int) -> None:
    """A whole number is read from a number, and from a text that PHP takes for one."""
    found = as_int(value)

    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"-0", 0),
        (b"-0.0", 0),
        (b"1024.0", 1024),
        (b"5.000", 5),
        (b"5000000000.00", 5_000_000_000),
        (b"1e3", 1000),
        (b"5.0E9", 5_000_000_000),
        (b"5.0e+13", 50_000_000_000_000),
        (b"1500e-2", 15),
        (b"9007199254740993.0", 2**53 + 1),
        (b"123456789012345678e0", 123_456_789_012_345_678),
        (b"1.234567890123456e+15", 1_234_567_890_123_456),
        (b"1." + b"0" * 900, 1),
    ],
)
def test_whole_numbers_may_have_a_fraction_or_exponent(written: bytes, number: int) -> None:
    """JSON may write a whole number with a fraction of zeros, or with an exponent."""
    found = as_int(decode(written))

    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize("written", [b"1.5", b"1e-3", b"1e19", b"1e400", b"1e-400", b"-1e999999"])
def test_fractions_and_large_numbers_are_refused(written: bytes) -> None:
    """A number with a fraction, or of more than 64 bits, is no whole number."""
    with pytest.raises(SchemaError, match=f"{NO_WHOLE_NUMBER} a number"):
        as_int(decode(written))


@pytest.mark.parametrize("digits", ["1.0e+15", "1.2345678901234E+14", "1.234567890123456e18"])
def test_a_number_that_may_be_rounded_is_refused(digits: str) -> None:
    """Where PHP prints fewer digits than a number has, the number is not known."""
    for value in (digits, decode(digits.encode())):
        with pytest.raises(SchemaError) as caught:
            as_int(value)
        assert str(caught.value) == ("a number has an exponent, so its last digits may be rounded")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "null"),
        (True, "true or false"),
        (False, "true or false"),
        (2**63, "a number"),
        (-(2**63) - 1, "a number"),
        ("9223372036854775808", "a text"),
        ("9" * 10_000, "a text"),
        ("", "a text"),
        ("-", "a text"),
        (".", "a text"),
        ("--1", "a text"),
        ("- 1", "a text"),
        ("1.5", "a text"),
        ("5.000", "a text"),
        (" -512.000", "a text"),
        ("1.0.0", "a text"),
        ("1,000", "a text"),
        ("5000000000,00", "a text"),
        ("1e9999", "a text"),
        ("1e", "a text"),
        ("NaN", "a text"),
        ("INF", "a text"),
        ("0x10", "a text"),
        ("1_000", "a text"),
        ("1 000", "a text"),
        ("1\xa0", "a text"),
        ("٣", "a text"),
        ([1], "a list"),
        ({"0": 1}, "a mapping"),
    ],
)
def test_other_values_are_no_whole_number(value: Json, what: str) -> None:
    """Anything else is no whole number, and is not shown."""
    with pytest.raises(SchemaError) as caught:
        as_int(value)
    assert str(caught.value) == f"{NO_WHOLE_NUMBER} {what}"


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_is_the_same_as_text(number: int) -> None:
    """Every number of 64 bits means the same as a number and as a text, with a fraction or not."""
    assert as_int(number) == as_int(str(number)) == number
    assert as_int(f"{number}.00") == as_int(decode(b"%d.0" % number)) == number


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
def test_a_name_is_read_from_text_or_number(value: Json, text: str) -> None:
    """A name is a text, or the number that PHP has made of one."""
    assert as_str(value) == text


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, f"{NAME_EXPECTED} null"),
        (True, f"{NAME_EXPECTED} true or false"),
        (Decimal("1.5"), f"{NAME_EXPECTED} a number"),
        ([], f"{NAME_EXPECTED} a list"),
        ({}, f"{NAME_EXPECTED} a mapping"),
        ("a\ud800", HALF_CHARACTER),
        ("\udfff\ud83d", HALF_CHARACTER),
    ],
)
def test_other_values_are_no_name(value: Json, sentence: str) -> None:
    """Anything else is no name; neither is a text that UTF-8 cannot hold."""
    with pytest.raises(SchemaError) as caught:
        as_str(value)
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
def test_items_are_read_from_a_list_or_indexed_mapping(value: Json, found: list[Json]) -> None:
    """A list is one, and so is PHP's mapping from index to value, in its order."""
    assert list(as_list(value)) == found


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
def test_other_values_are_no_list(value: Json, what: str) -> None:
    """Anything else is no list, a mapping from something else than an index neither."""
    with pytest.raises(SchemaError) as caught:
        as_list(value)
    assert str(caught.value) == f"{LIST_EXPECTED} {what}"


@pytest.mark.parametrize(("value", "found"), [({"a": 1}, {"a": 1}), ({}, {}), ([], {})])
def test_a_mapping_is_read_from_an_object_or_empty_list(
    value: Json, found: dict[str, Json]
) -> None:
    """A mapping is one, and so is PHP's empty one."""
    assert as_mapping(value) == found


@pytest.mark.parametrize(
    ("value", "what"),
    [(None, "null"), ("", "a text"), (0, "a number"), (False, "true or false"), ([{}], "a list")],
)
def test_other_values_are_no_mapping(value: Json, what: str) -> None:
    """Anything else is no mapping."""
    with pytest.raises(SchemaError) as caught:
        as_mapping(value)
    assert str(caught.value) == f"{MAPPING_EXPECTED} {what}"


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
def test_a_list_of_mappings_is_merged(value: Json, found: dict[str, Json]) -> None:
    """A list of mappings is one mapping; a part that is a list has its indexes for names."""
    assert merge_folder_parts(value) == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([{"a": 1}, {"a": 1}], TWO_PARTS),
        ([{"a": 1}, "b"], f"{MAPPING_EXPECTED} a text"),
        ([None], f"{MAPPING_EXPECTED} null"),
        ("a", f"{NO_PARTS} a text"),
        (None, f"{NO_PARTS} null"),
        ({}, f"{NO_PARTS} a mapping"),
    ],
)
def test_other_values_are_no_mapping_in_parts(value: Json, sentence: str) -> None:
    """Anything else is no mapping in parts."""
    with pytest.raises(SchemaError) as caught:
        merge_folder_parts(value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a number"),
        (Decimal("1.5"), "a number"),
        ("secret", "a text"),
        (["secret"], "a list"),
        ({"secret": 1}, "a mapping"),
    ],
)
def test_a_value_is_described_without_its_content(value: Json, described: str) -> None:
    """A value is described without being shown."""
    assert describe_type(value) == described
