"""The text of a response, in as little memory as can be."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.json_memory import decode_and_empty, estimate_text_memory

SLICE = 256 * 1024

PIECES = [
    "a" * 40,
    '"',
    "\\",
    "\\\\",
    '"\N{GRINNING FACE}',
    "\N{GRINNING FACE}",
    "\U0010ffff",
    "\N{CJK UNIFIED IDEOGRAPH-6F22}",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\\ud83d",
    "\\ude00",
    "\ufeff",
    ",",
    "[",
    "]",
    "1",
]


def parse(text: str) -> object:
    """Return what JSON means, or None where it is none."""
    try:
        return [json.loads(text)]
    except ValueError:
        return None


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=20), is_quoted=st.booleans())
def test_the_text_means_the_same_as_the_body(pieces: list[str], *, is_quoted: bool) -> None:
    """Also where a character stands behind backslashes, or outside of strings."""
    text = "".join(pieces)
    body = f'["{text}"]'.encode() if is_quoted else text.encode()

    assert parse(decode_and_empty(body)) == parse(body.decode())


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=20))
def test_the_text_takes_no_more_than_the_estimate(pieces: list[str]) -> None:
    """Besides what every text takes."""
    body = "".join(pieces).encode()

    assert sys.getsizeof(decode_and_empty(body)) <= estimate_text_memory(body) + 100


def test_few_wide_characters_do_not_make_the_text_wide() -> None:
    """A text of a byte for each character takes a quarter; the body is emptied."""
    body = bytearray(
        json.dumps(["a" * 90 + "\N{GRINNING FACE}"] * 100, ensure_ascii=False).encode()
    )
    estimate = estimate_text_memory(body)
    text = decode_and_empty(body)

    assert text.isascii()
    assert len(text) == estimate
    assert not body
    assert json.loads(text) == ["a" * 90 + "\N{GRINNING FACE}"] * 100


def test_many_wide_characters_stay_as_they_are() -> None:
    """Their escapes would take three times as much."""
    assert decode_and_empty("\N{GRINNING FACE}".encode() * 100) == "\N{GRINNING FACE}" * 100


def test_a_backslash_before_a_character_stays_an_error() -> None:
    """It would escape the backslash of the escape, and the rest would be a text."""
    assert parse(decode_and_empty(f'["{"a" * 90}\\\N{GRINNING FACE}"]'.encode())) is None


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 4])
def test_characters_across_slices_are_kept(shift: int) -> None:
    """Nothing is lost or decoded in halves."""
    text = json.dumps("a" * (SLICE - 5 + shift) + "\N{GRINNING FACE}" * 9 + "é", ensure_ascii=False)

    assert json.loads(decode_and_empty(text.encode())) == json.loads(text)


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x80" * 20,
        b"\xf0\x9f\x98",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xed\xa0\xbd",
    ],
)
@pytest.mark.parametrize("padding", [90, SLICE - 3])
def test_bytes_that_are_not_utf_8_raise(wrong: bytes, padding: int) -> None:
    """It raises, also next to characters that are escaped."""
    with pytest.raises(UnicodeDecodeError):
        decode_and_empty(b'["' + "\N{GRINNING FACE}".encode() + b"a" * padding + wrong + b'"]')
