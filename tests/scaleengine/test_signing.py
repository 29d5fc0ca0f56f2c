"""A request is signed byte for byte as PHP signs it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.scaleengine.signing import FieldValue, compute_signature, encode_fields, sign_request

PUBLISHED = json.loads((Path(__file__).parent / "signatures.json").read_text())
SECRET = PUBLISHED["secret"]

PHP = shutil.which("php")
PHP_SIGNS = """
while (($line = fgets(STDIN)) !== false) {
    [$fields, $secret] = json_decode($line, true);
    $text = json_encode($fields);
    $fields['signature'] = base64_encode(hash_hmac('sha256', $text, $secret, true));
    echo json_encode($fields), "\\n";
}
"""

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
# PHP turns names that look like numbers into numbers, and sends no field of an empty name.
names = texts.filter(lambda name: name != "" and not name.lstrip("-").isdigit())
requests = st.dictionaries(
    names, st.one_of(texts, numbers, st.lists(texts)), min_size=1, max_size=6
).filter(lambda fields: "signature" not in fields)


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=lambda case: case["name"])
def test_the_examples_of_php_are_reproduced(case: dict[str, object]) -> None:
    """Each request that PHP signed is reproduced exactly: text, signature and what is sent."""
    fields = case["fields"]
    assert isinstance(fields, dict)
    assert encode_fields(fields) == case["signed_text"]
    assert compute_signature(encode_fields(fields), SECRET) == case["signature"]
    assert sign_request(fields, SECRET) == case["request_text"]


def test_there_are_36_examples() -> None:
    """The examples are all there, so that the table above cannot run empty."""
    assert len(PUBLISHED["cases"]) == 36


@given(requests)
def test_encoded_fields_read_back(fields: dict[str, FieldValue]) -> None:
    """Any encoded fields are read by any JSON parser as the same, in the same order."""
    read = json.loads(encode_fields(fields))
    assert read == fields
    assert list(read) == list(fields)


@pytest.mark.skipif(PHP is None and "CI" not in os.environ, reason="php is not installed")
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(requests, texts.filter(lambda key: "\0" not in key)), min_size=10, max_size=20
    )
)
def test_php_signs_the_same(cases: list[tuple[dict[str, FieldValue], str]]) -> None:
    """PHP itself, asked to sign random requests, prints the same bytes."""
    assert PHP is not None
    asked = "".join(json.dumps(case) + "\n" for case in cases)
    run = subprocess.run(  # noqa: S603 - the program is php, found on the path
        [PHP, "-r", PHP_SIGNS], input=asked.encode(), capture_output=True, check=True
    )
    expected = run.stdout.decode().splitlines()
    assert [sign_request(fields, secret) for fields, secret in cases] == expected


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_numbers_beyond_the_range_of_php_are_refused(number: int) -> None:
    """A number that PHP would turn into a float is refused, not sent as something else."""
    with pytest.raises(ValueError, match="64 bits"):
        encode_fields({"starttime": number})


def test_half_of_a_surrogate_pair_is_refused() -> None:
    """Half of a surrogate pair is refused: PHP has no such text."""
    with pytest.raises(UnicodeEncodeError):
        encode_fields({"path": "sestore4/\ud800"})
