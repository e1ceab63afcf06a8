"""Raw bars of many symbols on one dense grid, and their two ways through the quality gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array, read_only
from quantlab.core.clock import iso_utc
from quantlab.core.errors import DataError
from quantlab.core.market import Bars, Funding, Instrument, RuleChange
from quantlab.data.quality.gate import QualityGate


@dataclass(frozen=True)
class RawGrid:
    """Bars as the source has them, before the gate.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5)
        NaN where the source has no bar.
    open_time_ms : int64 (T,)
        `interval_ms` apart.
    interval_ms : int
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
    funding : Funding or None
        None = no funding data.
    rule_changes : tuple of RuleChange
        By time.
    """

    ohlcv: Float64Array
    open_time_ms: Int64Array
    interval_ms: int
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    funding: Funding | None
    rule_changes: tuple[RuleChange, ...] = ()

    def __post_init__(self) -> None:
        time_ms = read_only(self.open_time_ms, np.int64, (None,), "grid.open_time_ms")
        ohlcv = read_only(self.ohlcv, np.float64, (len(time_ms), len(self.symbols), 5), "grid.ohlcv")
        object.__setattr__(self, "open_time_ms", time_ms)
        object.__setattr__(self, "ohlcv", ohlcv)

    @property
    def gate(self) -> QualityGate:
        return QualityGate(self.symbols, self.instruments, self.interval_ms, self.rule_changes)

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """All bars with ``start_ms <= open < end_ms``, in one block.

        The gate always starts at the grid's first bar, so a shorter period is exactly a slice of a
        longer one: a hole that began before `start_ms` is still known.
        """
        first, last = self.rows(start_ms, end_ms)
        _, bars = self.gate.run(self.gate.begin(), self.ohlcv, self.open_time_ms)
        funding = funding_due(self.funding, int(self.open_time_ms[first]), last - first, self.interval_ms)
        return replace(bars.rows(first, last), funding=funding)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The bars of :meth:`history`, one at a time, each with the funding that falls due on it."""
        return self._replay(*self.rows(start_ms, end_ms))

    def _replay(self, first: int, last: int) -> Iterator[Bars]:
        gate, state = self.gate, self.gate.begin()
        for t in range(last):
            open_ms = int(self.open_time_ms[t])
            funding = funding_due(self.funding, open_ms, 1, self.interval_ms)
            state, bar = gate.update(state, self.ohlcv[t], open_ms, funding)
            if t >= first:
                yield bar

    def rows(self, start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
        low, high = self.open_time_ms[0], self.open_time_ms[-1] + self.interval_ms
        first = int(np.searchsorted(self.open_time_ms, low if start_ms is None else start_ms))
        last = int(np.searchsorted(self.open_time_ms, high if end_ms is None else end_ms))
        if first >= last:
            raise DataError(
                f"bars from {_bound(start_ms)} to {_bound(end_ms)}",
                found=f"data from {iso_utc(int(low))} to {iso_utc(int(high))}",
                fix="choose a period inside the data",
            )
        return first, last


def _bound(time_ms: int | None) -> str:
    return "the data's own bound" if time_ms is None else str(np.datetime64(time_ms, "ms"))  # any year


def funding_due(funding: Funding | None, first_open_ms: int, n_bars: int, interval_ms: int) -> Funding | None:
    """The stamps charged on `n_bars` bars: after the bar before the first opened, up to the last open.

    An empty Funding says that none is due; None that nothing is known.
    """
    if funding is None:
        return None
    bounds = (first_open_ms - interval_ms, first_open_ms + (n_bars - 1) * interval_ms)
    first, last = (int(i) for i in np.searchsorted(funding.time_ms, bounds, side="right"))
    return Funding(funding.time_ms[first:last], funding.rate[first:last])
