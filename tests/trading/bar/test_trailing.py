"""Trailing stops and break-even, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.results import OrderReason
from quantlab.trading import EnsembleThreshold

NAN, INF = np.nan, np.inf
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]


def bar(low, high, close=None, volume=1e9, open_=100.0):
    return [open_, high, low, open_ if close is None else close, volume]


def mirrored(rows):
    return [[200.0 - o, 200.0 - low, 200.0 - high, 200.0 - c, v] for o, high, low, c, v in rows]


def stops(simulation):
    pairs = zip(simulation.orders, simulation.reasons, strict=True)
    return [(int(o["idx"]), float(o["price"])) for o, r in pairs if r == OrderReason.STOP]


#: rows after the bar that decides, the distances, and the stops that must fill: (bar, price).
CASES = {
    "alone: starts at the fill less the distance": ([FLAT, bar(97.9, 100)], {"trail_distance": 2.0}, [(2, 98.0)]),
    "on the entry bar too": ([bar(97.0, 100)], {"trail_distance": 2.0}, [(1, 98.0)]),
    "moves by the entry bar's high": ([bar(99, 103), bar(100.9, 103)], {"trail_distance": 2.0}, [(2, 100.0)]),
    "binds from the next bar on": ([FLAT, bar(98.5, 105), FLAT], {"trail_distance": 2.0}, [(3, 100.0)]),
    "never loosens": (
        [FLAT, bar(101, 105, open_=102), bar(103.5, 104, open_=103.5), bar(102.9, 104, open_=103.5)],
        {"trail_distance": 2.0},
        [(4, 103.0)],
    ),
    "a fixed stop that is tighter stays": (
        [FLAT, bar(99.2, 101), bar(98.9, 100)],
        {"trail_distance": 3.0, "stop_distance": 1.0},
        [(3, 99.0)],
    ),
    "a trailing stop that is tighter goes first": (
        [FLAT, bar(98.9, 100)],
        {"trail_distance": 1.0, "stop_distance": 3.0},
        [(2, 99.0)],
    ),
    "a fixed stop is overtaken": (
        [FLAT, bar(99.5, 105), bar(101.9, 104, open_=103.0)],
        {"trail_distance": 3.0, "stop_distance": 1.0},
        [(3, 102.0)],
    ),
    "a bar without volume moves nothing": (
        [FLAT, bar(100, 110, volume=0.0), bar(98.1, 100), FLAT],
        {"trail_distance": 2.0},
        [],
    ),
    "break-even: a touch of the trigger moves the stop to the entry": (
        [FLAT, bar(99, 103.0), bar(99.9, 102)],
        {"break_even_distance": 3.0, "stop_distance": 5.0},
        [(3, 100.0)],
    ),
    "break-even: short of the trigger nothing moves": (
        [FLAT, bar(99, 102.99), bar(95.1, 102)],
        {"break_even_distance": 3.0, "stop_distance": 5.0},
        [],
    ),
    "break-even: not within the bar that reaches it": (
        [FLAT, bar(98, 103), bar(100.1, 102, open_=101.0)],
        {"break_even_distance": 3.0, "stop_distance": 5.0},
        [],
    ),
    "break-even: alone": ([bar(99, 104), bar(99.5, 101)], {"break_even_distance": 3.0}, [(2, 100.0)]),
    "break-even never loosens a trailing stop": (
        [FLAT, bar(101, 104, open_=102.0), bar(102.9, 104, open_=103.5)],
        {"break_even_distance": 3.0, "trail_distance": 1.0},
        [(3, 103.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_moving_stops(market, play, case, side):
    rows, distances, expected = CASES[case]
    rows = [FLAT, *rows]
    n = len(rows)
    brought = {name: [d] * n for name, d in distances.items()}
    result = play(market(rows if side > 0 else mirrored(rows)), target=[0.5 * side] + [NAN] * (n - 1), **brought)
    assert stops(result) == [(t, p if side > 0 else 200.0 - p) for t, p in expected]
    assert len(result.orders) == 1 + len(expected)


@pytest.mark.parametrize(("side", "price"), [(1.0, 99.5), (-1.0, 104.5)])
def test_a_moved_stop_is_rounded_away_from_the_market(market, play, free, side, price):
    # best prices 102.2 and 101.8 with a distance of 2.3: 99.9 -> 99.5 and 104.1 -> 104.5
    best = bar(101.0, 102.2, open_=102.0) if side > 0 else bar(101.8, 103.0, open_=102.0)
    start = [102.0, 102.0, 102.0, 102.0, 1e9]
    after = bar(99.5, 104.5, open_=102.0)
    bars = market([start, best, after], instrument=free(tick=0.5))
    result = play(bars, target=[0.5 * side, NAN, NAN], trail_distance=[2.3] * 3)
    assert stops(result) == [(2, price)]


def test_break_even_moves_to_the_average_entry_of_that_time(market, play):
    up = [110.0] * 4 + [1e9]
    # 20 units at 100, then more at 110; the trigger of the first fill, 112, is reached later
    rows = [FLAT, FLAT, up, [110, 112, 110, 110, 1e9], [110, 110, 100, 100, 1e9]]
    result = play(
        market(rows), target=[0.2, 0.4, NAN, NAN, NAN], break_even_distance=[12.0] * 5, stop_distance=[50.0] * 5
    )
    added = 0.4 * 10_000.0 / 100.0 - 20.0
    entry = (20.0 * 100.0 + added * 110.0) / (20.0 + added)
    assert stops(result) == [(4, entry)]


def test_an_add_leaves_trail_and_trigger_and_a_flip_sets_new_ones(market, play):
    rows = [FLAT] * 3 + [bar(98.5, 100), bar(97.9, 100)]
    given = {"target": [0.2, 0.5, NAN, NAN, NAN], "trail_distance": [2.0, 1.0, 2.0, 2.0, 2.0]}
    assert stops(play(market(rows), **given)) == [(4, 98.0)]
    given["target"] = [0.2, -0.5, NAN, NAN, NAN]
    rows = [FLAT] * 3 + [bar(95, 100.9), bar(95, 101)]
    assert stops(play(market(rows), **given)) == [(4, 100.0)]  # short from 100: 101, then 96; the open is beyond it


def test_what_a_capped_take_profit_leaves_goes_on_trailing(market, play):
    rows = [FLAT, FLAT, [100, 105, 100, 104, 400.0], [104, 104, 102.9, 103, 1e9]]
    result = play(
        market(rows),
        target=[0.5, NAN, NAN, NAN],
        take_distance=[4.0] * 4,
        trail_distance=[2.0] * 4,
        costs={"participation": 0.05},
    )
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.TAKE_PROFIT, OrderReason.STOP]
    assert result.orders["price"].tolist() == [100.0, 104.0, 103.0]
    assert result.orders["size"].tolist() == [50.0, 20.0, 30.0]


@pytest.mark.parametrize("distance", [NAN, 0.0, -1.0])
@pytest.mark.parametrize("which", ["trail_distance", "break_even_distance"])
def test_an_unknown_distance_blocks_the_increase(market, play, which, distance):
    result = play(market([FLAT] * 2), target=[0.5, NAN], **{which: [distance, 1.0]})
    assert len(result.orders) == 0
    assert result.cuts["not_finite"] == 1


def test_the_ensemble_policy_asks_in_multiples_of_atr(market, play):
    rows = [FLAT, FLAT, bar(99, 104), bar(101.9, 104, open_=103.0)]
    policy = EnsembleThreshold(None, None, None, False, trail_atr=2.0)
    assert stops(play(market(rows), policy=policy, side=[1, 0, 0, 0])) == [(3, 102.0)]
    policy = EnsembleThreshold(None, None, None, False, break_even_atr=4.0)
    rows[3] = bar(99.9, 104, open_=103.0)
    assert stops(play(market(rows), policy=policy, side=[1, 0, 0, 0])) == [(3, 100.0)]
    blocked = play(market(rows), policy=policy, side=[1, 0, 0, 0], atr=[NAN] * 4)
    assert blocked.cuts["not_finite"] == 1
