"""Trading rules that were too coarse for a price or an order and so counted as unknown: how often, and where.

Told after the fact, from bars, trading rules and order records; the account remembers nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.rule_spans import rule_in_cells


@dataclass(frozen=True)
class UnknownRule:
    """One rule, where it was unknown.

    Parameters
    ----------
    bars : int
        Traded bars whose close makes it unknown.
    fills : int
        Fills whose price makes it unknown.
    symbols : tuple of str
        Of either, in the order of the market.
    """

    bars: int
    fills: int
    symbols: tuple[str, ...]


def unknown_rules(
    simulation: Simulation, bars: Bars, *, coarsest_tick: float, coarsest_order_usd: float
) -> dict[str, UnknownRule]:
    """Count where ``tick``, ``lot`` and ``min_notional`` were unknown.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars, (T, S)
        The bars that it ran over.
    coarsest_tick : float
        Largest share of a price that a tick may be.
    coarsest_order_usd : float
        Largest worth of a lot, and largest smallest notional, USD.
    """
    orders = simulation.orders
    columns, traded = orders["col"], bars.tradable
    rows, symbols = np.arange(bars.n_bars)[:, None], np.arange(bars.n_symbols)
    at_close = _unknown(bars, rows, symbols, bars.close, coarsest_tick, coarsest_order_usd)
    at_fill = _unknown(bars, orders["idx"], columns, orders["price"], coarsest_tick, coarsest_order_usd)
    return {name: _count(bars, at_close[name] & traded, columns[at_fill[name]]) for name in at_close}


def unknown_rule_notes(found: Mapping[str, UnknownRule], shown: int = 5) -> tuple[str, ...]:
    """Sentences for a report, one for each rule that was unknown anywhere; the first `shown` symbols are named."""
    words = {"tick": "tick (price step)", "lot": "lot (size step)", "min_notional": "smallest notional"}
    return tuple(
        f"The {words[name]} of {_names(rule.symbols, shown)} was too coarse for the prices of {rule.bars:,} traded bars and "
        f"{rule.fills:,} fills, and counted as unknown there: the venue's rule of today is not the one of then"
        for name, rule in found.items()
        if rule.symbols
    )


def _unknown(
    bars: Bars,
    rows: Int64Array,
    columns: Int64Array,
    price: Float64Array,
    coarsest_tick: float,
    coarsest_order_usd: float,
) -> dict[str, BoolArray]:
    """Tell for every price, of the cells (row, column) of its shape, which rules it makes unknown."""
    tick, lot, smallest = (rule_in_cells(bars, name, rows, columns) for name in ("tick", "lot", "min_notional"))
    return {
        "tick": tick > coarsest_tick * price,
        "lot": lot * price > coarsest_order_usd,
        "min_notional": np.broadcast_to(smallest > coarsest_order_usd, price.shape),
    }


def _count(bars: Bars, cells: BoolArray, columns: Int64Array) -> UnknownRule:
    touched = np.union1d(np.flatnonzero(cells.any(axis=0)), columns)
    return UnknownRule(int(cells.sum()), len(columns), tuple(bars.symbols[s] for s in touched.tolist()))


def _names(symbols: tuple[str, ...], shown: int) -> str:
    more = len(symbols) - shown
    return ", ".join(symbols[:shown]) + (f" and {more} more" if more > 0 else "")
