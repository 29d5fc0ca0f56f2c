"""What comes back over HTTP, before anybody asks what it means."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from exporter.scaleengine.message_body import is_compressed

_CODING: Final = re.compile(r"[a-z0-9-]{1,20}")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The HTTP status, the whole body, and what the headers say of time.

    ``date`` is the server's own time (``Date``, in unix time, cut to whole seconds);
    ``retry_after`` are the seconds to wait before the next try (``Retry-After``). None is what is
    not said. ``unknown_coding`` is a content coding that the body may still be in, or "".
    ``received`` is the monotonic time at which the head arrived, in seconds: that of ``date``.
    """

    status: int
    body: bytes | bytearray
    date: float | None = None
    retry_after: float | None = None
    unknown_coding: str = ""
    received: float | None = field(default=None, compare=False)


def http_answer(
    status: int, body: bytes | bytearray, headers: Mapping[str, str], received: float | None = None
) -> HttpAnswer:
    """Return the answer; a header that cannot be read says nothing."""
    date = _date(headers.get("Date"))
    wait = _retry_after(headers.get("Retry-After"), date)
    coding = _unknown_coding(headers.get("Content-Encoding"))
    return HttpAnswer(status, body, date, wait, coding, received)


def _unknown_coding(text: str | None) -> str:
    """Return a Content-Encoding that the transport does not undo, as far as it can be shown."""
    coding = (text or "").strip().lower()
    is_known = coding == "identity" or is_compressed(coding)
    return coding if _CODING.fullmatch(coding) and not is_known else ""


def _date(text: str | None) -> float | None:
    """Return what an HTTP-date (RFC 9110, 5.6.7) says, in unix time."""
    try:
        moment = parsedate_to_datetime(text or "")
        # No zone, or an unknown one, is UTC: HTTP knows no other.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _retry_after(text: str | None, date: float | None) -> float | None:
    """Return a Retry-After (RFC 9110, 10.2.3) in seconds, which it gives as such or as a date.

    A date is seen from the server's own, so that our clock may be wrong.
    """
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return _finite(text)
    until = _date(text)
    return None if until is None or date is None else max(0.0, until - date)


def _finite(digits: str) -> float | None:
    seconds = float(digits)
    return seconds if math.isfinite(seconds) else None
