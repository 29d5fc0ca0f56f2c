"""The text of families, rendered and compressed in blocks, each of a few accounts.

A family is one piece of an exposition. So that a change of one account does not render and compress
the family for all others, its text consists of blocks, and a block of the samples of at most
``ACCOUNTS_PER_BLOCK`` accounts. A change renders the samples of its account and compresses its
block; the checksum alone runs over the text of the whole family.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise, zip_longest
from operator import is_
from typing import Final, NamedTuple

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from exporter.metrics.account_metrics import NO_ACCOUNT
from exporter.metrics.gzip_member import Part, deflate

ACCOUNTS_PER_BLOCK: Final = 32
"""More make the text compress better, fewer make a change cheaper.

Of a thousand accounts, 16 take 350 KB of gzip, 32 take 290, and all in one would take 230.
"""

_NAME_END: Final = re.compile(rb"[{ ]")
_PLAIN_TYPES: Final = frozenset({"gauge", "counter"})
_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPENMETRICS_SUFFIXES: Final = ("_created", "_gsum", "_gcount")
"""Samples that ``generate_latest`` moves behind the others."""


@dataclass(frozen=True, eq=False)
class Block:
    """The samples of a few accounts; ``ends`` is where those of each account end in the text."""

    text: bytes
    ends: tuple[int, ...]

    @cached_property
    def deflated(self) -> bytes:
        """Return the text as a part of any deflate stream; it is compressed at the first look."""
        return deflate(self.text)

    def sections(self) -> Iterator[bytes]:
        """Return the samples of each account."""
        return (self.text[start:end] for start, end in pairwise((0, *self.ends)))


@dataclass(frozen=True, eq=False)
class FamilyText:
    """A family as text: ``head`` are the lines with HELP and TYPE, ``blocks`` the samples.

    ``sample_names`` are the names that its samples have, where it has any.
    """

    head: bytes
    blocks: tuple[Block, ...] = ()
    sample_names: frozenset[str] = frozenset()

    @cached_property
    def texts(self) -> tuple[bytes, ...]:
        """Return the text, in pieces."""
        return (self.head, *(block.text for block in self.blocks))

    @cached_property
    def part(self) -> Part:
        """Return the text as a part of any gzip member; it is compressed at the first look."""
        size = checksum = 0
        for text in self.texts:
            size += len(text)
            checksum = zlib.crc32(text, checksum)
        deflated = [_deflate_head(self.head), *(block.deflated for block in self.blocks)]
        return Part(b"".join(deflated), size, checksum)

    def matching(self, names: frozenset[str]) -> frozenset[str]:
        """Return those of the names that samples have now."""
        found = self.sample_names & names
        return found if any(block.text for block in self.blocks) else frozenset()

    def only(self, names: frozenset[str]) -> "FamilyText | None":
        """Return the family with the samples of these names alone; None where it has none."""
        matching = self.matching(names)
        if not matching:
            return None
        if matching == self.sample_names:
            return self
        lines = b"".join(self.texts[1:]).split(b"\n")  # a label may hold other line breaks
        kept = [line + b"\n" for line in lines if _NAME_END.split(line, 1)[0].decode() in matching]
        return FamilyText(self.head, (_block([b"".join(kept)]),), matching)

    def with_texts(self, texts: Mapping[int, bytes], names: frozenset[str]) -> "FamilyText":
        """Return the family with other samples, of these ``names``, for accounts by position.

        Blocks without a change stay the same, and so does the family where no block has one.
        """
        blocks = list(self.blocks)
        by_block: dict[int, dict[int, bytes]] = {}
        for position, text in texts.items():
            number, index = divmod(position, ACCOUNTS_PER_BLOCK)
            by_block.setdefault(number, {})[index] = text
        for number, changed in by_block.items():
            sections = list(blocks[number].sections())
            for index, text in changed.items():
                sections[index] = text
            blocks[number] = _block(sections, blocks[number])
        if all(map(is_, blocks, self.blocks)):
            return self
        return FamilyText(self.head, tuple(blocks), self.sample_names | names)

    def with_accounts(self, before: Mapping[str, int], accounts: Sequence[str]) -> "FamilyText":
        """Return the family with the samples of these accounts, in this order.

        ``before`` are the positions of the accounts up to now. One that is new has no samples.
        """
        texts = [text for block in self.blocks for text in block.sections()]
        wanted = [texts[before[name]] if name in before else b"" for name in accounts]
        starts = range(0, len(wanted), ACCOUNTS_PER_BLOCK)
        blocks = [
            _block(wanted[start : start + ACCOUNTS_PER_BLOCK], kept)
            for start, kept in zip_longest(starts, self.blocks[: len(starts)])
        ]
        return FamilyText(self.head, tuple(blocks), self.sample_names)


class Sections(NamedTuple):
    """The samples of some accounts in one family: as text by account, and the names they have."""

    texts: Mapping[str, bytes]
    names: frozenset[str]


def render_head(family: Metric) -> bytes:
    """Return the lines with HELP and TYPE."""
    return _render_head(family.name, family.documentation, family.type)


def render_sections(family: Metric, accounts: Sequence[str]) -> Sections:
    """Return the samples of a family by account; all of them are of these accounts.

    Raises ValueError or KeyError where that is not so, or where samples are not lines.
    """
    lines, names = _render_lines(family)
    by_account: dict[str, list[str]] = {account: [] for account in accounts}
    for sample, line in zip(family.samples, lines, strict=True):
        by_account[sample.labels.get("account", NO_ACCOUNT)].append(line)
    texts = {account: "".join(its).encode() for account, its in by_account.items()}
    return Sections(texts, names)


def merge_sections(parts: Iterable[Sections]) -> Sections:
    """Return the samples of different accounts in one family together."""
    texts: dict[str, bytes] = {}
    names: set[str] = set()
    for part in parts:
        texts.update(part.texts)
        names |= part.names
    return Sections(texts, frozenset(names))


def render_family(family: Metric) -> FamilyText:
    """Return a family whose samples are of no account."""
    lines, names = _render_lines(family)
    return FamilyText(render_head(family), (_block(["".join(lines).encode()]),), names)


def _render_lines(family: Metric) -> tuple[list[str], frozenset[str]]:
    """Return the line of each sample, and the names that samples have."""
    samples = family.samples
    names = frozenset(sample.name for sample in samples)
    if family.type in _PLAIN_TYPES and all(map(_is_plain_name, names)):
        lines = [_render_line(sample) for sample in samples]
        if None not in lines:
            return [line for line in lines if line is not None], names
    if not samples:
        return [], names
    text = generate_latest(_OneFamily(family)).removeprefix(render_head(family)).decode()
    return [f"{line}\n" for line in text.split("\n")[:-1]], names


def _render_line(sample: Sample) -> str | None:
    """Return the line of a sample as ``generate_latest`` writes it, in a quarter of its time.

    Return None for what is left to ``generate_latest``: a timestamp, or an unusual label name.
    """
    if sample.timestamp is not None:
        return None
    labels = []
    for name, value in sorted(sample.labels.items()):
        if not _is_plain_name(name):
            return None
        labels.append(f'{name}="{_escape(value)}"')
    text = f"{{{','.join(labels)}}}" if labels else ""
    number: str = floatToGoString(sample.value)  # type: ignore[no-untyped-call] # it has no types
    return f"{sample.name}{text} {number}\n"


def _escape(value: str) -> str:
    """Escape a label value (Prometheus' text format)."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


@lru_cache
def _is_plain_name(name: str) -> bool:
    """Return whether a name is written as it is, in its place among the lines."""
    return bool(_PLAIN_NAME.fullmatch(name)) and not name.endswith(_OPENMETRICS_SUFFIXES)


def _block(texts: Sequence[bytes], before: Block | None = None) -> Block:
    """Return a block of these texts: that of before, where it is the same."""
    text, ends = b"".join(texts), tuple(accumulate(map(len, texts)))
    if before is None or text != before.text:
        return Block(text, ends)
    return before if ends == before.ends else Block(text, ends)


@lru_cache
def _render_head(name: str, documentation: str, type_name: str) -> bytes:
    return generate_latest(_OneFamily(Metric(name, documentation, type_name)))


@lru_cache
def _deflate_head(head: bytes) -> bytes:
    return deflate(head)


class _OneFamily(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)
