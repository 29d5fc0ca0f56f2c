"""A configuration in several files: each adds accounts, and one of them has the other sections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.config.model import Account, Config
from exporter.config.rules import find_account_names
from exporter.yamlfile.document import Document
from exporter.yamlfile.problems import ErrorCollector, Loc

_ACCOUNTS: Final = "accounts"
_SECTIONS: Final = tuple(name for name in Config.model_fields if name != _ACCOUNTS)


class PieceModel(Config):
    """What one of several files says: it may add no account."""

    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """One file as it was read: its values, its folder, and what is wrong with it."""

    file: str
    document: Document
    folder: Path
    report: ErrorCollector
    warnings: ErrorCollector


def has_accounts(piece: Piece) -> bool:
    """Return whether a file has the key for accounts."""
    return isinstance(piece.document.value, dict) and _ACCOUNTS in piece.document.value


def find_conflicts(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Loc, str]]:
    """Find what is in two files: the later file, the way to the value, and a sentence."""
    sections: dict[str, Piece] = {}
    names: dict[str, tuple[Piece, Loc]] = {}
    for piece in pieces:
        value = piece.document.value
        for section in _SECTIONS:
            if not isinstance(value, dict) or section not in value:
                continue
            first = sections.setdefault(section, piece)
            if first is not piece:
                line = first.document.key_position((section,)).line
                message = f"is in {first.file}, line {line}, too; keep it in one of the two files"
                yield piece, (section,), message
        for loc, name in find_account_names(piece.document):
            other, other_loc = names.setdefault(name, (piece, loc))
            if other is not piece:
                line = other.document.position(other_loc).line
                where = f"{other.file}, line {line}"
                message = f"names the same account as {where}; give each a name of its own"
                yield piece, loc, message


def join(parts: Sequence[Config]) -> Config:
    """Return the configuration that files without conflicts make together."""
    if len(parts) == 1:
        return parts[0]
    sections: dict[str, object] = {
        name: getattr(part, name)
        for part in parts
        for name in _SECTIONS
        if name in part.model_fields_set
    }
    accounts = tuple(account for part in parts for account in part.accounts)
    return Config.model_validate({**sections, _ACCOUNTS: accounts})
