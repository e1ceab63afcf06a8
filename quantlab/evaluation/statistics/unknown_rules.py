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
    bound : float
        What it was held against: the setting ``coarsest_tick`` or ``coarsest_order_usd``.
    """

    bars: int
    fills: int
    symbols: tuple[str, ...]
    bound: float


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
    bounds = {"tick": coarsest_tick, "lot": coarsest_order_usd, "min_notional": coarsest_order_usd}
    return {
        name: _count(bars, at_close[name] & traded, columns[at_fill[name]], bound) for name, bound in bounds.items()
    }


def unknown_rule_notes(found: Mapping[str, UnknownRule], shown: int = 5) -> tuple[str, ...]:
    """Sentences for a reader, one for each rule that was unknown anywhere; the first `shown` symbols are named."""
    then = "The venue's rule of today is not the one of then"
    words = {
        "tick": ("tick (price step)", "a larger share of the price than", "coarsest_tick", f"prices were not rounded. {then}"),
        "lot": ("lot (size step)", "worth more USD than", "coarsest_order_usd", f"sizes were not rounded. {then}"),
        "min_notional": ("smallest notional", "more USD than", "coarsest_order_usd", "no order was too small"),
    }  # fmt: skip
    return tuple(_note(rule, _names(rule.symbols, shown), *words[name]) for name, rule in found.items() if rule.symbols)


def _note(rule: UnknownRule, symbols: str, name: str, exceeds: str, setting: str, followed: str) -> str:
    return (
        f"The {name} of {symbols} is {exceeds} trading.costs.{setting}, {rule.bound:g}, in {rule.bars:,} traded bars and "
        f"{rule.fills:,} fills, and counted as unknown there: {followed}"
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


def _count(bars: Bars, cells: BoolArray, columns: Int64Array, bound: float) -> UnknownRule:
    touched = np.union1d(np.flatnonzero(cells.any(axis=0)), columns)
    return UnknownRule(int(cells.sum()), len(columns), tuple(bars.symbols[s] for s in touched.tolist()), bound)


def _names(symbols: tuple[str, ...], shown: int) -> str:
    more = len(symbols) - shown
    return ", ".join(symbols[:shown]) + (f" and {more} more" if more > 0 else "")
