"""Adjustments: prices of before a redenomination or a split in the units of after it, from a file that a person writes.

The file is a csv with the columns ``symbol,time,factor``. Prices of bars that open before `time` are multiplied by
`factor` and their volumes divided by it, so money traded stays. Several of one symbol compose. What a bar is
does not depend on the part of a history that is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import iso_utc
from quantlab.core.market import VOLUME
from quantlab.data.series.csv_table import TableRow, read_table


@dataclass(frozen=True)
class Adjustment:
    """One row of the file.

    Parameters
    ----------
    symbol : str
    time_ms : int
        Open of the first bar in the new units.
    factor : float
        Multiple of earlier prices, > 0 and not 1.
    row : TableRow
        Where it stands.
    """

    symbol: str
    time_ms: int
    factor: float
    row: TableRow

    def sentence(self) -> str:
        """One sentence for a reader of results."""
        return (
            f"prices of {self.symbol} before {iso_utc(self.time_ms)} are multiplied by {self.factor:.12g} and volumes "
            f"divided by it ({self.row.file})"
        )


@dataclass(frozen=True)
class Adjustments:
    """All rows of a file, by time.

    Parameters
    ----------
    rows : tuple of Adjustment
    """

    rows: tuple[Adjustment, ...] = ()

    def apply(self, symbol: str, open_time_ms: Int64Array, ohlcv: Float64Array) -> None:
        """Adjust one symbol's bars in place.

        Parameters
        ----------
        symbol : str
        open_time_ms : int64 (N,)
            Increasing.
        ohlcv : float64 (N, 5)
            NaN where there is no bar.
        """
        mine = [row for row in self.rows if row.symbol == symbol]
        if not mine:
            return
        multiple = np.ones(int(np.searchsorted(open_time_ms, mine[-1].time_ms)))
        # The latest first: a bar's product has the same factors in the same order in every part of a history.
        for adjustment in reversed(mine):
            multiple[: np.searchsorted(open_time_ms, adjustment.time_ms)] *= adjustment.factor
        ohlcv[: len(multiple), :VOLUME] *= multiple[:, None]
        ohlcv[: len(multiple), VOLUME] /= multiple

    def check(self, known: Collection[str], bounds: Mapping[str, tuple[int, int]], interval_ms: int) -> None:
        """Refuse rows that could not have an effect, or that would cut a bar in two.

        Parameters
        ----------
        known : collection of str
            Every symbol of the data, read or not.
        bounds : dict of symbol to (int, int)
            Opens of the first and the last bar of those that are read, ms.
        interval_ms : int

        Raises
        ------
        DataError
            Naming the row.
        """
        for adjustment in self.rows:
            symbol, time_ms, row = adjustment.symbol, adjustment.time_ms, adjustment.row
            if symbol not in known:
                fix = "correct the symbol, or remove the row"
                raise row.refuse("a symbol of the data", f"{symbol}, of which there are no bars", fix)
            first, last = bounds.get(symbol, (time_ms - 1, time_ms))
            if not first < time_ms <= last:
                found = f"{iso_utc(time_ms)}, and bars of {symbol} from {iso_utc(first)} to {iso_utc(last)}"
                fix = "name the open of the first bar at the new price, or remove the row"
                raise row.refuse("a time after the first bar and not after the last", found, fix)
            if time_ms % interval_ms:
                fix = "name the open of the first bar at the new price"
                raise row.refuse(f"the open of a bar of {interval_ms} ms", iso_utc(time_ms), fix)

    def notes(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Sentences on the adjustments of `symbols`."""
        applied = [row for row in self.rows if row.symbol in symbols]
        if not applied:
            return ()
        rules = (
            "trading rules are not adjusted: those from before an adjustment belong into dated rows of data.instruments, "
            "in the new units (tick times the factor, lot divided by it)"
        )
        return (*(row.sentence() for row in applied), rules)


def read_adjustments(path: str | Path | None) -> Adjustments:
    """The adjustments of a file; none for None.

    Raises
    ------
    DataError
        If the file cannot be read, or naming the first row that is not as above or repeats the time of another.
    """
    if path is None:
        return Adjustments()
    rows: Sequence[TableRow] = read_table(Path(path), ("symbol", "time", "factor"))
    found: dict[tuple[str, int], Adjustment] = {}
    for row in rows:
        adjustment = Adjustment(row.text("symbol"), row.time_ms("time"), row.number_of("factor"), row)
        if adjustment.factor in (0.0, 1.0):
            raise row.refuse(
                "a factor > 0 and not 1", row.text("factor"), "write what earlier prices are multiplied by"
            )
        before = found.setdefault((adjustment.symbol, adjustment.time_ms), adjustment)
        if before is not adjustment:
            found_text = f"{before.symbol} at {iso_utc(before.time_ms)} also in row {before.row.number}"
            raise row.refuse("one factor per symbol and time", found_text, "remove one of them")
    return Adjustments(tuple(sorted(found.values(), key=lambda row: (row.time_ms, row.symbol))))
