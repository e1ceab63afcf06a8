"""Listen keys: each account has one at a time, which lives for an hour after it was last asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

#: Life of a key, ms.
LIFE_MS = 3_600_000


@dataclass(slots=True)
class ListenKeys:
    """Keys of user streams.

    Parameters
    ----------
    seed : int
        Makes their texts.
    """

    seed: int
    _key_of: dict[str, str] = field(default_factory=dict)
    _account_of: dict[str, str] = field(default_factory=dict)
    _until_ms: dict[str, int] = field(default_factory=dict)
    _made: int = 0

    def start(self, account: str, now_ms: int) -> str:
        """The account's key, made if it has none, good for another hour."""
        key = self._key_of.get(account)
        if key is None:
            self._made += 1
            key = hashlib.sha256(f"{self.seed} {account} {self._made}".encode()).hexdigest()
            self._key_of[account], self._account_of[key] = key, account
        self._until_ms[key] = now_ms + LIFE_MS
        return key

    def end(self, account: str) -> str | None:
        """Forget the account's key, and return it."""
        key = self._key_of.pop(account, None)
        if key is not None:
            del self._account_of[key], self._until_ms[key]
        return key

    def account(self, key: str) -> str | None:
        """The account of a key; None for none."""
        return self._account_of.get(key)

    def expire(self, now_ms: int) -> tuple[str, ...]:
        """Forget keys whose hour is over, and return them."""
        over = tuple(key for key, until in self._until_ms.items() if until <= now_ms)
        for key in over:
            self.end(self._account_of[key])
        return over

    def key(self, account: str) -> str | None:
        """The account's key; None if it has none."""
        return self._key_of.get(account)
