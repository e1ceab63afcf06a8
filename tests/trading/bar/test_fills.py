"""Orders decided at one close and filled at the next open, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.results import OrderReason
from quantlab.trading import EnsembleThreshold, FixedFraction, FromSignals

NAN = np.nan
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]


def sides(simulation):
    return list(simulation.orders["side"])


def test_an_entry_pays_slippage_and_taker_fee(market, play, free):
    bars = market([FLAT, [101.0, 105.0, 100.0, 104.0, 1e9]], instrument=free(taker_fee_bps=4.5))
    result = play(bars, target=[0.5, NAN], costs={"slippage_bps": 2.0})
    units, price = 0.5 * 10_000.0 / 100.0, 101.0 * (1 + 0.0002)
    fee = units * price * 0.00045
    (order,) = result.orders
    assert (order["idx"], order["side"], order["size"], order["price"], order["fees"]) == (1, 0, units, price, fee)
    assert result.cash == 10_000.0 - units * price - fee
    assert result.equity[1] == result.cash + units * 104.0
    assert result.entry_price[0] == price
    assert result.gross[1] == units * 104.0
    assert list(result.reasons) == [OrderReason.SIGNAL]


def test_what_is_decided_at_the_last_close_never_fills(market, play):
    result = play(market([FLAT, FLAT]), target=[NAN, 0.5])
    assert len(result.orders) == 0
    assert list(result.equity) == [10_000.0, 10_000.0]


def test_prices_are_rounded_to_the_tick_against_us(market, play, free):
    bars = market([FLAT] * 3, instrument=free(tick=0.05))
    result = play(bars, target=[0.5, 0.0, NAN], costs={"slippage_bps": 2.0})
    assert list(result.orders["price"]) == [2001 * 0.05, 1999 * 0.05]  # 100.02 up, 99.98 down


def test_units_are_rounded_down_to_the_lot_but_a_full_close_is_exempt(market, play, free):
    bars = market([FLAT] * 4, instrument=free(lot=3.0))
    result = play(bars, target=[0.5, 0.25, 0.0, NAN])
    # 50 units -> 48; then down to 25 units: the change of 23 -> 21, leaving 27; then all of it
    assert list(result.orders["size"]) == [48.0, 21.0, 27.0]
    assert result.units[0] == 0.0


def test_an_add_averages_the_entry_and_a_reduction_keeps_it(market, play):
    bars = market([FLAT, FLAT, [100, 120, 100, 120, 1e9], [120, 120, 120, 120, 1e9], [120] * 4 + [1e9]])
    result = play(bars, target=[0.1, NAN, 0.5, 0.2, NAN])
    held = 10.0
    equity = 10_000.0 + held * 20.0
    added = 0.5 * equity / 120.0 - held
    entry = (held * 100.0 + added * 120.0) / (held + added)
    assert result.orders["size"][1] == added
    assert result.entry_price[0] == entry
    assert sides(result) == [0, 0, 1]
    assert result.units[0] == pytest.approx(0.2 * equity / 120.0, rel=1e-12)


def test_a_flip_is_two_legs_and_two_records(market, play, free):
    result = play(market([FLAT] * 3, instrument=free(taker_fee_bps=10.0)), target=[0.5, -0.5, NAN])
    equity = 10_000.0 - 5_000.0 * 0.001
    assert sides(result) == [0, 1, 1]
    assert list(result.orders["idx"]) == [1, 2, 2]
    assert list(result.orders["size"]) == [50.0, 50.0, 0.5 * equity / 100.0]
    assert result.units[0] == -0.5 * equity / 100.0
    assert result.entry_price[0] == 100.0


def test_closing_legs_of_all_symbols_fill_before_increasing_ones(market, play):
    two = [[FLAT, FLAT]] * 3
    result = play(market(two), target=[[NAN, 0.5], [0.3, 0.0], [NAN, NAN]])
    assert list(result.orders["col"]) == [1, 1, 0]
    assert list(result.orders["id"]) == [0, 1, 2]


def test_a_cut_opening_lives_one_bar(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 200.0]
    result = play(market([FLAT, thin, thin]), target=[0.5, NAN, NAN], costs={"participation": 0.05})
    assert list(result.orders["size"]) == [10.0]
    assert result.cuts["participation"] == 1


def test_a_cut_close_stays_wanted_until_flat(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 400.0]
    targets = [0.5, 0.0, NAN, NAN, NAN, NAN]
    result = play(market([FLAT, FLAT, thin, thin, thin, thin]), target=targets, costs={"participation": 0.05})
    assert list(result.orders["size"]) == [50.0, 20.0, 20.0, 10.0]
    assert list(result.orders["idx"]) == [1, 2, 3, 4]
    assert result.cuts["participation"] == 1  # a close that is issued again counts nothing
    assert result.units[0] == 0.0


def test_another_target_ends_a_wanted_close(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 400.0]
    targets = [0.5, 0.0, 0.3, NAN, NAN]
    result = play(market([FLAT, FLAT, thin, FLAT, FLAT]), target=targets, costs={"participation": 0.05})
    assert list(result.orders["size"]) == [50.0, 20.0]  # 30 units are just the new target
    assert result.units[0] == 30.0


def test_a_flip_whose_close_is_cut_drops_its_opening_leg_and_is_not_repeated(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 400.0]
    targets = [0.5, -0.5, NAN, NAN]
    result = play(market([FLAT, FLAT, thin, FLAT]), target=targets, costs={"participation": 0.05})
    assert list(result.orders["size"]) == [50.0, 20.0]
    assert result.cuts["participation"] == 2  # the cut leg and the dropped one
    assert result.units[0] == 30.0


def test_both_legs_of_a_flip_share_one_budget(market, play):
    bar = [100.0, 100.0, 100.0, 100.0, 1_600.0]
    targets = [0.5, -0.5, NAN]
    result = play(market([FLAT, FLAT, bar]), target=targets, costs={"participation": 0.05})
    assert list(result.orders["size"]) == [50.0, 50.0, 30.0]
    assert result.cuts["participation"] == 1


def test_the_budget_is_floored_to_the_lot(market, play, free):
    thin = [100.0, 100.0, 100.0, 100.0, 190.0]
    bars = market([FLAT, thin], instrument=free(lot=2.0))
    result = play(bars, target=[0.5, NAN], costs={"participation": 0.05})
    assert list(result.orders["size"]) == [8.0]  # 9.5 allowed


def test_a_refused_opening_leg_turns_a_flip_into_a_close_that_stays_wanted(market, play):
    thin = [100.0, 100.0, 100.0, 100.0, 400.0]
    bars = market([FLAT, FLAT, thin, thin, thin])
    # the flip's distances are unknown: its opening leg is refused, its closing leg is not
    result = play(
        bars,
        target=[0.5, -0.5, NAN, NAN, NAN],
        stop_distance=[np.inf, NAN, NAN, NAN, NAN],
        costs={"participation": 0.05},
    )
    assert list(result.orders["size"]) == [50.0, 20.0, 20.0, 10.0]
    assert result.cuts["not_finite"] == 1


@pytest.mark.parametrize("volume", [0.0, NAN])
def test_nothing_fills_in_a_bar_without_volume(market, play, volume):
    dead = [100.0, 100.0, 100.0, 100.0, volume]
    result = play(market([FLAT, dead, FLAT]), target=[0.5, NAN, NAN])
    assert len(result.orders) == 0
    assert result.cuts["no_volume"] == 1
    result = play(market([FLAT, FLAT, dead, FLAT]), target=[0.5, -0.5, NAN, NAN])
    assert list(result.orders["size"]) == [50.0]  # a flip has two legs, and is not repeated
    assert result.cuts["no_volume"] == 2
    result = play(market([FLAT, FLAT, dead, FLAT]), target=[0.5, 0.0, NAN, NAN])
    assert list(result.orders["idx"]) == [1, 3]  # a close is


def test_a_symbol_that_stops_printing_is_held_at_its_last_mark(market, play):
    gone = [NAN] * 5
    result = play(market([FLAT, [100.0, 110.0, 100.0, 110.0, 1e9], gone, gone]), target=[0.5, NAN, NAN, NAN])
    assert list(result.equity) == [10_000.0, 10_500.0, 10_500.0, 10_500.0]
    assert result.stale_marks == 2


def test_a_reduction_asked_in_an_absent_bar_uses_the_mark_and_an_increase_is_refused(market, play):
    gone = [NAN] * 5
    result = play(market([FLAT, FLAT, gone, FLAT]), target=[0.5, NAN, 0.25, NAN])
    assert list(result.orders["size"]) == [50.0, 25.0]
    result = play(market([FLAT, FLAT, gone, FLAT]), target=[0.5, NAN, 0.75, NAN])
    assert list(result.orders["size"]) == [50.0]
    assert result.cuts["not_finite"] == 1


@pytest.mark.parametrize("policy", [FromSignals(True), EnsembleThreshold(None, None, None, True)])
def test_rebalance_sizes_again_at_every_buy_and_sell(market, play, policy):
    up, down = [120.0] * 4 + [1e9], [80.0] * 4 + [1e9]
    rows = [FLAT, FLAT, up, up, down, down]
    result = play(market(rows), policy=policy, sizer=FixedFraction(0.5), side=[1, 0, 1, 0, 1, 0])
    rich = 10_000.0 + 50.0 * 20.0
    fewer = 0.5 * rich / 120.0
    poor = rich - fewer * 40.0
    more = 0.5 * poor / 80.0
    assert result.orders["size"].tolist() == pytest.approx([50.0, 50.0 - fewer, more - fewer], rel=1e-12)
    assert sides(result) == [0, 1, 0]


@pytest.mark.parametrize("policy", [FromSignals(False), EnsembleThreshold(None, None, None, False)])
def test_without_rebalance_a_repeated_signal_keeps(market, play, policy):
    up = [120.0] * 4 + [1e9]
    result = play(market([FLAT, FLAT, up, up]), policy=policy, sizer=FixedFraction(0.5), side=[1, 1, 1, 1])
    assert len(result.orders) == 1


def test_every_bar_marks_and_an_open_position_stays_open_at_the_end(market, play):
    rows = [FLAT, FLAT, [101.0, 102.0, 100.0, 101.5, 1e9]]
    result = play(market(rows), target=[0.5, NAN, 0.0])
    assert result.equity.tolist() == [10_000.0, 10_000.0, 10_075.0]
    assert result.units[0] == 50.0


def test_a_request_is_worth_its_close_not_its_fill(market, play, free):
    """Wanted units and the minimum notional are measured at the close that decides."""
    rows = [FLAT, [50.0, 50.0, 50.0, 50.0, 1e9]]
    bars = market(rows, instrument=free(min_notional=1_000.0))
    assert play(bars, target=[0.1, NAN]).orders["size"].tolist() == [10.0]  # 500 USD at its fill
    assert play(bars, target=[0.0999, NAN]).cuts["min_notional"] == 1
