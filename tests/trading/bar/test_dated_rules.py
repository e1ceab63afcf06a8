"""Trading rules that change between two bars, by hand: fills, levels and decisions of a bar use its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.core.market import RuleChange
from quantlab.core.results import OrderReason

NAN = np.nan
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]


def dated(bars, row, instrument):
    """The rules of S0 are others from `row` on."""
    return dataclasses.replace(bars, rule_changes=(RuleChange(int(bars.open_time_ms[row]), "S0", instrument),))


def test_a_fill_and_the_decision_at_its_close_use_the_rules_of_their_bar(market, play, free):
    new = free(tick=0.05, lot=1.0, taker_fee_bps=20.0, min_notional=900.0)
    bars = dated(market([FLAT] * 6, instrument=free(taker_fee_bps=10.0)), 2, new)
    result = play(bars, target=[0.333, 0.5, 0.7, 0.75, 0.5, NAN], costs={"slippage_bps": 13.0})
    first, second, third, fourth = result.orders

    # Decided and filled by the old rules: no tick, no lot, 10 bp.
    price = 100.0 * (1.0 + 13.0 / 1e4)
    assert (first["idx"], first["size"], first["price"]) == (1, 0.333 * 10_000.0 / 100.0, price)
    assert first["fees"] == first["size"] * price * 0.001
    cash = 10_000.0 - first["size"] * price - first["fees"]

    # Decided by the old rules (no lot) at the close of bar 1, filled by the new ones (tick, 20 bp) in bar 2.
    equity = cash + first["size"] * 100.0
    assert (second["idx"], second["size"]) == (2, 0.5 * equity / 100.0 - first["size"])
    assert second["price"] == pytest.approx(100.15, rel=1e-15)  # 100.13, rounded up
    assert second["fees"] == second["size"] * second["price"] * 0.002
    cash -= second["size"] * second["price"] + second["fees"]
    held = first["size"] + second["size"]

    # Decided at the close of bar 2 by the new rules: whole units.
    wanted = 0.7 * (cash + held * 100.0) / 100.0 - held
    assert (third["idx"], third["size"]) == (3, np.floor(wanted))
    assert wanted != np.floor(wanted)

    # Five hundred dollars more at the close of bar 3 are below the new smallest order; a reduction is not held to it.
    assert result.cuts["min_notional"] == 1
    assert (fourth["idx"], fourth["side"]) == (5, 1)
    assert len(result.orders) == 4


def test_the_old_rules_all_the_way_give_other_fills(market, play, free):
    old = market([FLAT] * 6, instrument=free(taker_fee_bps=10.0))
    new = dated(old, 2, free(tick=0.05, taker_fee_bps=20.0))
    given = {"target": [0.333, 0.5, 0.7, NAN, NAN, NAN], "costs": {"slippage_bps": 13.0}}
    before, after = play(old, **given), play(new, **given)
    assert before.orders[0] == after.orders[0]
    assert before.orders[1] != after.orders[1]


def test_a_level_that_stands_keeps_its_price_and_fills_by_the_new_tick_and_fee(market, play, free):
    rows = [FLAT, FLAT, [100.0, 100.0, 97.0, 98.0, 1e9]]
    bars = dated(market(rows, instrument=free(taker_fee_bps=10.0)), 2, free(tick=0.05, taker_fee_bps=20.0))
    result = play(bars, target=[0.5, NAN, NAN], stop_distance=[2.23, NAN, NAN], take_distance=np.inf)
    _, stop = result.orders
    assert list(result.reasons) == [OrderReason.SIGNAL, OrderReason.STOP]
    assert stop["price"] == pytest.approx(97.75, rel=1e-15)  # 97.77, rounded down
    assert stop["fees"] == 50.0 * stop["price"] * 0.002


def test_a_dearer_maintenance_margin_liquidates_in_its_first_bar(market, play, free):
    rows = [FLAT, FLAT, FLAT, FLAT]
    bars = dated(market(rows, instrument=free(maintenance_margin_rate=0.01)), 2, free(maintenance_margin_rate=0.5))
    result = play(bars, target=[4.0, NAN, NAN, NAN])
    assert [(event["idx"],) for event in result.events] == [(2,)]
    assert not result.units.any()
