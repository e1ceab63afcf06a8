"""The market that the venue replays: bars on a time line of the venue, trading rules, funding, and costs.

Nothing here changes: a market is a function of the bar's number.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.core.market import CLOSE, Bars, BarState
from quantlab.core.rule_spans import rule_spans
from quantlab.simulator.engine.listing import Listing, grids_of, listings_of
from quantlab.trading.account.matching import has_volume
from quantlab.trading.strategy.strategy import BASIS_POINT, Costs


class Cell(NamedTuple):
    """One bar of one symbol; prices are NaN where it is absent."""

    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def trades(self) -> bool:
        """Tell whether anything can fill in it."""
        return bool(has_volume(self.volume, self.open))


class DueFunding(NamedTuple):
    """A funding stamp that falls on a bar: its time in the data, and a rate for each column, NaN where there is none."""

    stamp_ms: int
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Market:
    """Bars of a data source on the venue's time line.

    Parameters
    ----------
    bars : Bars
    costs : Costs
        The house's: slippage, participation, liquidation fee, coarsest rules, patience with absent symbols.
    first_row : int
        The bar that runs when the venue opens; those before it are history.
    begin_ms : int or None
        Venue time at which it opens; None for its own time in the data.
    bar_ms : int or None
        Venue time that a bar takes; None for the bars' interval. Wall mode sets both, from the wall clock and the pace.
    seed : int
        Of the paths inside bars.

    Raises
    ------
    ConfigError
        If `first_row` is none of the bars.
    """

    bars: Bars
    costs: Costs
    first_row: int = 0
    begin_ms: int | None = None
    bar_ms: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("first_row", self.first_row, low=0)
        if self.first_row >= self.bars.n_bars:
            found = f"bar {self.first_row} of {self.bars.n_bars}"
            raise ConfigError("a first bar inside the data", found=found, fix="choose an earlier one, or more data")
        if self.bar_ms is not None:
            check_whole("bar_ms", self.bar_ms, low=1)

    @cached_property
    def slippage(self) -> float:
        """Share of a price by which takers fill worse."""
        return self.costs.slippage_bps / BASIS_POINT

    @cached_property
    def participation(self) -> float:
        """Share of a bar's volume that capped fills may take."""
        return np.inf if self.costs.participation is None else float(self.costs.participation)

    @property
    def step_ms(self) -> int:
        """Venue time that a bar takes."""
        return self.bars.interval_ms if self.bar_ms is None else self.bar_ms

    def open_ms(self, row: int) -> int:
        """Venue time at which bar `row` opens; the bar after the last one opens at the end of the market."""
        begin = int(self.bars.open_time_ms[self.first_row]) if self.begin_ms is None else self.begin_ms
        return begin + (row - self.first_row) * self.step_ms

    def close_ms(self, row: int) -> int:
        """Venue time at which bar `row` ends."""
        return self.open_ms(row + 1)

    def cell(self, row: int, column: int) -> Cell:
        """One bar of one symbol."""
        return Cell(*self.bars.ohlcv[row, column].tolist())

    def cells(self, row: int) -> tuple[Cell, ...]:
        """One bar of every symbol, by the columns of the data."""
        return tuple(map(Cell._make, self.bars.ohlcv[row].tolist()))

    def last_closes(self, row: int) -> dict[str, float]:
        """The last finite close before bar `row` of every symbol that has one."""
        known = {}
        for symbol, listing in self.listings(row).items():
            closes = self.bars.ohlcv[:row, listing.column, CLOSE]
            finite = np.flatnonzero(np.isfinite(closes))
            if len(finite):
                known[symbol] = float(closes[finite[-1]])
        return known

    def is_absent(self, row: int, column: int) -> bool:
        """Tell whether the symbol has no bar there."""
        return bool(self.bars.state[row, column] == BarState.ABSENT)

    def listings(self, row: int) -> dict[str, Listing]:
        """Every symbol, by the rules that hold in bar `row`: one and the same dict until they change."""
        which = bisect.bisect_right(self._span_rows, row) - 1
        return self._spans[max(which, 0)]

    def funding_due(self, row: int) -> tuple[DueFunding, ...]:
        """Rates that are charged at the open of bar `row`: those with stamps in (open of the bar before, its open]."""
        funding = self.bars.funding
        if funding is None or row >= self.bars.n_bars:
            return ()
        until = int(self.bars.open_time_ms[row])
        first, last = (int(funding.time_ms.searchsorted(ms, "right")) for ms in (until - self.bars.interval_ms, until))
        return tuple(DueFunding(int(funding.time_ms[k]), tuple(funding.rate[k].tolist())) for k in range(first, last))

    @cached_property
    def _spans(self) -> list[dict[str, Listing]]:
        costs = self.costs
        grids = grids_of(self.bars, costs.coarsest_tick, costs.coarsest_order_usd)
        return [
            listings_of(self.bars, span.instruments, grids, costs.coarsest_order_usd) for span in rule_spans(self.bars)
        ]

    @cached_property
    def _span_rows(self) -> list[int]:
        return [span.first for span in rule_spans(self.bars)]
