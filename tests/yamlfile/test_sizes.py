"""Sizes are read as people write them, in decimal and in binary units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.yamlfile.units import SIZE_FORMAT, SIZE_UNITS, SizeError, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2TB", 2_000_000_000_000),
        ("10TB", 10_000_000_000_000),
        ("500 GB", 500_000_000_000),
        ("1kB", 1_000),
        ("1.5GB", 1_500_000_000),
        ("1.5GiB", 1_610_612_736),
        ("1KiB", 1_024),
        ("2TiB", 2_199_023_255_552),
        ("1PiB", 1_125_899_906_842_624),
        ("0.1TB", 100_000_000_000),
        ("12B", 12),
        ("1024", 1_024),
        ("0", 0),
        ("1.9", 1),
    ],
)
def test_a_size_is_read_as_bytes(text: str, size: int) -> None:
    """A decimal unit is a power of 1000, a binary one of 1024, and nothing is lost in between."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "TB", "-1TB", "2 TB ", " 2TB", "2,5TB", "1e3", "٣TB", "2TB\n", "1.TB", "2  TB"]
)
def test_invalid_sizes_are_refused_with_an_example(text: str) -> None:
    """Any other text is refused with an example of what to write."""
    with pytest.raises(SizeError, match=f"^{SIZE_FORMAT}$"):
        parse_size(text)


@pytest.mark.parametrize("text", ["2T", "2tb", "2Tb", "2KB", "2XB", "2kiB", "2Tbit"])
def test_unknown_units_are_refused(text: str) -> None:
    """A unit that could be meant in two ways is refused, and all that there are is shown."""
    with pytest.raises(SizeError, match=r"units are B kB MB GB TB PB KiB MiB GiB TiB PiB$"):
        parse_size(text)


@given(st.integers(0, 10**18 - 1), st.sampled_from(sorted(SIZE_UNITS)))
def test_whole_numbers_are_exact(number: int, unit: str) -> None:
    """A whole number of a unit is just that many."""
    assert parse_size(f"{number}{unit}") == number * SIZE_UNITS[unit]
