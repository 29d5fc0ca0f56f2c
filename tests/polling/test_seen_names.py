"""Names are remembered exactly, in little memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.folder_progress import SeenNames


@given(st.lists(st.text()))
def test_different_names_are_counted_once(names: list[str]) -> None:
    """However often names come, each different one counts once."""
    seen = SeenNames()
    for name in names:
        seen.add(name)
    assert len(seen) == len(set(names))


def test_twenty_thousand_names_take_under_a_megabyte() -> None:
    """Twenty thousand long names take under a megabyte."""
    tracemalloc.start()
    try:
        seen = SeenNames()
        for number in range(20_000):
            seen.add(f"a rather long name of a recording, number {number:08}.mp4")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == 20_000
    assert taken < 1_000_000


def test_only_added_names_are_known() -> None:
    """A name is known when it was added, and no other is."""
    names = SeenNames()
    for number in range(100):
        names.add(f"{number}.mp4")

    assert all(f"{number}.mp4" in names for number in range(100))
    assert not any(f"{number}.mp4" in names for number in range(100, 1000))
