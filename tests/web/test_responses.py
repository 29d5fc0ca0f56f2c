"""A scrape gets the text or its gzip, in chunks of which a slow reader holds few."""

import gzip
import http.client
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.responses import CHUNK_SIZE, accepts_gzip, iter_chunks

if TYPE_CHECKING:
    from tests.web.conftest import Site


@pytest.mark.parametrize(
    ("accepted", "is_accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip; q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("br, deflate", False),
        ("identity", False),
        ("identity, gzip", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0", False),
        ("gzip;q=2", False),
        ("gzip;q=", False),
        ("gzip;level=9", False),
        ("x-gzip-not", False),
        (",,;;q,gzip", True),
    ],
)
def test_accept_encoding_decides_about_gzip(accepted: str | None, *, is_accepted: bool) -> None:
    """Accept-Encoding is read with its weights; a value that cannot be read accepts nothing."""
    assert accepts_gzip(accepted) is is_accepted


@given(st.lists(st.integers(0, 3 * CHUNK_SIZE), max_size=6))
def test_chunks_are_the_same_bytes(lengths: list[int]) -> None:
    """The chunks of a body are the same bytes in the same order, none empty or too long."""
    parts = [bytes([number]) * length for number, length in enumerate(lengths)]
    cut = [bytes(chunk) for chunk in iter_chunks(parts)]
    assert b"".join(cut) == b"".join(parts)
    assert all(0 < len(chunk) <= CHUNK_SIZE for chunk in cut)


def test_small_parts_go_together() -> None:
    """A small exposition is one chunk, however many families it has."""
    assert list(iter_chunks([b"a", b"", b"bc"])) == [b"abc"]


def ask(site: "Site", path: str, accepted: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)) as connection:
        connection.request("GET", path, headers={"Accept-Encoding": accepted})
        response = connection.getresponse()
        return response, response.read()


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=files"])
def test_a_gzip_body_is_one_member_of_the_same_text(site: "Site", path: str) -> None:
    """Gzip is one member that strict zlib reads to the end; the text is the same."""
    (plain, text), (response, packed) = site.serve_while(
        lambda: (ask(site, path, "identity"), ask(site, path, "gzip"))
    )
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(packed) == text == gzip.decompress(packed)
    assert unpacker.eof
    assert unpacker.unused_data == b""
    assert (response.headers["Content-Encoding"], plain.headers["Content-Encoding"]) == (
        "gzip",
        None,
    )
    assert response.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert int(response.headers["Content-Length"]) == len(packed)


@pytest.mark.parametrize(
    ("query", "shown"),
    [("name[]=files", True), ("name[]=other&name[]=files", True), ("name[]=other", False)],
)
def test_name_parameters_filter_families(site: "Site", query: str, *, shown: bool) -> None:
    """name[], once or several times, leaves the other families out."""
    _, text = site.serve_while(lambda: ask(site, f"/metrics?{query}", "identity"))
    assert (b'files{path="sestore4/\xc3\xa9"} 3.0\n' in text) is shown
    assert (text == b"") is not shown
