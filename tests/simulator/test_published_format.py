"""The simulator's own format is the API variant of which every switch is at its default."""

from datetime import date, timedelta
from random import Random

import pytest

from exporter.simulator import FileType, Folder, PublishedFormat, steady_usage
from tests.support.api_variants import ApiVariant
from tests.support.random_trees import random_tree

TODAY = date(2026, 6, 30)


def pages(variant: ApiVariant | PublishedFormat, root: Folder) -> list[object]:
    """Return the content of responses from several offsets on."""
    entries = len(root.names("video")) + len(root.folders())
    offsets = sorted({0, 1, 50, 100, max(0, entries - 1), entries, entries + 1})
    return [
        variant.write_listing("x", variant.list_folder(root, "video", offset)) for offset in offsets
    ]


@pytest.mark.parametrize("seed", range(20))
def test_listings_are_those_of_the_default_variant(seed: int) -> None:
    """Any tree is listed and written in the same way, from any offset on."""
    root = random_tree(Random(seed), 100)
    for number in range(seed * 15):
        root.add(f"more/{number:03}.mp4", FileType.VIDEO)
    assert pages(PublishedFormat(), root) == pages(ApiVariant(), root)


@pytest.mark.parametrize("days", [0, 10, 29, 30, 40])
def test_rows_are_those_of_the_default_variant(days: int) -> None:
    """Rows, envelopes and statuses are the same."""
    first, usage = TODAY - timedelta(days=days), steady_usage({"b": 1, "a": 2})
    ours, variant = PublishedFormat(), ApiVariant()
    rows = ours.list_rows(usage, (), first, today=TODAY, random=Random(1))
    assert rows == variant.list_rows(usage, (), first, today=TODAY, random=Random(1))
    content = {"usage": ours.write_rows(rows, [7])}
    assert content == {"usage": variant.write_rows(rows, [7])}
    for is_listing in (False, True):
        envelope = ours.write_success(content, "Found", 0.5, is_listing=is_listing)
        assert envelope == variant.write_success(content, "Found", 0.5, is_listing=is_listing)
    for code in (None, "0003"):
        assert ours.write_failure(code, "No", 0.5) == variant.write_failure(code, "No", 0.5)
        assert ours.find_status(code) == variant.find_status(code)
