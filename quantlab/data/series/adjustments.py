"""Adjustments: prices of before a redenomination or a split in the units of after it, from a file that a person writes.

The file is a csv with the columns ``symbol,time,factor``. Prices of bars that open before `time` are multiplied by
`factor` and their volumes divided by it, so money traded stays. Several of one symbol compose. What a bar is
does not depend on the part of a history that is read. A row whose factor is not about the step in price at its time is
refused (:mod:`quantlab.data.series.price_steps`): applied to the bars in between it would be a gain or a loss of 99.9 %.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.clock import iso_utc, past_open
from quantlab.core.durations import duration_text
from quantlab.core.errors import DataError
from quantlab.core.market import VOLUME
from quantlab.data.series.alignment import Series
from quantlab.data.series.csv_table import TableRow, read_table
from quantlab.data.series.price_steps import PriceSteps, price_steps, within


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
            if past_open(time_ms, interval_ms):
                fix = "name the open of the first bar at the new price"
                raise row.refuse(f"the open of a bar of {duration_text(interval_ms)}", iso_utc(time_ms), fix)

    def check_steps(
        self,
        symbols: Collection[str],
        interval_ms: int,
        around: Callable[[str, int], Series],
        whole: Callable[[str], Series],
    ) -> None:
        """Refuse rows of `symbols` whose factor is not about the step in price at their time.

        Parameters
        ----------
        symbols : collection of str
        interval_ms : int
        around : callable
            A symbol and an instant -> its bars as they are stored, at least from the last before to the first at or after it.
        whole : callable
            A symbol -> all its bars as they are stored, to look where such a step is.

        Raises
        ------
        DataError
            Naming the row, the step that is there, and the nearest one that the factor fits.
        """
        for adjustment in self.rows:
            if adjustment.symbol not in symbols:
                continue
            steps = price_steps(around(adjustment.symbol, adjustment.time_ms), interval_ms)
            k = steps.at(adjustment.time_ms)
            if k is None or not steps.about(adjustment.factor)[k]:
                raise _no_such_step(adjustment, steps, k, price_steps(whole(adjustment.symbol), interval_ms))

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


def _no_such_step(adjustment: Adjustment, steps: PriceSteps, k: int | None, everywhere: PriceSteps) -> DataError:
    """Say which step is at a row's time, number `k` of `steps`, and where the one that it means may be."""
    factor, time_ms = adjustment.factor, adjustment.time_ms
    allowed = within(factor, paused=k is not None and bool(steps.paused[k]))
    expected = f"a factor that prices step by (within {allowed:.4g} times) at its time"
    found = "no price before and after it"
    if k is not None:
        found = (
            f"{factor:.6g} for {adjustment.symbol} at {iso_utc(time_ms)}, where the price goes from "
            f"{steps.close_before[k]:.6g} to {steps.open_after[k]:.6g}, which is {steps.ratio(k):.6g} times"
        )
        if steps.about(1.0 / factor)[k]:
            fix = f"write what earlier prices are multiplied by: {1.0 / factor:.12g}"
            return adjustment.row.refuse(expected, found, fix)
    near = _nearest(everywhere, everywhere.about(factor), time_ms)
    if near is not None:
        found += f"; the nearest step of that size is at {iso_utc(near)}"
        return adjustment.row.refuse(expected, found, f"write {iso_utc(near)} if that is the one, or remove the row")
    inside = _nearest(everywhere, everywhere.inside(factor), time_ms)
    if inside is not None:
        found += f"; the bar that opens at {iso_utc(inside)} moves so between its own open and close"
        fix = "take that bar, which is in both units, out of the data, and write the open of the bar after it"
        return adjustment.row.refuse(expected, found, fix)
    found += f"; no step of {adjustment.symbol} is of that size"
    fix = "correct the factor (what earlier prices are multiplied by) and the time, or remove the row"
    return adjustment.row.refuse(expected, found, fix)


def _nearest(steps: PriceSteps, fits: BoolArray, time_ms: int) -> int | None:
    """Time of the step that fits and is nearest to an instant, the earlier of equals; None if none does."""
    times = steps.time_ms[fits]
    return int(times[np.argmin(np.abs(times - time_ms))]) if len(times) else None
