"""Durations are read and written as Prometheus does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.yamlfile.units import DurationError, format_prometheus_duration, parse_duration
from tests.support.sentences import BARE_NUMBER, NO_DURATION, ORDER_OF_UNITS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1d", 86_400.0),
        ("500ms", 0.5),
        ("15m", 900.0),
        ("2w", 1_209_600.0),
        ("1y", 31_536_000.0),
        ("1y1w1d1h1m1s1ms", 32_230_861.001),
        ("0s", 0.0),
        ("90m", 5400.0),
        ("007s", 7.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """Each unit counts as much as in Prometheus, a year as 365 days."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("90", f"{NO_DURATION}: {BARE_NUMBER}"),
        ("0", f"{NO_DURATION}: {BARE_NUMBER}"),
        ("1.5", f"{NO_DURATION}: {BARE_NUMBER}"),
        ("-5s", f"{NO_DURATION}, not negative"),
        *(
            (text, f"{NO_DURATION}: units are y w d h m s ms, {ORDER_OF_UNITS}")
            for text in (
                "",
                "1.5h",
                "30m1h",
                "1h1h",
                "5min",
                "1H",
                "1h 30m",
                " 1h",
                "1h\n",
                "h",
                "٣s",
                "1:30",
                "+1h",
                "9999999999999s",
            )
        ),
    ],
)
def test_invalid_durations_are_refused_with_an_example(text: str, sentence: str) -> None:
    """The sentence shows how a duration is written and what is wrong with this one."""
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.5, "500ms"),
        (90.0, "1m30s"),
        (5400.0, "1h30m"),
        (1_209_600.0, "2w"),
        (90 * 86_400.0, "90d"),
        (365 * 86_400.0, "1y"),
        (366 * 86_400.0, "366d"),
    ],
)
def test_a_duration_is_written_as_prometheus_does(seconds: float, text: str) -> None:
    """Years and weeks are used only when nothing is left over."""
    assert format_prometheus_duration(seconds) == text


@settings(deadline=None)  # a busy machine is no failure
@given(milliseconds=st.integers(min_value=0, max_value=100 * 365 * 86_400_000))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    """Writing and reading gives the same number of seconds, to the millisecond."""
    assert parse_duration(format_prometheus_duration(milliseconds / 1000)) == milliseconds / 1000


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text())
def test_any_text_is_a_duration_or_gets_the_sentence(text: str) -> None:
    """No text ends in anything but a number of seconds or a DurationError."""
    try:
        written = format_prometheus_duration(parse_duration(text))
    except DurationError as error:
        written = str(error)
    assert written.startswith(NO_DURATION) or parse_duration(written) == parse_duration(text)
