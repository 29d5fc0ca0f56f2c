"""Select the accounts and paths that a check is limited to."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from exporter.polling.targets import FilesTarget, Target
from exporter.settings import Settings

_NAMED: Final = 5


class SelectionError(Exception):
    """A selected account or path is not polled; the message says which are."""


def select(settings: Settings, accounts: Sequence[str], paths: Sequence[str]) -> Settings:
    """Return the settings with only these accounts and paths, all where none are named.

    A path is that of every selected account that polls it; with a path, no disk usage is selected.
    Raises SelectionError.
    """
    names = [account.name for account in settings.accounts]
    for name in accounts:
        if name not in names:
            raise SelectionError(
                f"no account {name!r} is polled: {_suggest(name, names)} (an account that is not "
                "enabled, or belongs to another shard, is not polled)"
            )
    selected = frozenset(accounts or names)
    targets = [target for target in settings.targets if target.account in selected]
    if paths:
        wanted = [path.rstrip("/") for path in paths]
        _check_paths(wanted, accounts, targets, settings.targets)
        targets = [target for target in targets if target.path in wanted]
        selected = frozenset(target.account for target in targets)
    return replace(
        settings,
        accounts=tuple(account for account in settings.accounts if account.name in selected),
        targets=tuple(targets),
    )


def _check_paths(
    paths: Sequence[str],
    accounts: Sequence[str],
    targets: Sequence[Target],
    all_targets: Sequence[Target],
) -> None:
    known = {target.path for target in targets if isinstance(target, FilesTarget)}
    for path in paths:
        if path in known:
            continue
        others = {target.account for target in all_targets if target.path == path}
        who = "no account polls" if not accounts else f"{_list(accounts)} does not poll"
        if others:
            raise SelectionError(f"{who} {path!r}, but {_list(sorted(others))} does")
        raise SelectionError(f"{who} {path!r}: {_suggest(path, known)}")


def _suggest(wrong: str, known: Collection[str]) -> str:
    close = get_close_matches(wrong, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {_list(sorted(known))}" if known else "there is none"


def _list(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:_NAMED]))
    more = len(names) - _NAMED
    return f"{listed} and {more} more" if more > 0 else listed
