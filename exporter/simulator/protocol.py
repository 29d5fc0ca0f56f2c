"""What every request must pass before a command sees it: its form, key, signature and time."""

import hmac
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.scaleengine.signing import compute_signature
from exporter.simulator.behaviour import Checks, SignatureCheck
from exporter.simulator.php import PhpValue, decode, encode, whole_number
from exporter.simulator.simulated_accounts import SimulatedAccount

UNKNOWN_COMMAND = "0000"
NOT_AUTHORIZED = "0001"
BAD_TIMESTAMP = "0002"
BAD_SIGNATURE = "0003"
MISSING_FIELD = "0006"
UNPUBLISHED = None
"""For an unknown path, and for a field that says nothing: the real API's code is not known, so
that the simulator's failure has none."""

_SIGNATURE_AT_END = re.compile(r',"signature":"(?:[^"\\]|\\.)*"\}$')


class RefusedError(Exception):
    """A request that gets a failure as its response; ``code`` is None for one without a code."""

    def __init__(self, code: str | None, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The ``json`` field of a request: its text as it was received, and its fields."""

    text: str
    fields: Mapping[str, PhpValue]

    def require(self, *names: str) -> None:
        """Raise RefusedError (0006) for the first field that is not there."""
        for name in names:
            if self.fields.get(name) is None:
                raise RefusedError(MISSING_FIELD, f"Required field is missing: {name}")

    def text_field(self, name: str) -> str:
        """Return a field's text; ``""`` when it is missing or no text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""


def read_request(text: str | None) -> SignedRequest:
    """Return the request that a ``json`` field holds.

    Raises RefusedError (0006) when there is none, or when it is no JSON object.
    """
    if text is None:
        raise RefusedError(MISSING_FIELD, "Required field is missing: json")
    try:
        fields = decode(text)
    except ValueError:
        fields = None
    if not isinstance(fields, Mapping):
        raise RefusedError(MISSING_FIELD, "The field json is no JSON object")
    return SignedRequest(text, fields)


class SeenSignatures:
    """The signatures that were accepted, for as long as their timestamps can be valid."""

    def __init__(self) -> None:
        self._times: deque[tuple[float, str]] = deque()
        self._signatures: set[str] = set()

    def __len__(self) -> int:
        """Return how many signatures are remembered."""
        return len(self._times)

    def is_new(self, signed: str, now: float, window: float) -> bool:
        """Remember a signature; say whether it was not there before.

        A timestamp may be as far ahead as the window is long, so it takes two of them until a
        signature is no longer valid by its time alone.
        """
        while self._times and self._times[0][0] < now - 2 * window:
            self._signatures.discard(self._times.popleft()[1])
        if signed in self._signatures:
            return False
        self._signatures.add(signed)
        self._times.append((now, signed))
        return True


def authorize(
    request: SignedRequest,
    accounts: Mapping[tuple[int, str], SimulatedAccount],
    checks: Checks,
    seen: SeenSignatures,
    now: float,
) -> SimulatedAccount:
    """Return the account that a request is for; raise RefusedError when it may not pass.

    ``accounts`` are by their CDN number and API key.
    """
    request.require("command", "api_key", "timestamp", "cdn", "signature")
    cdn = whole_number(request.fields["cdn"])
    account = None if cdn is None else accounts.get((cdn, request.text_field("api_key")))
    if account is None:
        raise RefusedError(NOT_AUTHORIZED, "CDN authorization failed, check your API key and CDN")
    if not _is_signed(request, account.api_secret, checks.signature):
        raise RefusedError(BAD_SIGNATURE, "HMAC-SHA256 signature failed, check your private key")
    timestamp = whole_number(request.fields["timestamp"])
    if timestamp is None or abs(now - timestamp) > checks.window:
        raise RefusedError(BAD_TIMESTAMP, "Request timestamp is outside of the valid range")
    if checks.replay and not seen.is_new(request.text_field("signature"), now, checks.window):
        raise RefusedError(BAD_TIMESTAMP, "This signed request was received before")
    return account


def _is_signed(request: SignedRequest, secret: str, check: SignatureCheck) -> bool:
    signed_texts: list[str] = []
    if check is not SignatureCheck.ENCODED_AGAIN:
        cut, count = _SIGNATURE_AT_END.subn("}", request.text)
        if not count:
            return False
        signed_texts.append(cut)
    if check is not SignatureCheck.RECEIVED_TEXT:
        fields = {name: value for name, value in request.fields.items() if name != "signature"}
        signed_texts.append(encode(fields))
    given = request.text_field("signature").encode()
    return all(
        hmac.compare_digest(compute_signature(text, secret).encode(), given)
        for text in signed_texts
    )
