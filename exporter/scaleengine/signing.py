"""Sign requests as ScaleEngine's PHP does.

The signature covers the JSON text of the request, byte for byte as PHP's ``json_encode`` prints
it, and the server may encode the request again to check it. So the text has to be PHP's own, not
merely equivalent JSON: ``/`` is escaped, U+007F is not, everything beyond ASCII is.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Final

FieldValue = str | int | Sequence[str]
"""What a request field can hold."""

PHP_INT_MIN = -(2**63)
PHP_INT_MAX = 2**63 - 1

_ENCODER: Final = json.JSONEncoder()


def encode_fields(fields: Mapping[str, FieldValue]) -> str:
    """Return the JSON text that PHP's ``json_encode`` prints for the fields, in their order.

    Raises ValueError for what PHP could not encode as such: a number beyond 64 bits, a text with
    half of a surrogate pair.
    """
    members = [f"{_encode_text(name)}:{_encode_value(value)}" for name, value in fields.items()]
    return "{" + ",".join(members) + "}"


def compute_signature(text: str, secret: str) -> str:
    """Return base64 of HMAC-SHA256 of the text, keyed by the API secret as it is written."""
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return base64.b64encode(digest).decode("ascii")


def sign_request(fields: Mapping[str, FieldValue], secret: str) -> str:
    """Return the JSON text to send: the fields, then their signature as the last one."""
    text = encode_fields(fields)
    separator = "," if fields else ""
    return f'{text[:-1]}{separator}"signature":{_encode_text(compute_signature(text, secret))}}}'


def _encode_value(value: FieldValue) -> str:
    if isinstance(value, str):
        return _encode_text(value)
    if isinstance(value, int):
        return _encode_whole_number(value)
    return "[" + ",".join(_encode_text(item) for item in value) + "]"


def _encode_whole_number(number: int) -> str:
    if not PHP_INT_MIN <= number <= PHP_INT_MAX:
        raise ValueError("a whole number beyond 64 bits is none in PHP")
    return json.dumps(number)


def _encode_text(text: str) -> str:
    text.encode()
    # json escapes U+007F, which PHP leaves as it is: encode what is between.
    parts = [_ENCODER.encode(part)[1:-1] for part in text.split("\x7f")]
    return '"' + "\x7f".join(parts).replace("/", "\\/") + '"'
