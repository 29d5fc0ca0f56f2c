"""What a scrape gets: Prometheus' text format, rendered and compressed before anybody asks.

An exposition has three layers. The **bulk** are the families of snapshots, accounts and polls: they
grow large and change with polls. The **counters** are what the exporter counts of its own work:
they change with every request. The **tail** tells of the process: it is small, and changes all the
time. Each layer is compressed as the continuation of the one below, so that a change costs no more
than its own layer and those above. All three make one gzip member (RFC 1952): some clients read
only the first.
"""

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_LEVEL: Final = 6
_GZIP: Final = 31  # the largest window, with gzip's header and trailer: zlib's deflateInit2
_RAW: Final = -15  # the largest window, with neither
_GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, any system
_DEFLATE_END: Final = b"\x03\0"  # the last block of a stream, which is empty (RFC 1951, 3.2)
_SIZE_MASK: Final = 2**32 - 1


class Compressor(Protocol):
    """What ``zlib.compressobj`` returns.

    Several threads may copy one at once: CPython holds a lock in it meanwhile (zlibmodule.c).
    """

    def compress(self, data: bytes, /) -> bytes:
        """Take data in; return what of it has been compressed."""

    def flush(self, mode: int, /) -> bytes:
        """Return the rest of what has been taken in, compressed."""

    def copy(self) -> "Compressor":
        """Return another one that has taken in the same."""


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes in a few parts, to be written one after another: joined, they would be copied."""

    parts: tuple[bytes, ...]

    @property
    def length(self) -> int:
        """Return the number of bytes in all parts: the Content-Length."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFamily:
    """A family and its text."""

    family: Metric
    text: bytes
    sample_names: frozenset[str]
    _deflated: list[bytes] = field(default_factory=list, repr=False)

    def deflated(self) -> bytes:
        """Return the text as a part of any deflate stream; it is compressed at the first call."""
        if not self._deflated:  # two threads at once compress it twice
            self._deflated.append(_deflate(self.text))
        return self._deflated[0]

    def only(self, names: frozenset[str]) -> bytes:
        """Return the text of the samples with these names: of all, of some, or none."""
        if self.sample_names.isdisjoint(names):
            return b""
        if self.sample_names <= names:
            return self.text
        registry = CollectorRegistry(auto_describe=True)
        registry.register(_OneFamily(self.family))
        return generate_latest(registry.restricted_registry(names))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Rendered families, and their text compressed as the continuation of what is ``below``.

    ``compressor`` has taken in this layer and all below: to go on, it is copied, never written to.
    """

    families: tuple[RenderedFamily, ...]
    compressed: bytes
    below: Compressor
    compressor: Compressor

    def renewed(self, below: Compressor, families: Iterable[Metric]) -> "Layer":
        """Return the layer with these families: only those that differ are rendered again.

        It is the same layer, not compressed again, when nothing differs, what is below included.
        """
        kept = {each.family.name: each for each in self.families}
        rendered = tuple(_rendered(family, kept.get(family.name)) for family in families)
        if below is self.below and rendered == self.families:
            return self
        compressor = below.copy()
        texts = (each.text for each in rendered)
        compressed = _compressed(compressor, texts, zlib.Z_SYNC_FLUSH)
        return Layer(rendered, compressed, below, compressor)


@dataclass(frozen=True, slots=True)
class Exposition:
    """All three layers at one moment, ready to be sent; what is asked of it, any thread may ask.

    ``plain`` is the text of all, ``packed`` the same as one gzip member. ``names`` are those of
    samples, as in the query parameter ``name[]`` of prometheus_client's own server, and leave the
    rest out; None stands for all.
    """

    bulk: Layer
    counters: Layer
    tail: Layer
    plain: Body
    packed: Body

    def renewed(
        self, bulk: Iterable[Metric] | None, counters: Iterable[Metric], tail: Iterable[Metric]
    ) -> "Exposition":
        """Return the exposition of these families; None leaves the bulk as it is.

        Of each layer only the families that differ are rendered again.
        """
        lowest = self.bulk if bulk is None else self.bulk.renewed(self.bulk.below, bulk)
        middle = self.counters.renewed(lowest.compressor, counters)
        return _exposed(lowest, middle, self.tail.renewed(middle.compressor, tail))

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the names that samples have."""
        wanted = frozenset(names)
        return frozenset().union(*(wanted & family.sample_names for family in self._families()))

    def text(self, names: Collection[str] | None = None) -> Body:
        """Return the text, which is ready; with ``names``, what is wanted of it."""
        if names is None:
            return self.plain
        wanted = frozenset(names)
        texts = (family.only(wanted) for family in self._families())
        return Body(tuple(text for text in texts if text))

    def gzip(self, names: Collection[str] | None = None) -> Body:
        """Return the text as one gzip member, which is ready.

        With ``names``, each family is compressed when it is wanted for the first time. Then only
        the checksum of what is wanted has to be computed.
        """
        if names is None:
            return self.packed
        wanted = frozenset(names)
        parts, checksum, size = [_GZIP_HEADER], 0, 0
        for family in self._families():
            text = family.only(wanted)
            if text:
                parts.append(family.deflated() if text is family.text else _deflate(text))
                checksum = zlib.crc32(text, checksum)
                size += len(text)
        return Body((*parts, _DEFLATE_END + struct.pack("<LL", checksum, size & _SIZE_MASK)))

    def _families(self) -> Iterator[RenderedFamily]:
        return (
            family for layer in (self.bulk, self.counters, self.tail) for family in layer.families
        )


def without_families() -> Exposition:
    """Return an exposition of nothing, to begin with."""
    start = _compressor()
    nothing = Layer((), b"", start, start)
    return _exposed(nothing, nothing, nothing)


def _exposed(bulk: Layer, counters: Layer, tail: Layer) -> Exposition:
    layers = (bulk, counters, tail)
    texts = tuple(each.text for layer in layers for each in layer.families)
    end = tail.compressor.copy().flush(zlib.Z_FINISH)
    packed = (*(layer.compressed for layer in layers), end)
    return Exposition(*layers, plain=Body(texts), packed=Body(packed))


class _OneFamily(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _rendered(family: Metric, kept: RenderedFamily | None) -> RenderedFamily:
    if kept is not None and kept.family == family:
        return kept
    names = frozenset(sample.name for sample in family.samples)
    return RenderedFamily(family, generate_latest(_OneFamily(family)), names)


def _deflate(text: bytes) -> bytes:
    """Return blocks of deflate that end with a byte and refer to nothing before them."""
    return _compressed(zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW), (text,), zlib.Z_SYNC_FLUSH)


def _compressor() -> Compressor:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)


def _compressed(compressor: Compressor, texts: Iterable[bytes], end: int) -> bytes:
    return b"".join([*map(compressor.compress, texts), compressor.flush(end)])
