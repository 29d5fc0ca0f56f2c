"""Verdicts on passwords that were checked before, so that a scrape does not wait for bcrypt.

What is kept is an HMAC under a key that only this process has: neither the password nor anything
that could be tried offline.
"""

import hmac
from collections import OrderedDict
from typing import Final

_MOST_WRONG: Final = 100
_BUCKETS: Final = 16
_NO_PROOF: Final = bytes(32)  # as long as a proof, so that comparing takes as long


class Verdicts:
    """The last right password of each user, and the last hundred wrong ones of anybody.

    They are kept apart, so that no number of wrong ones drives out a right one.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._right: dict[str, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    def proof(self, user: str, hashed: bytes, password: bytes) -> bytes:
        """Give what stands for the three together; with another hash, it is another."""
        parts = (user.encode(), hashed, password)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")

    def bucket(self, user: str) -> int:
        """Return one of a few numbers for a user, known or not, that others cannot foresee."""
        return hmac.digest(self._key, user.encode(), "sha256")[0] % _BUCKETS

    def recall(self, user: str, proof: bytes) -> bool | None:
        """Give the verdict on a proof, or None when there was none."""
        if hmac.compare_digest(self._right.get(user, _NO_PROOF), proof):
            return True
        if proof in self._wrong:
            self._wrong.move_to_end(proof)
            return False
        return None

    def keep(self, user: str, proof: bytes, *, right: bool) -> None:
        """Keep a verdict; a right one only of a user that the file knows, so they have a bound."""
        if right:
            self._right[user] = proof
            return
        self._wrong[proof] = None
        if len(self._wrong) > _MOST_WRONG:
            self._wrong.popitem(last=False)
