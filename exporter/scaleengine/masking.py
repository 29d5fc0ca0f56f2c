"""Keep secrets out of texts that somebody else has written."""

import json
import re
import threading
from collections.abc import Callable, Collection, Iterable
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

from exporter.scaleengine.signing import encode

MAX_TEXT: Final = 64 * 1024
"""Characters of a text that are looked through for secrets; the rest is left out."""

_SHORTEST: Final = 8
_MOST: Final = 10_000
_CUT: Final = "…"


def mask(text: str, secrets: Iterable[str], length: int = MAX_TEXT) -> str:
    """Return the text with stars for each secret, however the secret is spelled.

    Of a text that has more than ``length`` characters then, the rest is left out. A long one costs
    no more than its beginning: what is left out is not looked at.
    """
    spellings = {spelling for secret in filter(None, secrets) for spelling in _spellings(secret)}
    overlap = max(map(len, spellings), default=0)
    return _cut(text, overlap, length, lambda beginning: _mask(beginning, spellings))


def _mask(text: str, spellings: Collection[str]) -> str:
    if not spellings:
        return text
    longest_first = sorted(spellings, key=len, reverse=True)  # one may hold another
    spelled = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    return spelled.sub("***", text)


def _cut(text: str, overlap: int, length: int, mask_all: Callable[[str], str]) -> str:
    """Return the beginning of a text, masked; ``overlap`` is the length of the longest secret."""
    beginning = text[: length + overlap]
    masked = mask_all(beginning)
    if len(beginning) < len(text):
        # The end may be a part of a secret, and each secret that was masked has brought it forward.
        masked = masked[: max(0, len(masked) - overlap)]
        return masked[:length] + _CUT
    return masked if len(masked) <= length else masked[:length] + _CUT


class KnownSecrets:
    """The secrets that are or were in use, to be kept out of every text.

    Of more than ten thousand the oldest are forgotten. One of fewer than eight characters is
    nothing to look for: it would tear holes into texts that have nothing to do with it.
    """

    def __init__(self) -> None:
        self._spellings: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()

    def learn(self, *secrets: str) -> None:
        """Remember secrets."""
        with self._lock:
            for secret in secrets:
                if len(secret) >= _SHORTEST and secret not in self._spellings:
                    folded = frozenset(map(str.casefold, _spellings(secret)))
                    self._spellings[secret] = folded
                if len(self._spellings) > _MOST:
                    del self._spellings[next(iter(self._spellings))]

    def hide(self, text: str) -> str:
        """Return the text with stars for each secret; of a long one, the beginning."""
        with self._lock:
            known = tuple(self._spellings.items())
        if len(text) <= MAX_TEXT:
            return _hide(text, known)
        overlap = max((len(spelling) for _, found in known for spelling in found), default=0)
        return _cut(text, overlap, MAX_TEXT, lambda beginning: _hide(beginning, known))


def _hide(text: str, known: Iterable[tuple[str, Collection[str]]]) -> str:
    folded = text.casefold()
    found = [
        secret for secret, spellings in known if any(spelling in folded for spelling in spellings)
    ]
    return _mask(text, set().union(*map(_spellings, found)))


def _spellings(secret: str) -> set[str]:
    """Return how an echo of a secret may be spelled, also where a log line quotes that echo."""
    sent = encode({"": secret})[5:-2]  # as PHP writes JSON
    echoed = {
        secret,
        sent,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        *(quoted for text in (secret, sent) for quoted in (quote(text, safe=""), quote_plus(text))),
    }
    echoed |= set(map(escape, echoed))
    return echoed | {json.dumps(echo, ensure_ascii=False)[1:-1] for echo in echoed}
