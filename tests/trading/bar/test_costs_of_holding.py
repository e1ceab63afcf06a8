"""Funding and liquidation, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.market import Funding
from quantlab.core.results import OrderReason, RiskEvent

NAN = np.nan
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]
START, STEP = 1_742_083_200_000, 300_000


def rates(*stamped):
    times, values = zip(*stamped, strict=True)
    return Funding(np.array([START + t * STEP for t in times], np.int64), np.array(values, float).reshape(-1, 1))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_longs_pay_and_shorts_receive_at_the_open(market, play, side):
    rows = [FLAT, FLAT, [110, 110, 110, 110, 1e9], FLAT]
    result = play(market(rows, funding=rates((2, 0.001))), target=[0.5 * side] + [NAN] * 3)
    paid = side * 50.0 * 110.0 * 0.001
    assert result.funding.tolist() == [0.0, 0.0, paid, 0.0]
    assert result.equity[3] == 10_000.0 - paid
    assert result.has_funding


def test_funding_is_charged_on_the_units_held_before_the_bars_fills(market, play):
    # a stamp on the bar that opens the position costs nothing, one on the bar that closes it does
    bars = market([FLAT] * 4, funding=rates((1, 0.001), (2, 0.002)))
    result = play(bars, target=[0.5, 0.0, NAN, NAN])
    assert result.funding.tolist() == [0.0, 0.0, 10.0, 0.0]


def test_a_bar_is_charged_the_stamps_since_the_last_open(market, play):
    bars = market([FLAT] * 4, funding=rates((1.2, 0.001), (1.7, 0.002), (2, 0.004), (2.1, 0.008), (9, 1.0)))
    result = play(bars, target=[0.5] + [NAN] * 3)
    assert result.funding.tolist() == [0.0, 0.0, pytest.approx(35.0), 40.0]


def test_without_an_open_the_mark_is_charged(market, play):
    bars = market([FLAT, [100, 120, 100, 120, 1e9], [NAN] * 5], funding=rates((2, 0.001)))
    assert play(bars, target=[0.5, NAN, NAN]).funding[2] == 50.0 * 120.0 * 0.001


def test_a_missing_rate_is_counted_and_nothing_is_charged(market, play):
    result = play(market([FLAT] * 3, funding=rates((2, NAN))), target=[0.5, NAN, NAN])
    assert result.funding[2] == 0.0
    assert result.missing_funding == 1


def test_no_funding_data_is_said(market, play):
    assert not play(market([FLAT] * 2), target=NAN).has_funding


def test_liquidation_closes_the_book_at_its_adverse_extremes(market, play, free):
    crash = [100.0, 100.0, 61.0, 95.0, 1e9]
    still = [100.0, 101.0, 99.0, 100.0, 1e9]
    bars = market(
        [[FLAT, FLAT], [FLAT, FLAT], [crash, still], [FLAT, FLAT]],
        instrument=free(maintenance_margin_rate=0.03, taker_fee_bps=10.0, tick=0.5),
    )
    result = play(bars, target=[[2.5, -0.5], [NAN] * 2, [NAN] * 2, [NAN] * 2], costs={"liquidation_fee_bps": 125.0})
    entry_fees = (250.0 + 50.0) * 100.0 * 0.001
    cash = 10_000.0 - 250.0 * 100.0 + 50.0 * 100.0 - entry_fees
    value = cash + 250.0 * 61.0 - 50.0 * 101.0
    maintenance = 0.03 * (250.0 * 61.0 + 50.0 * 101.0)
    assert [(e["idx"], e["kind"]) for e in result.events] == [(2, RiskEvent.LIQUIDATION)]
    assert result.events["equity"][0] == pytest.approx(value, rel=1e-12)
    assert result.events["level"][0] == pytest.approx(maintenance, rel=1e-12)
    fees = 0.0125 * (250.0 * 61.0 + 50.0 * 101.0)
    assert result.liquidation_fees[2] == pytest.approx(fees, rel=1e-12)
    assert result.equity[2] == pytest.approx(value - fees, rel=1e-12)
    assert result.reasons.tolist()[2:] == [OrderReason.LIQUIDATION] * 2
    assert result.orders["fees"][2:].tolist() == [0.0, 0.0]
    assert result.orders["price"][2:].tolist() == [61.0, 101.0]
    assert result.units.tolist() == [0.0, 0.0]


def test_an_account_above_its_maintenance_is_left_alone(market, play, free):
    bars = market([FLAT, FLAT, [100.0, 100.0, 62.0, 95.0, 1e9]], instrument=free(maintenance_margin_rate=0.03))
    # 250 x 62 - 15,000 = 500 against 465
    assert len(play(bars, target=[2.5, NAN, NAN]).events) == 0


def test_a_bar_without_volume_counts_at_its_mark_but_is_liquidated_with_the_book(market, play, free):
    dead = [50.0, 50.0, 50.0, 50.0, 0.0]
    crash = [100.0, 100.0, 60.0, 95.0, 1e9]
    bars = market([[FLAT, FLAT], [FLAT, FLAT], [crash, dead]], instrument=free(maintenance_margin_rate=0.03))
    result = play(bars, target=[[2.0, 1.0], [NAN] * 2, [NAN] * 2])
    assert result.orders["price"][2:].tolist() == [60.0, 50.0]
    assert result.units.tolist() == [0.0, 0.0]


def test_the_stop_goes_before_liquidation(market, play, free):
    bars = market([FLAT, FLAT, [100.0, 100.0, 50.0, 95.0, 1e9]], instrument=free(maintenance_margin_rate=0.03))
    result = play(bars, target=[2.5, NAN, NAN], stop_distance=[5.0] * 3)
    assert len(result.events) == 0
    assert result.orders["price"][1] == 95.0


def test_a_liquidation_is_rounded_against_the_account_and_never_slips(market, play, free):
    bars = market(
        [[FLAT, FLAT], [FLAT, FLAT], [[100.0, 100.0, 60.3, 95.0, 1e9], [100.0, 101.3, 99.0, 100.0, 1e9]]],
        instrument=free(maintenance_margin_rate=0.03, tick=0.5, taker_fee_bps=10.0),
    )
    result = play(bars, target=[[2.5, -0.5], [NAN] * 2, [NAN] * 2], costs={"slippage_bps": 100.0})
    assert result.orders["price"][2:].tolist() == [60.0, 101.5]
    assert result.reasons[2:].tolist() == [OrderReason.LIQUIDATION] * 2


def test_stamps_after_the_last_bar_and_before_the_first_open_interval_are_ignored(market, play):
    bars = market([FLAT] * 3, funding=rates((-3, 0.5), (5, 0.5)))
    assert not play(bars, target=[0.5, NAN, NAN]).funding.any()
