"""Stops, take-profits and time exits, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.results import OrderReason
from quantlab.trading import EnsembleThreshold

NAN, INF = np.nan, np.inf
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]
ENTER = {"target": [0.5, NAN, NAN, NAN], "stop_distance": [2.0] * 4, "take_distance": [4.0] * 4}


def mirrored(rows):
    """The market turned about 100: what was a low is a high."""
    return [[200.0 - o, 200.0 - low, 200.0 - high, 200.0 - c, v] for o, high, low, c, v in rows]


def exits(simulation):
    return [
        (int(o["idx"]), OrderReason(int(r)).name, float(o["price"]), float(o["size"]))
        for o, r in zip(simulation.orders, simulation.reasons, strict=True)
        if r != OrderReason.SIGNAL
    ]


BARS = {
    "stop on the entry bar": ([[100, 101, 97.5, 99, 1e9]], [(1, "STOP", 98.0)]),
    "stop touched exactly": ([FLAT, [100, 101, 98.0, 99, 1e9]], [(2, "STOP", 98.0)]),
    "stop not reached": ([FLAT, [100, 101, 98.01, 99, 1e9], FLAT], []),
    "a gap through the stop fills at the open": ([FLAT, [96, 97, 95, 96, 1e9]], [(2, "STOP", 96.0)]),
    "take-profit touched is no fill": ([FLAT, [100, 104.0, 99, 103, 1e9], FLAT], []),
    "take-profit passed": ([FLAT, [100, 104.5, 99, 103, 1e9]], [(2, "TAKE_PROFIT", 104.0)]),
    "a gap beyond the take-profit fills at the open": ([FLAT, [106, 107, 105, 106, 1e9]], [(2, "TAKE_PROFIT", 106.0)]),
    "both levels in one bar: the stop": ([FLAT, [100, 105, 97, 100, 1e9]], [(2, "STOP", 98.0)]),
    "open beyond the take-profit, stop touched: the stop": ([FLAT, [106, 107, 97, 100, 1e9]], [(2, "STOP", 98.0)]),
    "no volume, no exit": ([FLAT, [96, 110, 90, 100, 0.0], FLAT], []),
    "the stop stays armed over a bar without volume": (
        [FLAT, [96, 96, 96, 96, 0.0], [97, 97, 97, 97, 1e9]],
        [(3, "STOP", 97.0)],
    ),
}


@pytest.mark.parametrize("case", BARS)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_protective_exits(market, play, case, side):
    rows, expected = BARS[case]
    rows = [FLAT, *rows]
    rows += [rows[-1]] * (4 - len(rows)) if not expected else []
    n = len(rows)
    given = {"target": [0.5 * side] + [NAN] * (n - 1), "stop_distance": [2.0] * n, "take_distance": [4.0] * n}
    result = play(market(rows if side > 0 else mirrored(rows)), **given)
    turned = [(i, r, p if side > 0 else 200.0 - p, 50.0) for i, r, p in expected]
    assert exits(result) == turned


def test_a_stop_is_slipped_taxed_and_rounded_as_a_taker(market, play, free):
    rows = [FLAT, FLAT, [100, 101, 97, 99, 1e9]]
    bars = market(rows, instrument=free(taker_fee_bps=10.0, maker_fee_bps=1.0, tick=0.5))
    result = play(
        bars, target=[0.5, NAN, NAN], stop_distance=[2.2] * 3, take_distance=[INF] * 3, costs={"slippage_bps": 100.0}
    )
    entry = 101.0  # 100 x 1.01
    stop = 98.5  # 98.8 away from the entry
    price = 97.5  # 98.5 x 0.99 = 97.515, down
    assert result.orders["price"].tolist() == [entry, price]
    assert stop * 0.99 > price
    assert result.orders["fees"][1] == 50.0 * price * 0.001


def test_a_take_profit_pays_the_maker_fee_and_no_slippage(market, play, free):
    bars = market([FLAT, FLAT, [100, 110, 100, 100, 1e9]], instrument=free(taker_fee_bps=10.0, maker_fee_bps=1.0))
    result = play(
        bars, target=[0.5, NAN, NAN], stop_distance=[INF] * 3, take_distance=[4.0] * 3, costs={"slippage_bps": 100.0}
    )
    assert result.orders["price"][1] == 105.0
    assert result.orders["fees"][1] == 50.0 * 105.0 * 0.0001


def test_a_take_profit_is_capped_and_the_rest_keeps_resting(market, play):
    up = [100.0, 105.0, 100.0, 100.0, 400.0]
    result = play(
        market([FLAT, FLAT, up, up, up]),
        target=[0.5] + [NAN] * 4,
        stop_distance=[INF] * 5,
        take_distance=[4.0] * 5,
        costs={"participation": 0.05},
    )
    assert exits(result) == [
        (2, "TAKE_PROFIT", 104.0, 20.0),
        (3, "TAKE_PROFIT", 104.0, 20.0),
        (4, "TAKE_PROFIT", 104.0, 10.0),
    ]
    assert result.cuts["participation"] == 2


def test_a_stop_is_never_capped_but_flagged(market, play):
    thin = [100.0, 100.0, 97.0, 98.0, 400.0]
    result = play(market([FLAT, FLAT, thin]), **{k: v[:3] for k, v in ENTER.items()}, costs={"participation": 0.05})
    assert exits(result) == [(2, "STOP", 98.0, 50.0)]
    assert result.over_participation.tolist() == [False, True]
    assert result.cuts["participation"] == 0


def test_an_add_leaves_the_levels_of_the_first_fill(market, play):
    rows = [FLAT, FLAT, [110, 110, 110, 110, 1e9], [110, 110, 99, 100, 1e9], [110, 110, 97, 100, 1e9]]
    result = play(market(rows), target=[0.2, 0.5, NAN, NAN, NAN], stop_distance=[2.0] * 5, take_distance=[INF] * 5)
    assert [e[:3] for e in exits(result)] == [(4, "STOP", 98.0)]  # not 108


def test_a_partly_filled_entry_is_protected_for_what_filled(market, play):
    thin = [100.0, 100.0, 97.0, 98.0, 400.0]
    result = play(market([FLAT, thin]), **{k: v[:2] for k, v in ENTER.items()}, costs={"participation": 0.05})
    assert exits(result) == [(1, "STOP", 98.0, 20.0)]


def test_a_flip_sets_fresh_levels(market, play):
    rows = [FLAT, FLAT, FLAT, [100, 101.9, 97.0, 100, 1e9], [100, 102, 99, 100, 1e9]]
    result = play(market(rows), target=[0.5, -0.5, NAN, NAN, NAN], stop_distance=[2.0] * 5, take_distance=[INF] * 5)
    assert [e[:3] for e in exits(result)] == [(4, "STOP", 102.0)]


def test_a_level_at_or_below_zero_is_never_touched(market, play):
    rows = [FLAT, FLAT, [100, 100, 0.001, 50, 1e9]]
    result = play(market(rows), target=[0.1, NAN, NAN], stop_distance=[100.0] * 3, take_distance=[INF] * 3, cash=1e6)
    assert exits(result) == []
    result = play(market(rows), target=[-0.1, NAN, NAN], stop_distance=[INF] * 3, take_distance=[150.0] * 3)
    assert exits(result) == []


POLICY = EnsembleThreshold(stop_atr=2.0, take_profit_atr=4.0, horizon=3, rebalance=False)


def test_a_time_exit_counts_closes_from_the_opening_bar(market, play):
    result = play(market([FLAT] * 7), policy=POLICY, side=[1, 0, 0, 0, 0, 0, 0])
    # opens in bar 1 (count 1), bars 2 and 3 are 2 and 3: decided at the close of 3, filled in 4
    assert exits(result) == [(4, "TIME_EXIT", 100.0, 10.0)]


def test_a_cut_time_exit_stays_wanted(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 80.0]
    rows = [FLAT] * 4 + [thin] * 4
    result = play(market(rows), policy=POLICY, side=[1] + [0] * 7, costs={"participation": 0.05})
    assert [e[0] for e in exits(result)] == [4, 5, 6]
    assert {e[1] for e in exits(result)} == {"TIME_EXIT"}


def test_no_entry_at_the_close_of_the_bar_that_stopped_it(market, play):
    rows = [FLAT, FLAT, [100, 100, 97, 100, 1e9], FLAT, FLAT]
    result = play(market(rows), policy=POLICY, side=[1, 1, 1, 1, 1])
    # stopped in bar 2; the BUY of bar 2 is passed over, the one of bar 3 fills in bar 4
    assert result.orders["idx"].tolist() == [1, 2, 4]


def test_the_policy_keeps_on_hold_and_flips_on_the_other_side(market, play):
    result = play(market([FLAT] * 4), policy=POLICY, side=[1, 1, -1, 0])
    assert result.orders["idx"].tolist() == [1, 3, 3]
    assert result.units[0] == -10.0


def test_unknown_atr_blocks_an_increase(market, play):
    result = play(market([FLAT] * 3), policy=POLICY, side=[1, 1, 0], atr=[NAN, 0.0, 1.0])
    assert len(result.orders) == 0
    assert result.cuts["not_finite"] == 2


def test_a_partial_exit_leaves_the_levels_and_zero_clears_them(market, play):
    down = [100.0, 100.0, 97.0, 98.0, 1e9]
    distances = {"stop_distance": [2.0] * 5, "take_distance": [INF] * 5}
    result = play(market([FLAT, FLAT, FLAT, down, FLAT]), target=[0.5, 0.2, NAN, NAN, NAN], **distances)
    assert [e[:3] for e in exits(result)] == [(3, "STOP", 98.0)]
    # closed, and opened again without a stop: the old one is gone
    distances["stop_distance"] = [2.0, INF, INF, INF, INF]
    result = play(market([FLAT, FLAT, FLAT, FLAT, down]), target=[0.5, 0.0, 0.5, NAN, NAN], **distances)
    assert exits(result) == []
    assert result.units[0] == 50.0


def test_a_take_profit_beyond_the_open_is_rounded_to_the_tick_against_us(market, play, free):
    rows = [FLAT, FLAT, [104.3, 105.0, 104.0, 104.0, 1e9]]
    bars = market(rows, instrument=free(tick=0.5))
    given = {"target": [0.5, NAN, NAN], "stop_distance": [INF] * 3, "take_distance": [3.0] * 3}
    assert exits(play(bars, **given)) == [(2, "TAKE_PROFIT", 104.0, 50.0)]  # a sell at 104.3, down
    bars = market(mirrored(rows), instrument=free(tick=0.5))
    assert exits(play(bars, **{**given, "target": [-0.5, NAN, NAN]})) == [(2, "TAKE_PROFIT", 96.0, 50.0)]  # 95.7, up


def test_a_flip_at_the_horizon_goes_before_the_time_exit(market, play):
    result = play(market([FLAT] * 6), policy=POLICY, side=[1, 0, 0, -1, 0, 0])
    assert result.orders["idx"].tolist() == [1, 4, 4]
    assert result.reasons.tolist() == [OrderReason.SIGNAL] * 3
    assert result.units[0] == -10.0
