"""Membership of the universe over time, and its marks on bars.

Row ``t`` knows the last snapshot taken at or before its open. A traded cell of a symbol that was no member
then becomes ``OUTSIDE``: nothing is opened there and no label enters there, what is held may be closed, and
its prices stay, because features need the history of a symbol that joins later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Int64Array, read_only
from quantlab.core.market import Bars, BarState
from quantlab.data.universe.snapshot import Snapshot, ever_members


@dataclass(frozen=True)
class Membership:
    """A mask over time, as sparse as its snapshots.

    Parameters
    ----------
    taken_ms : int64 (N,)
        When each snapshot was taken, strictly increasing.
    member : bool (N, S)
        Who belongs from then on, until the next one.
    symbols : tuple of str, length S
    """

    taken_ms: Int64Array
    member: BoolArray
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        taken_ms = read_only(self.taken_ms, np.int64, (None,), "membership.taken_ms")
        member = read_only(self.member, np.bool_, (len(taken_ms), len(self.symbols)), "membership.member")
        object.__setattr__(self, "taken_ms", taken_ms)
        object.__setattr__(self, "member", member)

    @classmethod
    def of(cls, snapshots: Sequence[Snapshot], symbols: tuple[str, ...]) -> Membership:
        """The membership of `symbols`, from snapshots in time order."""
        rows = [np.isin(symbols, snapshot.members) for snapshot in snapshots]
        return cls(np.array([one.taken_ms for one in snapshots], dtype=np.int64), np.array(rows, dtype=bool), symbols)

    def at(self, open_time_ms: Int64Array) -> BoolArray:
        """bool (T, S): who belongs in the bars with these opens; nobody before the first snapshot.

        Examples
        --------
        >>> joined = Membership(np.array([10, 20]), np.array([[True], [False]]), ("BTC",))
        >>> joined.at(np.array([9, 10, 19, 20]))[:, 0].tolist()
        [False, True, True, False]
        """
        row = np.searchsorted(self.taken_ms, open_time_ms, side="right") - 1
        found: BoolArray = self.member[np.maximum(row, 0)] & (row >= 0)[:, None]
        return found

    def mark(self, bars: Bars) -> Bars:
        """`bars`, whose symbols must be these, with ``OUTSIDE`` where somebody did not belong."""
        state = np.where(bars.tradable & ~self.at(bars.open_time_ms), np.uint8(BarState.OUTSIDE), bars.state)
        return dataclasses.replace(bars, state=state)


def members_without_bars(snapshots: Sequence[Snapshot], symbols: Sequence[str]) -> tuple[str, ...]:
    """Members that the data have no bars of: a backtest that cannot trade them is kinder than the past was."""
    return tuple(symbol for symbol in ever_members(snapshots) if symbol not in symbols)
