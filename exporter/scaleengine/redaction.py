"""Remove secrets from texts that others have written."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

from exporter.scaleengine.signing import encode_fields

_STARS: Final = "***"
_MIN_LENGTH: Final = 8
_MAX_SECRETS: Final = 50_000


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with stars for each secret, however the secret is spelled."""
    spelled = _compile(secrets)
    return text if spelled is None else spelled.pattern.sub(_STARS, text)


def mask_start(text: str, secrets: Iterable[str], length: int) -> str:
    """Return the first ``length`` characters of ``mask``, in a time that no longer text raises."""
    spelled = _compile(secrets)
    if spelled is None:
        return text[:length]
    masked, position = "", 0
    while len(masked) < length and position < len(text):
        end = position + length
        found = spelled.pattern.search(text, position, end + spelled.max_length)
        start = found.start() if found else end
        masked += text[position:start]
        if found:
            masked += _STARS
        position = found.end() if found else end
    return masked[:length]


def quote_or_measure(text: str, max_length: int) -> str:
    """Return a text quoted, or its length in brackets where it is too long to be shown.

    A cut could go through a secret, and the rest would not be recognized.
    """
    return repr(text) if len(text) <= max_length else f"({len(text)} characters)"


class _Spelled(NamedTuple):
    pattern: re.Pattern[str]
    max_length: int


def _compile(secrets: Iterable[str]) -> _Spelled | None:
    """Return what finds every spelling of the secrets, and the length of the longest."""
    spellings = {
        spelling for secret in filter(None, secrets) for spelling in _list_spellings(secret)
    }
    if not spellings:
        return None
    longest_first = sorted(spellings, key=len, reverse=True)  # one may hold another
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    return _Spelled(pattern, len(longest_first[0]))


class SecretRedactor:
    """The secrets that are or were in use, to be kept out of every text.

    Of more than ``max_secrets`` the oldest are forgotten. One of fewer than eight characters is
    nothing to look for: it would tear holes into texts that have nothing to do with it.
    """

    def __init__(self, max_secrets: int = _MAX_SECRETS) -> None:
        self._max_secrets = max_secrets
        self._spellings: dict[str, tuple[str, ...]] = {}
        self._beginnings: Counter[str] = Counter()
        self.learned = 0
        """How many secrets were learned up to now."""
        self._lock = threading.Lock()

    def register(self, *secrets: str) -> None:
        """Add secrets to those that are redacted."""
        with self._lock:
            for secret in secrets:
                if len(secret) >= _MIN_LENGTH and secret not in self._spellings:
                    folded = tuple({spelling.casefold() for spelling in _list_spellings(secret)})
                    self._beginnings.update(spelling[:_MIN_LENGTH] for spelling in folded)
                    self._spellings[secret] = folded
                    self.learned += 1
                if len(self._spellings) > self._max_secrets:
                    self._forget_oldest()

    def are_in(self, text: str) -> bool:
        """Return whether any secret is in the text, which may be of any length."""
        folded = text.casefold()
        with self._lock:
            if not self._may_be_in(folded):
                return False
            known = tuple(self._spellings.values())
        return any(spelling in folded for spellings in known for spelling in spellings)

    def redact(self, text: str) -> str:
        """Return the text with stars for each secret."""
        folded = text.casefold()
        with self._lock:
            if not self._may_be_in(folded):
                return text
            known = tuple(self._spellings.items())
        found = [
            secret
            for secret, spellings in known
            if any(spelling in folded for spelling in spellings)
        ]
        return mask(text, found) if found else text

    def _may_be_in(self, folded: str) -> bool:
        """Return whether a spelling may begin anywhere in a text, which is in folded case.

        In a short text this is found faster than each spelling of a thousand accounts.
        """
        if len(folded) > len(self._spellings):
            return True
        starts = range(len(folded) - _MIN_LENGTH + 1)
        parts = {folded[start : start + _MIN_LENGTH] for start in starts}
        return not self._beginnings.keys().isdisjoint(parts)  # it goes through the smaller of both

    def _forget_oldest(self) -> None:
        spellings = self._spellings.pop(next(iter(self._spellings)))
        removed = Counter(spelling[:_MIN_LENGTH] for spelling in spellings)
        self._beginnings.subtract(removed)
        for beginning in removed:
            if not self._beginnings[beginning]:
                del self._beginnings[beginning]


def _list_spellings(secret: str) -> set[str]:
    """Return how an echo of a secret may be spelled, also where a log line quotes that echo."""
    sent = encode_fields({"": secret})[5:-2]  # as PHP writes JSON
    echoed = {
        secret,
        sent,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        *(quoted for text in (secret, sent) for quoted in (quote(text, safe=""), quote_plus(text))),
    }
    echoed |= set(map(escape, echoed))
    return echoed | {json.dumps(echo, ensure_ascii=False)[1:-1] for echo in echoed}
