"""The dates of certificates, as openssl writes them, are read and checked."""

from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.yamlfile.certificates import Validity, find_validity_problems, read_validities
from tests.support.certificates import certify

MADE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = MADE.timestamp()
DAY = 86_400.0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (MADE, MADE + timedelta(days=90)),
        (MADE, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (MADE, datetime(2050, 1, 1, tzinfo=UTC)),
        (MADE, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime(1999, 12, 31, 12, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)),
        (datetime(1950, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_dates_are_read_as_openssl_wrote_them(
    tmp_path: Path, start: datetime, end: datetime
) -> None:
    """UTCTime until 2049 and GeneralizedTime after that."""
    pem = certify(tmp_path, start, end)
    assert (
        read_validities(b"text before\n" + pem + b"text between\n" + pem)
        == [Validity(start, end)] * 2
    )


LIFE = 90
FEW = 6


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        (
            -1,
            "is not valid before 2026-01-01 at 00:00 UTC; check it, and the clock of this machine",
        ),
        (0, None),
        (LIFE - 15, None),
        (LIFE - 13, "expires soon, on 2026-04-01 at 00:00 UTC; renew it"),
        (LIFE - 0.001, "expires soon, on 2026-04-01 at 00:00 UTC; renew it"),
        (LIFE + 0.001, "expired on 2026-04-01 at 00:00 UTC; renew it"),
        (LIFE + 10_000, "expired on 2026-04-01 at 00:00 UTC; renew it"),
    ],
)
def test_a_certificate_near_its_dates_is_a_warning(
    tmp_path: Path, days: float, problem: str | None
) -> None:
    """Before its time, after it, and two weeks before its end."""
    pem = certify(tmp_path, MADE, MADE + timedelta(days=LIFE))
    found = list(find_validity_problems(pem, NOW + days * DAY))
    assert found == ([f"holds a certificate that {problem}"] if problem else [])


@pytest.mark.parametrize(("days", "is_soon"), [(0, False), (3.9, False), (4.1, True)])
def test_a_short_life_ends_soon_when_a_third_is_left(
    tmp_path: Path, days: float, *, is_soon: bool
) -> None:
    """A certificate of six days that is renewed in time is never a warning."""
    pem = certify(tmp_path, MADE, MADE + timedelta(days=FEW))
    assert (
        any("soon" in found for found in find_validity_problems(pem, NOW + days * DAY)) is is_soon
    )


def test_one_of_several_certificates_is_named(tmp_path: Path) -> None:
    """A chain or a bundle says which one."""
    good = certify(tmp_path, MADE, MADE + timedelta(days=LIFE))
    old = certify(tmp_path, MADE - timedelta(days=LIFE), MADE - timedelta(days=1))
    assert list(find_validity_problems(good + old + good, NOW)) == [
        "holds a certificate (certificate 2 of 3) that expired on 2025-12-31 at 00:00 UTC; renew it"
    ]


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=80), st.integers(0, 255))
def test_malformed_certificates_are_left_out(content: bytes, cut: int) -> None:
    """For any text between the marks, nothing is raised."""
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    for inside in (content, encodebytes(content), encodebytes(b"\x30\x82" + content[: cut % 80])):
        list(find_validity_problems(begin + inside + end, NOW))
