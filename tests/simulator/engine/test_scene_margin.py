"""Scenes of money, computed by hand in decimals: liquidation prices, margin calls, funding, deleveraging, the end of a symbol.

An account of 10,000 USD; maintenance margin 3 % (so leverage is 16 at most), fees 4.5 bps for takers, 125 bps for a liquidation.
"""

from __future__ import annotations

import dataclasses
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest
from scenes import ACCOUNT, BAR_MS, BUY, HIGH_FIRST, LOW_FIRST, SELL, Stage, lockstep, wall

from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.simulator.engine.events import AccountReason, AccountUpdate, MarginCall
from quantlab.simulator.engine.values import AlgoStatus, OrderStatus, OrderType

BTC, ETH = "BTCUSDT", "ETHUSDT"
D = Decimal
NOTHING, MAINTENANCE, TAKER, CENTS = D(0), D("0.03"), D("0.00045"), D("0.00000001")
START_MS, INTERVAL_MS = 1_742_083_200_000, 300_000


def liquidation_price(wallet: Decimal, units: Decimal, entry: Decimal, others: Decimal = NOTHING) -> Decimal:
    """Solve ``wallet + units (p - entry) + others = 3 % |units| p``; `others`: worth less margin of the other positions."""
    return (units * entry - wallet - others) / (units - MAINTENANCE * abs(units))


def two_symbols(btc: list[tuple[float, ...]], eth: list[tuple[float, ...]]) -> Bars:
    """BTC and ETH, ticks 0.1 and 0.01, lots 0.001."""
    prices = np.stack([np.array(btc, float), np.array(eth, float)], axis=1)
    ohlcv = np.concatenate([prices, np.full((*prices.shape[:2], 1), 1_000.0)], axis=2)
    n_bars = len(btc)
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=START_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64),
        interval_ms=INTERVAL_MS,
        state=np.full((n_bars, 2), BarState.TRADED, np.uint8),
        symbols=("BTC", "ETH"),
        instruments=(Instrument(0.1, 0.001, 5.0, 0.03, 1.5, 4.5), Instrument(0.01, 0.001, 5.0, 0.03, 1.5, 4.5)),
    )


def flat(price: float) -> tuple[float, float, float, float]:
    return (price, price, price, price)


# -- liquidation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "units"), [(BUY, D(100)), (SELL, D(-100)), (BUY, D(150))])
def test_in_lockstep_liquidation_begins_one_tick_beyond_the_price_that_is_shown(still_bars, side, units) -> None:
    wallet = D(10_000) - abs(units) * 1000 * TAKER
    shown = liquidation_price(wallet, units, D(1000))
    inward, outward = (ROUND_CEILING, ROUND_FLOOR) if side is BUY else (ROUND_FLOOR, ROUND_CEILING)
    for rounding, is_over in ((inward, False), (outward, True)):
        extreme = shown.quantize(D("0.1"), rounding)
        bar = (1000.0, max(1000.0, float(extreme)), min(1000.0, float(extreme)), 1000.0)
        stage = lockstep(still_bars([bar, flat(1000.0)]))
        stage.market(side, str(abs(units)))
        assert stage.position().liquidation_price == pytest.approx(shown, abs=D("1e-20"))
        stage.end_bar()
        assert (stage.held() == "0.000") == is_over
        if not is_over:
            continue
        fee = (abs(units) * extreme * D("0.0125")).quantize(CENTS)
        assert stage.fills(1)[0][2] == str(extreme)
        assert stage.wallet() == wallet + units * (extreme - 1000) - fee
        assert [kind for kind, *_ in stage.incomes()] == ["COMMISSION", "REALIZED_PNL", "INSURANCE_CLEAR"]
        assert stage.order(2).client_id == "autoclose-2"


@pytest.mark.parametrize("calls", [1, 3, 400])
@pytest.mark.parametrize(
    ("side", "way", "bar"),
    [(BUY, HIGH_FIRST, (1000.0, 1010.0, 800.0, 990.0)), (SELL, LOW_FIRST, (1000.0, 1200.0, 990.0, 1000.0))],
)
def test_in_wall_mode_it_happens_at_the_price_that_is_shown_however_seldom_one_looks(
    still_bars, calls: int, side, way, bar
) -> None:
    units = int(side) * D(100)
    shown = liquidation_price(D(10_000) - 100 * 1000 * TAKER, units, D(1000))
    stage = wall(still_bars([bar, flat(1000.0)]), way)
    stage.market(side, "100")
    assert stage.position().liquidation_price == pytest.approx(shown, abs=D("1e-20"))
    for k in range(calls):
        stage.venue.advance(BAR_MS * (k + 1) // calls)
    rounding = ROUND_FLOOR if side is BUY else ROUND_CEILING
    assert [price for *_, price in stage.fills(1)] == [str(shown.quantize(D("0.1"), rounding))]


@pytest.mark.parametrize("others_side", [BUY, SELL])
def test_a_crossed_account_falls_where_the_price_of_the_moving_symbol_says(others_side) -> None:
    """60 BTC at 1000 beside 200 ETH at 100, of either side; ETH has moved to 101 and stands, BTC falls."""
    btc = [flat(1000.0), (1000.0, 1000.0, 700.0, 800.0), flat(800.0)]
    stage = wall(two_symbols(btc, [flat(100.0), flat(101.0), flat(101.0)]))
    stage.market(BUY, "60")
    stage.market(others_side, "200", ETH)
    wallet = D(10_000) - (60 * 1000 + 200 * 100) * TAKER
    stage.end_bar()
    eth = int(others_side) * D(200)
    others = eth * (101 - 100) - MAINTENANCE * 200 * 101
    shown = liquidation_price(wallet, D(60), D(1000), others)
    assert stage.position().liquidation_price == pytest.approx(shown, abs=D("1e-20"))
    stage.end_bar()
    sold = shown.quantize(D("0.1"), ROUND_FLOOR)
    closing = "SELL" if others_side is BUY else "BUY"
    assert stage.fills(2) == [("SELL", "60.000", str(sold)), (closing, "200.000", "101.00")]
    fees = (60 * sold * D("0.0125")).quantize(CENTS) + (200 * 101 * D("0.0125")).quantize(CENTS)
    assert stage.wallet() == wallet + 60 * (sold - 1000) + eth * 1 - fees


def test_two_moving_symbols_take_the_account_down_together() -> None:
    """Both fall along their paths; at the moment of the liquidation worth and margin are equal but for the ticks."""
    stage = wall(two_symbols([(1000.0, 1000.0, 800.0, 900.0), flat(900.0)], [(100.0, 100.0, 80.0, 90.0), flat(90.0)]))
    stage.market(BUY, "60")
    stage.market(BUY, "600", ETH)
    wallet = D(10_000) - 120_000 * TAKER
    stage.venue.advance(BAR_MS)
    (_, _, btc), (_, _, eth) = stage.fills(2)
    worth = wallet + 60 * (D(btc) - 1000) + 600 * (D(eth) - 100)
    margin = MAINTENANCE * (60 * D(btc) + 600 * D(eth))
    assert margin - worth < 60 * D("0.1") + 600 * D("0.01")
    assert worth < margin


def test_a_stop_on_the_way_saves_the_account(still_bars) -> None:
    stage = wall(still_bars([(1000.0, 1000.0, 800.0, 900.0), flat(900.0)]))
    stage.market(BUY, "100")
    stage.conditional(SELL, OrderType.STOP_MARKET, "950.0")
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "100.000", "950.0")]
    assert not stage.notes("liquidation")


def test_a_liquidation_ends_every_order_in_both_books_first() -> None:
    stage = lockstep(two_symbols([(1000.0, 1000.0, 900.0, 950.0), flat(950.0)], [flat(100.0), flat(100.0)]))
    stage.market(BUY, "100")
    stage.limit(BUY, "1", "90.00", ETH)
    stage.conditional(SELL, OrderType.STOP_MARKET, "850.0")
    stage.end_bar()
    assert (stage.order(2, ETH).status, stage.algo(1).status) == (OrderStatus.CANCELED, AlgoStatus.CANCELED)
    kinds = [e.kind for e in stage.notes("liquidation", "order_end", "algo_end", "trade", "liquidation_fee")]
    assert kinds[2:] == ["liquidation", "order_end", "algo_end", "trade", "order_end", "liquidation_fee"]


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_margin_call_comes_at_the_rules_share_once_until_the_danger_is_over(still_bars, make) -> None:
    """100 long from 1000, wallet 9,955: at a mark p the share is 3 p / (9955 + 100 (p - 1000)).

    930: 2790 / 2955 = 0.94; 940: 2820 / 3955 = 0.71; 935: 2805 / 3455 = 0.81.
    """
    closes = [940.0, 935.0, 930.0, 940.0, 934.0]
    stage = make(still_bars([flat(1000.0), *(flat(p) for p in closes), flat(1000.0)]))
    stage.market(BUY, "100")
    told = []
    for _ in range(6):
        stage.venue.advance(stage.venue.close_ms - 1)
        stage.end_bar()
        told += [event for event in stage.venue.take_events() if isinstance(event, MarginCall)]
    assert [(e.wallet, e.positions[0].price, e.positions[0].maintenance) for e in told] == [
        (D(9_955), D(price), MAINTENANCE * 100 * price) for price in (935, 934)
    ]
    assert not stage.notes("liquidation")


# -- funding -----------------------------------------------------------------------------------------------------------


def with_funding(bars: Bars, **rates: float) -> Bars:
    """Bars with rates at the opens of rows, ``row1=0.001``."""
    rows = {int(name.removeprefix("row")): rate for name, rate in rates.items()}
    stamps = np.array([bars.open_time_ms[row] for row in sorted(rows)], np.int64)
    return dataclasses.replace(bars, funding=Funding(stamps, np.array([[rows[row]] for row in sorted(rows)])))


@pytest.mark.parametrize("make", [lockstep, wall])
@pytest.mark.parametrize(("side", "rate", "amount"), [
    (BUY, 0.001, "-2.04000000"), (SELL, 0.001, "2.04000000"), (BUY, -0.0003, "0.61200000"), (SELL, -0.0003, "-0.61200000"),
])  # fmt: skip
def test_what_is_held_when_a_bar_begins_pays_or_gets_the_rate_at_its_open(still_bars, make, side, rate, amount) -> None:
    """Two units at an open of 1020: 2 x 1020 x 0.001 = 2.04; a long pays a positive rate."""
    bars = with_funding(still_bars([flat(1000.0), (1020.0, 1030.0, 1010.0, 1015.0), flat(1015.0)]), row1=rate)
    stage = make(bars)
    stage.market(side, "2")
    stage.venue.take_events()
    stage.end_bar()
    assert stage.incomes()[1:] == [("FUNDING_FEE", amount, stage.venue.market.open_ms(1))]
    told = [e for e in stage.venue.take_events() if isinstance(e, AccountUpdate)]
    assert [(e.reason, e.wallet, e.change, e.positions) for e in told] == [
        (AccountReason.FUNDING_FEE, D(10_000) - 2000 * TAKER + D(amount), D(amount), ())
    ]


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_position_of_the_bar_that_a_stamp_opens_pays_from_the_next_stamp_on(still_bars, make) -> None:
    """Stamps at rows 0, 1, 3: opened in bar 1, closed in bar 3: only row 3 counts, though it is closed in that bar."""
    bars = with_funding(still_bars([flat(1000.0)] * 5), row0=0.001, row1=0.001, row3=0.002)
    stage = make(bars)
    stage.end_bar()
    stage.market(SELL, "1")
    stage.end_bar(2)
    stage.market(BUY, "1", reduce_only=True)
    stage.end_bar()
    assert [row for row in stage.incomes() if row[0] == "FUNDING_FEE"] == [
        ("FUNDING_FEE", "2.00000000", stage.venue.market.open_ms(3))
    ]


def test_a_stamp_inside_a_bar_is_charged_at_the_next_open_and_a_missing_rate_is_noted(still_bars) -> None:
    bars = still_bars([flat(1000.0), flat(1010.0), flat(1020.0)])
    stamps = np.array([bars.open_time_ms[0] + 1, bars.open_time_ms[2]], np.int64)
    stage = lockstep(dataclasses.replace(bars, funding=Funding(stamps, np.array([[0.001], [np.nan]]))))
    stage.market(BUY, "1")
    stage.end_bar(2)
    assert stage.incomes()[1:] == [("FUNDING_FEE", "-1.01000000", int(bars.open_time_ms[1]))]
    assert [e.fields["stamp_ms"] for e in stage.notes("missing_funding")] == [int(bars.open_time_ms[2])]


# -- deleveraging and the end of a symbol ------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "closing", "profit"), [(BUY, "SELL", "20.00000000"), (SELL, "BUY", "-20.00000000")])
def test_deleveraging_closes_a_part_at_the_running_price_without_a_fee(still_bars, side, closing, profit) -> None:
    stage = lockstep(still_bars([flat(1000.0), flat(1020.0), flat(1020.0)]))
    stage.market(side, "3")
    stage.end_bar()
    stage.venue.take_events()
    trade = stage.venue.force_adl(ACCOUNT, BTC, 1_000, stage.venue.now_ms)
    assert (trade.fee, stage.fills(1), stage.held()) == (0, [(closing, "1.000", "1020.0")], f"{int(side) * 2}.000")
    assert stage.incomes()[1:] == [("REALIZED_PNL", profit, stage.venue.now_ms)]
    assert (stage.order(2).client_id, stage.order(2).status) == ("adl_autoclose", OrderStatus.FILLED)
    assert stage.position().entry_price == 1000
    assert stage.venue.force_adl(ACCOUNT, BTC, 99_000, stage.venue.now_ms).lots == 2_000
    assert stage.venue.force_adl(ACCOUNT, BTC, 1, stage.venue.now_ms) is None


def check_settled(stage: Stage, price: str, profit: str, fee: str) -> None:
    """A long of two that was settled: one market order under the venue's id, at `price`, for the taker's fee."""
    assert stage.fills(1) == [("SELL", "2.000", price)]
    order = stage.order(3)
    assert (order.client_id, order.type, order.status) == ("settlement_autoclose-3", OrderType.MARKET, OrderStatus.FILLED)  # fmt: skip
    assert [row[:2] for row in stage.incomes()[1:]] == [("REALIZED_PNL", profit), ("COMMISSION", fee)]
    assert (stage.order(2).status, stage.algo(1).status) == (OrderStatus.EXPIRED, AlgoStatus.EXPIRED)
    assert stage.market(BUY, "1").code == -4108


def test_a_delisting_settles_at_the_mark_and_ends_both_books(still_bars) -> None:
    """Mark 990 = the last close, whatever the running bar's open: 2 x -10 = -20; 2 x 990 x 4.5 bps = 0.891."""
    stage = lockstep(still_bars([(1000.0, 1000.0, 990.0, 990.0), flat(995.0), flat(995.0)]))
    stage.market(BUY, "2")
    stage.limit(SELL, "2", "1100.0", reduce_only=True)
    stage.conditional(SELL, OrderType.STOP_MARKET, "900.0")
    stage.end_bar()
    stage.venue.delist(BTC, stage.venue.now_ms)
    check_settled(stage, "990.0", "-20.00000000", "-0.89100000")
    stage.end_bar()
    assert stage.market(BUY, "1").code == -4108


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_symbol_that_stays_away_is_settled_after_so_many_bars_and_may_come_back(still_bars, make) -> None:
    bars = still_bars([flat(1000.0), flat(1010.0), *[flat(1.0)] * 3, flat(1030.0), flat(1030.0)])
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[2:5], state[2:5] = np.nan, BarState.ABSENT
    stage = make(dataclasses.replace(bars, ohlcv=ohlcv, state=state), delisted_after_bars=3)
    stage.market(BUY, "2")
    stage.limit(SELL, "2", "1100.0", reduce_only=True)
    stage.conditional(SELL, OrderType.STOP_MARKET, "900.0")
    stage.end_bar(4)
    assert (stage.held(), stage.position().mark_price) == ("2.000", 1010)
    stage.venue.advance(stage.venue.close_ms - 1)
    assert stage.held() == "2.000"
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "2.000", "1010.0")]
    assert [row[:2] for row in stage.incomes()[1:]] == [("REALIZED_PNL", "20.00000000"), ("COMMISSION", "-0.90900000")]
    assert stage.order(3).client_id == "settlement_autoclose-3"
    stage.market(BUY, "1")
    assert stage.fills(2) == [("BUY", "1.000", "1030.0")]


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_symbol_without_a_close_yet_is_valued_at_its_first_open(still_bars, make) -> None:
    """100 long at 1000 in the very first bar: no profit, 10,000 - 45, of which 100,000 / 16 are bound."""
    stage = make(still_bars([flat(1000.0), flat(1000.0)]))
    stage.market(BUY, "100")
    wallet = stage.venue.wallet(ACCOUNT, stage.venue.now_ms)
    assert (wallet.unrealised, wallet.margin_balance, wallet.available) == (0, 9_955, 9_955 - 6_250)
