"""Which accounts this process polls, where several processes share them.

The flags are those of kube-state-metrics: each of ``--total-shards`` processes has a number, its
``--shard``, from 0 on. All read the same configuration, and each polls the accounts that belong to
its number.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Auto: TypeAlias = Literal["auto"]

AUTO: Final[Auto] = "auto"
"""The shard that is taken from the name of the host."""

MAX_TOTAL: Final = 10_000

_NUMBER: Final = re.compile("[0-9]{1,9}")
_ORDINAL: Final = re.compile("[^.]*-([0-9]{1,9})([.].*)?")
_MULTIPLIER: Final = 2862933555777941757
_KEY_BITS: Final = 64
_JUMP_BITS: Final = 31


class ShardError(ValueError):
    """There is no such shard; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` processes that share the accounts, by its number from 0 on."""

    ordinal: int = 0
    total: int = 1

    def owns(self, cdn: int) -> bool:
        """Return whether the account with this CDN number belongs to this shard."""
        return compute_ordinal(cdn, self.total) == self.ordinal

    def __str__(self) -> str:
        """Name the shard as the flags do."""
        return f"shard {self.ordinal} of {self.total}"


EVERYTHING: Final = Shard()
"""The only shard, to which every account belongs."""


def compute_ordinal(cdn: int, total: int) -> int:
    """Return the number of the shard to which an account belongs, from 0 to ``total - 1``.

    It depends on the CDN number alone: accounts of one CDN share a rate limit, so they share a
    shard, and a new name moves nothing. From ``total`` to ``total + 1`` one account in
    ``total + 1`` moves, always to the new shard.

    Source: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014). Whole
    numbers take the place of its floats, which could be rounded.
    """
    key = int.from_bytes(hashlib.sha256(b"%d" % cdn).digest()[: _KEY_BITS // 8], "big")
    ordinal, jump = 0, 0
    while jump < total:
        ordinal = jump
        key = (key * _MULTIPLIER + 1) % 2**_KEY_BITS
        jump = (ordinal + 1) * 2**_JUMP_BITS // ((key >> (_KEY_BITS - _JUMP_BITS)) + 1)
    return ordinal


def parse_shard(text: str) -> int | Auto:
    """Return the number that ``--shard`` names, or ``AUTO``; raises ShardError."""
    if text.lower() == AUTO:
        return AUTO
    if not _NUMBER.fullmatch(text):
        raise ShardError(f"{text!r} is no shard: write a whole number from 0 on, or auto")
    return int(text)


def parse_total(text: str) -> int:
    """Return the number that ``--total-shards`` names; raises ShardError."""
    if not (_NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_TOTAL):
        raise ShardError(f"{text!r} is no number of shards: write a whole number from 1 to 10000")
    return int(text)


def choose_shard(choice: int | Auto, total: int, host: str) -> Shard:
    """Return the chosen shard, one of ``total``.

    ``AUTO`` takes the number from the end of the host's name, as a StatefulSet gives it:
    ``exporter-2``, with or without a domain behind it. Raises ShardError.
    """
    if choice != AUTO:
        ordinal, source = choice, f"--shard={choice}"
    elif found := _ORDINAL.fullmatch(host):
        ordinal, source = int(found[1]), f"--shard=auto is {int(found[1])} on host {host!r}, which"
    else:
        raise ShardError(
            f"--shard=auto finds no number at the end of the host name {host!r}: name the host as "
            "a StatefulSet does, such as exporter-2, or write --shard=2"
        )
    if ordinal >= total:
        raise ShardError(
            f"{source} is out of range for --total-shards={total}: shards are numbered from 0 to "
            f"{total - 1}; correct one of the two flags"
        )
    return Shard(ordinal, total)
