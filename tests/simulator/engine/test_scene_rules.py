"""Scenes of trading rules, computed by hand: steps that change at a date, and grids in place of unknown or too coarse ticks."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scenes import ACCOUNT, BUY, SELL, Stage, code_of, lockstep, wall

from quantlab.core.market import Bars, BarState, Instrument, RuleChange
from quantlab.simulator.engine.listing import grids_of
from quantlab.simulator.engine.queries import OrderRef
from quantlab.simulator.engine.values import AlgoStatus, OrderStatus, OrderType

BTC = "BTCUSDT"
FLAT = (1000.0, 1000.0, 1000.0, 1000.0)
COARSER = Instrument(0.5, 0.01, 20.0, 0.03, 1.5, 4.5)


def dated(bars: Bars, row: int, instrument: Instrument) -> Bars:
    """Bars whose rules change at the open of a row."""
    return dataclasses.replace(bars, rule_changes=(RuleChange(int(bars.open_time_ms[row]), "BTC", instrument),))


def orders_taken(stage: Stage) -> list[int | None]:
    """Codes of orders on the old steps and on the new ones; what is taken is cancelled again."""
    answers = [
        stage.limit(BUY, "0.1", "990.3"),
        stage.limit(BUY, "0.015", "990.5"),
        stage.limit(BUY, "0.01", "990.5"),
        stage.limit(BUY, "0.1", "990.5"),
        stage.conditional(SELL, OrderType.STOP_MARKET, "900.3", "0.1"),
        stage.conditional(SELL, OrderType.STOP, "900.5", "0.1", price="900.3"),
        stage.conditional(SELL, OrderType.TRAILING_STOP_MARKET, units="0.1", callback=Decimal("0.1"), activate="1100.3"),
    ]  # fmt: skip
    stage.venue.cancel_all(ACCOUNT, BTC, stage.venue.now_ms)
    stage.venue.cancel_all_conditional(ACCOUNT, BTC, stage.venue.now_ms)
    return [code_of(answer) for answer in answers]


@pytest.mark.parametrize("make", [lockstep, wall])
def test_filters_move_with_the_date_and_not_before(still_bars, make) -> None:
    stage = make(dated(still_bars([FLAT] * 4), 2, COARSER))
    assert orders_taken(stage) == [None] * 7
    stage.venue.advance(stage.venue.market.open_ms(2) - 1)
    assert orders_taken(stage) == [None] * 7
    stage.end_bar()
    assert orders_taken(stage) == [-4014, -4023, -4164, None, -4014, -4014, -4014]
    listing = stage.venue.listings[BTC]
    assert (listing.tick_step, listing.lot_step, listing.min_notional) == (5, 10, Decimal(20))
    assert (listing.grid.tick, listing.grid.lot) == (Decimal("0.1"), Decimal("0.001"))


@pytest.mark.parametrize("make", [lockstep, wall])
def test_what_rests_survives_and_fills_at_its_own_price(still_bars, make) -> None:
    """A buy at 985.3 and a sell at 1015.7, both off the new tick of 0.5, fill there: not at 985.5 and 1015.5."""
    stage = make(dated(still_bars([FLAT, (1000.0, 1020.0, 980.0, 1000.0), FLAT]), 1, COARSER))
    stage.limit(BUY, "0.015", "985.3")
    stage.limit(SELL, "0.015", "1015.7")
    stage.end_bar()
    assert [order.status for order in stage.venue.open_orders(ACCOUNT, BTC, stage.venue.now_ms)] == [OrderStatus.NEW] * 2  # fmt: skip
    stage.end_bar()
    assert sorted(stage.fills()) == [("BUY", "0.015", "985.3"), ("SELL", "0.015", "1015.7")]


def test_a_stop_off_the_new_tick_fires_at_its_level_and_fills_on_the_tick(still_bars) -> None:
    stage = lockstep(dated(still_bars([FLAT, (1000.0, 1000.0, 980.0, 985.0), FLAT]), 1, COARSER))
    stage.market(BUY, "0.1")
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.3")
    stage.end_bar()
    assert stage.algo(1).status is AlgoStatus.NEW
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "0.100", "990.0")]


def test_a_rest_off_the_new_step_can_be_closed_but_not_cut_or_amended(still_bars) -> None:
    stage = lockstep(dated(still_bars([FLAT] * 4), 1, COARSER))
    stage.market(BUY, "0.035")
    stage.limit(SELL, "0.035", "1015.7", reduce_only=True)
    stage.end_bar()
    assert code_of(stage.market(SELL, "0.015", reduce_only=True)) == -4023
    number = stage.order(2).order_id
    amended = stage.venue.amend(ACCOUNT, BTC, OrderRef(number), 35, 10_153, stage.venue.now_ms)
    assert code_of(amended) == -4014
    assert code_of(stage.venue.cancel(ACCOUNT, BTC, OrderRef(number), stage.venue.now_ms)) is None
    assert code_of(stage.market(SELL, "0.035", reduce_only=True)) is None
    assert (stage.held(), stage.position().entry_price) == ("0.000", 0)


def test_finer_rules_are_on_the_grid_from_the_start(still_bars) -> None:
    stage = lockstep(dated(still_bars([FLAT] * 3), 1, Instrument(0.01, 0.0001, 5.0, 0.03, 1.5, 4.5)))
    listing = stage.venue.listings[BTC]
    assert (listing.grid.tick, listing.grid.lot) == (Decimal("0.01"), Decimal("0.0001"))
    assert (listing.tick_step, listing.lot_step) == (10, 10)
    assert code_of(stage.limit(BUY, "0.1", "990.05")) == -4014
    stage.end_bar()
    assert code_of(stage.limit(BUY, "0.1", "990.05")) is None


def test_fees_and_margin_follow_the_date_too(still_bars) -> None:
    dear = Instrument(0.1, 0.001, 5.0, 0.05, 2.0, 10.0)
    stage = lockstep(dated(still_bars([FLAT] * 3), 1, dear))
    stage.market(BUY, "1")
    stage.end_bar()
    stage.market(BUY, "1")
    assert [row[1] for row in stage.incomes()] == ["-0.45000000", "-1.00000000"]
    assert (stage.position().maintenance_margin, stage.position().leverage) == (100, 10)


# -- grids -------------------------------------------------------------------------------------------------------------


def one_symbol(prices: np.ndarray, instrument: Instrument) -> Bars:
    """Bars from float64 (T, 4) prices, each with a volume of a million."""
    n_bars = len(prices)
    return Bars(
        ohlcv=np.concatenate([prices, np.full((n_bars, 1), 1e6)], axis=1)[:, None, :].copy(),
        open_time_ms=300_000 * np.arange(n_bars, dtype=np.int64),
        interval_ms=300_000,
        state=np.full((n_bars, 1), BarState.TRADED, np.uint8),
        symbols=("BTC",),
        instruments=(instrument,),
    )


@pytest.mark.parametrize(
    ("price", "tick", "grid_tick", "is_fine"),
    [
        (60_000.0, 0.1, "0.1", False),
        (100.0, 0.1, "0.1", False),  # exactly one thousandth of the price
        (99.9, 0.1, "1E-8", True),  # coarser than that: 10^(1 - 9)
        (60_000.0, 0.0, "0.00001", True),  # unknown: 10^(4 - 9)
        (0.0000123, 0.0, "1E-14", True),
        (0.0000123, 0.00000001, "1E-8", False),
    ],
)
def test_a_tick_that_is_unknown_or_too_coarse_gives_way_to_a_fine_grid(
    price: float, tick: float, grid_tick: str, is_fine: bool
) -> None:
    bars = one_symbol(np.full((2, 4), price), Instrument(tick, 0.001, 5.0, 0.03, 1.5, 4.5))
    (grid,) = grids_of(bars, 0.001, 1_000.0)
    assert (grid.tick, grid.fine_ticks) == (Decimal(grid_tick), is_fine)
    assert grid.ticks(Decimal(repr(price))) is not None


@pytest.mark.parametrize("make", [lockstep, wall])
def test_on_a_fine_grid_a_whole_trade_is_exact(make) -> None:
    """A coin at 0.000012345: 1,000,000 units are 12.345 USD; the fee 4.5 bps of it; at 0.000012567 a profit of 0.222."""
    prices = np.array([[0.000012345] * 4, [0.000012567] * 4, [0.000012567] * 4])
    stage = make(one_symbol(prices, Instrument(0.0, 0.0, 5.0, 0.03, 1.5, 4.5)))
    stage.market(BUY, "1000000")
    stage.end_bar()
    stage.market(SELL, "1000000", reduce_only=True)
    assert [row[:2] for row in stage.incomes()] == [
        ("COMMISSION", "-0.00555525"),
        ("REALIZED_PNL", "0.22200000"),
        ("COMMISSION", "-0.00565515"),
    ]


def test_every_price_of_real_markets_lies_on_the_grid_that_stands_for_an_unknown_tick(perps_5m: Path) -> None:
    for name in ("BTC", "DOGE", "KAS", "MEME", "MKR", "NOT"):
        prices = pd.read_parquet(perps_5m / f"{name}.parquet", columns=["open", "high", "low", "close"]).to_numpy()
        (grid,) = grids_of(one_symbol(prices, Instrument(0.0, 0.0, 0.0, 0.03, 1.5, 4.5)), 0.001, 1_000.0)
        off = [price for price in np.unique(prices).tolist() if grid.ticks(Decimal(repr(price))) is None]
        assert not off, (name, grid.tick, off[:3])
