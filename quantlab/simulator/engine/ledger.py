"""The venue's ledger: an append-only list of what was really done, written by the venue alone; the judge of every test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

Value = str | int | bool | Decimal


class Entry(NamedTuple):
    """One thing that was done.

    Parameters
    ----------
    seq : int
        0, 1, 2, ...
    time_ms : int
        Venue time; never falls.
    kind : str
        ``deposit``, ``order``, ``trade``, ``order_end``, ``amend``, ``algo``, ``algo_trigger``, ``algo_end``, ``funding``,
        ``missing_funding``, ``liquidation``, ``liquidation_fee``, ``adl``, ``delisted``, ``transfer``, ``leverage``,
        ``countdown``, ``liquidity``, ``bar``.
    account : str
        Empty for what concerns all.
    fields : dict of str to str, int, bool or Decimal
    """

    seq: int
    time_ms: int
    kind: str
    account: str
    fields: dict[str, Value]

    def to_dict(self) -> dict[str, str | int | bool]:
        """The entry as JSON's values: money as text."""
        shown = {name: str(value) if isinstance(value, Decimal) else value for name, value in self.fields.items()}
        return {"seq": self.seq, "time_ms": self.time_ms, "kind": self.kind, "account": self.account, **shown}


@dataclass
class Ledger:
    """All entries, in order; there is no way to change or remove one."""

    _entries: list[Entry] = field(default_factory=list)

    def append(self, time_ms: int, kind: str, account: str, fields: dict[str, Value]) -> None:
        """Write one entry.

        Parameters
        ----------
        time_ms : int
        kind : str
        account : str
        fields : dict of str to str, int, bool or Decimal
            Nobody else's from now on.
        """
        self._entries.append(Entry(len(self._entries), time_ms, kind, account, fields))

    def read(self, from_seq: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """Entries from `from_seq` on, at most `limit`."""
        return tuple(self._entries[from_seq : None if limit is None else from_seq + limit])

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))
