"""Rules that were too coarse, counted by hand and against a plain loop over cells and fills."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import Bars, BarState, Instrument, RuleChange
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.statistics.unknown_rules import unknown_rule_notes, unknown_rules

FINE = Instrument(
    tick=0.001, lot=0.01, min_notional=5.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
)
SIGNAL = int(OrderReason.SIGNAL)


@pytest.fixture
def three(random_bars: Any) -> Bars:
    """Three symbols around 100, of which the last prints but does not trade in its first 50 bars."""
    bars = random_bars(0, 200, 3)
    state = bars.state.copy()
    state[:50, 2] = BarState.ZERO_VOLUME
    return dataclasses.replace(bars, state=state, instruments=(FINE, FINE, FINE))


def with_rule(bars: Bars, column: int, **rule: float) -> Bars:
    instruments = list(bars.instruments)
    instruments[column] = dataclasses.replace(FINE, **rule)
    return dataclasses.replace(bars, instruments=tuple(instruments))


def test_fine_rules_are_known_everywhere(three: Bars, booked: Callable[..., Any]) -> None:
    account = booked(three, [(3, 0, 1.0, 100.0, 0.0, SIGNAL)])
    found = unknown_rules(account, three, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    assert {name: (rule.bars, rule.fills, rule.symbols) for name, rule in found.items()} == dict.fromkeys(
        ("tick", "lot", "min_notional"), (0, 0, ())
    )
    assert unknown_rule_notes(found) == ()


def test_bars_and_fills_are_counted_by_their_own_prices(three: Bars, booked: Callable[..., Any]) -> None:
    middle = float(np.nanmedian(three.close[:, 1]))
    bars = with_rule(three, 1, tick=0.001 * middle, lot=1000.0 / middle)
    fills = [(i, 1, sign, price, 0.0, SIGNAL) for i, sign, price in ((3, 1.0, middle * 0.9), (4, -1.0, middle * 1.1))]
    found = unknown_rules(booked(bars, fills), bars, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    below = sum(0.001 * middle > 0.001 * close for close in bars.close[:, 1])
    above = sum((1000.0 / middle) * close > 1000.0 for close in bars.close[:, 1])
    assert 80 <= below <= 120
    assert (found["tick"].bars, found["tick"].fills, found["tick"].symbols) == (below, 1, ("S01",))
    assert (found["lot"].bars, found["lot"].fills, found["lot"].symbols) == (above, 1, ("S01",))
    assert found["min_notional"].symbols == ()


def test_only_traded_bars_count_and_a_large_smallest_notional_is_unknown_at_any_price(
    three: Bars, booked: Callable[..., Any]
) -> None:
    bars = with_rule(three, 2, min_notional=1000.5)
    account = booked(bars, [(60, 2, 1.0, 100.0, 0.0, SIGNAL), (61, 0, 1.0, 100.0, 0.0, SIGNAL)])
    found = unknown_rules(account, bars, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    assert dataclasses.astuple(found["min_notional"]) == (150, 1, ("S02",), 1000.0)
    wider = unknown_rules(account, bars, coarsest_tick=0.001, coarsest_order_usd=1000.5)
    assert wider["min_notional"].bars == 0


def test_dated_rules_count_in_their_own_bars_and_fills(three: Bars, booked: Callable[..., Any]) -> None:
    coarse = dataclasses.replace(FINE, tick=5.0, min_notional=2000.0)
    changes = (
        RuleChange(int(three.open_time_ms[120]), "S02", coarse),
        RuleChange(int(three.open_time_ms[170]), "S02", FINE),
    )
    bars = dataclasses.replace(three, rule_changes=changes)
    account = booked(bars, [(119, 2, 1.0, 100.0, 0.0, SIGNAL), (120, 2, 1.0, 100.0, 0.0, SIGNAL)])
    found = unknown_rules(account, bars, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    assert dataclasses.astuple(found["tick"]) == (50, 1, ("S02",), 0.001)
    assert dataclasses.astuple(found["min_notional"]) == (50, 1, ("S02",), 1000.0)
    assert found["lot"].symbols == ()


def test_a_symbol_with_unknown_fills_alone_is_named(three: Bars, booked: Callable[..., Any]) -> None:
    account = booked(three, [(3, 0, 1.0, 0.5, 0.0, SIGNAL)])
    found = unknown_rules(account, three, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    assert dataclasses.astuple(found["tick"]) == (0, 1, ("S00",), 0.001)


def test_notes_name_symbols_settings_and_what_followed(three: Bars, booked: Callable[..., Any]) -> None:
    coarse = dataclasses.replace(FINE, tick=5.0, lot=100.0, min_notional=2000.0)
    bars = dataclasses.replace(three, instruments=(coarse,) * 3)
    found = unknown_rules(booked(bars, []), bars, coarsest_tick=0.001, coarsest_order_usd=1000.0)
    then = "The venue's rule of today is not the one of then"
    where = "in 550 traded bars and 0 fills, and counted as unknown there"
    assert unknown_rule_notes(found, shown=2) == (
        "The tick (price step) of S00, S01 and 1 more is a larger share of the price than trading.costs.coarsest_tick, 0.001, "
        f"{where}: prices were not rounded. {then}",
        "The lot (size step) of S00, S01 and 1 more is worth more USD than trading.costs.coarsest_order_usd, 1000, "
        f"{where}: sizes were not rounded. {then}",
        "The smallest notional of S00, S01 and 1 more is more USD than trading.costs.coarsest_order_usd, 1000, "
        f"{where}: no order was too small",
    )


def test_no_fill_is_dust_by_a_smallest_notional_that_is_unknown(three: Bars, booked: Callable[..., Any]) -> None:
    bars = with_rule(three, 1, min_notional=2000.0)
    account = booked(bars, [(3, 0, 0.01, 100.0, 0.0, SIGNAL), (4, 1, 1.0, 100.0, 0.0, SIGNAL)])
    shares = [summarise(account, bars, coarsest_order_usd=usd)["dust_share"] for usd in (1000.0, 2000.0)]
    assert shares == [0.5, 1.0]
