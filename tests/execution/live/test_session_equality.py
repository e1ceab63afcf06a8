"""The strategy object that was tested, on a venue: the same fills in lots and ticks, the same equity, bar by bar."""

from __future__ import annotations

from collections import Counter

import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.results import OrderReason

CASH = 10_000.0


def fills_in_lots(parts, fills):
    """``(symbol, signed lots, ticks, reason)`` of journalled fills."""
    rules = dict(zip(parts.bars.symbols, parts.bars.instruments, strict=True))
    return [
        (
            fill["symbol"],
            fill["side"] * round(fill["units"] / rules[fill["symbol"]].lot),
            round(fill["price"] / rules[fill["symbol"]].tick),
            fill["reason"],
        )
        for fill in fills
    ]


def backtest_fills(parts, simulation):
    """The same of a backtest, by bar; those of no whole lot are rests of float arithmetic and left out."""
    found = {}
    for order, reason in zip(simulation.orders, simulation.reasons, strict=True):
        rules = parts.bars.instruments[order["col"]]
        lots = round(order["size"] / rules.lot) * (1 if order["side"] == 0 else -1)
        entry = (
            parts.bars.symbols[order["col"]],
            lots,
            round(order["price"] / rules.tick),
            OrderReason(int(reason)).name,
        )
        if lots:
            found.setdefault(int(order["idx"]), []).append(entry)
    return found


def first_difference(parts, bars, simulation):
    """The first bar whose fills or equity are not the backtest's."""
    expected = backtest_fills(parts, simulation)
    for t, bar in enumerate(bars):
        ours = sorted(fills_in_lots(parts, bar["fills"]))
        if ours != sorted(expected.get(t, [])):
            return t, "fills", ours, sorted(expected.get(t, []))
        if abs(bar["account"]["equity"] / simulation.equity[t] - 1.0) > 1e-9:
            return t, "equity", bar["account"]["equity"], simulation.equity[t]
    return None


def check_equal(parts) -> Counter:
    """Trade a whole market and compare each bar; returns the reasons of the fills."""
    session = parts.session(parts.live())
    session.start()
    assert session.run() == parts.bars.n_bars
    simulation = Scan(CASH).run(parts.bars, parts.signal, parts.strategy)
    bars = [event.facts["bar"] for event in parts.journal.replay() if event.kind == "bar"]
    assert first_difference(parts, bars, simulation) is None
    return Counter(fill["reason"] for bar in bars for fill in bar["fills"])


@pytest.mark.parametrize(
    ("seed", "settings"),
    [(12, {"trailing": True}), (14, {"trailing": True, "second_close_position": True}), (13, {"participation": 0.05})],
    ids=["stops that move", "two stops at once", "the volume cap"],
)
def test_a_session_on_the_exchange_is_the_backtest(live_parts, seed, settings) -> None:
    parts = live_parts(seed, 300, **settings)
    reasons = check_equal(parts)
    assert reasons["STOP"] > 10
    assert reasons["TAKE_PROFIT"] > 5
    naked = [event.facts["naked_ms"] for event in parts.journal.replay() if event.kind == "protected"]
    assert len(naked) > 50
    assert max(naked) == 0  # in lockstep a stop rests before any time passes


@pytest.mark.slow
def test_four_markets_of_1500_bars_are_the_backtest(live_parts) -> None:
    reasons: Counter[str] = Counter()
    for seed, settings in ((11, {}), (12, {"trailing": True}), (13, {"participation": 0.05}), (14, {"trailing": True})):
        reasons += check_equal(live_parts(seed, 1_500, **settings))
    assert sum(reasons.values()) > 2_000
    assert reasons["STOP"] > 300
    assert reasons["FLATTEN"] > 0
    assert reasons["DELISTED"] > 0
