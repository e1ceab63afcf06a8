"""Where a trading rule was too coarse to be known: counted one cell and one fill at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plain_terms import Terms, terms_at

from quantlab.core.market import Bars, BarState
from quantlab.trading.strategy.strategy import Costs

RULES = ("tick", "lot", "min_notional")


@dataclass
class Told:
    """Of one rule: traded bars, fills, and the symbols of either."""

    bars: int = 0
    fills: int = 0
    symbols: tuple[str, ...] = ()


def is_unknown(rule: str, terms: Terms, price: float) -> bool:
    costs, instrument = terms.costs, terms.instrument
    if rule == "tick":
        return instrument.tick > costs.coarsest_tick * price
    if rule == "lot":
        return instrument.lot * price > costs.coarsest_order_usd
    return instrument.min_notional > costs.coarsest_order_usd


def told(bars: Bars, costs: Costs, fills: Iterable[tuple[int, int, float]]) -> dict[str, Told]:
    """Per rule, from bars and fills of (bar, symbol, price) under the rules of their bar."""
    dated = [terms_at(bars, int(open_ms), costs) for open_ms in bars.open_time_ms]
    fills = list(fills)
    result = {}
    for rule in RULES:
        at_close = [
            s
            for t, terms in enumerate(dated)
            for s in range(bars.n_symbols)
            if bars.state[t, s] == BarState.TRADED and is_unknown(rule, terms[s], float(bars.close[t, s]))
        ]
        at_fill = [s for t, s, price in fills if is_unknown(rule, dated[t][s], price)]
        symbols = tuple(bars.symbols[s] for s in sorted({*at_close, *at_fill}))
        result[rule] = Told(len(at_close), len(at_fill), symbols)
    return result
