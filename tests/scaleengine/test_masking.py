"""Secrets are redacted in texts of others, in any spelling."""

import json
import threading
from collections.abc import Callable
from html import escape
from time import thread_time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.redaction import SecretRedactor, mask, mask_start, quote_or_measure
from exporter.scaleengine.signing import encode_fields
from tests.support.credentials import KEY, SECRET

ODD = "AB/cd +é\"'\\<==&ß"
"""Of everything that some way of writing spells in its own manner."""

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "small letters": str.lower,
    "capital letters": lambda text: text.replace("cd", "CD"),
    "JSON of PHP": lambda text: encode_fields({"": text})[5:-2],
    "JSON of Python": lambda text: json.dumps(text)[1:-1],
    "JSON with letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, capital hex": lambda text: json.dumps(text)[1:-1].replace("\\u00e9", "\\u00E9"),
    "repr": lambda text: repr(text)[1:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL, small hex": lambda text: quote(text, safe="").lower(),
    "form": quote_plus,
    "URL of JSON of PHP": lambda text: quote(encode_fields({"": text})[5:-2], safe=""),
    "form of JSON of PHP": lambda text: urlencode({"": encode_fields({"": text})[5:-2]})[1:],
    "HTML": escape,
    "HTML of JSON": lambda text: escape(json.dumps(text)[1:-1]),
    "logged JSON of PHP": lambda text: json.dumps(encode_fields({"": text})[5:-2])[1:-1],
    "logged repr": lambda text: json.dumps(repr(text)[1:-1], ensure_ascii=False)[1:-1],
}


VISIBLE = st.characters(exclude_categories=["C", "Z"], exclude_characters="*")


def knowing(*secrets: str) -> SecretRedactor:
    """Return what knows these secrets."""
    known = SecretRedactor()
    known.register(*secrets)
    return known


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, SECRET, ODD])
def test_a_secret_is_redacted_in_every_spelling(spelling: str, secret: str) -> None:
    """A secret is hidden in every spelling that an echo of it may have."""
    echo = SPELLINGS[spelling](secret)
    text, hidden = f"x{echo}, {echo}{echo}.", "x***, ******."

    assert mask(text, [secret]) == hidden
    assert knowing(secret).redact(text) == hidden


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, SECRET, ODD])
def test_one_of_many_secrets_is_redacted(
    spelling: str, secret: str, many_secrets: SecretRedactor
) -> None:
    """Short texts are looked through by another way where many secrets are known."""
    many_secrets.register(secret)
    echo = SPELLINGS[spelling](secret)

    assert many_secrets.are_in(f"x{echo}")
    assert many_secrets.redact(f"x{echo}, {echo}{echo}.") == "x***, ******."
    assert not many_secrets.are_in(f"x{secret[:-1]}")
    assert many_secrets.redact(f"x{secret[:-1]}") == f"x{secret[:-1]}"


@pytest.fixture(scope="module")
def many_secrets() -> SecretRedactor:
    """Return what knows many secrets."""
    return knowing(*(f"{number:08} of others" for number in range(1000)))


@given(
    secret=st.text(VISIBLE, min_size=8, max_size=20),
    before=st.text(),
    after=st.text(),
)
def test_no_secret_is_left(secret: str, before: str, after: str) -> None:
    """For any visible word as a secret, in any text, it is not in the text."""
    text = f"{before}{secret}{after}"

    assert secret not in mask(text, [secret])
    assert knowing(secret).redact(text) == mask(text, [secret])


@given(st.text(), st.lists(st.text(st.sampled_from("ABCDEFGH0123"), min_size=8)))
def test_other_texts_are_left_alone(text: str, secrets: list[str]) -> None:
    """A text that holds no secret stays as it is."""
    harmless = "".join(letter for letter in text if letter.casefold() not in "abcdefgh0123")

    assert knowing(*secrets).redact(harmless) == harmless
    assert mask(harmless, secrets) == harmless


def test_both_forms_of_a_small_sigma_are_redacted() -> None:
    """A sigma is small in one way at the end of a word and in another within; both are found."""
    assert knowing("ΠΑΣΣΩΡΔΣ").redact("ΠΑΣΣΩΡΔΣΩ") == "***Ω"


def test_a_secret_that_contains_another_is_redacted_whole() -> None:
    """Where one secret is a part of another, nothing of the longer one is left."""
    short, long = "ABCDEFGH", "xABCDEFGHx"

    assert mask(f"{long} {short}", [short, long]) == "*** ***"
    assert knowing(short, long).redact(f"{long} {short}") == "*** ***"


@given(
    pieces=st.lists(st.sampled_from(["x", "x" * 30, KEY, SECRET, quote(ODD, safe=""), KEY[:20]])),
    length=st.integers(1, 100),
)
def test_the_start_of_a_text_is_that_of_the_redacted_text(pieces: list[str], length: int) -> None:
    """It is the start of what the whole text becomes, wherever secrets are."""
    text = "".join(pieces)

    assert mask_start(text, [KEY, SECRET, ODD], length) == mask(text, [KEY, SECRET, ODD])[:length]
    assert mask_start(text, [], length) == text[:length]


def test_the_start_of_a_long_text_takes_little_time() -> None:
    """Masking the start takes no time for the rest: all of it would take ten seconds."""
    text = "x" * (16 * 2**20)
    began = thread_time()

    assert mask_start(text, [KEY, SECRET], 200) == "x" * 200
    assert thread_time() - began < 1


@pytest.mark.parametrize(
    ("length", "shown"), [(79, repr("x" * 79)), (80, repr("x" * 80)), (81, "(81 characters)")]
)
def test_a_text_is_shown_as_a_whole_or_not(length: int, shown: str) -> None:
    """A text that is too long is not cut: half a secret is not recognized."""
    assert quote_or_measure("x" * length, 80) == shown


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
def test_an_empty_secret_redacts_nothing(secrets: tuple[str, ...]) -> None:
    """No secret, or an empty one, hides nothing."""
    assert mask("hello", secrets) == "hello"
    assert knowing(*secrets).redact("hello") == "hello"


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [("a", "a and b"), ("1234567", "1234567 and b"), ("12345678", "*** and b")],
)
def test_short_secrets_are_not_redacted(secret: str, hidden: str) -> None:
    """One of fewer than eight characters is not looked for: it would tear holes into all texts."""
    assert knowing(secret).redact(f"{secret} and b") == hidden


def test_replaced_secrets_are_still_redacted() -> None:
    """A secret that is no longer in use is still hidden: it may be in use elsewhere."""
    known = knowing("the old one")
    known.register("the new one")
    known.register("the new one")

    assert known.redact("the old one, the new one") == "***, ***"


def test_the_oldest_of_many_secrets_is_forgotten() -> None:
    """A limited number of secrets is remembered; the oldest of more is forgotten."""
    known = SecretRedactor(max_secrets=100)
    secrets = [f"secret {number:05}" for number in range(101)]
    known.register(*secrets)

    assert known.redact(f"{secrets[0]}, {secrets[1]}, {secrets[-1]}") == f"{secrets[0]}, ***, ***"


def test_secrets_registered_by_several_threads_are_redacted() -> None:
    """Lines are hidden while secrets are learned, and no secret is lost."""
    known = knowing(SECRET)
    shown: list[str] = []

    def register(thread: int) -> None:
        for number in range(100):
            known.register(f"secret {thread} {number:03}")
            shown.append(known.redact(f"{SECRET} secret {thread} {number:03}"))

    threads = [threading.Thread(target=register, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shown == ["*** ***"] * 400
    everything = ", ".join(
        f"secret {index} {number:03}" for index in range(4) for number in range(100)
    )
    assert known.redact(everything) == ", ".join(["***"] * 400)


def test_the_redactor_shows_no_secret() -> None:
    """What knows the secrets does not show them."""
    assert SECRET not in repr(knowing(SECRET))
