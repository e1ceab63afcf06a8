"""Each rule of the guard, its count and its order, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.results import CUT_RULES, OrderReason, RiskEvent
from quantlab.trading import EnsembleThreshold, FixedFraction

NAN, INF = np.nan, np.inf
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]


def counted(simulation):
    return {rule: n for rule, n in simulation.cuts.items() if n}


def test_rules_are_counted_under_every_name(market, play):
    assert tuple(play(market([FLAT]), target=NAN).cuts) == CUT_RULES


@pytest.mark.parametrize("distance", [NAN, 0.0, -1.0])
@pytest.mark.parametrize("which", ["stop_distance", "take_distance"])
def test_a_distance_that_is_not_one_blocks_the_increase(market, play, which, distance):
    result = play(market([FLAT] * 2), target=[0.5, NAN], **{which: [distance, 1.0]})
    assert len(result.orders) == 0
    assert counted(result) == {"not_finite": 1}


@pytest.mark.parametrize("weight", [INF, -INF])
def test_an_infinite_target_is_refused(market, play, weight):
    assert counted(play(market([FLAT] * 2), target=[weight, NAN])) == {"not_finite": 1}


def test_a_ruined_account_may_only_reduce(market, play):
    rows = [FLAT, FLAT, [100, 100, 100, 10, 1e9], [10, 10, 10, 10, 1e9]]
    # 3 x long, and a close far below the low: no liquidation in bar 2, but an equity below zero
    for asked in (5.0, 1.0, -1.0):
        result = play(market(rows), target=[3.0, NAN, asked, NAN])
        assert result.equity[2] == 10_000.0 - 300 * 90.0
        assert counted(result) == {"not_finite": 1}
    assert (result.orders["idx"][-1], result.orders["size"][-1]) == (3, 300.0)  # the flip's closing leg


def test_tradable_blocks_entries_on_bars_that_were_not_traded(market, play):
    state = [0, 1, 2, 0]
    result = play(market([FLAT] * 4, state=state), target=[NAN, 0.1, 0.1, NAN])
    assert counted(result) == {"tradable": 2}
    result = play(market([FLAT] * 4, state=state), target=[0.1, 0.0, NAN, NAN])
    assert len(result.orders) == 2  # a close is never cut


def test_free_slots_go_by_size_of_target_then_symbol_order(market, play):
    bars = market([[FLAT] * 4] * 2)
    result = play(bars, target=[[0.1, -0.3, 0.2, 0.2], [NAN] * 4], limits={"max_positions": 2})
    assert list(result.orders["col"]) == [1, 2]
    assert counted(result) == {"max_positions": 2}


def test_a_symbol_being_closed_still_takes_its_slot_and_flips_keep_theirs(market, play):
    bars = market([[FLAT] * 3] * 3)
    targets = [[0.1, 0.2, NAN], [0.0, -0.2, 0.5], [NAN] * 3]
    result = play(bars, target=targets, limits={"max_positions": 2})
    assert list(result.orders["col"]) == [0, 1, 0, 1, 1]
    assert counted(result) == {"max_positions": 1}


def test_max_weight_cuts_the_target_and_never_trims_a_holding(market, play):
    rows = [FLAT, [100, 200, 100, 200, 1e9], [200] * 4 + [1e9], [200] * 4 + [1e9]]
    result = play(market(rows), target=[0.3, 0.9, NAN, NAN], limits={"max_weight": 0.1})
    assert list(result.orders["size"]) == [10.0]  # worth 18 % by then: neither added to nor trimmed
    assert counted(result) == {"max_weight": 2}
    result = play(market([FLAT] * 3), target=[0.1, -0.9, NAN], limits={"max_weight": 0.1})
    assert list(result.orders["size"]) == [10.0, 10.0, 10.0]
    assert counted(result) == {"max_weight": 1}


def test_gross_leverage_scales_all_increases_by_one_factor(market, play):
    bars = market([[FLAT] * 3] * 3)
    targets = [[0.6, NAN, NAN], [NAN, 0.6, -0.2], [NAN] * 3]
    result = play(bars, target=targets, limits={"max_gross_leverage": 1.0})
    factor = (10_000.0 - 6_000.0) / 8_000.0
    assert list(result.orders["size"]) == [60.0, factor * 60.0, factor * 20.0]
    assert counted(result) == {"max_gross_leverage": 2}


def test_what_a_flip_frees_belongs_to_its_opening_leg_and_what_a_close_frees_to_nobody_yet(market, play):
    bars = market([[FLAT] * 2] * 3)
    for back in (-0.6, 0.0):
        result = play(bars, target=[[0.6, NAN], [back, 0.6], [NAN] * 2], limits={"max_gross_leverage": 1.0})
        # S1 has the 40 that were free before
        assert result.orders["size"].tolist() == [60.0, 60.0, *[60.0] * (back < 0.0), 40.0]
        assert counted(result) == {"max_gross_leverage": 1}


def test_a_flip_shares_only_what_it_needs_beyond_its_own_room(market, play):
    """Held 60 of 100, so 40 are free; the flip to 80 needs 20 more, the opening 60: each gets half of that."""
    targets = [[0.6, NAN], [-0.8, 0.6], [NAN] * 2]
    result = play(market([[FLAT] * 2] * 3), target=targets, limits={"max_gross_leverage": 1.0})
    assert result.orders["size"].tolist() == [60.0, 60.0, 70.0, 30.0]
    assert counted(result) == {"max_gross_leverage": 2}


def test_a_flip_whose_close_is_cut_to_a_tenth_leaves_the_limit_whole(market, play):
    """S0 flips 60 units in a bar that lets 6 through, beside S1, which opens: 54 + 40 units are held."""
    rows = [[FLAT, FLAT], [FLAT, FLAT], [[*FLAT[:4], 120.0], FLAT]]
    targets = [[0.6, NAN], [-0.6, 0.6], [NAN] * 2]
    result = play(market(rows), target=targets, limits={"max_gross_leverage": 1.0}, costs={"participation": 0.05})
    assert result.orders["size"].tolist() == [60.0, 6.0, 40.0]
    assert result.units.tolist() == [54.0, 40.0]
    assert result.gross.tolist() == [0.0, 6_000.0, 9_400.0]
    assert counted(result) == {"max_gross_leverage": 1, "participation": 2}  # the close, and the dropped opening leg


def test_rollout_multiplies_the_target_but_never_below_the_holding(market, play):
    result = play(market([FLAT] * 3), target=[0.4, 0.6, NAN], limits={"rollout": 0.5})
    assert result.orders["size"].tolist() == [20.0, 10.0]
    result = play(market([FLAT] * 3), target=[0.4, 0.3, NAN], limits={"rollout": 0.5})
    assert result.orders["size"].tolist() == [20.0]
    assert counted(result) == {"rollout": 2}


def test_a_leg_that_vanishes_in_the_lot_is_counted_and_one_that_shrinks_is_not(market, play, free):
    bars = market([FLAT] * 4, instrument=free(lot=7.0))
    result = play(bars, target=[0.1, 0.13, 0.02, NAN])
    assert result.orders["size"].tolist() == [7.0]  # 10 -> 7; +6 and -5 vanish
    assert counted(result) == {"lot": 2}


def test_min_notional_drops_openings_adds_and_partial_reductions_but_no_full_close(market, play, free):
    bars = market([FLAT] * 6, instrument=free(min_notional=1_000.0))
    result = play(bars, target=[0.099, 0.1, 0.19, 0.05, 0.0, NAN])
    assert result.orders["size"].tolist() == [10.0, 10.0]
    assert counted(result) == {"min_notional": 3}


def test_rules_see_what_the_rules_before_them_left(market, play, free):
    """A leg that one rule dropped is not counted by another."""
    bars = market([FLAT] * 2, instrument=free(min_notional=1e9, lot=1e6), state=[1, 1])
    result = play(bars, target=[0.5, NAN], stop_distance=[NAN, 1.0], limits={"max_weight": 0.1})
    assert counted(result) == {"not_finite": 1}


DAILY = {"daily_loss_limit": 0.05}


def test_the_daily_limit_latches_until_the_next_utc_day(market, play):
    start = 1_742_083_200_000 - 4 * 300_000  # four bars before midnight
    rows = [FLAT, FLAT, [100, 100, 90, 90, 1e9], [90, 100, 90, 100, 1e9], FLAT, FLAT]
    bars = market(rows, start_ms=start)
    result = play(bars, target=[0.5, NAN, 0.6, 0.7, 0.8, NAN], limits=DAILY)
    assert [tuple(e) for e in result.events] == [(2, RiskEvent.DAILY_LIMIT, 9_500.0, 9_500.0)]
    assert counted(result) == {"halt": 2}  # although bar 3 is back at 10,000
    assert result.orders["idx"].tolist() == [1, 5]
    assert result.halted_at_ms is None


def test_a_new_day_starts_at_the_equity_of_the_bar_before_it(market, play):
    start = 1_742_083_200_000 - 2 * 300_000
    rows = [FLAT, FLAT, [96, 96, 96, 96, 1e9], [92, 92, 92, 92, 1e9], [91, 91, 91, 91, 1e9]]
    bars = market(rows, start_ms=start)
    result = play(bars, target=[1.0] + [NAN] * 4, limits=DAILY)
    # yesterday ended at 10,000; 9,600 is no loss of 5 %, 9,200 is
    assert [(e["idx"], e["level"]) for e in result.events] == [(3, 0.95 * 10_000.0)]


def test_the_daily_limit_may_flatten(market, play):
    rows = [FLAT, FLAT, [90] * 4 + [1e9], [90] * 4 + [1e9], [90] * 4 + [1e9]]
    result = play(market(rows), target=[0.5] + [NAN] * 4, limits={**DAILY, "daily_flatten": True})
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.FLATTEN]
    assert result.orders["idx"].tolist() == [1, 3]
    assert counted(result) == {}


def test_the_breaker_flattens_and_stays(market, play):
    day = 288
    rows = [FLAT, FLAT, [80] * 4 + [1e9]] + [[80] * 4 + [1e9]] * (day + 2)
    n = len(rows)
    targets = [0.6, NAN, 0.0] + [0.5] * (n - 3)
    result = play(market(rows), target=targets, limits={"breaker": 0.12})
    assert [tuple(e) for e in result.events] == [(2, RiskEvent.BREAKER, 8_800.0, 8_800.0)]
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.FLATTEN]
    assert counted(result) == {"halt": n - 3}
    assert result.units[0] == 0.0
    assert result.halted_at_ms == int(result.open_time_ms[2]) + 300_000


def test_a_flatten_that_was_cut_goes_on(market, play):
    thin = [80.0] * 4 + [500.0]
    result = play(
        market([FLAT, FLAT, [80] * 4 + [1e9], thin, thin, thin, thin]),
        target=[0.6] + [NAN] * 6,
        limits={"breaker": 0.12},
        costs={"participation": 0.05},
    )
    assert result.orders["size"].tolist() == [60.0, 25.0, 25.0, 10.0]
    assert set(result.reasons[1:].tolist()) == {OrderReason.FLATTEN}


def test_the_breaker_measures_from_the_highest_equity(market, play):
    rows = [FLAT, [100, 200, 100, 200, 1e9], [176] * 4 + [1e9], [175] * 4 + [1e9]]
    result = play(market(rows), target=[1.0, NAN, NAN, NAN], limits={"breaker": 0.12})
    assert [(e["idx"], e["level"]) for e in result.events] == [(2, (1 - 0.12) * 20_000.0)]


def test_the_evidence_run_drops_daily_limit_and_breaker_only(market, play):
    rows = [FLAT, FLAT, [80] * 4 + [1e9], [80] * 4 + [1e9]]
    given = {"target": [0.6, NAN, 0.9, NAN], "limits": {**DAILY, "breaker": 0.12, "max_weight": 0.6}}
    assert counted(play(market(rows), **given)) == {"halt": 1}
    free_run = play(market(rows), limits_on=False, **given)
    assert len(free_run.events) == 0
    assert counted(free_run) == {"max_weight": 1}


def test_a_halt_refuses_entries_but_no_time_exit(market, play):
    policy = EnsembleThreshold(stop_atr=None, take_profit_atr=None, horizon=3, rebalance=False)
    rows = [FLAT, FLAT] + [[80] * 4 + [1e9]] * 5
    result = play(market(rows), policy=policy, sizer=FixedFraction(0.5), side=[1, 0, 0, 0, 1, 1, 0], limits=DAILY)
    assert [tuple(e)[:2] for e in result.events] == [(2, RiskEvent.DAILY_LIMIT)]
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.TIME_EXIT]
    assert counted(result) == {"halt": 2}
