"""What a scrape gets: Prometheus' text format, rendered and compressed before the scrape.

An exposition has two layers. That of the **accounts** has the families of snapshots, polls and
requests: a change of one account renders and compresses a small part of them. That of the
**process** is small, and changes all the time. Both make one gzip member: some clients read only
the first.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import is_
from typing import Final

from prometheus_client.metrics_core import Metric

from exporter.metrics.family_text import FamilyText, Sections, render_family, render_head
from exporter.metrics.gzip_member import Part, compress, gzip_member, join

_SMALL: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes in a few parts, to be written one after another: joined, they would be copied."""

    parts: tuple[bytes, ...]

    @property
    def length(self) -> int:
        """Return the number of bytes in all parts: the Content-Length."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, eq=False)
class AccountsLayer:
    """The families of accounts, by name; each has its accounts in the order of ``positions``."""

    families: Mapping[str, FamilyText]
    positions: Mapping[str, int]

    @cached_property
    def text_body(self) -> Body:
        """Return the text of all families."""
        return _build_text_body(self.families.values())

    @cached_property
    def part(self) -> Part:
        """Return the text as a part of any gzip member.

        A small one is compressed as a whole: it is half as large then, and it takes no longer.
        """
        if self.text_body.length <= _SMALL:
            return compress(b"".join(self.text_body.parts))
        return join([family.part for family in self.families.values()])

    def with_accounts(self, accounts: Sequence[str]) -> "AccountsLayer":
        """Return the layer with these accounts in this order; a new one has no samples."""
        families = {
            name: family.with_accounts(self.positions, accounts)
            for name, family in self.families.items()
        }
        return AccountsLayer(
            families, {account: position for position, account in enumerate(accounts)}
        )

    def with_sections(self, sections: Mapping[str, Sections]) -> "AccountsLayer":
        """Return the layer with other samples for some of its accounts, by family.

        It is the same layer where the samples are the same.
        """
        families = dict(self.families)
        for name, (texts, names) in sections.items():
            by_position = {self.positions[account]: text for account, text in texts.items()}
            families[name] = families[name].with_texts(by_position, names)
        if all(map(is_, families.values(), self.families.values())):
            return self
        return AccountsLayer(families, self.positions)


@dataclass(frozen=True, slots=True, eq=False)
class ProcessLayer:
    """The families of the process, as text and as a part of any gzip member."""

    families: tuple[FamilyText, ...]
    text_body: Body
    part: Part


@dataclass(frozen=True, slots=True, eq=False)
class Exposition:
    """Both layers at one moment, ready to be sent; any thread may use it.

    ``text_body`` is the text of all, ``gzip_body`` the same as one gzip member. ``names`` are those
    of samples, as in the query parameter ``name[]`` of prometheus_client's own server, and leave
    the rest out; None means all.
    """

    accounts: AccountsLayer
    process: ProcessLayer
    text_body: Body
    gzip_body: Body

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the names that samples have."""
        wanted = frozenset(names)
        return frozenset().union(*(family.matching(wanted) for family in self.families()))

    def text(self, names: Collection[str] | None = None) -> Body:
        """Return the text, which is ready; with ``names``, what is wanted of it."""
        return self.text_body if names is None else _build_text_body(self._select_families(names))

    def gzip(self, names: Collection[str] | None = None) -> Body:
        """Return the text as one gzip member, which is ready.

        With ``names``, most of what is wanted is compressed already.
        """
        if names is None:
            return self.gzip_body
        return Body(gzip_member([family.part for family in self._select_families(names)]))

    def families(self) -> Iterator[FamilyText]:
        """Return all families, in order."""
        yield from self.accounts.families.values()
        yield from self.process.families

    def _select_families(self, names: Collection[str]) -> Iterator[FamilyText]:
        wanted = frozenset(names)
        return filter(None, (family.only(wanted) for family in self.families()))


def build_empty_layer(families: Iterable[Metric]) -> AccountsLayer:
    """Return the layer of these families, without any account."""
    return AccountsLayer({family.name: FamilyText(render_head(family)) for family in families}, {})


def render_process_layer(families: Iterable[Metric]) -> ProcessLayer:
    """Return the families of the process, rendered and compressed."""
    rendered = tuple(map(render_family, families))
    text_body = _build_text_body(rendered)
    return ProcessLayer(rendered, text_body, compress(b"".join(text_body.parts)))


def expose(accounts: AccountsLayer, process: ProcessLayer) -> Exposition:
    """Return the exposition of both layers."""
    text_body = Body((*accounts.text_body.parts, *process.text_body.parts))
    return Exposition(
        accounts, process, text_body, Body(gzip_member((accounts.part, process.part)))
    )


def _build_text_body(families: Iterable[FamilyText]) -> Body:
    return Body(tuple(text for family in families for text in family.texts if text))
