"""Which accounts have changed in which respect, so that nobody has to look at all of them."""

import threading
from collections.abc import Iterable, Mapping


class Changes:
    """Collects the names of accounts whose numbers have changed, until they are taken.

    Whoever holds numbers adds the account after the change, under a name of its own. Whoever takes
    the changes reads those numbers afterwards: it finds at least the change that was added. Any
    thread may call any method.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, set[str]] = {}

    def add(self, source: str, accounts: Iterable[str]) -> None:
        """Add accounts whose numbers in ``source`` have changed."""
        with self._lock:
            self._accounts.setdefault(source, set()).update(accounts)

    def take(self) -> Mapping[str, frozenset[str]]:
        """Return the accounts by source that were added since the last call."""
        with self._lock:
            taken, self._accounts = self._accounts, {}
        return {source: frozenset(accounts) for source, accounts in taken.items() if accounts}
